import {
  EndpointInfo, ExecuteRequest, ExecuteResponse, HostBindings, HostError, HostErrorCode, jsonResponse, Kind, problem,
  ScheduleInfo, UpdateScheduleInput, Value,
} from "alga-guest";
import { HOURLY, named, SYNC_PATH, wanted } from "./plan";

/** `POST /setup`: create missing schedules. Running it again, or twenty times concurrently, changes nothing more. */
export function setup(request: ExecuteRequest, host: HostBindings): ExecuteResponse {
  const endpoints = host.scheduler.getEndpoints();
  if (endpoints.error !== null) return refused(endpoints.error!);
  if (!canSchedule(endpoints.value!)) {
    return problem(500, "endpoint-missing", "The installed version has no schedulable POST " + SYNC_PATH + ".");
  }
  const before = host.scheduler.list();
  if (before.error !== null) return refused(before.error!);

  const created = Value.list();
  const existing = Value.list();
  const plan = wanted();
  for (let i = 0; i < plan.length; i++) {
    const name = plan[i].name!;
    const found = named(before.value!, name);
    if (found !== null) {
      existing.push(entry(name, found.id));
      continue;
    }
    const result = host.scheduler.create(plan[i]);
    if (result.success) {
      host.logging.info("Created the schedule " + name + ".");
      created.push(entry(name, result.scheduleId!));
      continue;
    }
    // Another setup may have been faster: the name is taken then, and what counts is that the schedule is there.
    const rival = presentByNow(host, name);
    if (rival === null) return refused(result.hostError!);
    existing.push(entry(name, rival.id));
  }
  return jsonResponse(Value.map().set("created", created).set("existing", existing));
}

/** `POST /configure`: set the interval of the hourly sync, from the body or else from the install's configuration. */
export function configure(request: ExecuteRequest, host: HostBindings): ExecuteResponse {
  let source: Value | null = request.context.config;
  if (request.http.hasBody()) {
    source = request.http.json();
    if (source === null || source.kind != Kind.Map) return problem(400, "validation-failed", "The body is no JSON object.");
  }
  const hours = intervalHours(source.get("intervalHours"));
  if (hours == 0) return invalid("intervalHours", "Give a whole number of hours from 1 to 24.");

  const all = host.scheduler.list();
  if (all.error !== null) return refused(all.error!);
  const schedule = named(all.value!, HOURLY);
  if (schedule === null) return problem(404, "not-found", "There is no schedule " + HOURLY + " yet: run /setup first.");

  const cron = cronEvery(hours);
  const result = host.scheduler.update(schedule.id, new UpdateScheduleInput().setCron(cron));
  if (!result.success) return refused(result.hostError!);
  host.logging.info("The schedule " + HOURLY + " now runs at " + cron + ".");
  return jsonResponse(
    Value.map()
      .set("scheduleId", Value.text(schedule.id))
      .set("intervalHours", Value.int(hours))
      .set("cron", Value.text(cron)),
  );
}

/** `GET /schedules`: what there is. */
export function schedules(request: ExecuteRequest, host: HostBindings): ExecuteResponse {
  const all = host.scheduler.list();
  if (all.error !== null) return refused(all.error!);
  const list = Value.list();
  for (let i = 0; i < all.value!.length; i++) list.push(all.value![i].toValue());
  return jsonResponse(Value.map().set("schedules", list));
}

/** `POST /cleanup`: delete every schedule of this install. One that another call deletes meanwhile is no error. */
export function cleanup(request: ExecuteRequest, host: HostBindings): ExecuteResponse {
  const all = host.scheduler.list();
  if (all.error !== null) return refused(all.error!);
  let deleted = 0;
  for (let i = 0; i < all.value!.length; i++) {
    const result = host.scheduler.delete(all.value![i].id);
    if (result.success) deleted++;
    else if (result.hostError!.code != HostErrorCode.NOT_FOUND) return refused(result.hostError!);
  }
  host.logging.info("Deleted " + deleted.toString() + " schedules.");
  return jsonResponse(Value.map().set("deleted", Value.int(deleted)));
}

/** The host's refusal, for the extension's caller: its code, message and field errors, under a fitting status. */
export function refused(error: HostError): ExecuteResponse {
  return jsonResponse(Value.map().set("error", error.toValue()), error.httpStatus());
}

function invalid(field: string, message: string): ExecuteResponse {
  const fields = new Map<string, string>();
  fields.set(field, message);
  const error = new HostError(HostErrorCode.VALIDATION_FAILED, message, fields);
  return jsonResponse(Value.map().set("error", error.toValue()), 400);
}

function canSchedule(endpoints: Array<EndpointInfo>): bool {
  for (let i = 0; i < endpoints.length; i++) {
    const endpoint = endpoints[i];
    if (endpoint.path == SYNC_PATH && endpoint.method == "POST" && endpoint.schedulable) return true;
  }
  return false;
}

function presentByNow(host: HostBindings, name: string): ScheduleInfo | null {
  const now = host.scheduler.list();
  return now.error === null ? named(now.value!, name) : null;
}

/** 1 to 24, or 0 for anything else. A configuration's values are text, so `"6"` counts as 6. */
function intervalHours(value: Value | null): i32 {
  if (value === null) return 0;
  if (value.kind == Kind.Int) return value.integer >= 1 && value.integer <= 24 ? <i32>value.integer : 0;
  if (value.kind != Kind.Text) return 0;
  for (let hours = 1; hours <= 24; hours++) {
    if (value.string.trim() == hours.toString()) return hours;
  }
  return 0;
}

function cronEvery(hours: i32): string {
  if (hours == 1) return "0 * * * *";
  if (hours == 24) return "0 0 * * *";
  return "0 */" + hours.toString() + " * * *";
}

function entry(name: string, scheduleId: string): Value {
  return Value.map().set("name", Value.text(name)).set("scheduleId", Value.text(scheduleId));
}
