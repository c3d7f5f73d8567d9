import {
  CreateScheduleInput, EndpointInfo, ExecuteRequest, ExecuteResponse, HostBindings, HostError, jsonResponse, Kind,
  problem, ScheduleInfo, UpdateScheduleInput, Value,
} from "alga-guest";

/**
 * `POST /try`, for demonstrations: performs the one host call that the body names, and answers what the guest saw.
 *
 * `{"operation": "create", "endpoint": "/sync", "cron": "* * * * *"}` -> `{"error": {"code", "message", "fieldErrors"}}`
 * or `{"ok": ...}`, both with status 200: the demonstration went well even if the call was refused.
 */
export function attempt(request: ExecuteRequest, host: HostBindings): ExecuteResponse {
  const input = request.http.json();
  if (input === null || input.kind != Kind.Map) return problem(400, "validation-failed", "The body is no JSON object.");
  const operation = input.getText("operation");
  const scheduler = host.scheduler;
  if (operation == "list") {
    const result = scheduler.list();
    return seen(result.error === null ? scheduleList(result.value!) : Value.nil(), result.error);
  }
  if (operation == "get") {
    const result = scheduler.get(text(input, "scheduleId"));
    return seen(result.value === null ? Value.nil() : result.value!.toValue(), result.error);
  }
  if (operation == "create") {
    const result = scheduler.create(createInput(input));
    return seen(Value.map().setText("scheduleId", result.scheduleId), result.hostError);
  }
  if (operation == "update") {
    return seen(Value.nil(), scheduler.update(text(input, "scheduleId"), updateInput(input)).hostError);
  }
  if (operation == "delete") {
    return seen(Value.nil(), scheduler.delete(text(input, "scheduleId")).hostError);
  }
  if (operation == "get-endpoints") {
    const result = scheduler.getEndpoints();
    return seen(result.error === null ? endpointList(result.value!) : Value.nil(), result.error);
  }
  return problem(400, "validation-failed", "operation is one of list, get, create, update, delete, get-endpoints.");
}

function seen(value: Value, error: HostError | null): ExecuteResponse {
  return jsonResponse(error === null ? Value.map().set("ok", value) : Value.map().set("error", error.toValue()));
}

function createInput(input: Value): CreateScheduleInput {
  const result = new CreateScheduleInput(text(input, "endpoint"), text(input, "cron"));
  result.timezone = input.getText("timezone");
  result.enabled = input.getBool("enabled", true);
  result.name = input.getText("name");
  result.payload = input.get("payload");
  return result;
}

/** What the body does not have is left; a `null` name or payload is cleared. */
function updateInput(input: Value): UpdateScheduleInput {
  const result = new UpdateScheduleInput();
  if (input.has("endpoint")) result.setEndpoint(text(input, "endpoint"));
  if (input.has("cron")) result.setCron(text(input, "cron"));
  if (input.has("timezone")) result.setTimezone(text(input, "timezone"));
  if (input.has("enabled")) result.setEnabled(input.getBool("enabled"));
  if (input.has("name")) {
    if (input.get("name")!.isNil()) result.clearName();
    else result.setName(text(input, "name"));
  }
  if (input.has("payload")) {
    if (input.get("payload")!.isNil()) result.clearPayload();
    else result.setPayload(input.get("payload")!);
  }
  return result;
}

function text(input: Value, key: string): string {
  const value = input.getText(key);
  return value === null ? "" : value;
}

function scheduleList(schedules: Array<ScheduleInfo>): Value {
  const result = Value.list();
  for (let i = 0; i < schedules.length; i++) result.push(schedules[i].toValue());
  return result;
}

function endpointList(endpoints: Array<EndpointInfo>): Value {
  const result = Value.list();
  for (let i = 0; i < endpoints.length; i++) result.push(endpoints[i].toValue());
  return result;
}
