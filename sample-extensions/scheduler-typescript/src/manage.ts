import {
  HostError,
  jsonOf,
  jsonResponse,
  type ExecuteRequest,
  type ExecuteResponse,
  type HostBindings,
} from "alga-extension";
import { HOURLY, named, PLAN, SYNC_PATH } from "./plan.ts";

/** `POST /setup`: create missing schedules. Running it again, or twenty times concurrently, changes nothing more. */
export async function setup(_request: ExecuteRequest, host: HostBindings): Promise<ExecuteResponse> {
  const endpoints = await host.scheduler.getEndpoints();
  if (!endpoints.some(({ path, method, schedulable }) => path === SYNC_PATH && method === "POST" && schedulable)) {
    return problem(500, `The installed version has no schedulable POST ${SYNC_PATH}.`);
  }
  const before = await host.scheduler.list();
  const created: object[] = [];
  const existing: object[] = [];
  for (const wanted of PLAN) {
    const known = named(before, wanted.name);
    if (known) {
      existing.push({ name: wanted.name, scheduleId: known.id });
      continue;
    }
    const result = await host.scheduler.create(wanted);
    if (result.success) {
      await host.logging.info(`Created the schedule ${wanted.name}.`);
      created.push({ name: wanted.name, scheduleId: result.scheduleId });
      continue;
    }
    // Another setup may have been faster: the name is taken then, and what counts is that the schedule is there.
    const rival = named(await host.scheduler.list(), wanted.name);
    if (!rival) return refused(result);
    existing.push({ name: wanted.name, scheduleId: rival.id });
  }
  return jsonResponse({ created, existing });
}

/** `POST /configure`: set the interval of the hourly sync. */
export async function configure(request: ExecuteRequest, host: HostBindings): Promise<ExecuteResponse> {
  const hours = intervalHours(request);
  if (hours === undefined) {
    const message = "Give a whole number of hours from 1 to 24.";
    return refused({ error: message, fieldErrors: { intervalHours: message } });
  }
  const schedule = named(await host.scheduler.list(), HOURLY);
  if (!schedule) return problem(404, `There is no schedule ${HOURLY} yet: run /setup first.`);
  const cron = hours === 1 ? "0 * * * *" : hours === 24 ? "0 0 * * *" : `0 */${hours} * * *`;
  const result = await host.scheduler.update(schedule.id, { cron });
  if (!result.success) return refused(result);
  await host.logging.info(`The schedule ${HOURLY} now runs at ${cron}.`);
  return jsonResponse({ scheduleId: schedule.id, intervalHours: hours, cron });
}

/** `GET /schedules`: what there is. */
export async function schedules(_request: ExecuteRequest, host: HostBindings): Promise<ExecuteResponse> {
  return jsonResponse({ schedules: await host.scheduler.list() });
}

/** `POST /cleanup`: delete every schedule of this install. One that another call deletes meanwhile is no error. */
export async function cleanup(_request: ExecuteRequest, host: HostBindings): Promise<ExecuteResponse> {
  let deleted = 0;
  for (const schedule of await host.scheduler.list()) {
    const result = await host.scheduler.delete(schedule.id);
    if (result.success) deleted++;
    else if (await host.scheduler.get(schedule.id)) return refused(result);
  }
  await host.logging.info(`Deleted ${deleted} schedules.`);
  return jsonResponse({ deleted });
}

/** The handler, with the host's refusals as responses. */
export function refusalsAsResponses(
  handler: (request: ExecuteRequest, host: HostBindings) => Promise<ExecuteResponse>,
): typeof handler {
  return async (request, host) => {
    try {
      return await handler(request, host);
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      const status = error.code === "denied" ? 403 : error.code === "quota-exceeded" ? 429 : 502;
      return jsonResponse({ error: { code: error.code, message: error.message } }, status);
    }
  };
}

/** The answer for a write that did not succeed: its message and field errors. */
function refused(result: { error?: string; fieldErrors?: Record<string, string> }): ExecuteResponse {
  const { error = "", fieldErrors } = result;
  return jsonResponse({ error: { message: error, ...(fieldErrors && { fieldErrors }) } }, 400);
}

function problem(status: number, message: string): ExecuteResponse {
  return jsonResponse({ error: { message } }, status);
}

/** 1 to 24 from the body's `intervalHours`; `undefined` for anything else. */
function intervalHours(request: ExecuteRequest): number | undefined {
  let body: unknown;
  try {
    body = jsonOf(request);
  } catch {
    return undefined;
  }
  const given = (body as { intervalHours?: unknown } | null | undefined)?.intervalHours;
  const hours = typeof given === "string" && given.trim() !== "" ? Number(given) : given;
  return typeof hours === "number" && Number.isInteger(hours) && hours >= 1 && hours <= 24 ? hours : undefined;
}
