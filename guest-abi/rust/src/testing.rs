//! A host for tests of handlers, which run natively: `cargo test`.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::{HostBindings, Value, codec};

/// What happened while a test ran.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Played {
    /// The host calls and their requests: `("scheduler.create", {...})`.
    pub calls: Vec<(&'static str, Value)>,
    /// Log lines with their levels: 0 debug, 1 info, 2 warn, 3 error.
    pub log: Vec<(u32, String)>,
}

#[derive(Default)]
struct Script {
    replies: VecDeque<Value>,
    /// The last reply, where it did not fit.
    waiting: Vec<u8>,
    played: Played,
}

thread_local! {
    static SCRIPT: RefCell<Script> = RefCell::default();
}

/// Run `body`, and answer its host calls with `replies`, one after the other.
///
/// ```
/// use alga_extension::{CreateScheduleInput, json, testing};
///
/// let (result, played) = testing::play([json!({"ok": {"scheduleId": "s-1"}})], |host| {
///     host.scheduler.create(&CreateScheduleInput::new("/sync", "0 * * * *"))
/// });
///
/// assert_eq!(result.schedule_id.as_deref(), Some("s-1"));
/// assert_eq!(played.calls, [("scheduler.create", json!({"endpoint": "/sync", "cron": "0 * * * *"}))]);
/// ```
pub fn play<T>(replies: impl IntoIterator<Item = Value>, body: impl FnOnce(&HostBindings) -> T) -> (T, Played) {
    SCRIPT.set(Script { replies: replies.into_iter().collect(), ..Script::default() });
    let result = body(&HostBindings::default());
    (result, SCRIPT.take().played)
}

fn called(operation: &'static str, request: &[u8]) -> Vec<u8> {
    SCRIPT.with_borrow_mut(|script| {
        let request = codec::decode(request).expect("requests are documents");
        script.played.calls.push((operation, request));
        let reply = script.replies.pop_front().unwrap_or_else(|| panic!("the test has no reply for {operation}"));
        codec::encode(&reply).expect("JSON has a form in MessagePack")
    })
}

/// The host's functions of a native build.
pub(crate) mod imports {
    use super::{SCRIPT, called};

    /// Copy `bytes` to `at` if they fit into `capacity`; how many they are.
    unsafe fn copy(bytes: &[u8], at: *mut u8, capacity: usize) -> usize {
        if bytes.len() <= capacity {
            // SAFETY: the caller owns `capacity` bytes at `at`.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len()) };
        }
        bytes.len()
    }

    pub unsafe fn request(_: *mut u8, _: usize) -> usize {
        panic!("a native test calls the handler itself")
    }

    pub unsafe fn respond(_: *const u8, _: usize) {
        panic!("a native test calls the handler itself")
    }

    pub unsafe fn fail(_: *const u8, _: usize) {
        panic!("a native test calls the handler itself")
    }

    pub unsafe fn reply(at: *mut u8, capacity: usize) -> usize {
        SCRIPT.with_borrow(|script| unsafe { copy(&script.waiting, at, capacity) })
    }

    pub unsafe fn emit(level: u32, at: *const u8, length: usize) {
        // SAFETY: the caller owns `length` bytes at `at`.
        let line = String::from_utf8_lossy(unsafe { std::slice::from_raw_parts(at, length) }).into_owned();
        SCRIPT.with_borrow_mut(|script| script.played.log.push((level, line)));
    }

    /// Answer a host call from the script.
    pub unsafe fn answer(
        operation: &'static str,
        at: *const u8,
        length: usize,
        reply: *mut u8,
        capacity: usize,
    ) -> usize {
        // SAFETY: the caller owns `length` bytes at `at` and `capacity` bytes at `reply`.
        unsafe {
            let bytes = called(operation, std::slice::from_raw_parts(at, length));
            let length = copy(&bytes, reply, capacity);
            SCRIPT.with_borrow_mut(|script| script.waiting = bytes);
            length
        }
    }
}

macro_rules! operations {
    ($($function:ident = $operation:literal,)*) => {
        $(pub unsafe extern "C" fn $function(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize {
            // SAFETY: as the caller's.
            unsafe { $crate::testing::imports::answer($operation, at, length, reply, capacity) }
        })*
    };
}
pub(crate) use operations;
