import { HostBindings } from "./operations";
import { ExecuteRequest, ExecuteResponse, jsonResponse } from "./http";
import { Value } from "./value";

/** What answers a request. */
export type Handler = (request: ExecuteRequest, host: HostBindings) => ExecuteResponse;

class Route {
  constructor(readonly method: string, readonly path: string, readonly handler: Handler) {}
}

/** Finds the handler of a method and path; answers 404 and 405 as JSON itself. */
export class Router {
  private routes: Array<Route> = new Array<Route>();

  /** Let `handler` answer `method` (upper case) on exactly `path`. Returns this router. */
  on(method: string, path: string, handler: Handler): Router {
    this.routes.push(new Route(method, path, handler));
    return this;
  }

  handle(request: ExecuteRequest, host: HostBindings): ExecuteResponse {
    const path = request.http.path();
    const method = request.http.method.toUpperCase();
    const allowed = new Array<string>();
    for (let i = 0; i < this.routes.length; i++) {
      const route = this.routes[i];
      if (route.path != path) continue;
      if (route.method == method) return route.handler(request, host);
      allowed.push(route.method);
    }
    if (allowed.length == 0) return problem(404, "not-found", "Nothing answers at " + path + ".");
    const methods = allowed.join(", ");
    return problem(405, "method-not-allowed", path + " answers " + methods + " only.").header("allow", methods);
  }
}

/** `{error: {code, message}}`, the shape in which an extension tells its own caller what is wrong. */
export function problem(status: i32, code: string, message: string): ExecuteResponse {
  const error = Value.map().set("code", Value.text(code)).set("message", Value.text(message));
  return jsonResponse(Value.map().set("error", error), status);
}
