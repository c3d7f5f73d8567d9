package alga

import "encoding/json"

// A ScheduleResult is what creating, updating and deleting a schedule give in every case.
type ScheduleResult struct {
	Success bool `json:"success"`
	// The schedule that was created, updated or deleted.
	ScheduleID string `json:"scheduleId,omitzero"`
	// The host's message where it refused.
	Error string `json:"error,omitzero"`
	// A member of the input, and what is wrong with it.
	FieldErrors map[string]string `json:"fieldErrors,omitzero"`
	// The whole refusal, with its code and when to try again.
	HostError *HostError `json:"-"`
}

// Err gives the refusal as an error, for a handler to return.
func (result ScheduleResult) Err() error {
	if result.HostError == nil {
		return nil
	}
	return result.HostError
}

func changed(id string, err error) ScheduleResult {
	if refusal, ok := err.(*HostError); ok {
		return ScheduleResult{Error: refusal.Message, FieldErrors: refusal.FieldErrors, HostError: refusal}
	}
	return ScheduleResult{Success: true, ScheduleID: id}
}

// A Change is what an update does to a member that may have no value: its zero leaves it, [Set] and [Clear] change it.
type Change[T any] struct {
	value   *T
	cleared bool
}

// Set changes a member to value.
func Set[T any](value T) Change[T] { return Change[T]{value: &value} }

// Clear takes a member's value away.
func Clear[T any]() Change[T] { return Change[T]{cleared: true} }

// DocumentValue is for the SDK's codec.
func (change Change[T]) DocumentValue() any {
	if change.value == nil {
		return nil
	}
	return *change.value
}

// ReadDocument is for the SDK's codec.
func (change *Change[T]) ReadDocument(decode func(into any) error) error {
	err := decode(&change.value)
	change.cleared = change.value == nil
	return err
}

func (change Change[T]) MarshalJSON() ([]byte, error) { return json.Marshal(change.value) }

func (change *Change[T]) UnmarshalJSON(text []byte) error {
	return change.ReadDocument(func(into any) error { return json.Unmarshal(text, into) })
}
