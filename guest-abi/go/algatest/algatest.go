//go:build !wasip1

// Package algatest is a host for tests of handlers, which run natively: go test.
package algatest

import (
	"testing"

	"alga/internal/abi"
	"alga/internal/msgpack"
)

// A Call is a host call that the handler made: {"scheduler.create", {"endpoint": "/sync", ...}}.
type Call struct {
	Operation string
	Request   map[string]any
}

// A Line is one of the log's; its level is 0 for debug, 1 info, 2 warn, 3 error.
type Line struct {
	Level int
	Text  string
}

// Played is what happened while a test ran.
type Played struct {
	Calls []Call
	Log   []Line
}

// Play answers the host calls of the rest of the test with replies, one after the other, each {"ok": {...}} or {"err": {...}}.
// Tests that play may not run in parallel.
func Play(t testing.TB, replies ...map[string]any) *Played {
	played := &Played{}
	abi.Answer = func(operation string, request []byte) []byte {
		t.Helper()
		call := Call{Operation: operation}
		if err := msgpack.Decode(request, &call.Request); err != nil {
			t.Fatalf("the request of %s is no document: %v", operation, err)
		}
		played.Calls = append(played.Calls, call)
		if len(replies) == 0 {
			t.Fatalf("the test has no reply for %s", operation)
		}
		reply, err := msgpack.Encode(replies[0])
		if err != nil {
			t.Fatal(err)
		}
		replies = replies[1:]
		return reply
	}
	abi.Line = func(level uint32, line string) { played.Log = append(played.Log, Line{int(level), line}) }
	t.Cleanup(func() { abi.Answer, abi.Line = nil, nil })
	return played
}
