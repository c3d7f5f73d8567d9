// The SDK's conformance guest: takes the bytes of a vector as its request's body and answers what the SDK makes of them.
//
// POST /value              the value, written again           422 when it is refused
// POST /reply              {ok} or {err} as the SDK reads the reply
// POST /request            the request's members as the SDK reads them
// POST /response           the response as the SDK writes it
// POST /call/<operation>   the host call's request as the SDK writes it
// POST /json               the JSON text, written again       422 when it is not JSON
// POST /query?NAME=VALUE&.. the value of the body's name in the query; 404 when it is absent
// POST /perform/<operation>  the host call itself: {ok} or {err} as the SDK gives it
// POST /fail, /abort       end the handler with a HostError, with an abort

import {
  alga_abi_v1, CreateScheduleInput, emptyResponse, ExecuteRequest, ExecuteResponse, fail, HostBindings, HostError,
  Kind, problem, SchedulePolicies, serve, toJson, UpdateScheduleInput, Value,
} from "../index";
import { ContextData } from "../assembly/context";
import { decodeRequest } from "../assembly/http";
import { decodeReply } from "../assembly/reply";
import { Fault, Reader } from "../assembly/reader";
import { encode } from "../assembly/writer";
import { outcome, performOthers } from "./perform";

export { alga_abi_v1 };

export function alga_handle(requestLength: i32): void {
  serve(requestLength, handler);
}

function handler(request: ExecuteRequest, host: HostBindings): ExecuteResponse {
  const body = request.http.body === null ? new Uint8Array(0) : request.http.body!;
  const path = request.http.path();
  if (path == "/value") return value(body);
  if (path == "/reply") return bytes(encode(reply(body)));
  if (path == "/request") return bytes(encode(requestValue(decodeRequest(body))));
  if (path == "/response") return bytes(response(document(body)).encode());
  if (path == "/call/scheduler.create") return bytes(encode(createInput(document(body)).toValue()));
  if (path == "/call/scheduler.update") return bytes(encode(updateInput(document(body)).toValue(id(body))));
  if (path == "/json") return json(request);
  if (path == "/query") return query(request);
  if (path.startsWith("/perform/")) return bytes(encode(perform(path.substring(9), document(body), host)));
  if (path == "/fail") fail(new HostError("unavailable", "The server does not answer."));
  if (path == "/abort") throw new Error("The guest gives up: 東京.");
  return problem(404, "not-found", path);
}

function value(body: Uint8Array): ExecuteResponse {
  const reader = Reader.of(body);
  const result = reader.document();
  if (reader.fault == Fault.None) return bytes(encode(result));
  return problem(422, reader.fault == Fault.Framing ? "breach" : "refused", reader.message);
}

function reply(body: Uint8Array): Value {
  const result = decodeReply(body);
  return outcome(result.value, result.error);
}

function json(request: ExecuteRequest): ExecuteResponse {
  const result = request.http.json();
  if (result === null) return problem(422, "refused", "not JSON");
  return bytes(Uint8Array.wrap(String.UTF8.encode(toJson(result), false, String.UTF8.ErrorMode.REPLACE)));
}

function query(request: ExecuteRequest): ExecuteResponse {
  const result = request.http.query(request.http.text());
  if (result === null) return problem(404, "not-found", request.http.text());
  return bytes(Uint8Array.wrap(String.UTF8.encode(result, false, String.UTF8.ErrorMode.REPLACE)));
}

function requestValue(request: ExecuteRequest): Value {
  const headers = Value.list();
  for (let i = 0; i < request.http.headers.length; i++) {
    const header = request.http.headers[i];
    headers.push(Value.map().set("name", Value.text(header.name)).set("value", Value.text(header.value)));
  }
  const body = request.http.body;
  const http = Value.map()
    .set("method", Value.text(request.http.method))
    .set("url", Value.text(request.http.url))
    .set("headers", headers)
    .set("body", body === null ? Value.nil() : Value.binary(body));
  const result = Value.map().set("context", contextValue(request.context)).set("http", http);
  const user = request.user;
  return user === null ? result : result.set("user", user);
}

function contextValue(context: ContextData): Value {
  const result = Value.map()
    .setText("requestId", context.requestId)
    .setText("tenantId", context.tenantId)
    .setText("extensionId", context.extensionId)
    .setText("installId", context.installId)
    .setText("versionId", context.versionId)
    .set("config", context.config)
    .setText("trigger", context.trigger)
    .setText("scheduleId", context.scheduleId)
    .setText("nominalTime", context.nominalTime)
    .setText("scheduleName", context.scheduleName)
    .setText("scheduleTimezone", context.scheduleTimezone);
  if (context.attempt != 0) result.set("attempt", Value.int(context.attempt));
  return result.setText("startedAt", context.startedAt);
}

