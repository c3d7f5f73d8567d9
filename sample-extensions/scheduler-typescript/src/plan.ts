import type { CreateScheduleInput, ScheduleInfo } from "alga-extension";

export const SYNC_PATH = "/sync";
export const HOURLY = "Hourly sync";
export const NIGHTLY = "Nightly full sync";

/** The schedules this extension wants to have. A schedule is known by its name. */
export const PLAN: (CreateScheduleInput & { name: string })[] = [
  { endpoint: SYNC_PATH, cron: "0 * * * *", timezone: "UTC", name: HOURLY, payload: { full: false } },
  { endpoint: SYNC_PATH, cron: "30 2 * * *", timezone: "Europe/Berlin", name: NIGHTLY, payload: { full: true } },
];

/** The schedule of that name. */
export function named(schedules: ScheduleInfo[], name: string): ScheduleInfo | undefined {
  return schedules.find((schedule) => schedule.name === name);
}
