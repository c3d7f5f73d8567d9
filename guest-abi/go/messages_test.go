package alga

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"

	"alga/internal/msgpack"
	"alga/internal/vectors"
)

// rewritten gives what is written of a document that was read into the value that into points at.
func rewritten(t *testing.T, name string, document []byte, into any) any {
	t.Helper()
	if err := msgpack.Decode(document, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	again, err := msgpack.Encode(into)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var value any
	if err := msgpack.Decode(again, &value); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return value
}

func TestRequestsAreRead(t *testing.T) {
	for _, vector := range vectors.Read(t, "requests.json") {
		if value := rewritten(t, vector.Name, vector.Bytes, new(Request)); !vectors.Equal(value, vector.Value) {
			t.Errorf("%s: %v", vector.Name, value)
		}
	}
}

func TestResponsesAreWritten(t *testing.T) {
	for _, vector := range vectors.Read(t, "responses.json") {
		if vector.Kind == "valid" {
			written := map[string]any{"headers": []any{}, "body": nil}
			maps.Copy(written, rewritten(t, vector.Name, vector.Bytes, new(Response)).(map[string]any))
			if !vectors.Equal(written, vector.Value) {
				t.Errorf("%s: %v", vector.Name, written)
			}
		}
	}
}

// writes tells whether an operation's requests are written as the vectors have them, nil included.
func writes[Input any](t *testing.T, operation string, defaults map[string]any) {
	seen := 0
	for _, vector := range vectors.Read(t, "host-call-requests.json") {
		if vector.Kind != "valid" || vector.Operation != operation {
			continue
		}
		seen++
		expected, written := maps.Clone(defaults), maps.Clone(defaults)
		maps.Copy(expected, vector.Value.(map[string]any))
		maps.Copy(written, rewritten(t, vector.Name, vector.Bytes, new(Input)).(map[string]any))
		if !vectors.Equal(written, expected) {
			t.Errorf("%s: %v", vector.Name, written)
		}
	}
	if seen == 0 {
		t.Fatal(operation)
	}
}

func TestCreatesAreWritten(t *testing.T) {
	writes[CreateScheduleInput](t, "scheduler.create", map[string]any{"enabled": true})
}

func TestUpdatesTellLeaveFromClear(t *testing.T) {
	writes[UpdateScheduleInput](t, "scheduler.update", map[string]any{})
}

func TestRepliesAreRead(t *testing.T) {
	for _, vector := range vectors.Read(t, "replies.json") {
		expected := vector.Value.(map[string]any)
		ok, err := DecodeReply[map[string]any](vector.Bytes)
		if err == nil {
			if !vectors.Equal(ok, expected["ok"]) {
				t.Errorf("%s: %v", vector.Name, ok)
			}
			continue
		}
		document, _ := msgpack.Encode(err)
		var refusal map[string]any
		if err := msgpack.Decode(document, &refusal); err != nil {
			t.Fatal(err)
		}
		if there := expected["err"].(map[string]any); there["message"] == nil {
			there["message"] = refusal["message"]
		}
		if !vectors.Equal(map[string]any{"err": refusal}, expected) {
			t.Errorf("%s: %v", vector.Name, refusal)
		}
	}
}

func TestMembersOfRepliesHaveTypes(t *testing.T) {
	type output struct {
		Schedules []ScheduleInfo `json:"schedules,omitzero"`
		Schedule  *ScheduleInfo  `json:"schedule,omitzero"`
		Endpoints []EndpointInfo `json:"endpoints,omitzero"`
	}
	seen := 0
	for _, vector := range vectors.Read(t, "replies.json") {
		ok, err := DecodeReply[output](vector.Bytes)
		if err != nil || reflect.ValueOf(ok).IsZero() {
			continue
		}
		document, _ := msgpack.Encode(ok)
		if value := rewritten(t, vector.Name, document, new(any)); !vectors.Equal(value, vector.Value.(map[string]any)["ok"]) {
			t.Errorf("%s: %v", vector.Name, value)
		}
		seen++
	}
	if seen < 6 {
		t.Fatal(seen)
	}
}

func TestAnInputReadFromJSONTellsLeaveFromClear(t *testing.T) {
	var input UpdateScheduleInput
	if err := json.Unmarshal([]byte(`{"scheduleId": "s-1", "name": null, "payload": {"a": 1}}`), &input); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(input)
	if err != nil || string(text) != `{"scheduleId":"s-1","name":null,"payload":{"a":1}}` {
		t.Fatal(string(text), err)
	}
}

func TestAPanicNamesItsPlace(t *testing.T) {
	for _, crash := range []func(){func() { panic(errors.New("The guest gives up.")) }, func() { _ = (*Problem)(nil).Code }} {
		func() {
			defer func() {
				if text := panicked(recover()); !strings.Contains(text, "messages_test.go:") {
					t.Error(text)
				}
			}()
			crash()
		}()
	}
}
