//! Sets up, changes, shows and removes the schedules.

use crate::alga::extension::logging::log_info;
use crate::alga::extension::scheduler::{
    create_schedule, delete_schedule, get_endpoints, get_schedule, list_schedules, update_schedule,
};
use crate::alga::extension::types::{ExecuteRequest, ExecuteResponse, ScheduleInfo, UpdateScheduleInput};
use crate::plan::{HOURLY, SYNC_PATH, named, plan};
use crate::response::{Answer, failed_write, json_of, json_response, problem, refused, schedule};
use serde_json::{Value, json};

/// `POST /setup`: create missing schedules. Running it again, or concurrently, changes nothing more.
pub fn setup() -> Answer {
    let endpoints = get_endpoints().map_err(|error| refused("scheduler.getEndpoints", error))?;
    if !endpoints.iter().any(|it| it.path == SYNC_PATH && it.method == "POST" && it.schedulable) {
        return problem(500, &format!("The installed version has no schedulable POST {SYNC_PATH}."));
    }
    let before = list()?;
    let (mut created, mut existing) = (Vec::new(), Vec::new());
    for (name, input) in plan() {
        if let Some(known) = named(&before, name) {
            existing.push(json!({ "name": name, "scheduleId": known.id }));
            continue;
        }
        let result = create_schedule(&input);
        if result.success {
            log_info(&format!("Created the schedule {name}."));
            created.push(json!({ "name": name, "scheduleId": result.schedule_id }));
            continue;
        }
        // Another setup may have been faster: the name is taken then, and what counts is that the schedule is there.
        match named(&list()?, name) {
            Some(rival) => existing.push(json!({ "name": name, "scheduleId": rival.id })),
            None => return Err(json_response(400, &failed_write(result.error, result.field_errors))),
        }
    }
    Ok(json_response(200, &json!({ "created": created, "existing": existing })))
}

/// `POST /configure`: set the interval of the hourly sync.
pub fn configure(request: &ExecuteRequest) -> Answer {
    let Some(hours) = interval_hours(request) else {
        let message = "Give a whole number of hours from 1 to 24.";
        let failure = json!({ "error": { "message": message, "fieldErrors": { "intervalHours": message } } });
        return Err(json_response(400, &failure));
    };
    let schedules = list()?;
    let Some(schedule) = named(&schedules, HOURLY) else {
        return problem(404, &format!("There is no schedule {HOURLY} yet: run /setup first."));
    };
    let cron = match hours {
        1 => "0 * * * *".into(),
        24 => "0 0 * * *".into(),
        _ => format!("0 */{hours} * * *"),
    };
    let change = UpdateScheduleInput {
        endpoint: None,
        cron: Some(cron.clone()),
        timezone: None,
        enabled: None,
        name: None,
        payload: None,
    };
    let result = update_schedule(&schedule.id, &change);
    if !result.success {
        return Err(json_response(400, &failed_write(result.error, result.field_errors)));
    }
    log_info(&format!("The schedule {HOURLY} now runs at {cron}."));
    let answer = json!({ "scheduleId": schedule.id, "intervalHours": hours, "cron": cron });
    Ok(json_response(200, &answer))
}

/// `GET /schedules`: what there is.
pub fn schedules() -> Answer {
    let schedules: Vec<Value> = list()?.iter().map(schedule).collect();
    Ok(json_response(200, &json!({ "schedules": schedules })))
}

/// `POST /cleanup`: delete every schedule. One that another call deletes meanwhile is no error.
pub fn cleanup() -> Answer {
    let mut deleted = 0;
    for schedule in list()? {
        let result = delete_schedule(&schedule.id);
        if result.success {
            deleted += 1;
        } else if get_schedule(&schedule.id).map_err(|error| refused("scheduler.get", error))?.is_some() {
            return Err(json_response(400, &failed_write(result.error, None)));
        }
    }
    log_info(&format!("Deleted {deleted} schedules."));
    Ok(json_response(200, &json!({ "deleted": deleted })))
}

fn list() -> Result<Vec<ScheduleInfo>, ExecuteResponse> {
    list_schedules().map_err(|error| refused("scheduler.list", error))
}

/// 1 to 24 from the body's `intervalHours`; `None` for anything else.
fn interval_hours(request: &ExecuteRequest) -> Option<u64> {
    let body = json_of(request)?;
    let hours = match &body["intervalHours"] {
        Value::String(text) => text.trim().parse().ok()?,
        value => value.as_u64()?,
    };
    (1..=24).contains(&hours).then_some(hours)
}
