// The imports of guest ABI v1, as the host declares them (guest-abi/ABI.md, "Imports").
//
// Only what a guest reaches is imported by its module, so a module's imports show which host calls it can make.

/** The request document: its length; copied to `ptr` if it is not longer than `cap`. */
@external("alga:abi", "request")
export declare function request(ptr: usize, cap: u32): u32;

/** The last reply that did not fit, likewise; -1 when nothing is there. */
@external("alga:abi", "reply")
export declare function reply(ptr: usize, cap: u32): i32;

/** The response document; once. */
@external("alga:abi", "respond")
export declare function respond(ptr: usize, len: u32): void;

/** One line of log: 0 debug, 1 info, 2 warn, 3 error. */
@external("alga:log", "emit")
export declare function emit(level: u32, ptr: usize, len: u32): void;

/** Ends the execution; with 0 after `respond` that is a success. */
@external("wasi_snapshot_preview1", "proc_exit")
export declare function exit(status: u32): void;

@external("alga:context", "get")
export declare function contextGet(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;

@external("alga:scheduler", "list")
export declare function schedulerList(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;

@external("alga:scheduler", "get")
export declare function schedulerGet(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;

@external("alga:scheduler", "create")
export declare function schedulerCreate(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;

@external("alga:scheduler", "update")
export declare function schedulerUpdate(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;

@external("alga:scheduler", "delete")
export declare function schedulerDelete(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;

@external("alga:scheduler", "get-endpoints")
export declare function schedulerGetEndpoints(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;
