//! Finds the handler of a method and path.

use crate::{Answer, ExecuteRequest, ExecuteResponse, HostBindings};

/// What answers a request.
pub type Handler = fn(&ExecuteRequest, &HostBindings) -> Answer;

/// Calls the handler of a method and path; answers 404 and 405 as JSON itself.
///
/// `Router::new().on("POST", "/setup", setup).on("GET", "/schedules", schedules).handle(request, host)`
#[derive(Default)]
pub struct Router {
    routes: Vec<(&'static str, &'static str, Handler)>,
}

impl Router {
    pub fn new() -> Self {
        Self::default()
    }

    /// Let `handler` answer `method` (upper case) on exactly `path`.
    #[must_use]
    pub fn on(mut self, method: &'static str, path: &'static str, handler: Handler) -> Self {
        self.routes.push((method, path, handler));
        self
    }

    /// Answer `request`.
    pub fn handle(&self, request: &ExecuteRequest, host: &HostBindings) -> Answer {
        let path = request.http.path();
        let here = || self.routes.iter().filter(|route| route.1 == path);
        if let Some((_, _, handler)) = here().find(|route| route.0.eq_ignore_ascii_case(&request.http.method)) {
            return handler(request, host);
        }
        let methods = here().map(|route| route.0).collect::<Vec<_>>().join(", ");
        if methods.is_empty() {
            return Err(ExecuteResponse::problem(404, "not-found", &format!("Nothing answers at {path}.")));
        }
        let message = format!("{path} answers {methods} only.");
        Err(ExecuteResponse::problem(405, "method-not-allowed", &message).header("allow", methods))
    }
}
