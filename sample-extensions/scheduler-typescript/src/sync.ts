import { jsonOf, jsonResponse, triggerOf, type ExecuteRequest, type ExecuteResponse, type HostBindings } from "alga-extension";

/** `POST /sync`: the scheduled job. It logs why it runs and with which payload. */
export async function sync(request: ExecuteRequest, host: HostBindings): Promise<ExecuteResponse> {
  let payload: { full?: unknown } | null | undefined;
  try {
    payload = jsonOf(request) as typeof payload;
  } catch {
    return jsonResponse({ error: { message: "The body is not JSON." } }, 400);
  }
  const trigger = triggerOf(request);
  await host.logging.info(
    `Sync: trigger ${trigger?.kind ?? "request"}, schedule ${trigger?.scheduleId ?? "none"},` +
      ` nominal time ${trigger?.nominalTime ?? "none"}, payload ${JSON.stringify(payload ?? null)}.`,
  );
  return jsonResponse({
    synced: payload?.full === true ? "everything" : "changes",
    trigger: trigger?.kind ?? null,
    scheduleId: trigger?.scheduleId ?? null,
    nominalTime: trigger?.nominalTime ?? null,
  });
}
