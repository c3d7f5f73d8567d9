// Scheduler sample: an extension in TypeScript that sets up, changes and removes its own schedules.

import { Router } from "alga-extension";
import { attempt } from "./attempt.ts";
import { cleanup, configure, refusalsAsResponses, schedules, setup } from "./manage.ts";
import { sync } from "./sync.ts";

const router = new Router()
  .on("POST", "/setup", setup)
  .on("POST", "/configure", configure)
  .on("GET", "/schedules", schedules)
  .on("POST", "/cleanup", cleanup)
  .on("POST", "/sync", sync)
  .on("POST", "/try", attempt);

export const handler = refusalsAsResponses(router.handler);
