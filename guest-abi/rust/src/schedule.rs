//! What goes beyond the documents of schedules: changes that clear a member, and results that are always a value.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use crate::HostError;

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

/// Write a setter for each member of an input that need not be given.
macro_rules! setters {
    ($($(#[$about:meta])* $name:ident: $type:ty => $wrap:expr;)*) => {
        $($(#[$about])* #[must_use]
        pub fn $name(mut self, $name: impl Into<$type>) -> Self {
            self.$name = $wrap($name.into());
            self
        })*
    };
}
pub(crate) use setters;

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
