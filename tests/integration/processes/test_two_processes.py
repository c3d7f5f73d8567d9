"""The main job over real sockets: a server and a runner as two processes, and everything that can go wrong between."""

from __future__ import annotations

import signal
import socket
import threading
from datetime import UTC, datetime
from time import sleep
from uuid import uuid4

import httpx
import pytest

from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.processes

SPIN = "(loop (br 0))"


@pytest.fixture(scope="module")
def pair(town):
    return town.pair("--dev")


@pytest.fixture(scope="module")
def server(pair):
    return pair[0]


@pytest.fixture(scope="module")
def runner(pair):
    return pair[1]


@pytest.fixture(scope="module")
def published(server, demo_archive):
    return server.publish(demo_archive)


@pytest.fixture(scope="module")
def demo(server, published):
    """The demo's id; acme has it, with the scheduler granted."""
    server.install(published["extensionId"])
    return published["extensionId"]


@pytest.fixture
def tenant():
    """A tenant of the test's own."""
    return f"tenant-{uuid4()}"


@pytest.fixture(scope="module")
def spinning(server, guest_archive):
    """An extension of acme whose handler never ends."""
    published = server.publish(guest_archive("spins", SPIN))
    server.install(published["extensionId"], grant=False)
    return published["extensionId"]


def refused(response: httpx.Response, status: int) -> dict[str, str]:
    """The refusal's document without its request id, which is in the header too."""
    assert response.status_code == status, response.text
    document = response.json()
    assert document.pop("requestId") == response.headers["x-request-id"]
    return document


def test_from_setup_to_cleanup(server, runner, published, tenant: str) -> None:
    demo = published["extensionId"]
    install = server.install(demo, tenant)

    first = server.ask(demo, "/setup", x_alga_tenant=tenant)
    again = server.ask(demo, "/setup", x_alga_tenant=tenant)
    assert [schedule["name"] for schedule in first.json()["created"]] == ["Hourly sync", "Nightly full sync"]
    assert again.json() == {"created": [], "existing": first.json()["created"]}

    assert server.ask(demo, "/configure", {"intervalHours": 6}, x_alga_tenant=tenant).status_code == 200
    hourly, nightly = server.of(install, "schedules")
    assert (hourly["cron"], nightly["cron"]) == ("0 */6 * * *", "30 2 * * *")

    moved = server.admin("POST", "clock", json={"advance": {"hours": 24}})
    fired = [run for run in moved["fired"] if run["scheduleId"] == hourly["id"]]
    assert [run["status"] for run in fired] == ["success"] * 4
    assert [run["dueAt"] for run in fired] == sorted(run["dueAt"] for run in fired)
    history = server.of(install, "runs")
    own = [run["id"] for run in history if run["scheduleId"] == hourly["id"]]
    assert own == [run["id"] for run in fired[::-1]]
    assert server.of(install, "schedules")[0]["lastRunStatus"] == "success"

    answer = server.ask(demo, "/cleanup", x_alga_tenant=tenant)
    assert answer.json() == {"deleted": 2}
    assert server.of(install, "schedules") == []
    assert server.of(install, "runs") == history
    assert runner.metric("alga_runner_executions_total", status="success") >= 4 + len(history)


def test_the_handler_of_a_schedule_gets_the_reason_for_its_run(
    server, runner, published, tenant: str
) -> None:
    demo = published["extensionId"]
    server.install(demo, tenant)
    made = server.ask(demo, "/setup", x_alga_tenant=tenant).json()["created"]

    fired = server.admin("POST", "clock", json={"advance": {"hours": 24}})["fired"]

    own = {schedule["scheduleId"] for schedule in made}
    runs = {run["requestId"]: run for run in fired if run["scheduleId"] in own}
    said = {}
    while not runs.keys() <= said.keys():  # lines reach the log a moment after their execution
        said = {line["request_id"]: line["detail"] for line in runner.log_lines("guest_log")}
    payload = {made[0]["scheduleId"]: '{"full":false}', made[1]["scheduleId"]: '{"full":true}'}
    for request_id, run in runs.items():
        due = datetime.fromisoformat(run["nominalTime"]).astimezone(UTC)
        assert said[request_id] == (
            f"Sync: trigger schedule, schedule {run['scheduleId']}, "
            f"nominal time {due:%Y-%m-%dT%H:%M:%S}.000Z, payload {payload[run['scheduleId']]}."
        )


def test_what_the_rules_forbid_reaches_the_guest_by_field(server, demo: str) -> None:
    seen = server.ask(demo, "/try", {"operation": "create", "endpoint": "/sync", "cron": "* * * * *"}).json()

    assert seen["error"]["code"] == "validation-failed"
    assert list(seen["error"]["fieldErrors"]) == ["cron"]


