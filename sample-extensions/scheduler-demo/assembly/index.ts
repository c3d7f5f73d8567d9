// Scheduler demo: an extension that sets up, changes and removes its own schedules.

import { ExecuteRequest, ExecuteResponse, HostBindings, Router, serve } from "alga-guest";
import { attempt } from "./attempt";
import { cleanup, configure, schedules, setup } from "./manage";
import { sync } from "./sync";

export { alga_abi_v1 } from "alga-guest";

export function alga_handle(requestLength: i32): void {
  serve(requestLength, handler);
}

function handler(request: ExecuteRequest, host: HostBindings): ExecuteResponse {
  return new Router()
    .on("POST", "/setup", setup)
    .on("POST", "/configure", configure)
    .on("GET", "/schedules", schedules)
    .on("POST", "/cleanup", cleanup)
    .on("POST", "/sync", sync)
    .on("POST", "/try", attempt)
    .handle(request, host);
}
