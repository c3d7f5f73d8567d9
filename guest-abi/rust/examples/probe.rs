//! A guest for tests of the runner: performs host calls and gives their results, ends badly on purpose.
//!
//! POST /perform/<operation>   the host call with the body, JSON, as its input: {ok} or {err}
//! POST /fail, /panic          end the handler with a HostError, with a panic

use alga_extension::{
    Answer, CreateScheduleInput, ExecuteRequest, ExecuteResponse, HostBindings, HostError, HostErrorCode,
    ScheduleResult, UpdateScheduleInput, Value, extension, json, serde_json,
};

extension!(handler);

fn handler(request: &ExecuteRequest, host: &HostBindings) -> Answer {
    match request.http.path() {
        "/fail" => Err(HostError::new(HostErrorCode::Unavailable, "The server does not answer."))?,
        "/panic" => panic!("The guest gives up: 東京."),
        path => perform(path.trim_start_matches("/perform/"), request.http.json()?, host),
    }
}

fn perform(operation: &str, input: Value, host: &HostBindings) -> Answer {
    let id = input["scheduleId"].as_str().unwrap_or_default();
    let outcome = match operation {
        "scheduler.list" => json!({"ok": host.scheduler.list()?}),
        "scheduler.get" => json!({"ok": host.scheduler.get(id)?}),
        "scheduler.create" => {
            let input: CreateScheduleInput = serde_json::from_value(input)?;
            changed(host.scheduler.create(&input), |id| json!({"scheduleId": id}))
        }
        "scheduler.update" => {
            let input: UpdateScheduleInput = serde_json::from_value(input)?;
            changed(host.scheduler.update(&input), |_| Value::Null)
        }
        "scheduler.delete" => changed(host.scheduler.delete(id), |_| Value::Null),
        "scheduler.get-endpoints" => json!({"ok": host.scheduler.get_endpoints()?}),
        "context.get" => json!({"ok": host.context.get()?}),
        _ => return Err(ExecuteResponse::problem(404, "not-found", operation)),
    };
    Ok(ExecuteResponse::json(200, &outcome))
}

fn changed(result: ScheduleResult, value: fn(String) -> Value) -> Value {
    match result.into_result() {
        Ok(id) => json!({"ok": value(id)}),
        Err(error) => json!({"err": error}),
    }
}
