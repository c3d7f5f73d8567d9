// What the compiler must accept and refuse. Each `@ts-expect-error` fails the build if its line is accepted.

import { triggerOf } from "../src/response.js";
import type { CreateScheduleResult, ExecuteRequest, Handler, HostBindings, ScheduleInfo } from "../src/types.js";

// The interfaces as the requirements write them. What the SDK has beyond them is an endpoint list and a creation time.
interface RequiredInfo {
  id: string;
  endpointPath: string;
  endpointMethod: string;
  name?: string;
  cron: string;
  timezone: string;
  enabled: boolean;
  payload?: unknown;
  lastRunAt?: string;
  lastRunStatus?: string;
  lastError?: string;
}
interface RequiredInput {
  endpoint: string;
  cron: string;
  timezone?: string;
  enabled?: boolean;
  name?: string;
  payload?: unknown;
}
interface RequiredResult {
  success: boolean;
  error?: string;
  fieldErrors?: Record<string, string>;
}
interface RequiredScheduler {
  list(): Promise<(RequiredInfo & { createdAt?: string })[]>;
  get(scheduleId: string): Promise<(RequiredInfo & { createdAt?: string }) | null>;
  create(input: RequiredInput): Promise<RequiredResult & { scheduleId?: string }>;
  update(scheduleId: string, input: Partial<RequiredInput>): Promise<RequiredResult>;
  delete(scheduleId: string): Promise<Omit<RequiredResult, "fieldErrors">>;
}
type Flat<Value> = Value extends (...given: infer Given) => Promise<infer Answer>
  ? (...given: { [Key in keyof Given]: Flat<Given[Key]> }) => Promise<Flat<Answer>>
  : Value extends (infer Item)[]
    ? Flat<Item>[]
    : Value extends object
      ? { [Key in keyof Value]: Flat<Value[Key]> }
      : Value;
type Same<Left, Right> = (<Value>() => Value extends Left ? 1 : 2) extends <Value>() => Value extends Right ? 1 : 2 ? true : false;
export const isRequired: Same<Flat<Omit<HostBindings["scheduler"], "getEndpoints">>, Flat<RequiredScheduler>> = true;
export const isRequiredHandler: Same<Parameters<Handler>, [request: ExecuteRequest, host: HostBindings]> = true;

declare const host: HostBindings;
declare const request: ExecuteRequest;

export const handler: Handler = async (request, bindings) => {
  const schedules: ScheduleInfo[] = await bindings.scheduler.list();
  const found: ScheduleInfo | null = await bindings.scheduler.get("s1");
  const created: CreateScheduleResult = await bindings.scheduler.create({
    endpoint: "/sync",
    cron: "0 * * * *",
    payload: { full: false, since: [1, null, "x"] },
  });
  const faults: Record<string, string> | undefined = created.fieldErrors;
  await bindings.scheduler.update("s1", { enabled: false, payload: null });
  return { status: schedules.length + (found ? 1 : 0), headers: request.http.headers, ...(faults && {}) };
};

// A handler may answer without a promise.
export const plain: Handler = () => ({ status: 204, headers: [] });

// @ts-expect-error: cron is required
void host.scheduler.create({ endpoint: "/sync" });
// @ts-expect-error: a schedule may be absent
void host.scheduler.get("s1").then((schedule) => schedule.id);
// @ts-expect-error: a response has a status
export const none: Handler = () => ({ headers: [] });
// @ts-expect-error: there are two kinds of services
void host.services.list({ itemKind: "thing" });

export const attempt: number | undefined = triggerOf(request)?.attempt;
// @ts-expect-error: what a caller asks for has no trigger
export const kind: string = triggerOf(request).kind;
// @ts-expect-error: a write's answer is looked at before its id is used
void host.scheduler.create({ endpoint: "/sync", cron: "* * * * *" }).then((made): string => made.scheduleId);
// @ts-expect-error: an update changes what a schedule has
void host.scheduler.update("s1", { crom: "* * * * *" });
// @ts-expect-error: null clears a payload and nothing else
void host.scheduler.update("s1", { name: null });
// @ts-expect-error: secrets are text
void host.secrets.get("key").then((secret): number => secret);
// @ts-expect-error: a body is bytes
export const text: Handler = () => ({ status: 200, headers: [], body: "text" });
