import { ExecuteRequest, ExecuteResponse, fail, fromJson, HostBindings, jsonResponse, problem, RouteCall, toJson, Value } from "alga-guest";

/** `POST /announce`: hand a notice to the host's user interface, by the route `/notices` of this extension. */
export function announce(request: ExecuteRequest, host: HostBindings): ExecuteResponse {
  const body = request.http.hasBody() ? request.http.json() : null;
  const text: string | null = body === null ? null : body.getText("text");
  if (text === null || text.length == 0) return problem(400, "validation-failed", "The body is JSON like {\"text\": \"...\"}.");
  const call = new RouteCall("/notices");
  call.payload = Uint8Array.wrap(String.UTF8.encode(toJson(Value.map().set("text", Value.text(text)))));
  const answered = host.uiProxy.callRoute(call);
  const error = answered.error;
  if (error !== null) fail(error);
  const answer = answered.orFail();
  const document = fromJson(String.UTF8.decodeUnsafe(answer.dataStart, answer.length));
  return jsonResponse(Value.map().set("announced", document === null ? Value.bool(true) : document), 201);
}
