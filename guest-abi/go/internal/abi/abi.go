// Package abi has the host's functions (guest ABI, "Imports"): those of a module, or in a native build those of a test.
package abi

import (
	"unsafe"
)

// An Import is a host call: a request, and room for the reply. It returns the length of the reply, which may be more than
// the room.
type Import func(at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32

// room is for a reply that arrives in one crossing.
const room = 4096

// Perform gives the bytes of the reply to request.
func Perform(call Import, request []byte) []byte {
	reply := make([]byte, room)
	length := call(unsafe.Pointer(unsafe.SliceData(request)), uint32(len(request)), unsafe.Pointer(&reply[0]), room)
	if length > room {
		reply = make([]byte, length)
		if fetch(unsafe.Pointer(&reply[0]), length) != length {
			panic("the host changed its reply")
		}
	}
	return reply[:length]
}

// Log writes one line of the log.
func Log(level uint32, line string) {
	emit(level, unsafe.Pointer(unsafe.StringData(line)), uint32(len(line)))
}
