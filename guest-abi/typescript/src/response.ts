// Responses, and the parts of a request.

import type { ExecuteRequest, ExecuteResponse, Trigger } from "./types.js";

/** A response with `value` as JSON. */
export function jsonResponse(value: unknown, status = 200): ExecuteResponse {
  return {
    status,
    headers: [{ name: "content-type", value: "application/json" }],
    body: new TextEncoder().encode(JSON.stringify(value)),
  };
}

/** A response with text. */
export function textResponse(text: string, status = 200): ExecuteResponse {
  return {
    status,
    headers: [{ name: "content-type", value: "text/plain; charset=utf-8" }],
    body: new TextEncoder().encode(text),
  };
}

/** A response without a body. */
export function emptyResponse(status = 204): ExecuteResponse {
  return { status, headers: [] };
}

/** The path of the request, without its query. */
export function pathOf(request: ExecuteRequest): string {
  return request.http.url.split("?", 1)[0] ?? "";
}

/** The first header of that name, in any case. */
export function headerOf(request: ExecuteRequest, name: string): string | undefined {
  const wanted = name.toLowerCase();
  return request.http.headers.find((header) => header.name.toLowerCase() === wanted)?.value;
}

/** The request's body as text; empty without one. */
export function textOf(request: ExecuteRequest): string {
  return request.http.body ? new TextDecoder().decode(request.http.body) : "";
}

/** The request's body as JSON; `undefined` without one. Throws `SyntaxError` for anything else. */
export function jsonOf(request: ExecuteRequest): unknown {
  const text = textOf(request);
  return text === "" ? undefined : JSON.parse(text);
}

/** What started the execution, when it was not a caller's own request; the host writes these headers, callers cannot. */
export function triggerOf(request: ExecuteRequest): Trigger | undefined {
  const kind = headerOf(request, "x-alga-trigger");
  if (kind === undefined) return undefined;
  const scheduleId = headerOf(request, "x-alga-schedule-id");
  const nominalTime = headerOf(request, "x-alga-nominal-time");
  const attempt = Number(headerOf(request, "x-alga-attempt"));
  return {
    kind,
    ...(scheduleId !== undefined && { scheduleId }),
    ...(nominalTime !== undefined && { nominalTime }),
    ...(attempt >= 1 && { attempt }),
  };
}
