//go:build !wasip1

package abi

import "unsafe"

// The host of a test, which package algatest sets.
var (
	Answer func(operation string, request []byte) []byte
	Line   func(level uint32, line string)
)

var waiting []byte // the last reply

func scripted(operation string, at unsafe.Pointer, length uint32, reply unsafe.Pointer, capacity uint32) uint32 {
	if Answer == nil {
		panic("there is no host: call algatest.Play first")
	}
	waiting = Answer(operation, unsafe.Slice((*byte)(at), length))
	return fetch(reply, capacity)
}

func fetch(at unsafe.Pointer, capacity uint32) uint32 {
	if len(waiting) <= int(capacity) {
		copy(unsafe.Slice((*byte)(at), capacity), waiting)
	}
	return uint32(len(waiting))
}

func emit(level uint32, at unsafe.Pointer, length uint32) {
	if Line != nil {
		Line(level, string(unsafe.Slice((*byte)(at), length)))
	}
}
