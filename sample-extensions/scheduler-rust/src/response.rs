//! Responses, the parts of a request, and the host's values as JSON.

use crate::alga::extension::types::{
    EndpointInfo, ExecuteRequest, ExecuteResponse, HttpHeader, ScheduleInfo, SchedulerError,
};
use serde_json::{Value, json};

/// A response; an error is one, too, that ends the handler early.
pub type Answer = Result<ExecuteResponse, ExecuteResponse>;

pub fn json_response(status: u16, value: &Value) -> ExecuteResponse {
    ExecuteResponse {
        status,
        headers: vec![HttpHeader { name: "content-type".into(), value: "application/json".into() }],
        body: Some(text_of(value).into_bytes()),
    }
}

pub fn problem(status: u16, message: &str) -> Answer {
    Err(json_response(status, &json!({ "error": { "message": message } })))
}

/// The host's refusal of a call that only reads.
pub fn refused(operation: &str, error: SchedulerError) -> ExecuteResponse {
    let status = match error {
        SchedulerError::Denied => 403,
        SchedulerError::QuotaExceeded => 429,
        _ => 502,
    };
    json_response(status, &refusal(operation, error))
}

pub fn refusal(operation: &str, error: SchedulerError) -> Value {
    let code = match error {
        SchedulerError::NotFound => "not-found",
        SchedulerError::ValidationFailed => "validation-failed",
        SchedulerError::QuotaExceeded => "quota-exceeded",
        SchedulerError::Denied => "denied",
        SchedulerError::Internal => "internal",
    };
    json!({ "error": { "code": code, "message": format!("{operation} was refused: {code}") } })
}

/// A write that did not succeed: its message and field errors.
pub fn failed_write(error: Option<String>, field_errors: Option<String>) -> Value {
    let mut failure = json!({ "message": error });
    if let Some(errors) = field_errors.as_deref().map(value_of) {
        failure["fieldErrors"] = errors;
    }
    json!({ "error": failure })
}

/// The request's body as JSON, `null` without one; `None` for anything else.
pub fn json_of(request: &ExecuteRequest) -> Option<Value> {
    match request.http.body.as_deref() {
        None | Some([]) => Some(Value::Null),
        Some(body) => parse(body),
    }
}

/// The first header of that name, in any case.
pub fn header_of<'a>(request: &'a ExecuteRequest, name: &str) -> Option<&'a str> {
    let header = request.http.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    header.map(|header| header.value.as_str())
}

/// A schedule as JSON; members that it does not have are left out.
pub fn schedule(info: &ScheduleInfo) -> Value {
    let mut value = json!({
        "id": info.id,
        "endpointPath": info.endpoint_path,
        "endpointMethod": info.endpoint_method,
        "cron": info.cron,
        "timezone": info.timezone,
        "enabled": info.enabled,
    });
    for (name, text) in [
        ("name", &info.name),
        ("lastRunAt", &info.last_run_at),
        ("lastRunStatus", &info.last_run_status),
        ("lastError", &info.last_error),
        ("createdAt", &info.created_at),
    ] {
        if let Some(text) = text {
            value[name] = text.as_str().into();
        }
    }
    if let Some(payload) = &info.payload {
        value["payload"] = value_of(payload);
    }
    value
}

pub fn endpoint(info: &EndpointInfo) -> Value {
    json!({
        "id": info.id,
        "method": info.method,
        "path": info.path,
        "handler": info.handler,
        "schedulable": info.schedulable,
    })
}

/// A value as JSON text. The only writer: each other, such as `Value::to_string`, is code of its own.
pub fn text_of(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A JSON text of the host; `null` for one that is not.
fn value_of(text: &str) -> Value {
    parse(text.as_bytes()).unwrap_or_default()
}

/// The only reader: one of `&str` would be code of its own.
fn parse(text: &[u8]) -> Option<Value> {
    serde_json::from_slice(text).ok()
}
