//! Responses, the body of a request, and refusals of the host as responses.

use crate::alga::extension::types::{
    ClientReadError, ExecuteRequest, ExecuteResponse, HttpHeader, ServiceReadError, StorageError,
};
use serde_json::{Value, json};

/// A response; an error is one, too, that ends the handler early.
pub type Answer = Result<ExecuteResponse, ExecuteResponse>;

pub fn json_response(status: u16, value: &Value) -> ExecuteResponse {
    ExecuteResponse {
        status,
        headers: vec![HttpHeader { name: "content-type".into(), value: "application/json".into() }],
        body: Some(serde_json::to_vec(value).unwrap_or_default()),
    }
}

pub fn problem(status: u16, message: &str) -> Answer {
    Err(json_response(status, &json!({ "error": { "message": message } })))
}

/// The text of a member of the request's JSON body; a response that asks for it if it is absent.
pub fn text_of(body: &Value, member: &str) -> Result<String, ExecuteResponse> {
    match body[member].as_str() {
        Some(text) if !text.is_empty() => Ok(text.to_string()),
        _ => Err(json_response(400, &json!({ "error": { "message": format!("{member} is missing.") } }))),
    }
}

/// The request's body; `null` for one that is not JSON.
pub fn body_of(request: &ExecuteRequest) -> Value {
    serde_json::from_slice(request.http.body.as_deref().unwrap_or_default()).unwrap_or_default()
}

pub fn refused(status: u16, what: &str) -> ExecuteResponse {
    json_response(status, &json!({ "error": { "message": what } }))
}

impl From<StorageError> for ExecuteResponse {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Missing => refused(404, "There is no such note."),
            StorageError::Conflict => refused(409, "Another request changed the note; try again."),
            StorageError::Denied => refused(403, "The storage refused it: not granted, too large, or full."),
            StorageError::Internal => refused(502, "The storage does not answer."),
        }
    }
}

impl From<ClientReadError> for ExecuteResponse {
    fn from(error: ClientReadError) -> Self {
        match error {
            ClientReadError::NotAllowed => refused(403, "Clients may not be read."),
            ClientReadError::InvalidInput => refused(400, "That is no client's id."),
            ClientReadError::Internal => refused(502, "Clients cannot be read now."),
        }
    }
}

impl From<ServiceReadError> for ExecuteResponse {
    fn from(error: ServiceReadError) -> Self {
        match error {
            ServiceReadError::NotAllowed => refused(403, "Services may not be read."),
            ServiceReadError::InvalidInput => refused(400, "That is no service's id."),
            ServiceReadError::Internal => refused(502, "Services cannot be read now."),
        }
    }
}
