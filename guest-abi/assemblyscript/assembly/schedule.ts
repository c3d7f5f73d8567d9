import { textOr } from "./members";
import { HostError } from "./reply";
import { Value } from "./value";

/** One schedule of this install. Times are RFC 3339. */
export class ScheduleInfo {
  id: string = "";
  endpointPath: string = "";
  endpointMethod: string = "";
  name: string | null = null;
  cron: string = "";
  timezone: string = "";
  enabled: bool = false;
  payload: Value | null = null;
  lastRunAt: string | null = null;
  lastRunStatus: string | null = null;
  lastError: string | null = null;
  createdAt: string | null = null;

  /** As a map, for a JSON body; members without a value are nil. */
  toValue(): Value {
    const payload = this.payload;
    return Value.map()
      .set("id", Value.text(this.id))
      .set("endpointPath", Value.text(this.endpointPath))
      .set("endpointMethod", Value.text(this.endpointMethod))
      .set("name", Value.textOrNil(this.name))
      .set("cron", Value.text(this.cron))
      .set("timezone", Value.text(this.timezone))
      .set("enabled", Value.bool(this.enabled))
      .set("payload", payload === null ? Value.nil() : payload)
      .set("lastRunAt", Value.textOrNil(this.lastRunAt))
      .set("lastRunStatus", Value.textOrNil(this.lastRunStatus))
      .set("lastError", Value.textOrNil(this.lastError))
      .set("createdAt", Value.textOrNil(this.createdAt));
  }
}

/** One endpoint of the installed version; `schedulable` means GET or POST without path parameters. */
export class EndpointInfo {
  id: string = "";
  method: string = "";
  path: string = "";
  handler: string = "";
  schedulable: bool = false;

  /** As a map, for a JSON body. */
  toValue(): Value {
    return Value.map()
      .set("id", Value.text(this.id))
      .set("method", Value.text(this.method))
      .set("path", Value.text(this.path))
      .set("handler", Value.text(this.handler))
      .set("schedulable", Value.bool(this.schedulable));
  }
}

/** What a schedule does about missed times and failed runs. Unset fields take the server's defaults. */
export class SchedulePolicies {
  /** `skip`, `latest` or `all`. */
  missedRuns: string | null = null;
  missedWindowSeconds: i64 = 0;
  maxAttempts: i64 = 0;
  retryDelaySeconds: i64 = 0;
  retryFactor: i64 = 0;

  /** Add the fields that are set to `map`. */
  addTo(map: Value): void {
    map.setText("missedRuns", this.missedRuns);
    add(map, "missedWindowSeconds", this.missedWindowSeconds);
    add(map, "maxAttempts", this.maxAttempts);
    add(map, "retryDelaySeconds", this.retryDelaySeconds);
    add(map, "retryFactor", this.retryFactor);
  }
}

function add(map: Value, key: string, value: i64): void {
  if (value != 0) map.set(key, Value.int(value));
}

/** A schedule to create. `endpoint` is `/path` or `METHOD /path`; the time zone is UTC unless it is set. */
export class CreateScheduleInput {
  timezone: string | null = null;
  enabled: bool = true;
  name: string | null = null;
  payload: Value | null = null;
  policies: SchedulePolicies | null = null;
  /** Creates with the same key have the first one's result, for a day. */
  idempotencyKey: string | null = null;

  constructor(public endpoint: string, public cron: string) {}

  /** The request `{endpoint, cron, timezone?, enabled?, name?, payload?, ...policies?, idempotencyKey?}`. */
  toValue(): Value {
    const result = Value.map()
      .set("endpoint", Value.text(this.endpoint))
      .set("cron", Value.text(this.cron))
      .setText("timezone", this.timezone);
    if (!this.enabled) result.set("enabled", Value.bool(false));
    result.setText("name", this.name);
    const payload = this.payload;
    if (payload !== null) result.set("payload", payload);
    const policies = this.policies;
    if (policies !== null) policies.addTo(result);
    return result.setText("idempotencyKey", this.idempotencyKey);
  }
}

/**
 * Changes to a schedule. Members without a call stay as they are; `clearName`, `clearPayload` and `clearMissedWindow` remove.
 *
 * `new UpdateScheduleInput().setCron("30 2 * * *").clearPayload()`
 */
