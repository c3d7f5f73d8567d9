//! Generated from guest-abi/schema by `make docs`.

#[cfg(target_family = "wasm")]
#[link(wasm_import_module = "alga:clients")]
unsafe extern "C" {
    #[link_name = "list"]
    pub fn clients_list(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;
    #[link_name = "get"]
    pub fn clients_get(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;
}

#[cfg(target_family = "wasm")]
#[link(wasm_import_module = "alga:context")]
unsafe extern "C" {
    #[link_name = "get"]
    pub fn context_get(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;
}

#[cfg(target_family = "wasm")]
#[link(wasm_import_module = "alga:http")]
unsafe extern "C" {
    #[link_name = "fetch"]
    pub fn http_fetch(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;
}

#[cfg(target_family = "wasm")]
#[link(wasm_import_module = "alga:invoicing")]
unsafe extern "C" {
    #[link_name = "create-manual-invoice"]
    pub fn invoicing_create_manual_invoice(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;
}

#[cfg(target_family = "wasm")]
#[link(wasm_import_module = "alga:scheduler")]
unsafe extern "C" {
    #[link_name = "list"]
    pub fn scheduler_list(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;
    #[link_name = "get"]
    pub fn scheduler_get(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;
    #[link_name = "create"]
    pub fn scheduler_create(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;
    #[link_name = "update"]
    pub fn scheduler_update(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;
    #[link_name = "delete"]
    pub fn scheduler_delete(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;
    #[link_name = "get-endpoints"]
    pub fn scheduler_get_endpoints(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;
}

#[cfg(target_family = "wasm")]
#[link(wasm_import_module = "alga:secrets")]
unsafe extern "C" {
    #[link_name = "get"]
    pub fn secrets_get(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;
    #[link_name = "list-keys"]
    pub fn secrets_list_keys(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;
}

#[cfg(target_family = "wasm")]
#[link(wasm_import_module = "alga:services")]
unsafe extern "C" {
    #[link_name = "list"]
    pub fn services_list(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;
    #[link_name = "get"]
    pub fn services_get(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;
}

#[cfg(target_family = "wasm")]
#[link(wasm_import_module = "alga:storage")]
unsafe extern "C" {
    #[link_name = "get"]
    pub fn storage_get(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;
    #[link_name = "put"]
    pub fn storage_put(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;
    #[link_name = "delete"]
    pub fn storage_delete(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;
    #[link_name = "list"]
    pub fn storage_list(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;
}

#[cfg(target_family = "wasm")]
#[link(wasm_import_module = "alga:ui-proxy")]
unsafe extern "C" {
    #[link_name = "call-route"]
    pub fn ui_proxy_call_route(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;
}

#[cfg(target_family = "wasm")]
#[link(wasm_import_module = "alga:user")]
unsafe extern "C" {
    #[link_name = "get"]
    pub fn user_get(at: *const u8, length: usize, reply: *mut u8, capacity: usize) -> usize;
}

#[cfg(not(target_family = "wasm"))]
crate::testing::operations! {
    clients_list = "clients.list",
    clients_get = "clients.get",
    context_get = "context.get",
    http_fetch = "http.fetch",
    invoicing_create_manual_invoice = "invoicing.create-manual-invoice",
    scheduler_list = "scheduler.list",
    scheduler_get = "scheduler.get",
    scheduler_create = "scheduler.create",
    scheduler_update = "scheduler.update",
    scheduler_delete = "scheduler.delete",
    scheduler_get_endpoints = "scheduler.get-endpoints",
    secrets_get = "secrets.get",
    secrets_list_keys = "secrets.list-keys",
    services_list = "services.list",
    services_get = "services.get",
    storage_get = "storage.get",
    storage_put = "storage.put",
    storage_delete = "storage.delete",
    storage_list = "storage.list",
    ui_proxy_call_route = "ui-proxy.call-route",
    user_get = "user.get",
}
