//! One host call, as the body names it.

use crate::alga::extension::scheduler::{
    create_schedule, delete_schedule, get_endpoints, get_schedule, list_schedules, update_schedule,
};
use crate::alga::extension::types::{CreateScheduleInput, ExecuteRequest, UpdateScheduleInput};
use crate::response::{Answer, endpoint, failed_write, json_of, json_response, problem, refusal, schedule, text_of};
use serde_json::{Value, json};

/// `POST /try`, for demonstrations: performs the one host call that the body names.
///
/// `{"operation": "create", "endpoint": "/sync", "cron": "* * * * *"}` -> `{"error": {"message", "fieldErrors"}}`
/// or `{"ok": ...}`, both with status 200: the demonstration went well even if the call was refused.
pub fn attempt(request: &ExecuteRequest) -> Answer {
    let Some(body) = json_of(request) else {
        return problem(400, "The body is not JSON.");
    };
    let text = |name: &str| body[name].as_str().map(String::from);
    let id = text("scheduleId").unwrap_or_default();
    let answer = match body["operation"].as_str().unwrap_or_default() {
        "list" => match list_schedules() {
            Ok(schedules) => json!({ "ok": schedules.iter().map(schedule).collect::<Vec<_>>() }),
            Err(error) => refusal("scheduler.list", error),
        },
        "get" => match get_schedule(&id) {
            Ok(info) => json!({ "ok": info.as_ref().map(schedule) }),
            Err(error) => refusal("scheduler.get", error),
        },
        "create" => {
            let result = create_schedule(&CreateScheduleInput {
                endpoint: text("endpoint").unwrap_or_default(),
                cron: text("cron").unwrap_or_default(),
                timezone: text("timezone"),
                enabled: body["enabled"].as_bool(),
                name: text("name"),
                payload: body.get("payload").map(text_of),
            });
            match result.success {
                true => json!({ "ok": { "scheduleId": result.schedule_id } }),
                false => failed_write(result.error, result.field_errors),
            }
        }
        "update" => {
            let change = UpdateScheduleInput {
                endpoint: text("endpoint"),
                cron: text("cron"),
                timezone: text("timezone"),
                enabled: body["enabled"].as_bool(),
                name: text("name"),
                payload: body.get("payload").map(cleared_by_null),
            };
            let result = update_schedule(&id, &change);
            match result.success {
                true => json!({ "ok": {} }),
                false => failed_write(result.error, result.field_errors),
            }
        }
        "delete" => {
            let result = delete_schedule(&id);
            match result.success {
                true => json!({ "ok": {} }),
                false => failed_write(result.error, None),
            }
        }
        "get-endpoints" => match get_endpoints() {
            Ok(endpoints) => json!({ "ok": endpoints.iter().map(endpoint).collect::<Vec<_>>() }),
            Err(error) => refusal("scheduler.getEndpoints", error),
        },
        _ => return problem(400, "operation is one of list, get, create, update, delete, get-endpoints."),
    };
    Ok(json_response(200, &answer))
}

/// The payload of an update: an empty text clears the stored one.
fn cleared_by_null(payload: &Value) -> String {
    if payload.is_null() { String::new() } else { text_of(payload) }
}
