//! Schedules and endpoints, as host calls exchange them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::HostError;

/// One schedule of this install. Times are RFC 3339.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ScheduleInfo {
    pub id: String,
    pub endpoint_path: String,
    pub endpoint_method: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub cron: String,
    pub timezone: String,
    pub enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
}

/// One endpoint of the installed version; `schedulable` means GET or POST without path parameters.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EndpointInfo {
    pub id: String,
    pub method: String,
    pub path: String,
    pub handler: String,
    pub schedulable: bool,
}

/// A schedule to create: `CreateScheduleInput::new("/sync", "0 * * * *").name("Hourly sync")`.
///
/// Members that are not set take the server's default.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CreateScheduleInput {
    pub endpoint: String,
    pub cron: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed_runs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed_window_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_delay_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_factor: Option<i64>,
    /// Creates with the same key have the first one's result, for a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// Changes to a schedule: `UpdateScheduleInput::new(id).cron("30 2 * * *").clear_payload()`.
///
/// Members that are not set stay as they are.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct UpdateScheduleInput {
    pub schedule_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    #[serde(default, skip_serializing_if = "Change::is_leave")]
    pub name: Change<String>,
    #[serde(default, skip_serializing_if = "Change::is_leave")]
    pub payload: Change<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed_runs: Option<String>,
    #[serde(default, skip_serializing_if = "Change::is_leave")]
    pub missed_window_seconds: Change<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_delay_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_factor: Option<i64>,
}

/// What an update does to a member that may have no value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Change<T> {
    /// The member is absent.
    #[default]
    Leave,
    /// The member is nil.
    Clear,
    Set(T),
}

impl<T> Change<T> {
    pub fn is_leave(&self) -> bool {
        matches!(self, Change::Leave)
    }
}

impl<T: Serialize> Serialize for Change<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Change::Leave | Change::Clear => serializer.serialize_none(),
            Change::Set(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Change::Clear, Change::Set))
    }
}

/// Write a setter for each member of an input that both inputs have.
macro_rules! setters {
    ($($(#[$about:meta])* $name:ident: $type:ty => $wrap:expr;)*) => {
        $($(#[$about])* #[must_use]
        pub fn $name(mut self, $name: impl Into<$type>) -> Self {
            self.$name = $wrap($name.into());
            self
        })*
    };
}

impl CreateScheduleInput {
    /// `endpoint` is `/path` or `METHOD /path`, `cron` has five fields.
    pub fn new(endpoint: impl Into<String>, cron: impl Into<String>) -> Self {
        Self { endpoint: endpoint.into(), cron: cron.into(), ..Self::default() }
    }

    setters! {
        /// An IANA name; UTC unless set.
        timezone: String => Some;
        enabled: bool => Some;
        name: String => Some;
        /// An object or an array: the JSON body of the scheduled request, or a GET's query parameter `payload`.
        payload: Value => Some;
        /// `skip`, `latest` or `all`.
        missed_runs: String => Some;
        missed_window_seconds: i64 => Some;
        max_attempts: i64 => Some;
        retry_delay_seconds: i64 => Some;
        retry_factor: i64 => Some;
        /// Creates with the same key have the first one's result, for a day.
        idempotency_key: String => Some;
    }
}

impl UpdateScheduleInput {
    pub fn new(schedule_id: impl Into<String>) -> Self {
        Self { schedule_id: schedule_id.into(), ..Self::default() }
    }

    setters! {
        endpoint: String => Some;
        cron: String => Some;
        timezone: String => Some;
        enabled: bool => Some;
        name: String => Change::Set;
        payload: Value => Change::Set;
        /// `skip`, `latest` or `all`.
        missed_runs: String => Some;
        missed_window_seconds: i64 => Change::Set;
        max_attempts: i64 => Some;
        retry_delay_seconds: i64 => Some;
        retry_factor: i64 => Some;
    }

    #[must_use]
    pub fn clear_name(mut self) -> Self {
        self.name = Change::Clear;
        self
    }

    #[must_use]
    pub fn clear_payload(mut self) -> Self {
        self.payload = Change::Clear;
        self
    }

    #[must_use]
    pub fn clear_missed_window_seconds(mut self) -> Self {
        self.missed_window_seconds = Change::Clear;
        self
    }
}

/// What `create`, `update` and `delete` give in every case: `{success, scheduleId?, error?, fieldErrors?}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ScheduleResult {
    pub success: bool,
    /// The schedule that was created, updated or deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_id: Option<String>,
    /// The host's message where it refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// A member of the input, and what is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_errors: Option<BTreeMap<String, String>>,
    /// The whole refusal, with its code and when to try again.
    #[serde(skip)]
    pub host_error: Option<HostError>,
}

impl ScheduleResult {
    pub(crate) fn of(outcome: Result<String, HostError>) -> Self {
        match outcome {
            Ok(id) => Self { success: true, schedule_id: Some(id), error: None, field_errors: None, host_error: None },
            Err(error) => Self {
                success: false,
                schedule_id: None,
                error: Some(error.message.clone()),
                field_errors: error.field_errors.clone(),
                host_error: Some(error),
            },
        }
    }

    /// The schedule's id or the refusal, for `?`.
    pub fn into_result(self) -> Result<String, HostError> {
        match self.host_error {
            Some(error) => Err(error),
            None => Ok(self.schedule_id.unwrap_or_default()),
        }
    }
}
