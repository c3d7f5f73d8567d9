//! The request that a handler answers, and its response.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{HostError, body};

/// What a handler gives: a response, or one in place of it, which `?` makes of a [`HostError`] or of bad JSON.
pub type Answer = Result<ExecuteResponse, ExecuteResponse>;

/// One call of the extension: who calls, what for, on whose behalf.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ExecuteRequest {
    pub context: ContextData,
    pub http: HttpRequest,
    /// The person, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserData>,
}

/// Who calls, and why. `trigger` is `schedule` or `run_now` when a schedule fired; then the members below it are set.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ContextData {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    pub tenant_id: String,
    pub extension_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub install_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// The install's configuration.
    pub config: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_id: Option<String>,
    /// When the schedule was due, RFC 3339 in UTC; the execution may start later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nominal_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_name: Option<String>,
    /// The zone whose clock the schedule follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_timezone: Option<String>,
    /// Counts the attempts at `nominal_time` from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// When this run began, RFC 3339 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
}

/// The person behind a request.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct UserData {
    pub user_id: String,
    pub user_email: String,
    pub user_name: String,
    pub user_type: String,
    pub client_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    pub additional_fields: BTreeMap<String, String>,
}

/// One header; names have any case.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct HttpHeader {
    pub name: String,
    pub value: String,
}

/// The HTTP request. `url` is the path, then `?` and the query if there is one.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct HttpRequest {
    pub method: String,
    pub url: String,
    pub headers: Vec<HttpHeader>,
    /// `None` without a body; an empty one is a body.
    #[serde(default, with = "body")]
    pub body: Option<Vec<u8>>,
}

impl HttpRequest {
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self { method: method.into(), url: url.into(), ..Self::default() }
    }

    /// The url up to its query.
    pub fn path(&self) -> &str {
        self.url.split('?').next().unwrap_or_default()
    }

    /// The first value of that name in the query, percent-decoded; bytes that are not UTF-8 become U+FFFD.
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.url.split_once('?')?;
        query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(key, _)| percent_decoded(key) == name)
            .map(|(_, value)| percent_decoded(value))
    }

    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    }

    /// The body's bytes; empty without a body.
    pub fn bytes(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }

    /// The body's JSON value. Any type that serde reads will do, `serde_json::Value` too.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(self.bytes())
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, hex(after)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// The response to a request: `ExecuteResponse::json(200, &schedules)`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ExecuteResponse {
    /// From 200 to 599.
    pub status: u16,
    #[serde(default)]
    pub headers: Vec<HttpHeader>,
    #[serde(default, with = "body")]
    pub body: Option<Vec<u8>>,
}

impl ExecuteResponse {
    /// A response without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self::empty(status).header("content-type", "text/plain; charset=utf-8").with_body(text.into())
    }

    /// `value` as JSON. Panics for a value that has no JSON form, such as a map whose keys are no strings.
    pub fn json<T: Serialize + ?Sized>(status: u16, value: &T) -> Self {
        let text = serde_json::to_vec(value).expect("a response's value must have a JSON form");
        Self::empty(status).header("content-type", "application/json").with_body(text)
    }

    /// `{error: {code, message}}`, the shape in which an extension tells its own caller what is wrong.
    pub fn problem(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, &json!({"error": {"code": code, "message": message}}))
    }

    /// Add a header, another of its name too.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push(HttpHeader { name: name.into(), value: value.into() });
        self
    }

    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }
}

impl From<HostError> for ExecuteResponse {
    fn from(error: HostError) -> Self {
        let status = error.http_status();
        Self::json(status, &json!({"error": error}))
    }
}

impl From<serde_json::Error> for ExecuteResponse {
    fn from(error: serde_json::Error) -> Self {
        Self::problem(400, "bad-request", &format!("The body is not the JSON that is expected: {error}."))
    }
}
