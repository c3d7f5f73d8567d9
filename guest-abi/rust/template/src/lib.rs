//! Greets, and sets up a schedule that calls it every hour.

use alga_extension::{
    Answer, CreateScheduleInput, ExecuteRequest, ExecuteResponse, HostBindings, Router, extension, json,
};

extension!(handler);

fn handler(request: &ExecuteRequest, host: &HostBindings) -> Answer {
    Router::new().on("GET", "/hello", hello).on("POST", "/setup", setup).on("POST", "/sync", sync).handle(request, host)
}

fn hello(request: &ExecuteRequest, _: &HostBindings) -> Answer {
    let name = request.http.query("name").unwrap_or("world".into());
    Ok(ExecuteResponse::text(200, format!("Hello, {name}!\n")))
}

fn setup(_: &ExecuteRequest, host: &HostBindings) -> Answer {
    let schedule =
        CreateScheduleInput::new("POST /sync", "0 * * * *").name("Hourly sync").payload(json!({"full": false}));
    let result = host.scheduler.create(&schedule);
    Ok(ExecuteResponse::json(if result.success { 201 } else { 409 }, &result))
}

fn sync(request: &ExecuteRequest, host: &HostBindings) -> Answer {
    let body: alga_extension::Value = request.http.json()?;
    host.logging.info(&format!("Syncing, full: {}.", body["full"] == true));
    Ok(ExecuteResponse::empty(204))
}

#[cfg(test)]
mod tests {
    use alga_extension::testing;

    use super::*;

    #[test]
    fn setup_creates_the_hourly_sync() {
        let (answer, played) =
            testing::play([json!({"ok": {"scheduleId": "s-1"}})], |host| setup(&ExecuteRequest::default(), host));

        assert_eq!(answer.unwrap().status, 201);
        assert_eq!(played.calls[0].1["endpoint"], "POST /sync");
    }
}
