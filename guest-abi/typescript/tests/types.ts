// What the compiler must accept and refuse. Each `@ts-expect-error` fails the build if its line is accepted.

import { triggerOf } from "../src/response.js";
import type { CreateScheduleResult, ExecuteRequest, Handler, HostBindings, ScheduleInfo } from "../src/types.js";

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