function response(value: Value): ExecuteResponse {
  const body = value.get("body");
  const result = emptyResponse(<i32>value.getInt("status"));
  if (body !== null && body.kind == Kind.Bytes) result.body = body.bytes;
  const headers = value.get("headers");
  if (headers === null) return result;
  for (let i = 0; i < headers.items.length; i++) {
    result.header(headers.items[i].getText("name")!, headers.items[i].getText("value")!);
  }
  return result;
}

function createInput(value: Value): CreateScheduleInput {
  const result = new CreateScheduleInput(value.getText("endpoint")!, value.getText("cron")!);
  result.timezone = value.getText("timezone");
  result.enabled = value.getBool("enabled", true);
  result.name = value.getText("name");
  const payload = value.get("payload");
  result.payload = payload !== null && payload.isNil() ? null : payload;
  const policies = new SchedulePolicies();
  policies.missedRuns = value.getText("missedRuns");
  policies.missedWindowSeconds = value.getInt("missedWindowSeconds");
  policies.maxAttempts = value.getInt("maxAttempts");
  policies.retryDelaySeconds = value.getInt("retryDelaySeconds");
  policies.retryFactor = value.getInt("retryFactor");
  result.policies = policies;
  result.idempotencyKey = value.getText("idempotencyKey");
  return result;
}

function updateInput(value: Value): UpdateScheduleInput {
  const result = new UpdateScheduleInput();
  const endpoint = value.getText("endpoint");
  const cron = value.getText("cron");
  const timezone = value.getText("timezone");
  const enabled = value.get("enabled");
  if (endpoint !== null) result.setEndpoint(endpoint);
  if (cron !== null) result.setCron(cron);
  if (timezone !== null) result.setTimezone(timezone);
  if (enabled !== null && enabled.kind == Kind.Bool) result.setEnabled(enabled.boolean);
  const name = value.getText("name");
  if (name !== null) result.setName(name);
  else if (value.has("name")) result.clearName();
  const payload = value.get("payload");
  if (payload !== null && payload.isNil()) result.clearPayload();
  else if (payload !== null) result.setPayload(payload);
  const missedRuns = value.getText("missedRuns");
  if (missedRuns !== null) result.setMissedRuns(missedRuns);
  const window = value.getInt("missedWindowSeconds");
  if (window != 0) result.setMissedWindowSeconds(window);
  else if (value.has("missedWindowSeconds")) result.clearMissedWindow();
  const attempts = value.getInt("maxAttempts");
  if (attempts != 0) result.setMaxAttempts(attempts);
  const delay = value.getInt("retryDelaySeconds");
  if (delay != 0) result.setRetryDelaySeconds(delay);
  const factor = value.getInt("retryFactor");
  if (factor != 0) result.setRetryFactor(factor);
  return result;
}

function perform(operation: string, input: Value, host: HostBindings): Value {
  const scheduler = host.scheduler;
  if (operation == "scheduler.list") {
    const result = Value.list();
    const schedules = scheduler.list().orFail();
    for (let i = 0; i < schedules.length; i++) result.push(schedules[i].toValue());
    return outcome(result, null);
  }
  if (operation == "scheduler.get") {
    const result = scheduler.get(input.getText("scheduleId")!);
    return outcome(result.value === null ? Value.nil() : result.value!.toValue(), result.error);
  }
  if (operation == "scheduler.create") {
    const result = scheduler.create(createInput(input));
    return outcome(Value.map().setText("scheduleId", result.scheduleId), result.hostError);
  }
  if (operation == "scheduler.update") {
    return outcome(Value.nil(), scheduler.update(input.getText("scheduleId")!, updateInput(input)).hostError);
  }
  if (operation == "scheduler.delete") {
    return outcome(Value.nil(), scheduler.delete(input.getText("scheduleId")!).hostError);
  }
  if (operation == "context.get") {
    const result = host.context.get();
    return outcome(result.value === null ? Value.nil() : contextValue(result.value!), result.error);
  }
  if (operation != "scheduler.get-endpoints") return performOthers(operation, input, host);
  const result = Value.list();
  const endpoints = scheduler.getEndpoints().orFail();
  for (let i = 0; i < endpoints.length; i++) result.push(endpoints[i].toValue());
  return outcome(result, null);
}

function document(body: Uint8Array): Value {
  return Reader.of(body).document();
}

function id(body: Uint8Array): string {
  return document(body).getText("scheduleId")!;
}

function bytes(body: Uint8Array): ExecuteResponse {
  return new ExecuteResponse(200, body);
}
