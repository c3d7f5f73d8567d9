package alga

import (
	"fmt"

	"alga/internal/abi"
	"alga/internal/msgpack"
)

//go:wasmexport alga_abi_v1
func marker() {}

//go:wasmexport alga_handle
func handle(length uint32) {
	defer func() {
		if value := recover(); value != nil {
			abi.Fail(panicked(value))
		}
	}()
	if handler == nil {
		panic("The extension has no handler: call alga.Handle in an init function.")
	}
	var request Request
	if err := msgpack.Decode(abi.Request(length), &request); err != nil {
		panic(fmt.Sprintf("The host's request cannot be read: %v.", err))
	}
	document, err := msgpack.Encode(respond(handler, &request))
	if err != nil {
		panic(fmt.Sprintf("The response cannot be written: %v.", err))
	}
	abi.Respond(document)
}
