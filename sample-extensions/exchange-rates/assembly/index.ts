// Exchange rates: an extension that asks another server with a secret of its install, and calls a route of the host.

import { ExecuteRequest, ExecuteResponse, HostBindings, Router, serve } from "alga-guest";
import { access } from "./access";
import { announce } from "./announce";
import { rates } from "./rates";

export { alga_abi_v1 } from "alga-guest";

export function alga_handle(requestLength: i32): void {
  serve(requestLength, handler);
}

function handler(request: ExecuteRequest, host: HostBindings): ExecuteResponse {
  return new Router()
    .on("GET", "/rates", rates)
    .on("GET", "/access", access)
    .on("POST", "/announce", announce)
    .handle(request, host);
}