export class UpdateScheduleInput {
  private changes: Value = Value.map();

  setEndpoint(value: string): UpdateScheduleInput {
    return this.change("endpoint", Value.text(value));
  }

  setCron(value: string): UpdateScheduleInput {
    return this.change("cron", Value.text(value));
  }

  setTimezone(value: string): UpdateScheduleInput {
    return this.change("timezone", Value.text(value));
  }

  setEnabled(value: bool): UpdateScheduleInput {
    return this.change("enabled", Value.bool(value));
  }

  setName(value: string): UpdateScheduleInput {
    return this.change("name", Value.text(value));
  }

  clearName(): UpdateScheduleInput {
    return this.change("name", Value.nil());
  }

  setPayload(value: Value): UpdateScheduleInput {
    return this.change("payload", value);
  }

  clearPayload(): UpdateScheduleInput {
    return this.change("payload", Value.nil());
  }

  /** `skip`, `latest` or `all`. */
  setMissedRuns(value: string): UpdateScheduleInput {
    return this.change("missedRuns", Value.text(value));
  }

  setMissedWindowSeconds(value: i64): UpdateScheduleInput {
    return this.change("missedWindowSeconds", Value.int(value));
  }

  clearMissedWindow(): UpdateScheduleInput {
    return this.change("missedWindowSeconds", Value.nil());
  }

  setMaxAttempts(value: i64): UpdateScheduleInput {
    return this.change("maxAttempts", Value.int(value));
  }

  setRetryDelaySeconds(value: i64): UpdateScheduleInput {
    return this.change("retryDelaySeconds", Value.int(value));
  }

  setRetryFactor(value: i64): UpdateScheduleInput {
    return this.change("retryFactor", Value.int(value));
  }

  /** The request `{scheduleId, ...changes}`. */
  toValue(scheduleId: string): Value {
    const result = Value.map().set("scheduleId", Value.text(scheduleId));
    const keys = this.changes.members.keys();
    for (let i = 0; i < keys.length; i++) result.set(keys[i], this.changes.members.get(keys[i]));
    return result;
  }

  private change(key: string, value: Value): UpdateScheduleInput {
    this.changes.set(key, value);
    return this;
  }
}

/** The result of `create`, `update` and `delete` in every case: they never end the handler. */
export class ScheduleResult {
  readonly success: bool;
  /** The host's message when it refused. */
  readonly error: string | null;
  /** A field of the input -> what is wrong with it. */
  readonly fieldErrors: Map<string, string> | null;

  constructor(
    /** The schedule created, updated or deleted; `null` when a create was refused. */
    readonly scheduleId: string | null,
    /** The whole refusal, with its code; `null` on success. */
    readonly hostError: HostError | null,
  ) {
    this.success = hostError === null;
    this.error = hostError === null ? null : hostError.message;
    this.fieldErrors = hostError === null ? null : hostError.fieldErrors;
  }
}

@final export class CreateScheduleResult extends ScheduleResult {}
@final export class UpdateScheduleResult extends ScheduleResult {}
@final export class DeleteScheduleResult extends ScheduleResult {}

/** The schedule that `value` is. */
export function decodeSchedule(value: Value): ScheduleInfo {
  const result = new ScheduleInfo();
  result.id = textOr(value, "id");
  result.endpointPath = textOr(value, "endpointPath");
  result.endpointMethod = textOr(value, "endpointMethod");
  result.name = value.getText("name");
  result.cron = textOr(value, "cron");
  result.timezone = textOr(value, "timezone");
  result.enabled = value.getBool("enabled");
  const payload = value.get("payload");
  result.payload = payload !== null && payload.isNil() ? null : payload;
  result.lastRunAt = value.getText("lastRunAt");
  result.lastRunStatus = value.getText("lastRunStatus");
  result.lastError = value.getText("lastError");
  result.createdAt = value.getText("createdAt");
  return result;
}

/** The endpoint that `value` is. */
export function decodeEndpoint(value: Value): EndpointInfo {
  const result = new EndpointInfo();
  result.id = textOr(value, "id");
  result.method = textOr(value, "method");
  result.path = textOr(value, "path");
  result.handler = textOr(value, "handler");
  result.schedulable = value.getBool("schedulable");
  return result;
}
