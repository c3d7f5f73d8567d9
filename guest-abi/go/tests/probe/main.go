// A guest for tests of the SDK on the runner: what it makes of messages, and its host calls. Bodies are MessagePack.
//
//	POST /value                the value, written again     422 when it is refused
//	POST /reply                {ok} or {err} as the SDK reads the reply
//	POST /request              the request's members as the SDK reads them
//	POST /response             the response as the SDK writes it
//	POST /call/<operation>     the host call's request as the SDK writes it
//	POST /query?NAME=VALUE&..  the value of the query's `payload`; 404 when it is absent
//	POST /header               the header that the body names; 404 when it is absent
//	POST /problem              a problem whose message is the body
//	POST /perform/<operation>  the host call itself: {ok} or {err}
//	POST /fail, /error         end the handler with a refusal, with another error
//	POST /panic, /nil, /crash  panic in the handler, by a nil pointer, in a goroutine
package main

import (
	"errors"
	"strings"

	"alga"
	"alga/internal/msgpack"
)

func init() { alga.Handle(handler) }

func main() {}

func handler(request *alga.Request, host *alga.Host) (alga.Response, error) {
	body := request.HTTP.Body
	switch path := request.HTTP.Path(); path {
	case "/value":
		return value(body)
	case "/reply":
		ok, err := alga.DecodeReply[map[string]any](body)
		return outcome(ok, err)
	case "/request":
		return rewritten(body, &alga.Request{})
	case "/response":
		return rewritten(body, &alga.Response{})
	case "/call/scheduler.create":
		return rewritten(body, &alga.CreateScheduleInput{})
	case "/call/scheduler.update":
		return rewritten(body, &alga.UpdateScheduleInput{})
	case "/query":
		value, there := request.HTTP.Query("payload")
		return found(value, there)
	case "/header":
		value, there := request.HTTP.Header(string(body))
		return found(value, there)
	case "/problem":
		return alga.Response{}, &alga.Problem{Status: 422, Code: "bad", Message: string(body)}
	case "/fail":
		return alga.Response{}, &alga.HostError{Code: alga.CodeUnavailable, Message: "The server does not answer."}
	case "/error":
		return alga.Response{}, errors.New("The guest gives up: 東京.")
	case "/panic":
		panic("The guest gives up: 東京.")
	case "/nil":
		var nothing *alga.Problem
		return alga.Text(200, nothing.Message), nil
	case "/crash":
		go panic("The guest gives up: 東京.")
		select {}
	default:
		return perform(strings.TrimPrefix(path, "/perform/"), body, host)
	}
}

// value copies a document token by token, so that the order of keys stays.
func value(document []byte) (alga.Response, error) {
	var fault *msgpack.Fault
	if errors.As(msgpack.Check(document), &fault) {
		code := "refused"
		if fault.Framing {
			code = "breach"
		}
		return alga.Response{}, &alga.Problem{Status: 422, Code: code, Message: fault.Message}
	}
	var written []byte
	for len(document) > 0 {
		token, err := msgpack.Next(&document)
		if err != nil {
			return alga.Response{}, err
		}
		written = token.Append(written)
	}
	return alga.Response{Status: 200, Body: written}, nil
}

func rewritten(document []byte, into any) (alga.Response, error) {
	if err := msgpack.Decode(document, into); err != nil {
		return alga.Response{}, err
	}
	return answer(into)
}

func answer(value any) (alga.Response, error) {
	document, err := msgpack.Encode(value)
	return alga.Response{Status: 200, Body: document}, err
}

func found(value string, there bool) (alga.Response, error) {
	if !there {
		return alga.Response{}, &alga.Problem{Status: 404, Code: "not-found", Message: "It is absent."}
	}
	return alga.Text(200, value), nil
}

func outcome(value any, err error) (alga.Response, error) {
	if err != nil {
		return answer(map[string]any{"err": err})
	}
	return answer(map[string]any{"ok": value})
}

func perform(operation string, body []byte, host *alga.Host) (alga.Response, error) {
	var named struct {
		ScheduleID string `json:"scheduleId,omitzero"`
	}
	if err := msgpack.Decode(body, &named); err != nil {
		return alga.Response{}, err
	}
	switch operation {
	case "scheduler.list":
		schedules, err := host.Scheduler.List()
		if err != nil {
			return alga.Response{}, err
		}
		return outcome(schedules, nil)
	case "scheduler.get":
		return outcome(host.Scheduler.Get(named.ScheduleID))
	case "scheduler.create":
		var input alga.CreateScheduleInput
		if err := msgpack.Decode(body, &input); err != nil {
			return alga.Response{}, err
		}
		result := host.Scheduler.Create(input)
		return outcome(map[string]string{"scheduleId": result.ScheduleID}, result.Err())
	case "scheduler.update":
		var input alga.UpdateScheduleInput
		if err := msgpack.Decode(body, &input); err != nil {
			return alga.Response{}, err
		}
		return outcome(nil, host.Scheduler.Update(input).Err())
	case "scheduler.delete":
		return outcome(nil, host.Scheduler.Delete(named.ScheduleID).Err())
	case "scheduler.get-endpoints":
		return outcome(host.Scheduler.GetEndpoints())
	case "context.get":
		return outcome(host.Context.Get())
	default:
		return performOthers(operation, body, host)
	}
}
