// Routes: the handler of each method and path.

import { jsonResponse, pathOf } from "./response.js";
import type { ExecuteRequest, ExecuteResponse, Handler, HostBindings } from "./types.js";

/**
 * Calls the handler of a request's method and path.
 *
 *     export const handler = new Router().on("POST", "/setup", setup).handler;
 */
export class Router {
  readonly #routes = new Map<string, Map<string, Handler>>();

  /** Have `handler` answer `method` on `path`. */
  on(method: string, path: string, handler: Handler): this {
    const methods = this.#routes.get(path) ?? new Map<string, Handler>();
    methods.set(method.toUpperCase(), handler);
    this.#routes.set(path, methods);
    return this;
  }

  /** The handler of the extension. */
  readonly handler = async (request: ExecuteRequest, host: HostBindings): Promise<ExecuteResponse> => {
    const methods = this.#routes.get(pathOf(request));
    if (!methods) return jsonResponse({ error: `There is nothing at ${pathOf(request)}.` }, 404);
    const handler = methods.get(request.http.method.toUpperCase());
    if (!handler) {
      const allowed = [...methods.keys()].sort().join(", ");
      const refusal = jsonResponse({ error: `${pathOf(request)} takes ${allowed}.` }, 405);
      return { ...refusal, headers: [...refusal.headers, { name: "allow", value: allowed }] };
    }
    return handler(request, host);
  };
}
