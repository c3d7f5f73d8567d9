//! The schedules this extension wants to have.

use crate::alga::extension::types::{CreateScheduleInput, ScheduleInfo};

pub const SYNC_PATH: &str = "/sync";
pub const HOURLY: &str = "Hourly sync";
pub const NIGHTLY: &str = "Nightly full sync";

/// The schedules to create. A schedule is known by its name.
pub fn plan() -> [(&'static str, CreateScheduleInput); 2] {
    [
        (HOURLY, schedule(HOURLY, "0 * * * *", "UTC", r#"{"full":false}"#)),
        (NIGHTLY, schedule(NIGHTLY, "30 2 * * *", "Europe/Berlin", r#"{"full":true}"#)),
    ]
}

/// The schedule of that name.
pub fn named<'a>(schedules: &'a [ScheduleInfo], name: &str) -> Option<&'a ScheduleInfo> {
    schedules.iter().find(|schedule| schedule.name.as_deref() == Some(name))
}

fn schedule(name: &str, cron: &str, timezone: &str, payload: &str) -> CreateScheduleInput {
    CreateScheduleInput {
        endpoint: SYNC_PATH.into(),
        cron: cron.into(),
        timezone: Some(timezone.into()),
        enabled: None,
        name: Some(name.into()),
        payload: Some(payload.into()),
    }
}
