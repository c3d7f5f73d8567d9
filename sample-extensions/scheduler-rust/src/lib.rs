//! Scheduler sample: an extension in Rust that sets up, changes and removes its own schedules.

mod attempt;
mod manage;
mod plan;
mod response;
mod sync;

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
            ("POST", "/setup") => manage::setup(),
            ("POST", "/configure") => manage::configure(&request),
            ("GET", "/schedules") => manage::schedules(),
            ("POST", "/cleanup") => manage::cleanup(),
            ("POST", "/sync") => sync::sync(&request),
            ("POST", "/try") => attempt::attempt(&request),
            _ => problem(404, &format!("There is nothing at {path}.")),
        };
        answer.unwrap_or_else(|response| response)
    }
}
