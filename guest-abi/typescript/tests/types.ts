// What the compiler must accept and refuse. Each `@ts-expect-error` fails the build if its line is accepted.

import type { CreateScheduleResult, Handler, HostBindings, ScheduleInfo } from "../src/types.js";

declare const host: HostBindings;

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
