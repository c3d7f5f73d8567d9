// The function that a component exports, around the handler that an author writes.

import { logError } from "alga:extension/logging";
import { bytes, list, optional, printable, record, text, whole } from "./checks.js";
import { createHost } from "./host.js";
import { describe } from "./origins.js";
import { jsonResponse } from "./response.js";
import type { ExecuteRequest, ExecuteResponse, Handler } from "./types.js";

// One for all: what it gives is the execution's, and each execution begins with the memory that the build left.
const host = createHost();

const response = record({
  status: whole(200, 599),
  headers: list(record({ name: text, value: text })),
  body: optional(bytes),
});

/**
 * Answer a request by `handler`. An error that it throws is logged with its stack, and answered with 500; what it
 * returns that is no response is such an error.
 */
export async function serve(handler: Handler, request: ExecuteRequest): Promise<ExecuteResponse> {
  try {
    return response(await handler(request, host), "The handler's response") as ExecuteResponse;
  } catch (error) {
    return failed(error);
  }
}

/** Log why the handler failed, for the extension's author; the answer for its caller. */
export function failed(error: unknown): ExecuteResponse {
  logError(printable(describe(error)));
  return jsonResponse({ error: "The extension failed; its log has the reason." }, 500);
}
