// Code generated from guest-abi/schema by `make docs`. DO NOT EDIT.

//go:build !wasip1

package abi

import "unsafe"

func ClientsList(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	return scripted("clients.list", at, length, reply, capacity)
}

func ClientsGet(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	return scripted("clients.get", at, length, reply, capacity)
}

func ContextGet(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	return scripted("context.get", at, length, reply, capacity)
}

func HTTPFetch(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	return scripted("http.fetch", at, length, reply, capacity)
}

func InvoicingCreateManualInvoice(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	return scripted("invoicing.create-manual-invoice", at, length, reply, capacity)
}

func SchedulerList(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	return scripted("scheduler.list", at, length, reply, capacity)
}

func SchedulerGet(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	return scripted("scheduler.get", at, length, reply, capacity)
}

func SchedulerCreate(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	return scripted("scheduler.create", at, length, reply, capacity)
}

func SchedulerUpdate(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	return scripted("scheduler.update", at, length, reply, capacity)
}

func SchedulerDelete(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	return scripted("scheduler.delete", at, length, reply, capacity)
}

func SchedulerGetEndpoints(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	return scripted("scheduler.get-endpoints", at, length, reply, capacity)
}

func SecretsGet(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	return scripted("secrets.get", at, length, reply, capacity)
}

func SecretsListKeys(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	return scripted("secrets.list-keys", at, length, reply, capacity)
}

func ServicesList(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	return scripted("services.list", at, length, reply, capacity)
}

func ServicesGet(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	return scripted("services.get", at, length, reply, capacity)
}

func StorageGet(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	return scripted("storage.get", at, length, reply, capacity)
}

func StoragePut(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	return scripted("storage.put", at, length, reply, capacity)
}

func StorageDelete(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	return scripted("storage.delete", at, length, reply, capacity)
}

func StorageList(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	return scripted("storage.list", at, length, reply, capacity)
}

func UIProxyCallRoute(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	return scripted("ui-proxy.call-route", at, length, reply, capacity)
}

func UserGet(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	return scripted("user.get", at, length, reply, capacity)
}
