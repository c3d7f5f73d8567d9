"""The history of runs, the clock and reconciliation."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.support.server_cli import NAME, Run, document, done, refused, unasked

SCHEDULE = "11111111-1111-1111-1111-111111111111"
INSTALL = "22222222-2222-2222-2222-222222222222"
RUN = {
    "id": "33333333-3333-3333-3333-333333333333",
    "tenantId": "acme",
    "installId": INSTALL,
    "scheduleId": SCHEDULE,
    "scheduleName": "Hourly",
    "extensionName": NAME,
    "trigger": "schedule",
    "nominalTime": "2026-01-01T01:00:00",
    "dueAt": "2026-01-01T01:00:00.000Z",
    "attempt": 1,
    "status": "success",
    "reason": None,
    "missed": 0,
    "httpStatus": 200,
    "errorCode": None,
    "errorMessage": None,
    "requestId": "r",
    "startedAt": "2026-01-01T01:00:00.000Z",
    "finishedAt": "2026-01-01T01:00:00.012Z",
    "durationMs": 12,
}


def answering(asked: list[httpx.Request], **answers: tuple[int, Any]) -> httpx.MockTransport:
    """A server with one install and its one schedule; ``answers`` are by the last segment of the path."""
    install = {"installId": INSTALL, "extensionId": "e", "extensionName": NAME, "version": "1.0.0"}
    schedule = {"id": SCHEDULE, "name": "Hourly", "installId": INSTALL, "extensionName": NAME}
    usual = {"installs": (200, {"installs": [install]}), "schedules": (200, {"schedules": [schedule]})}

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        name = request.url.path.rpartition("/")[2].replace("-", "_")
        status, body = {**usual, **answers}[name]
        return httpx.Response(status, json=body)

    return httpx.MockTransport(answer)


def test_runs_are_shown_with_the_names_of_their_schedules(alga: Run) -> None:
    failed = {
        **RUN,
        "status": "error",
        "httpStatus": 500,
        "errorCode": "http_500",
        "errorMessage": "no\x1b[31m",
    }
    transport = answering([], runs=(200, {"runs": [failed, RUN], "cursor": None}))

    lines = done(alga("runs", "--tenant", "acme", transport=transport)).splitlines()

    assert lines[0].split()[:2] == ["DUE", "(UTC)"]
    assert all(cell in lines[1] for cell in ("2026-01-01 01:00:00", "Hourly", "error", "500", "12 ms"))
    assert lines[1].endswith("http_500: no\\x1b[31m")
    assert lines[2].endswith("-")


LONG_ID = "44444444-4444-4444-4444-444444444444"
FAILED = {
    **RUN,
    "id": LONG_ID,
    "installId": INSTALL,
    "status": "error",
    "httpStatus": 502,
    "errorCode": "handler_status",
    "errorMessage": "The handler POST /sync answered 502",
    "guestLog": "info: asking\nerror: no route\x1b[31m",
    "responseBody": '{"error": "Zürich"}',
}


def test_a_failed_run_is_shown_with_its_log_and_its_answer(alga: Run) -> None:
    asked: list[httpx.Request] = []
    transport = answering(asked, **{LONG_ID.replace("-", "_"): (200, FAILED)})

    shown = done(alga("runs", "--tenant", "acme", "--run", LONG_ID, transport=transport))

    assert asked[0].url.path == f"/api/admin/tenants/acme/runs/{LONG_ID}"
    assert "handler_status: The handler POST /sync answered 502" in shown
    assert "info: asking\nerror: no route\\x1b[31m\n" in shown
    assert shown.endswith('{"error": "Zürich"}\n')


def test_the_list_names_the_command_that_shows_why(alga: Run) -> None:
    transport = answering([], runs=(200, {"runs": [RUN, FAILED], "cursor": None}))

    lines = done(alga("runs", "--tenant", "acme", transport=transport)).splitlines()

    assert lines[-1] == f"  alga-server runs --tenant acme --run {LONG_ID}"


def test_one_run_is_a_document_too(alga: Run) -> None:
    transport = answering([], **{LONG_ID.replace("-", "_"): (200, FAILED)})

    [run] = document(alga("runs", "--tenant", "acme", "--run", LONG_ID, "--json", transport=transport))[
        "runs"
    ]

    assert (run["guestLog"], run["responseBody"]) == (FAILED["guestLog"], FAILED["responseBody"])


def test_a_run_of_a_schedule_that_is_gone_has_its_id(alga: Run) -> None:
    gone = {**RUN, "scheduleName": None, "extensionName": None}
    transport = answering([], runs=(200, {"runs": [gone], "cursor": None}))

    assert SCHEDULE in done(alga("runs", "--tenant", "acme", transport=transport))


@pytest.mark.parametrize("options", [[], ["--install", NAME], ["--schedule", "Hourly"]])
def test_no_runs_is_a_sentence(alga: Run, options: list[str]) -> None:
    transport = answering([], runs=(200, {"runs": [], "cursor": None}))

    assert done(alga("runs", "--tenant", "acme", *options, transport=transport)).startswith(
        "Tenant acme has no runs"
    )


@pytest.mark.parametrize(
    ("options", "query"),
    [
        (["--tenant", "acme"], {"tenantId": "acme"}),
        (["--tenant", "acme", "--install", NAME], {"tenantId": "acme", "installId": INSTALL}),
        (["--tenant", "acme", "--schedule", "Hourly"], {"tenantId": "acme", "scheduleId": SCHEDULE}),
        (["--all-tenants", "--status", "error", "--since", "1h"], {"status": "error", "since": "1h"}),
    ],
)
def test_the_server_is_asked_for_the_runs_that_are_wanted(
    alga: Run, options: list[str], query: dict[str, str]
) -> None:
    asked: list[httpx.Request] = []
    transport = answering(asked, runs=(200, {"runs": [RUN], "cursor": None}))

    done(alga("runs", *options, "--limit", "5", transport=transport))

    assert asked[-1].url.path == "/api/admin/runs"
    assert dict(asked[-1].url.params) == {**query, "limit": "5"}


def test_runs_of_all_tenants_name_the_tenant(alga: Run) -> None:
    transport = answering([], runs=(200, {"runs": [{**RUN, "tenantId": "globex"}], "cursor": None}))

    heading, row = done(alga("runs", "--all-tenants", transport=transport)).splitlines()

    assert (heading.split()[2], row.split()[2]) == ("TENANT", "globex")


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--all-tenants", "--tenant", "acme"],
        ["--all-tenants", "--install", NAME],
        ["--all-tenants", "--run", SCHEDULE],
        ["--tenant", "acme", "--since", "yesterday"],
        ["--tenant", "acme", "--status", "failed"],
    ],
)
def test_options_that_do_not_go_together_are_bad_usage(alga: Run, options: list[str]) -> None:
    assert alga("runs", *options, transport=unasked()).exit_code == 2


def test_run_now_says_how_it_ended(alga: Run) -> None:
    asked: list[httpx.Request] = []

    shown = done(
        alga("run-now", "Hourly", "--tenant", "acme", transport=answering(asked, run_now=(200, RUN)))
    )

    assert shown == "Hourly ended with success (HTTP 200) after 12 ms.\n"
    assert asked[-1].url.path == f"/api/admin/tenants/acme/installs/{INSTALL}/schedules/{SCHEDULE}/run-now"
    assert asked[-1].url.params["wait"] == "true"


def test_run_now_need_not_wait(alga: Run) -> None:
    asked: list[httpx.Request] = []
    running = {**RUN, "status": "running", "httpStatus": None, "finishedAt": None, "durationMs": None}

    shown = done(
        alga(
            "run-now",
            SCHEDULE,
            "--tenant",
            "acme",
            "--no-wait",
            transport=answering(asked, run_now=(202, running)),
        )
    )

    assert shown == "Hourly is running since 2026-01-01T01:00:00.000Z.\n"
    assert asked[-1].url.params["wait"] == "false"


@pytest.mark.parametrize(
    ("changes", "said", "hint"),
    [
        (
            {"status": "skipped", "reason": "overlap", "httpStatus": None, "durationMs": 0},
            "Hourly was skipped: overlap.\n",
            "Fire it again once the run that is under way has ended.",
        ),
        (
            {
                "status": "error",
                "httpStatus": None,
                "errorCode": "runner_unavailable",
                "errorMessage": "It is down",
            },
            "Hourly ended with error after 12 ms: runner_unavailable: It is down.\n",
            "Start the runner, or check ALGA_SERVER_RUNNER_URL; `alga-server doctor` tries it.",
        ),
        (
            {
                "status": "error",
                "httpStatus": 500,
                "errorCode": "handler_status",
                "errorMessage": "It answered 500",
            },
            "Hourly ended with error (HTTP 500) after 12 ms: handler_status: It answered 500.\n",
            f"`alga-server runs --tenant acme --run {RUN['id']}` shows what it logged and answered.",
        ),
        (
            {"status": "lost", "reason": "shutdown", "errorCode": "run_lost", "errorMessage": "It stopped"},
            "Hourly was lost: shutdown: run_lost: It stopped.\n",
            "Its handler may have acted; see that before you fire it again.",
        ),
    ],
)
def test_a_run_without_success_has_status_1_and_a_next_step(
    alga: Run, changes: dict[str, Any], said: str, hint: str
) -> None:
    result = alga(
        "run-now", "Hourly", "--tenant", "acme", transport=answering([], run_now=(200, {**RUN, **changes}))
    )

    assert (result.exit_code, result.stdout, result.stderr) == (1, said, f"hint: {hint}\n")


@pytest.mark.parametrize(
    ("reason", "command"),
    [
        ("install_disabled", f"alga-server enable {INSTALL} --tenant acme"),
        ("schedule_disabled", f"alga-server schedules enable {SCHEDULE} --tenant acme"),
    ],
)
def test_a_run_of_what_is_disabled_names_the_command_that_enables_it(
    alga: Run, reason: str, command: str
) -> None:
    skipped = {**RUN, "status": "skipped", "reason": reason}

    result = alga("run-now", "Hourly", "--tenant", "acme", transport=answering([], run_now=(200, skipped)))

    assert f"hint: `{command}` enables it." in result.stderr


@pytest.mark.parametrize(
    ("schedules", "code"),
    [([], "not_found"), ([{"id": "a", "name": "Hourly"}, {"id": "b", "name": "Hourly"}], "ambiguous")],
)
def test_a_schedule_must_be_exactly_one(alga: Run, schedules: list[dict[str, Any]], code: str) -> None:
    common = {"installId": INSTALL, "extensionName": NAME}
    transport = answering([], schedules=(200, {"schedules": [{**common, **one} for one in schedules]}))

    refused(alga("run-now", "Hourly", "--tenant", "acme", transport=transport), code)


def test_the_clock_is_shown(alga: Run) -> None:
    transport = answering([], clock=(200, {"now": "2026-01-01T00:00:00.000Z"}))

    assert done(alga("clock", transport=transport)) == "It is 2026-01-01T00:00:00.000Z.\n"


def test_a_move_shows_what_fired_on_the_way(alga: Run) -> None:
    asked: list[httpx.Request] = []
    run = {name: value for name, value in RUN.items() if name not in {"scheduleName", "extensionName"}}
    moved = {"now": "2026-01-01T06:00:00.000Z", "fired": [run], "arrived": False}

    result = alga("clock", "--advance", "1d12h30m", transport=answering(asked, clock=(200, moved)))

    assert result.exit_code == 0
    assert "Hourly" in result.stdout
    assert result.stdout.startswith("It is 2026-01-01T06:00:00.000Z.\n\nDUE (UTC)")
    assert "repeat the command to continue" in result.stderr
    assert json.loads(asked[0].content) == {"advance": {"seconds": 36.5 * 3600}}


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("2026-03-29T02:30:00+01:00", "2026-03-29T01:30:00+00:00"),
        ("2026-03-29T02:30:00Z", "2026-03-29T02:30:00+00:00"),
        ("2026-03-29 02:30", "2026-03-29T02:30:00+00:00"),
    ],
)
def test_an_instant_is_utc_unless_it_says_otherwise(alga: Run, typed: str, sent: str) -> None:
    asked: list[httpx.Request] = []
    moved = {"now": sent, "fired": [], "arrived": True}

    done(alga("clock", "--to", typed, transport=answering(asked, clock=(200, moved))))

    assert json.loads(asked[-1].content) == {"to": sent}


@pytest.mark.parametrize(
    "options",
    [
        ["--advance", "6"],
        ["--advance", "6x"],
        ["--advance", "-6h"],
        ["--advance", "1h1h"],
        ["--advance", ""],
        ["--to", "soon"],
        ["--advance", "6h", "--to", "2026-01-01"],
    ],
)
def test_a_move_that_means_nothing_is_bad_usage(alga: Run, options: list[str]) -> None:
    assert alga("clock", *options, transport=unasked()).exit_code == 2


def test_a_server_whose_clock_is_fixed_says_how_to_start_another(alga: Run) -> None:
    assert "alga-server serve --dev" in refused(alga("clock", "--advance", "6h"), "clock_fixed")


def wrong(*, repaired: bool) -> dict[str, Any]:
    one = {"discrepancy": "not_scheduled", "tenantId": "acme", "installId": INSTALL, "scheduleId": SCHEDULE}
    return {"examined": 2, "discrepancies": [{**one, "runId": None, "repaired": repaired}]}


def test_reconciling_a_server_of_which_nothing_is_wrong(alga: Run) -> None:
    assert done(alga("reconcile")) == "0 schedules, nothing wrong.\n"
    assert done(alga("reconcile", "--check")) == "0 schedules, nothing wrong.\n"


def test_reconciling_lists_what_was_repaired(alga: Run) -> None:
    asked: list[httpx.Request] = []
    transport = answering(asked, reconciliation=(200, wrong(repaired=True)))

    shown = done(alga("reconcile", transport=transport))

    assert [request.method for request in asked] == ["POST"]
    assert shown.splitlines()[1].split("  ")[-2:] == ["not scheduled", "repaired"]


def test_checking_changes_nothing_and_has_status_1_where_something_is_wrong(alga: Run) -> None:
    asked: list[httpx.Request] = []
    transport = answering(asked, reconciliation=(200, wrong(repaired=False)))

    result = alga("reconcile", "--check", transport=transport)

    assert [request.method for request in asked] == ["GET"]
    assert (result.exit_code, SCHEDULE in result.stdout) == (1, True)
