//! Host calls, results and routes, as handlers meet them.

use crate::{
    Answer, CreateScheduleInput, ExecuteRequest, ExecuteResponse, HostBindings, HostErrorCode, HttpHeader, HttpRequest,
    Router, UpdateScheduleInput, Value, json, testing,
};

fn request(method: &str, url: &str) -> ExecuteRequest {
    ExecuteRequest { http: HttpRequest::new(method, url), ..ExecuteRequest::default() }
}

fn refusal() -> Value {
    let fields = json!({"cron": "Bad"});
    json!({"err": {"code": "rate-limited", "message": "Too many", "fieldErrors": fields, "retryAfterMs": 60_000}})
}

fn response(answer: Answer) -> (u16, Value) {
    let (Ok(response) | Err(response)) = answer;
    (response.status, serde_json::from_slice(&response.body.unwrap()).unwrap())
}

#[test]
fn a_change_gives_its_id() {
    let ((created, updated, deleted), played) =
        testing::play([json!({"ok": {"scheduleId": "s-1"}}), json!({"ok": {}}), json!({"ok": {}})], |host| {
            (
                host.scheduler.create(&CreateScheduleInput::new("/sync", "0 * * * *").enabled(false)),
                host.scheduler.update(&UpdateScheduleInput::new("s-2").cron("30 2 * * *").clear_payload()),
                host.scheduler.delete("s-3"),
            )
        });

    assert_eq!(json!(created), json!({"success": true, "scheduleId": "s-1"}));
    assert_eq!(updated.into_result().unwrap(), "s-2");
    assert_eq!(deleted.into_result().unwrap(), "s-3");
    assert_eq!(
        played.calls,
        [
            ("scheduler.create", json!({"endpoint": "/sync", "cron": "0 * * * *", "enabled": false})),
            ("scheduler.update", json!({"scheduleId": "s-2", "cron": "30 2 * * *", "payload": null})),
            ("scheduler.delete", json!({"scheduleId": "s-3"})),
        ]
    );
}

#[test]
fn a_refused_change_is_a_value() {
    let (results, _) = testing::play([refusal(), refusal(), refusal()], |host| {
        [
            host.scheduler.create(&CreateScheduleInput::new("/sync", "0 * * * *")),
            host.scheduler.update(&UpdateScheduleInput::new("s-1")),
            host.scheduler.delete("s-1"),
        ]
    });

    for result in results {
        assert_eq!(json!(result), json!({"success": false, "error": "Too many", "fieldErrors": {"cron": "Bad"}}));
        let error = result.into_result().unwrap_err();
        assert_eq!((error.code, error.retry_after_ms), (HostErrorCode::RateLimited, Some(60_000)));
    }
}

#[test]
fn a_create_that_names_no_schedule_failed() {
    let (result, _) = testing::play([json!({"ok": {}})], |host| {
        host.scheduler.create(&CreateScheduleInput::new("/sync", "0 * * * *"))
    });

    assert_eq!(result.into_result().unwrap_err().code, HostErrorCode::Internal);
}

#[test]
fn an_empty_list_is_no_failure() {
    let (list, _) = testing::play([json!({"ok": {"schedules": []}})], |host| host.scheduler.list());

    assert_eq!(list, Ok(vec![]));
}

#[test]
fn a_list_without_its_member_is_no_empty_list() {
    let (list, _) = testing::play([json!({"ok": {}})], |host| host.scheduler.list());

    assert_eq!(list.unwrap_err().code, HostErrorCode::Internal);
}

#[test]
fn get_of_an_unknown_id_is_neither_value_nor_error() {
    let (schedule, _) = testing::play([json!({"ok": {}})], |host| host.scheduler.get("s-2"));

    assert_eq!(schedule, Ok(None));
}

#[test]
fn a_reply_that_does_not_fit_is_fetched() {
    let endpoint = json!({"id": "e", "method": "GET", "path": "/".repeat(300), "handler": "h", "schedulable": true});
    let reply = json!({"ok": {"endpoints": vec![endpoint; 50]}});

    let (endpoints, _) = testing::play([reply], |host| host.scheduler.get_endpoints());

    assert_eq!(endpoints.unwrap().len(), 50);
}

#[test]
fn a_failure_that_is_passed_on_answers_as_json() {
    fn handler(_: &ExecuteRequest, host: &HostBindings) -> Answer {
        Ok(ExecuteResponse::json(200, &host.scheduler.list()?))
    }
    let answers = ["denied", "unavailable", "conflict"].map(|code| {
        let reply = json!({"err": {"code": code, "message": "No."}});
        response(testing::play([reply], |host| handler(&request("GET", "/"), host)).0)
    });

    assert_eq!(answers[0], (403, json!({"error": {"code": "denied", "message": "No."}})));
    assert_eq!(answers[1], (503, json!({"error": {"code": "unavailable", "message": "No."}})));
    assert_eq!(answers[2], (502, json!({"error": {"code": "conflict", "message": "No."}})));
}

#[test]
fn a_body_that_is_not_json_answers_400() {
    fn handler(request: &ExecuteRequest, _: &HostBindings) -> Answer {
        Ok(ExecuteResponse::json(200, &request.http.json::<Value>()?))
    }
    let (answer, _) = testing::play([], |host| handler(&request("POST", "/"), host));

    let (status, body) = response(answer);
    assert_eq!((status, &body["error"]["code"]), (400, &json!("bad-request")));
}

fn route(method: &str, url: &str) -> Answer {
    fn sync(_: &ExecuteRequest, _: &HostBindings) -> Answer {
        Ok(ExecuteResponse::empty(204))
    }
    let router = Router::new().on("GET", "/sync", sync).on("POST", "/sync", sync);
    testing::play([], |host| router.handle(&request(method, url), host)).0
}

#[test]
fn a_route_is_a_method_and_a_path() {
    for (method, url) in [("GET", "/sync"), ("post", "/sync?full=1")] {
        assert_eq!(route(method, url).unwrap().status, 204);
    }
}

#[test]
fn an_unknown_path_answers_404() {
    assert_eq!(response(route("GET", "/syn")).0, 404);
}

#[test]
fn another_method_answers_405_and_names_those_that_are_allowed() {
    let response = route("DELETE", "/sync").unwrap_err();

    assert_eq!(response.status, 405);
    assert!(response.headers.contains(&HttpHeader { name: "allow".into(), value: "GET, POST".into() }));
}

#[test]
fn a_query_is_decoded() {
    let http = HttpRequest::new("GET", "/?a=1&b=%C3%bc+x&c&b=2&d=%zz%f&e=%ff");

    let values = ["a", "b", "c", "d", "e", "f"].map(|name| http.query(name));

    assert_eq!(
        values.each_ref().map(Option::as_deref),
        [Some("1"), Some("ü x"), Some(""), Some("%zz%f"), Some("\u{fffd}"), None]
    );
}

#[test]
fn a_header_has_any_case() {
    let mut http = HttpRequest::new("GET", "/");
    http.headers.push(HttpHeader { name: "Content-Type".into(), value: "a/b".into() });

    assert_eq!(http.header("content-type"), Some("a/b"));
    assert_eq!(http.header("content"), None);
}

#[test]
fn log_lines_have_levels() {
    let (_, played) = testing::play([], |host| {
        host.logging.debug("a");
        host.logging.info("b");
        host.logging.warn("c");
        host.logging.error("d");
    });

    assert_eq!(played.log, [(0, "a".into()), (1, "b".into()), (2, "c".into()), (3, "d".into())]);
}
