import { headerOf, jsonOf, jsonResponse, type ExecuteRequest, type ExecuteResponse, type HostBindings } from "alga-extension";

/** `POST /sync`: the scheduled job. It logs why it runs and with which payload. */
export async function sync(request: ExecuteRequest, host: HostBindings): Promise<ExecuteResponse> {
  let payload: { full?: unknown } | null | undefined;
  try {
    payload = jsonOf(request) as typeof payload;
  } catch {
    return jsonResponse({ error: { message: "The body is not JSON." } }, 400);
  }
  const trigger = headerOf(request, "x-alga-trigger");
  const scheduleId = headerOf(request, "x-alga-schedule-id");
  const nominalTime = headerOf(request, "x-alga-nominal-time");
  await host.logging.info(
    `Sync: trigger ${trigger ?? "request"}, schedule ${scheduleId ?? "none"},` +
      ` nominal time ${nominalTime ?? "none"}, payload ${JSON.stringify(payload ?? null)}.`,
  );
  return jsonResponse({
    synced: payload?.full === true ? "everything" : "changes",
    trigger: trigger ?? null,
    scheduleId: scheduleId ?? null,
    nominalTime: nominalTime ?? null,
  });
}
