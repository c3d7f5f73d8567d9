//! Client notes: an extension that keeps notes on the tenant's clients and invoices work for them.

mod billing;
mod notes;
mod response;

wit_bindgen::generate!({ path: "../../guest-abi/wit", world: "runner" });

use alga::extension::logging::log_error;
use response::problem;

struct Extension;

export!(Extension);

impl Guest for Extension {
    fn handler(request: ExecuteRequest) -> ExecuteResponse {
        std::panic::set_hook(Box::new(|panic| log_error(&panic.to_string())));
        let path = request.http.url.split('?').next().unwrap_or_default();
        let answer = match (request.http.method.as_str(), path) {
            ("GET", "/clients") => notes::clients(),
            ("GET", "/notes") => notes::list(),
            ("POST", "/notes") => notes::add(&request),
            ("POST", "/notes/delete") => notes::delete(&request),
            ("POST", "/invoice") => billing::invoice(&request),
            _ => problem(404, &format!("There is nothing at {path}.")),
        };
        answer.unwrap_or_else(|response| response)
    }
}
