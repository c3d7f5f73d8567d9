package main

import (
	"testing"

	"alga"
	"alga/algatest"
)

func TestSetupCreatesTheHourlySync(t *testing.T) {
	played := algatest.Play(t, map[string]any{"ok": map[string]any{"scheduleId": "s-1"}})

	response, err := setup(&alga.Request{}, &alga.Host{})

	if err != nil || response.Status != 201 {
		t.Fatal(response, err)
	}
	if played.Calls[0].Request["endpoint"] != "POST /sync" {
		t.Fatal(played.Calls)
	}
}
