package alga

import (
	"alga/internal/abi"
	"alga/internal/msgpack"
)

// LoggingHost writes lines of the execution's log. A line over 8 KiB is cut; without cap:log.emit lines are dropped.
type LoggingHost struct{}

func (LoggingHost) Debug(message string) { abi.Log(0, message) }

func (LoggingHost) Info(message string) { abi.Log(1, message) }

func (LoggingHost) Warn(message string) { abi.Log(2, message) }

func (LoggingHost) Error(message string) { abi.Log(3, message) }

// call performs a host call, and reads its output.
func call[Output any](operation abi.Import, input any) (output Output, err error) {
	request, err := msgpack.Encode(input)
	if err != nil {
		return output, &HostError{Code: CodeInternal, Message: "The request cannot be written: " + err.Error() + "."}
	}
	return DecodeReply[Output](abi.Perform(operation, request))
}

// DecodeReply reads the value of {ok: {...}}, or the [HostError] of {err: {...}}, as every host call does.
func DecodeReply[Output any](reply []byte) (output Output, err error) {
	var envelope struct {
		OK  *Output    `json:"ok,omitzero"`
		Err *HostError `json:"err,omitzero"`
	}
	if err := msgpack.Decode(reply, &envelope); err != nil {
		return output, &HostError{Code: CodeInternal, Message: "The host's reply cannot be read: " + err.Error() + "."}
	}
	if envelope.Err != nil {
		envelope.Err.Code = envelope.Err.Code.known()
		if envelope.Err.Message == "" {
			envelope.Err.Message = "The host gives no reason."
		}
		return output, envelope.Err
	}
	if envelope.OK == nil {
		return output, &HostError{Code: CodeInternal, Message: "The host's reply has neither ok nor err."}
	}
	return *envelope.OK, nil
}
