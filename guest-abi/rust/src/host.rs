//! How host calls are performed, and the log.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::abi::{self, Import};
use crate::{HostError, codec};

/// Lines of the execution's log. A line over 8 KiB is cut; without `cap:log.emit` lines are dropped.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct LoggingHost;

impl LoggingHost {
    pub fn debug(&self, message: &str) {
        emit(0, message);
    }

    pub fn info(&self, message: &str) {
        emit(1, message);
    }

    pub fn warn(&self, message: &str) {
        emit(2, message);
    }

    pub fn error(&self, message: &str) {
        emit(3, message);
    }
}

fn emit(level: u32, message: &str) {
    // SAFETY: the host reads `message` and keeps nothing.
    unsafe { abi::emit(level, message.as_ptr(), message.len()) }
}

/// The input or the output of an operation that has none.
#[derive(Deserialize, Serialize)]
pub struct Nothing {}

/// Perform a host call, and read its output.
pub fn call<T: DeserializeOwned>(import: Import, request: &impl Serialize) -> Result<T, HostError> {
    let request = codec::encode(request)
        .map_err(|fault| HostError::internal(&format!("The request cannot be written: {fault}.")))?;
    codec::decode_reply(&perform(import, &request))
}

/// The room for a reply that arrives in one crossing.
const SCRATCH: usize = 4096;

/// The bytes of the reply to `request`.
fn perform(import: Import, request: &[u8]) -> Vec<u8> {
    let mut reply = Vec::with_capacity(SCRATCH);
    // SAFETY: the host reads `request`, writes at most the capacity, and returns the reply's length. A reply that
    // did not fit is not written; `abi::reply` writes it where there is room for all of it.
    unsafe {
        let length = import(request.as_ptr(), request.len(), reply.as_mut_ptr(), reply.capacity());
        if length > reply.capacity() {
            reply.reserve_exact(length);
            assert_eq!(abi::reply(reply.as_mut_ptr(), reply.capacity()), length, "the host changed its reply");
        }
        reply.set_len(length);
    }
    reply
}
