// Code generated from guest-abi/schema by `make docs`. DO NOT EDIT.

package abi

import "unsafe"

//go:wasmimport alga:clients list
func ClientsList(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:clients get
func ClientsGet(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:context get
func ContextGet(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:http fetch
func HTTPFetch(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:invoicing create-manual-invoice
func InvoicingCreateManualInvoice(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:scheduler list
func SchedulerList(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:scheduler get
func SchedulerGet(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:scheduler create
func SchedulerCreate(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:scheduler update
func SchedulerUpdate(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:scheduler delete
func SchedulerDelete(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:scheduler get-endpoints
func SchedulerGetEndpoints(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:secrets get
func SecretsGet(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:secrets list-keys
func SecretsListKeys(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:services list
func ServicesList(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:services get
func ServicesGet(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:storage get
func StorageGet(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:storage put
func StoragePut(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:storage delete
func StorageDelete(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:storage list
func StorageList(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:ui-proxy call-route
func UIProxyCallRoute(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:user get
func UserGet(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32
