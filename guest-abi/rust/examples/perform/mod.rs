//! Generated from guest-abi/schema by `make docs`.

use alga_extension::HostBindings;

use super::{Binary, Performed, input, outcome, text};

pub fn perform(operation: &str, body: &[u8], host: &HostBindings) -> Performed {
    match operation {
        "clients.list" => outcome(host.clients.list(&input(body)?)),
        "clients.get" => outcome(host.clients.get(&text(body, "clientId")?)),
        "http.fetch" => outcome(host.http.fetch(&input(body)?)),
        "invoicing.create-manual-invoice" => outcome(host.invoicing.create_manual_invoice(&input(body)?)),
        "secrets.get" => outcome(host.secrets.get(&text(body, "key")?)),
        "secrets.list-keys" => outcome(host.secrets.list_keys()),
        "services.list" => outcome(host.services.list(&input(body)?)),
        "services.get" => outcome(host.services.get(&text(body, "serviceId")?)),
        "storage.get" => outcome(host.storage.get(&text(body, "namespace")?, &text(body, "key")?)),
        "storage.put" => outcome(host.storage.put(&input(body)?)),
        "storage.delete" => outcome(host.storage.delete(&text(body, "namespace")?, &text(body, "key")?)),
        "storage.list" => outcome(host.storage.list(&input(body)?)),
        "ui-proxy.call-route" => outcome(host.ui_proxy.call_route(&input(body)?).map(Binary)),
        "user.get" => outcome(host.user.get()),
        _ => Err(alga_extension::ExecuteResponse::problem(404, "not-found", operation)),
    }
}