def test_another_tenants_schedule_does_not_exist(server, published, demo: str, tenant: str) -> None:
    server.install(demo, tenant)
    theirs = server.ask(demo, "/setup", x_alga_tenant=tenant).json()["created"][0]["scheduleId"]

    seen = server.ask(demo, "/try", {"operation": "delete", "scheduleId": theirs}).json()

    assert seen["error"]["code"] == "not-found"
    listed = server.ask(demo, "/try", {"operation": "list"}, x_alga_tenant=tenant).json()["ok"]
    assert theirs in [schedule["id"] for schedule in listed]


def test_without_the_grant_it_is_denied(server, demo: str, tenant: str) -> None:
    server.install(demo, tenant, grant=False)

    response = server.ask(demo, "/setup", x_alga_tenant=tenant)

    assert response.status_code == 403
    assert response.json()["error"]["code"] == "denied"


def test_the_runners_token_alone_is_worth_nothing(server, demo: str) -> None:
    (install,) = [
        install
        for install in server.admin("GET", "tenants/acme/installs")["installs"]
        if install["extensionId"] == demo
    ]

    response = httpx.post(
        f"{server.url}/api/internal/ext-scheduler/install/{install['installId']}",
        headers={
            "x-runner-auth": "the-runner-token",
            "x-alga-tenant": "acme",
            "x-alga-extension": demo,
            "x-ext-install-id": install["installId"],
            "x-request-id": "stolen",
        },
        json={"operation": "list"},
        timeout=PATIENCE_S,
        trust_env=False,
    )

    assert (response.status_code, response.json()["code"]) == (401, "EXECUTION_TOKEN_INVALID")


@pytest.mark.parametrize("given", ["Bearer wrong", "Bearer", "Basic the-gateway-token"])
def test_a_wrong_or_missing_token(server, demo: str, given: str) -> None:
    response = server.ask(demo, "/setup", authorization=given)

    assert refused(response, 401) == {"error": "unauthenticated"}


@pytest.mark.parametrize("extension", ["00000000-0000-4000-8000-000000000000", "com.example.none", "..%2f.."])
def test_an_unknown_install(server, extension: str) -> None:
    assert refused(server.ask(extension, "/setup"), 404) == {"error": "extension_not_available"}


def test_a_tenant_that_did_not_install_it(server, demo: str) -> None:
    response = server.ask(demo, "/setup", x_alga_tenant="globex")

    assert refused(response, 404) == {"error": "extension_not_available"}


def test_a_disabled_install(server, demo: str, tenant: str) -> None:
    install = server.install(demo, tenant)
    path = f"tenants/{tenant}/installs/{install['installId']}"

    server.admin("PATCH", path, json={"enabled": False})
    disabled = server.ask(demo, "/setup", x_alga_tenant=tenant)
    server.admin("PATCH", path, json={"enabled": True})
    enabled = server.ask(demo, "/setup", x_alga_tenant=tenant)

    assert refused(disabled, 404) == {"error": "extension_not_available"}
    assert enabled.status_code == 200


def test_an_endpoint_that_is_not_declared(server, demo: str) -> None:
    assert refused(server.ask(demo, "/nowhere"), 404) == {"error": "endpoint_not_found"}


def test_a_request_of_the_runner_for_two_tenants(runner, demo: str) -> None:
    """A caller with the service token still cannot fetch as one tenant and execute as another."""
    context = {"tenant_id": "globex", "extension_id": demo, "content_hash": "sha256:" + "0" * 64}

    response = httpx.post(
        f"{runner.url}/v1/execute",
        json={"context": context, "http": {"method": "POST", "path": "/go"}},
        headers={
            "x-runner-service-token": "the-service-token",
            "x-alga-tenant": "acme",
            "x-alga-extension": demo,
        },
        timeout=PATIENCE_S,
        trust_env=False,
    )

    assert response.json()["error"] == "routing_headers_mismatch"


def test_a_body_that_is_too_large(server, demo: str) -> None:
    response = server.ask(demo, "/sync", "x" * (10 * 1024 * 1024))

    assert refused(response, 413) == {"error": "payload_too_large"}


@pytest.fixture(scope="module")
def not_asking(town, runner):
    """A second server on the same database, which has the runner load nothing ahead."""
    server = town.server(runner.url, ALGA_SERVER_WARMUP_TIMEOUT_MS="0")
    server.start()
    yield server
    assert server.stop() == 0


def test_a_bundle_that_is_missing(server, not_asking, town, demo: str, tenant: str) -> None:
    town.archive_of(not_asking.install(demo, tenant)).unlink()

    response = server.ask(demo, "/setup", x_alga_tenant=tenant)

    assert refused(response, 502) == {"error": "bad_gateway", "code": "bundle_not_found"}


