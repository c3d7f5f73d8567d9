//! The host's functions (guest ABI, "Imports").

/// A host call: request, room for the reply. Returns the length of the reply, which may be more than the room.
pub type Import = unsafe extern "C" fn(*const u8, usize, *mut u8, usize) -> usize;

pub use crate::imports::*;

#[cfg(target_family = "wasm")]
pub use imports::*;

#[cfg(not(target_family = "wasm"))]
pub use crate::testing::imports::*;

#[cfg(target_family = "wasm")]
mod imports {
    #[link(wasm_import_module = "alga:abi")]
    unsafe extern "C" {
        pub fn request(at: *mut u8, capacity: usize) -> usize;
        pub fn reply(at: *mut u8, capacity: usize) -> usize;
        pub fn respond(at: *const u8, length: usize);
        pub fn fail(at: *const u8, length: usize);
    }

    #[link(wasm_import_module = "alga:log")]
    unsafe extern "C" {
        pub fn emit(level: u32, at: *const u8, length: usize);
    }
}
