//! Refusals of host calls.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Why the host refused a call.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct HostError {
    #[serde(default)]
    pub code: HostErrorCode,
    #[serde(default)]
    pub message: String,
    /// A member of the request, and what is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_errors: Option<BTreeMap<String, String>>,
    /// When another try makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The same call may succeed later, and does no harm if this one was carried out after all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retryable: bool,
}

impl HostError {
    pub fn new(code: HostErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field_errors: None, retry_after_ms: None, retryable: false }
    }

    pub(crate) fn internal(message: &str) -> Self {
        Self::new(HostErrorCode::Internal, message)
    }

    /// The HTTP status that tells the extension's own caller what happened.
    pub fn http_status(&self) -> u16 {
        match self.code {
            HostErrorCode::Denied => 403,
            HostErrorCode::Unavailable | HostErrorCode::Timeout | HostErrorCode::RateLimited => 503,
            _ => 502,
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for HostError {}

macro_rules! codes {
    ($($(#[$about:meta])* $name:ident = $code:literal,)*) => {
        /// The codes of guest ABI v1. One that this crate does not know reads as `Internal`.
        #[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
        #[serde(from = "String", into = "&'static str")]
        #[non_exhaustive]
        pub enum HostErrorCode {
            $($(#[$about])* $name,)*
        }

        impl HostErrorCode {
            /// The code on the wire.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }
        }

        impl From<String> for HostErrorCode {
            fn from(code: String) -> Self {
                match code.as_str() {
                    $($code => Self::$name,)*
                    _ => Self::Internal,
                }
            }
        }
    };
}

codes! {
    Denied = "denied",
    NotFound = "not-found",
    ValidationFailed = "validation-failed",
    QuotaExceeded = "quota-exceeded",
    RateLimited = "rate-limited",
    Conflict = "conflict",
    /// It was valid for a time that is over.
    Expired = "expired",
    TooLarge = "too-large",
    /// A change may or may not have happened.
    Timeout = "timeout",
    Unavailable = "unavailable",
    /// The host lacks the operation.
    Unsupported = "unsupported",
    #[default]
    Internal = "internal",
}

impl From<HostErrorCode> for &'static str {
    fn from(code: HostErrorCode) -> Self {
        code.as_str()
    }
}
