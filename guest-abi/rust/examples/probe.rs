//! A guest for tests of the runner: performs host calls and gives their results, ends badly on purpose.
//!
//! POST /value                 the body, MessagePack, written again; 422 when it is refused
//! POST /perform/<operation>   the host call with the body, MessagePack, as its input: {ok} or {err}
//! POST /fail, /panic          end the handler with a HostError, with a panic

use std::collections::BTreeMap;

use alga_extension::codec::{decode, encode};
use alga_extension::{
    Answer, ExecuteRequest, ExecuteResponse, HostBindings, HostError, HostErrorCode, Value, extension, json,
};
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};

#[allow(dead_code)]
#[path = "../src/tests/document.rs"]
mod document;
#[rustfmt::skip]
mod perform;

extension!(handler);

fn handler(request: &ExecuteRequest, host: &HostBindings) -> Answer {
    match request.http.path() {
        "/fail" => Err(HostError::new(HostErrorCode::Unavailable, "The server does not answer."))?,
        "/panic" => panic!("The guest gives up: 東京."),
        "/value" => value(request.http.bytes()),
        path => {
            let operation = path.trim_start_matches("/perform/");
            Ok(ExecuteResponse::empty(200).with_body(performed(operation, request.http.bytes(), host)?))
        }
    }
}

fn value(bytes: &[u8]) -> Answer {
    match decode::<document::Document>(bytes).and_then(|value| encode(&value)) {
        Ok(written) => Ok(ExecuteResponse::empty(200).with_body(written)),
        Err(fault) => Err(ExecuteResponse::problem(422, "refused", &fault.to_string())),
    }
}

/// The document of `{ok}` or `{err}`.
type Performed = Result<Vec<u8>, ExecuteResponse>;

fn performed(operation: &str, body: &[u8], host: &HostBindings) -> Performed {
    match operation {
        "scheduler.list" => outcome(Ok(host.scheduler.list()?)),
        "scheduler.get" => outcome(host.scheduler.get(&text(body, "scheduleId")?)),
        "scheduler.create" => {
            outcome(host.scheduler.create(&input(body)?).into_result().map(|id| json!({"scheduleId": id})))
        }
        "scheduler.update" => outcome(host.scheduler.update(&input(body)?).into_result().map(|_| ())),
        "scheduler.delete" => outcome(host.scheduler.delete(&text(body, "scheduleId")?).into_result().map(|_| ())),
        "scheduler.get-endpoints" => outcome(host.scheduler.get_endpoints()),
        "context.get" => outcome(host.context.get()),
        _ => perform::perform(operation, body, host),
    }
}

fn input<T: DeserializeOwned>(body: &[u8]) -> Result<T, ExecuteResponse> {
    decode(body).map_err(|fault| ExecuteResponse::problem(422, "refused", &fault.to_string()))
}

fn text(body: &[u8], member: &str) -> Result<String, ExecuteResponse> {
    let members: Value = input(body)?;
    Ok(members[member].as_str().unwrap_or_default().into())
}

fn outcome<T: Serialize>(result: Result<T, HostError>) -> Performed {
    let document = match result {
        Ok(value) => encode(&BTreeMap::from([("ok", value)])),
        Err(error) => encode(&BTreeMap::from([("err", error)])),
    };
    document.map_err(|fault| ExecuteResponse::problem(500, "internal", &fault.to_string()))
}

struct Binary(Vec<u8>);

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}
