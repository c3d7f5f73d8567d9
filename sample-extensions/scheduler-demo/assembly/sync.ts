import { ExecuteRequest, ExecuteResponse, HostBindings, jsonResponse, problem, toJson, Value } from "alga-guest";

/** `POST /sync`: the scheduled job. It logs why it runs and with which payload. */
export function sync(request: ExecuteRequest, host: HostBindings): ExecuteResponse {
  const payload = request.http.hasBody() ? request.http.json() : Value.nil();
  if (payload === null) return problem(400, "validation-failed", "The body is not JSON.");
  const context = request.context;
  const full = payload.getBool("full");
  host.logging.info(
    "Sync: trigger " + or(context.trigger, "request") +
    ", schedule " + or(context.scheduleId, "none") +
    ", nominal time " + or(context.nominalTime, "none") +
    ", payload " + toJson(payload) + ".",
  );
  return jsonResponse(
    Value.map()
      .set("synced", Value.text(full ? "everything" : "changes"))
      .set("trigger", Value.textOrNil(context.trigger))
      .set("scheduleId", Value.textOrNil(context.scheduleId))
      .set("nominalTime", Value.textOrNil(context.nominalTime)),
  );
}

function or(text: string | null, otherwise: string): string {
  return text === null ? otherwise : text;
}
