import {
  HostError,
  jsonOf,
  jsonResponse,
  type CreateScheduleInput,
  type ExecuteRequest,
  type ExecuteResponse,
  type HostBindings,
  type UpdateScheduleInput,
} from "alga-extension";

type Body = { operation?: string; scheduleId?: string } & Record<string, unknown>;

/**
 * `POST /try`, for demonstrations: performs the one host call that the body names, and answers what the guest saw.
 *
 * `{"operation": "create", "endpoint": "/sync", "cron": "* * * * *"}` -> `{"error": {"message", "fieldErrors"}}` or
 * `{"ok": ...}`, both with status 200: the demonstration went well even if the call was refused.
 */
export async function attempt(request: ExecuteRequest, host: HostBindings): Promise<ExecuteResponse> {
  const { operation, scheduleId = "", ...input } = (jsonOf(request) ?? {}) as Body;
  const scheduler = host.scheduler;
  const calls: Record<string, () => Promise<unknown>> = {
    list: () => scheduler.list(),
    get: () => scheduler.get(scheduleId),
    create: () => scheduler.create(input as unknown as CreateScheduleInput).then(write),
    update: () => scheduler.update(scheduleId, input as UpdateScheduleInput).then(write),
    delete: () => scheduler.delete(scheduleId).then(write),
    "get-endpoints": () => scheduler.getEndpoints(),
  };
  const call = calls[operation ?? ""];
  if (!call) {
    return jsonResponse({ error: { message: `operation is one of ${Object.keys(calls).join(", ")}.` } }, 400);
  }
  try {
    return jsonResponse({ ok: await call() });
  } catch (error) {
    if (error instanceof HostError) return jsonResponse({ error: { code: error.code, message: error.message } });
    if (error instanceof Refusal) return jsonResponse({ error: error.answer });
    throw error;
  }
}

class Refusal extends Error {
  constructor(readonly answer: object) {
    super("The host refused the write.");
  }
}

/** What a write answered, or a `Refusal`. */
function write(result: { success: boolean; error?: string; fieldErrors?: Record<string, string> }): object {
  const { success, error, fieldErrors, ...value } = result;
  if (!success) throw new Refusal({ message: error, ...(fieldErrors && { fieldErrors }) });
  return value;
}
