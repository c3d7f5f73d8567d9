//! The start of an execution.

use std::panic;

use crate::{Answer, ExecuteRequest, HostBindings, abi, codec};

/// Read the request, have `handler` answer it, respond.
pub fn serve(request_length: usize, handler: fn(&ExecuteRequest, &HostBindings) -> Answer) {
    panic::set_hook(Box::new(|panic| {
        let text = panic.to_string().replacen('\n', " ", 1); // after the place
        // SAFETY: the host reads the text, and ends the execution.
        unsafe { abi::fail(text.as_ptr(), text.len()) }
    }));
    let mut bytes = Vec::with_capacity(request_length);
    // SAFETY: the host writes the request where there is room for all of it.
    unsafe {
        let length = abi::request(bytes.as_mut_ptr(), bytes.capacity());
        assert_eq!(length, request_length, "the host changed its request");
        bytes.set_len(length);
    }
    let request: ExecuteRequest = match codec::decode(&bytes) {
        Ok(request) => request,
        Err(fault) => panic!("The host's request cannot be read: {fault}."),
    };
    drop(bytes);
    let (Ok(response) | Err(response)) = handler(&request, &HostBindings::default());
    match codec::encode(&response) {
        // SAFETY: the host reads the response and keeps nothing.
        Ok(response) => unsafe { abi::respond(response.as_ptr(), response.len()) },
        Err(fault) => panic!("The response cannot be written: {fault}."),
    }
}

/// Make `$handler`, a `fn(&ExecuteRequest, &HostBindings) -> Answer`, the extension's handler.
#[macro_export]
macro_rules! extension {
    ($handler:expr) => {
        #[unsafe(no_mangle)]
        pub extern "C" fn alga_abi_v1() {}

        #[unsafe(no_mangle)]
        pub extern "C" fn alga_handle(request_length: usize) {
            $crate::serve(request_length, $handler);
        }
    };
}
