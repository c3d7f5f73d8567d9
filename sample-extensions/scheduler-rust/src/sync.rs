//! The scheduled job.

use crate::alga::extension::logging::log_info;
use crate::alga::extension::types::ExecuteRequest;
use crate::response::{Answer, header_of, json_of, json_response, problem, text_of};
use serde_json::json;

/// `POST /sync`: the scheduled job. It logs why it runs and with which payload.
pub fn sync(request: &ExecuteRequest) -> Answer {
    let Some(payload) = json_of(request) else {
        return problem(400, "The body is not JSON.");
    };
    let trigger = header_of(request, "x-alga-trigger");
    let schedule_id = header_of(request, "x-alga-schedule-id");
    let nominal_time = header_of(request, "x-alga-nominal-time");
    log_info(&format!(
        "Sync: trigger {}, schedule {}, nominal time {}, payload {}.",
        trigger.unwrap_or("request"),
        schedule_id.unwrap_or("none"),
        nominal_time.unwrap_or("none"),
        text_of(&payload),
    ));
    let answer = json!({
        "synced": if payload["full"] == true { "everything" } else { "changes" },
        "trigger": trigger,
        "scheduleId": schedule_id,
        "nominalTime": nominal_time,
    });
    Ok(json_response(200, &answer))
}
