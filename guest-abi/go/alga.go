// Package alga is for Alga extensions in Go: core modules of guest ABI v1.
//
//	package main
//
//	import "alga"
//
//	func init() { alga.Handle(handler) }
//
//	func main() {}
//
//	func handler(request *alga.Request, host *alga.Host) (alga.Response, error) {
//		schedules, err := host.Scheduler.List()
//		if err != nil {
//			return alga.Response{}, err
//		}
//		return alga.JSON(200, map[string]int{"count": len(schedules)}), nil
//	}
package alga

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
)

// A Handler answers a request. Of a [HostError] and a [Problem] the caller gets a response with their code and message; any
// other error is logged, and answered with 500.
type Handler func(request *Request, host *Host) (Response, error)

var handler Handler

// Handle makes handle the extension's handler. Call it in an init function: a module's main is never called.
func Handle(handle Handler) { handler = handle }

// respond gives the response of handle to request, whether it is an error's or not.
func respond(handle Handler, request *Request) Response {
	host := &Host{}
	response, err := handle(request, host)
	if err == nil {
		return response
	}
	if refusal, ok := errors.AsType[*HostError](err); ok {
		return JSON(refusal.HTTPStatus(), map[string]any{"error": refusal})
	}
	if problem, ok := errors.AsType[*Problem](err); ok {
		return JSON(problem.Status, map[string]any{"error": problem})
	}
	host.Logging.Error(err.Error())
	return JSON(500, map[string]any{"error": &Problem{500, "internal", "The extension failed; its log has the reason."}})
}

// panicked is the text of a panic with its place, while it is recovered.
func panicked(value any) string {
	var callers [64]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers[:])])
	panicking := false
	for {
		frame, more := frames.Next()
		if panicking && !strings.HasPrefix(frame.Function, "runtime.") {
			return fmt.Sprintf("panicked at %s:%d: %v", frame.File, frame.Line, value)
		}
		panicking = panicking || frame.Function == "runtime.gopanic"
		if !more {
			return fmt.Sprintf("panicked: %v", value)
		}
	}
}
