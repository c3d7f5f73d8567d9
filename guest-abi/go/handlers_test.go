package alga_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"alga"
	"alga/algatest"
)

type object = map[string]any

var host = &alga.Host{}

func request(method, url string) *alga.Request {
	return &alga.Request{HTTP: alga.HTTPInfo{Method: method, URL: url}}
}

func refusal() object {
	return object{"err": object{"code": "rate-limited", "message": "Too many", "fieldErrors": object{"cron": "Bad"}, "retryAfterMs": 60_000}}
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func equal(t *testing.T, got, expected any) {
	t.Helper()
	if !reflect.DeepEqual(got, expected) {
		t.Fatalf("%#v is not %#v", got, expected)
	}
}

func code(err error) alga.Code {
	if refusal, ok := errors.AsType[*alga.HostError](err); ok {
		return refusal.Code
	}
	return ""
}

func TestAChangeGivesItsID(t *testing.T) {
	played := algatest.Play(t, object{"ok": object{"scheduleId": "s-1"}}, object{"ok": object{}}, object{"ok": object{}})

	created := host.Scheduler.Create(alga.CreateScheduleInput{Endpoint: "/sync", Cron: "0 * * * *", Enabled: new(false)})
	updated := host.Scheduler.Update(alga.UpdateScheduleInput{ScheduleID: "s-2", Cron: "30 2 * * *", Payload: alga.Clear[any]()})
	deleted := host.Scheduler.Delete("s-3")

	equal(t, asJSON(t, created), `{"success":true,"scheduleId":"s-1"}`)
	equal(t, []string{updated.ScheduleID, deleted.ScheduleID}, []string{"s-2", "s-3"})
	equal(t, played.Calls, []algatest.Call{
		{Operation: "scheduler.create", Request: object{"endpoint": "/sync", "cron": "0 * * * *", "enabled": false}},
		{Operation: "scheduler.update", Request: object{"scheduleId": "s-2", "cron": "30 2 * * *", "payload": nil}},
		{Operation: "scheduler.delete", Request: object{"scheduleId": "s-3"}},
	})
}

func TestARefusedChangeIsAValue(t *testing.T) {
	algatest.Play(t, refusal(), refusal(), refusal())

	for _, result := range []alga.ScheduleResult{
		host.Scheduler.Create(alga.CreateScheduleInput{}),
		host.Scheduler.Update(alga.UpdateScheduleInput{}),
		host.Scheduler.Delete("s-1"),
	} {
		equal(t, asJSON(t, result), `{"success":false,"error":"Too many","fieldErrors":{"cron":"Bad"}}`)
		equal(t, code(result.Err()), alga.CodeRateLimited)
		equal(t, *result.HostError.RetryAfterMs, 60_000)
	}
}

func TestACreateThatNamesNoScheduleFailed(t *testing.T) {
	algatest.Play(t, object{"ok": object{}})

	equal(t, code(host.Scheduler.Create(alga.CreateScheduleInput{}).Err()), alga.CodeInternal)
}

func TestAnEmptyListIsNoFailure(t *testing.T) {
	algatest.Play(t, object{"ok": object{"schedules": []any{}}})

	list, err := host.Scheduler.List()

	equal(t, list, []alga.ScheduleInfo{})
	equal(t, err, nil)
}

func TestAListWithoutItsMemberIsNoEmptyList(t *testing.T) {
	algatest.Play(t, object{"ok": object{}})

	_, err := host.Scheduler.List()

	equal(t, code(err), alga.CodeInternal)
}

func TestGetOfAnUnknownIDIsNeitherValueNorError(t *testing.T) {
	algatest.Play(t, object{"ok": object{}})

	schedule, err := host.Scheduler.Get("s-2")

	equal(t, schedule, (*alga.ScheduleInfo)(nil))
	equal(t, err, nil)
}

func TestAReplyThatDoesNotFitIsFetched(t *testing.T) {
	endpoint := object{"id": "e", "method": "GET", "path": strings.Repeat("/", 300), "handler": "h", "schedulable": true}
	endpoints := make([]any, 50)
	for index := range endpoints {
		endpoints[index] = endpoint
	}
	algatest.Play(t, object{"ok": object{"endpoints": endpoints}})

	list, err := host.Scheduler.GetEndpoints()

	equal(t, len(list), 50)
	equal(t, err, nil)
}

func TestAnInputWithoutADocumentIsRefusedBeforeTheHost(t *testing.T) {
	played := algatest.Play(t)

	result := host.Scheduler.Create(alga.CreateScheduleInput{Payload: func() {}})

	equal(t, code(result.Err()), alga.CodeInternal)
	equal(t, len(played.Calls), 0)
}

func TestABodyThatIsNotJSONIsAProblem(t *testing.T) {
	var body any
	err := request("POST", "/").HTTP.JSON(&body)

	problem, ok := errors.AsType[*alga.Problem](err)
	equal(t, ok && problem.Status == 400 && problem.Code == "bad-request", true)
}

func route(method, url string) (alga.Response, error) {
	sync := func(*alga.Request, *alga.Host) (alga.Response, error) { return alga.Empty(204), nil }
	return new(alga.Router).On("GET", "/sync", sync).On("POST", "/sync", sync).Handle(request(method, url), host)
}

func TestARouteIsAMethodAndAPath(t *testing.T) {
	for method, url := range map[string]string{"GET": "/sync", "post": "/sync?full=1"} {
		response, err := route(method, url)
		equal(t, response.Status, 204)
		equal(t, err, nil)
	}
}

func TestAnUnknownPathAnswers404(t *testing.T) {
	_, err := route("GET", "/syn")

	problem, _ := errors.AsType[*alga.Problem](err)
	equal(t, problem.Status, 404)
}

func TestAnotherMethodAnswers405AndNamesThoseThatAreAllowed(t *testing.T) {
	response, _ := route("DELETE", "/sync")

	equal(t, response.Status, 405)
	equal(t, response.Headers[1], alga.Header{Name: "allow", Value: "GET, POST"})
}

func TestAQueryIsDecoded(t *testing.T) {
	http := request("GET", "/?a=1&b=%C3%bc+x&c&b=2&d=%zz%f&e=%ff").HTTP
	for name, expected := range map[string]string{"a": "1", "b": "ü x", "c": "", "d": "%zz%f", "e": "\uFFFD"} {
		value, there := http.Query(name)
		equal(t, there, true)
		equal(t, value, expected)
	}
	_, there := http.Query("f")
	equal(t, there, false)
}

func TestAHeaderThatIsAddedLeavesTheResponseItWasAddedTo(t *testing.T) {
	one := alga.Text(200, "").WithHeader("a", "1")

	two, three := one.WithHeader("b", "2"), one.WithHeader("c", "3")

	equal(t, []string{two.Headers[2].Name, three.Headers[2].Name}, []string{"b", "c"})
	equal(t, len(one.Headers), 2)
}

func TestLogLinesHaveLevels(t *testing.T) {
	played := algatest.Play(t)

	host.Logging.Debug("a")
	host.Logging.Info("b")
	host.Logging.Warn("c")
	host.Logging.Error("")

	equal(t, played.Log, []algatest.Line{{Level: 0, Text: "a"}, {Level: 1, Text: "b"}, {Level: 2, Text: "c"}, {Level: 3, Text: ""}})
}
