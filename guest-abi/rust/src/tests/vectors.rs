//! The codec and the messages, on every vector that a guest reads or writes.

use std::fs;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::document::{Document, unhex};
use crate::codec::{FaultKind, decode, decode_reply, encode};
use crate::{CreateScheduleInput, EndpointInfo, ExecuteRequest, ExecuteResponse, ScheduleInfo, UpdateScheduleInput};

struct Vector {
    name: String,
    bytes: Vec<u8>,
    all: Value,
}

impl Vector {
    fn is(&self, member: &str, value: &str) -> bool {
        self.all[member] == value
    }

    fn value(&self) -> Document {
        Document::of(&self.all["value"])
    }
}

fn vectors(file: &str) -> Vec<Vector> {
    let path = format!("{}/../vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let all: Vec<Value> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert!(!all.is_empty());
    all.into_iter()
        .map(|all| Vector {
            name: all["name"].as_str().unwrap().into(),
            bytes: unhex(all["hex"].as_str().unwrap()),
            all,
        })
        .collect()
}

/// `value`, written and read again.
fn document(value: &impl Serialize) -> Document {
    decode(&encode(value).unwrap()).unwrap()
}

#[test]
fn valid_values_come_back_in_canonical_form() {
    for vector in vectors("values.json").iter().filter(|vector| vector.is("kind", "valid")) {
        let canonical = vector.all.get("canonical").map_or(vector.bytes.clone(), |hex| unhex(hex.as_str().unwrap()));

        let value: Document = decode(&vector.bytes).unwrap_or_else(|fault| panic!("{}: {fault}", vector.name));

        assert_eq!(encode(&value).unwrap(), canonical, "{}", vector.name);
        assert_eq!(value, vector.value(), "{}", vector.name);
    }
}

#[test]
fn broken_framing_and_broken_rules_are_told_apart() {
    let general = ["key", "extension", "depth", "duplicate", "utf8"];
    for vector in [vectors("values.json"), vectors("host-call-requests.json")].iter().flatten() {
        let expected = match vector.all["rule"].as_str() {
            _ if vector.is("kind", "breach") => FaultKind::Framing,
            Some(rule) if general.contains(&rule) => FaultKind::Rule,
            _ => continue,
        };

        let fault = decode::<Document>(&vector.bytes).expect_err(&vector.name);

        assert_eq!(fault.kind, expected, "{}: {fault}", vector.name);
    }
}

#[test]
fn replies_are_read() {
    for vector in vectors("replies.json") {
        let mut expected = vector.all["value"].clone();
        match decode_reply::<Document>(&vector.bytes) {
            Ok(value @ Document::Map(_)) => {
                assert_eq!(value, Document::of(&expected["ok"]), "{}", vector.name);
            }
            Ok(_) => assert!(vector.name.starts_with("ok is no map"), "{}", vector.name),
            Err(error) => {
                if expected["err"].get("message").is_none() {
                    expected["err"]["message"] = json!(error.message);
                }
                assert_eq!(json!(error), expected["err"], "{}", vector.name);
            }
        }
    }
}

#[test]
fn members_of_replies_have_types() {
    #[derive(serde::Deserialize)]
    struct Members {
        schedules: Option<Vec<ScheduleInfo>>,
        schedule: Option<ScheduleInfo>,
        endpoints: Option<Vec<EndpointInfo>>,
    }

    let mut seen = 0;
    for vector in vectors("replies.json").iter().filter(|vector| vector.all["value"].get("ok").is_some()) {
        let members: Members = decode_reply(&vector.bytes).unwrap();
        let typed = [
            members.schedules.map(|value| ("schedules", document(&value))),
            members.schedule.map(|value| ("schedule", document(&value))),
            members.endpoints.map(|value| ("endpoints", document(&value))),
        ];
        for (member, value) in typed.into_iter().flatten() {
            assert_eq!(value, Document::of(&vector.all["value"]["ok"][member]), "{}", vector.name);
            seen += 1;
        }
    }
    assert!(seen >= 6);
}

#[test]
fn a_reply_of_another_shape_is_internal() {
    for bytes in [&b"\x81\xa2ok\x91\x01"[..], b"\x81\xa2ok\x81\xa9schedules\x01", b"\x81\xa2ok", b""] {
        #[derive(Debug, serde::Deserialize)]
        struct Schedules {
            #[serde(rename = "schedules")]
            _schedules: Vec<ScheduleInfo>,
        }

        assert_eq!(decode_reply::<Schedules>(bytes).unwrap_err().code, crate::HostErrorCode::Internal);
    }
}

#[test]
fn an_integer_may_come_as_a_float() {
    let bytes = b"\x81\xa3err\x81\xacretryAfterMs\xcb\x40\xed\x4c\x00\x00\x00\x00\x00";

    assert_eq!(decode_reply::<Document>(bytes).unwrap_err().retry_after_ms, Some(60_000));
}

#[test]
fn a_float_with_a_fraction_is_no_integer() {
    let bytes = b"\x81\xa3err\x81\xacretryAfterMs\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00";

    assert!(decode_reply::<Document>(bytes).unwrap_err().message.contains("another type"));
}

/// What `T` reads is what `file` means, where a member that is nil is absent.
fn reads<T: DeserializeOwned + Serialize>(file: &str) {
    for vector in vectors(file).iter().filter(|vector| vector.is("kind", "valid")) {
        let value: T = decode(&vector.bytes).unwrap_or_else(|fault| panic!("{}: {fault}", vector.name));

        assert_eq!(document(&value).without_nil(), vector.value().without_nil(), "{}", vector.name);
    }
}

#[test]
fn requests_are_read() {
    reads::<ExecuteRequest>("requests.json");
}

#[test]
fn responses_are_written() {
    reads::<ExecuteResponse>("responses.json");
}

/// The requests of `operation` are written as the vectors have them, nil included.
fn writes<T: DeserializeOwned + Serialize>(operation: &str, defaults: &[(&str, Value)]) {
    let mut seen = 0;
    for vector in vectors("host-call-requests.json") {
        if !vector.is("kind", "valid") || !vector.is("operation", operation) {
            continue;
        }
        seen += 1;
        let mut expected = vector.all["value"].clone();
        let input: T = decode(&vector.bytes).unwrap_or_else(|fault| panic!("{}: {fault}", vector.name));
        let Document::Map(written) = document(&input) else { panic!("{}", vector.name) };
        for (member, default) in defaults {
            let absent = written.iter().all(|(key, _)| key != member);
            if absent && expected[*member] == *default {
                expected.as_object_mut().unwrap().remove(*member);
            }
        }

        assert_eq!(Document::Map(written), Document::of(&expected), "{}", vector.name);
    }
    assert!(seen > 0);
}

#[test]
fn creates_are_written() {
    writes::<CreateScheduleInput>("scheduler.create", &[("enabled", json!(true))]);
}

#[test]
fn updates_tell_leave_from_clear() {
    writes::<UpdateScheduleInput>("scheduler.update", &[]);
}
