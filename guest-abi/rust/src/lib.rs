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
#[doc(hidden)]
pub mod codec;
#[rustfmt::skip]
mod documents;
mod entry;
mod error;
mod host;
mod http;
#[rustfmt::skip]
mod imports;
#[cfg(all(feature = "first-memory", target_family = "wasm", target_os = "unknown"))]
mod memory;
#[rustfmt::skip]
mod operations;
mod router;
mod schedule;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use documents::*;
#[doc(hidden)]
pub use entry::serve;
pub use error::{HostError, HostErrorCode};
pub use host::LoggingHost;
pub use http::{Answer, ContextData, ExecuteRequest, ExecuteResponse, HttpHeader, HttpRequest, UserData};
pub use operations::*;
pub use router::{Handler, Router};
pub use schedule::{Change, ScheduleResult};
pub use serde_json::{self, Value, json};