def test_a_bundle_that_was_replaced(server, not_asking, town, demo: str, tenant: str) -> None:
    town.archive_of(not_asking.install(demo, tenant)).write_bytes(b"another archive")

    response = server.ask(demo, "/setup", x_alga_tenant=tenant)

    assert refused(response, 502) == {"error": "bad_gateway", "code": "bundle_fetch_failed"}


def test_an_installed_bundle_was_loaded_before_its_first_execution(
    server, town, demo: str, tenant: str
) -> None:
    installed = server.install(demo, tenant)
    town.archive_of(installed).unlink()

    assert installed["warmup"]["status"] == "ready"
    assert server.ask(demo, "/setup", x_alga_tenant=tenant).status_code == 200


def test_a_guest_that_traps(server, guest_archive) -> None:
    extension = server.publish(guest_archive("traps", "unreachable"))["extensionId"]
    server.install(extension)

    assert refused(server.ask(extension, "/go"), 502) == {"error": "bad_gateway", "code": "guest_trap"}


def test_a_runner_that_is_down_until_it_is_up_again(server, runner, demo: str) -> None:
    assert runner.stop() == 0
    down = server.ask(demo, "/setup")
    runner.start()
    up = server.ask(demo, "/setup")

    assert refused(down, 502) == {"error": "bad_gateway", "code": "runner_unavailable"}
    assert up.status_code == 200


def test_a_handler_that_takes_too_long(town, runner, spinning: str) -> None:
    """A second server on the same database, with less patience."""
    impatient = town.server(runner.url, ALGA_SERVER_EXECUTION_TIMEOUT_MS="200")
    impatient.start()

    response = impatient.ask(spinning, "/go")

    assert refused(response, 504) == {"error": "gateway_timeout", "code": "deadline_exceeded"}
    assert impatient.stop() == 0


def test_a_caller_that_leaves_takes_the_guest_along(server, runner, spinning: str) -> None:
    before = runner.metric("alga_runner_executions_total", status="cancelled")
    url = httpx.URL(server.url)
    head = (
        f"POST /api/ext/{spinning}/go HTTP/1.1\r\nhost: alga\r\nx-alga-tenant: acme\r\n"
        "authorization: Bearer the-gateway-token\r\ncontent-length: 0\r\n\r\n"
    )
    with socket.create_connection((url.host, url.port or 0)) as caller:
        caller.sendall(head.encode())
        while runner.metric("alga_runner_executions_in_progress") != 1:
            pass

    while runner.metric("alga_runner_executions_in_progress") != 0:
        pass
    assert runner.metric("alga_runner_executions_total", status="cancelled") == before + 1
    while server.metric("alga_server_gateway_calls_total", outcome="client_gone") != 1:
        pass


def test_a_server_that_goes_away_in_the_middle_of_a_handler_is_a_value_for_the_guest(
    town, demo_archive, published
) -> None:
    """Two servers on one database: one is asked, the other answers the runner's host calls, and dies."""
    answering, runner = town.pair()
    asked = town.server(runner.url)
    asked.start()
    asked.install(published["extensionId"], "initech")
    answering.send(signal.SIGSTOP)
    responses: list[httpx.Response] = []

    def ask() -> None:
        body = {"operation": "create", "endpoint": "/sync", "cron": "0 * * * *"}
        responses.append(asked.ask(published["extensionId"], "/try", body, x_alga_tenant="initech"))

    caller = threading.Thread(target=ask)
    caller.start()
    while runner.metric("alga_runner_executions_in_progress") != 1:
        pass
    answering.stop(signal.SIGKILL)
    caller.join()

    (response,) = responses
    assert response.status_code == 200
    assert response.json()["error"]["code"] == "unavailable"
    (install,) = asked.admin("GET", "tenants/initech/installs")["installs"]
    assert asked.of(install, "schedules") == []
    assert [asked.stop(), runner.stop()] == [0, 0]


def test_each_half_is_ready_while_the_other_answers_and_accepts_its_token(server, runner) -> None:
    def checks(program) -> set[str]:
        response = httpx.get(f"{program.url}/readyz", timeout=PATIENCE_S, trust_env=False)
        return set(response.json()["checks"].values())

    for program in (server, runner):
        while checks(program) != {
            "ok"
        }:  # a check may take too long on a busy machine; the next one is made anew
            sleep(0.5)


def test_a_runner_with_a_wrong_token_starts_and_logs_an_error(town, server) -> None:
    stranger = town.runner(server.url, RUNNER_STORAGE_API_TOKEN="another")
    stranger.start()

    while not stranger.log_lines("check_failed"):
        sleep(0.05)

    [line] = stranger.log_lines("check_failed")
    assert (line["level"], line["status"]) == ("error", "refused")
    stranger.close()
