import { CreateScheduleInput, ScheduleInfo, Value } from "alga-guest";

export const SYNC_PATH = "/sync";
export const HOURLY = "Hourly sync";
export const NIGHTLY = "Nightly full sync";

/** The schedules this extension wants to have. A schedule is known by its name. */
export function wanted(): Array<CreateScheduleInput> {
  return [
    sync(HOURLY, "0 * * * *", "UTC", false),
    sync(NIGHTLY, "30 2 * * *", "Europe/Berlin", true),
  ];
}

/** The schedule of that name; `null` if it is absent. */
export function named(schedules: Array<ScheduleInfo>, name: string): ScheduleInfo | null {
  for (let i = 0; i < schedules.length; i++) {
    if (schedules[i].name == name) return schedules[i];
  }
  return null;
}

function sync(name: string, cron: string, timezone: string, full: bool): CreateScheduleInput {
  const input = new CreateScheduleInput("POST " + SYNC_PATH, cron);
  input.name = name;
  input.timezone = timezone;
  input.payload = Value.map().set("full", Value.bool(full));
  return input;
}
