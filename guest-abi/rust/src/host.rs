//! What the host offers to a handler.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::abi::{self, Import};
use crate::{
    ContextData, CreateScheduleInput, EndpointInfo, HostError, ScheduleInfo, ScheduleResult, UpdateScheduleInput, codec,
};

/// What the host offers.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct HostBindings {
    pub scheduler: SchedulerHost,
    pub context: ContextHost,
    pub logging: LoggingHost,
}

/// This install's schedules. Every call needs `cap:scheduler.manage`.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SchedulerHost;

impl SchedulerHost {
    /// All schedules, oldest first. An empty list always means that there are none.
    pub fn list(&self) -> Result<Vec<ScheduleInfo>, HostError> {
        call::<Schedules>(abi::scheduler_list, &Nothing {}).map(|reply| reply.schedules)
    }

    /// One schedule; `None` when this install has none with that id.
    pub fn get(&self, schedule_id: &str) -> Result<Option<ScheduleInfo>, HostError> {
        call::<Found>(abi::scheduler_get, &Reference { schedule_id }).map(|reply| reply.schedule)
    }

    pub fn create(&self, input: &CreateScheduleInput) -> ScheduleResult {
        ScheduleResult::of(call::<Created>(abi::scheduler_create, input).map(|reply| reply.schedule_id))
    }

    /// Change what `input` sets; a schedule that this install does not have is `NotFound`.
    pub fn update(&self, input: &UpdateScheduleInput) -> ScheduleResult {
        ScheduleResult::of(call::<Nothing>(abi::scheduler_update, input).map(|_| input.schedule_id.clone()))
    }

    /// Delete a schedule; one that this install does not have is `NotFound`.
    pub fn delete(&self, schedule_id: &str) -> ScheduleResult {
        let reply = call::<Nothing>(abi::scheduler_delete, &Reference { schedule_id });
        ScheduleResult::of(reply.map(|_| schedule_id.into()))
    }

    /// The endpoints of the installed version, ordered by path.
    pub fn get_endpoints(&self) -> Result<Vec<EndpointInfo>, HostError> {
        call::<Endpoints>(abi::scheduler_get_endpoints, &Nothing {}).map(|reply| reply.endpoints)
    }
}

/// The execution's context; the request carries the same. Needs `cap:context.read`, which every install has.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ContextHost;

impl ContextHost {
    pub fn get(&self) -> Result<ContextData, HostError> {
        call::<Context>(abi::context_get, &Nothing {}).map(|reply| reply.context)
    }
}

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

#[derive(Deserialize, Serialize)]
struct Nothing {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference<'a> {
    schedule_id: &'a str,
}

#[derive(Deserialize)]
struct Schedules {
    schedules: Vec<ScheduleInfo>,
}

#[derive(Deserialize)]
struct Found {
    schedule: Option<ScheduleInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    schedule_id: String,
}

#[derive(Deserialize)]
struct Endpoints {
    endpoints: Vec<EndpointInfo>,
}

#[derive(Deserialize)]
struct Context {
    context: ContextData,
}

fn call<T: DeserializeOwned>(import: Import, request: &impl Serialize) -> Result<T, HostError> {
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
