//! Write Alga extensions in Rust: core modules of guest ABI v1.
//!
//! ```
//! use alga_extension::{Answer, ExecuteRequest, ExecuteResponse, HostBindings, extension, json};
//!
//! extension!(handler);
//!
//! fn handler(_: &ExecuteRequest, host: &HostBindings) -> Answer {
//!     let schedules = host.scheduler.list()?;
//!     Ok(ExecuteResponse::json(200, &json!({"count": schedules.len()})))
//! }
//! ```

mod abi;
mod body;
mod codec;
mod entry;
mod error;
mod host;
mod http;
#[cfg(all(feature = "first-memory", target_family = "wasm", target_os = "unknown"))]
mod memory;
mod router;
mod schedule;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
#[cfg(test)]
mod tests;

#[doc(hidden)]
pub use entry::serve;
pub use error::{HostError, HostErrorCode};
pub use host::{ContextHost, HostBindings, LoggingHost, SchedulerHost};
pub use http::{Answer, ContextData, ExecuteRequest, ExecuteResponse, HttpHeader, HttpRequest, UserData};
pub use router::{Handler, Router};
pub use schedule::{Change, CreateScheduleInput, EndpointInfo, ScheduleInfo, ScheduleResult, UpdateScheduleInput};
pub use serde_json::{self, Value, json};
