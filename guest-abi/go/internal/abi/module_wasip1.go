package abi

import "unsafe"

//go:wasmimport alga:abi request
func request(at unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:abi reply
func fetch(at unsafe.Pointer, capacity uint32) uint32

//go:wasmimport alga:abi respond
func respond(at unsafe.Pointer, length uint32)

//go:wasmimport alga:abi fail
func fail(at unsafe.Pointer, length uint32)

//go:wasmimport alga:log emit
func emit(level uint32, at unsafe.Pointer, length uint32)

// Request gives the bytes of the request, which are length.
func Request(length uint32) []byte {
	bytes := make([]byte, length)
	if request(unsafe.Pointer(unsafe.SliceData(bytes)), length) != length {
		panic("the host changed its request")
	}
	return bytes
}

// Respond gives the response.
func Respond(response []byte) {
	respond(unsafe.Pointer(unsafe.SliceData(response)), uint32(len(response)))
}

// Fail ends the execution with the guest's own message.
func Fail(message string) {
	fail(unsafe.Pointer(unsafe.StringData(message)), uint32(len(message)))
}
