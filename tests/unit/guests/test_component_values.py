"""Plain values become values of a component's types, and back."""

from __future__ import annotations

from typing import Any

import pytest

from alga_runner.engine import FunctionType, ValueType
from alga_runner.errors import HostCallCode, HostCallError
from alga_runner.guests.component_values import camel, outcomes, shaper, to_input
from tests.support.wit import read_world

WORLD = read_world()
TYPES, FUNCTIONS = WORLD.types, WORLD.functions
INFO = {
    "id": "s1",
    "endpointPath": "/sync",
    "endpointMethod": "POST",
    "cron": "0 * * * *",
    "timezone": "UTC",
    "enabled": True,
}


def function(interface: str, name: str) -> FunctionType:
    return FUNCTIONS[interface, name]


def error(code: str, **members: Any) -> dict[str, Any]:
    return {"err": {"code": code, "message": "No.", **members}}


def test_kebab_case_becomes_camel_case() -> None:
    assert [camel(name) for name in ("id", "schedule-id", "last-run-at")] == ["id", "scheduleId", "lastRunAt"]


def test_absent_options_are_left_out_of_an_input() -> None:
    fields = {name: None for name, _ in TYPES["create-schedule-input"].fields}
    given = {**fields, "endpoint": "/sync", "cron": "0 * * * *", "payload": '{"full":[1,2]}'}

    made = to_input(function("scheduler", "create-schedule"), (given,), {"payload"}, ())

    assert made == {"endpoint": "/sync", "cron": "0 * * * *", "payload": {"full": [1, 2]}}


def test_parameters_and_the_fields_of_a_record_are_one_input() -> None:
    fields = {name: None for name, _ in TYPES["update-schedule-input"].fields}
    given = ("s1", {**fields, "enabled": False})

    assert to_input(function("scheduler", "update-schedule"), given, {"payload"}, {"payload"}) == {
        "scheduleId": "s1",
        "enabled": False,
    }


@pytest.mark.parametrize(("cleared", "expected"), [({"payload"}, {"payload": None}), ((), {})])
def test_an_empty_json_text_clears_where_that_is_said_and_is_absent_elsewhere(
    cleared: set[str], expected: dict[str, object]
) -> None:
    of = FunctionType((("payload", ValueType("option", element=ValueType("string"))),))

    assert to_input(of, ("",), {"payload"}, cleared) == expected


@pytest.mark.parametrize("text", ["{", "nope", "[" * 100_000, '{"a":1}x'])
def test_text_that_is_not_json_is_a_fault_of_its_field(text: str) -> None:
    of = FunctionType((("payload", ValueType("string")),))

    with pytest.raises(HostCallError) as caught:
        to_input(of, (text,), {"payload"}, ())

    assert caught.value.host_code is HostCallCode.VALIDATION_FAILED
    assert caught.value.field_errors == {"payload": "Must be valid JSON"}


def test_a_record_takes_the_members_that_it_knows_and_none_for_absent_options() -> None:
    made = shaper(TYPES["schedule-info"], {"payload"})({**INFO, "payload": {"a": "ü"}, "newMember": 1})

    assert made["endpoint-path"] == "/sync"
    assert made["payload"] == '{"a":"ü"}'
    assert made["last-error"] is None
    assert "new-member" not in made


def test_a_member_that_an_older_type_lacks_is_left_out() -> None:
    older = ValueType("record", tuple(TYPES["schedule-info"].fields)[:2])

    assert shaper(older)(INFO) == {"id": "s1", "endpoint-path": "/sync"}


def test_a_member_that_a_newer_type_needs_is_named() -> None:
    newer = ValueType("record", (("id", ValueType("string")), ("colour", ValueType("string"))))

    with pytest.raises(HostCallError, match="colour") as caught:
        shaper(newer)(INFO)

    assert caught.value.host_code is HostCallCode.INTERNAL


def test_a_case_that_the_type_lacks_is_named() -> None:
    with pytest.raises(HostCallError, match="'weekly'"):
        shaper(TYPES["service-billing-method"])("weekly")


@pytest.mark.parametrize(
    ("interface", "name", "code", "case"),
    [
        ("scheduler", "list-schedules", "denied", "denied"),
        ("scheduler", "get-schedule", "validation-failed", "validation-failed"),
        ("scheduler", "list-schedules", "rate-limited", "quota-exceeded"),
        ("scheduler", "list-schedules", "unavailable", "internal"),
        ("scheduler", "list-schedules", "too-large", "validation-failed"),
        ("secrets", "get", "denied", "denied"),
        ("secrets", "get", "not-found", "missing"),
        ("secrets", "get", "unavailable", "internal"),
        ("http", "fetch", "denied", "not-allowed"),
        ("http", "fetch", "timeout", "transport"),
        ("storage", "get", "not-found", "missing"),
        ("storage", "put", "conflict", "conflict"),
        ("ui-proxy", "call-route", "not-found", "route-not-found"),
        ("ui-proxy", "call-route", "validation-failed", "bad-request"),
        ("user", "get-user", "denied", "not-allowed"),
        ("user-v2", "get-user", "unavailable", "not-available"),
        ("user", "get-user", "internal", "not-available"),
        ("clients", "get-client", "validation-failed", "invalid-input"),
        ("services", "list-services", "a-code-of-the-future", "internal"),
    ],
)
def test_a_code_becomes_the_nearest_case_of_the_function(
    interface: str, name: str, code: str, case: str
) -> None:
    assert outcomes(function(interface, name).result)(error(code)) == ("err", case)


def test_a_failed_write_is_a_record_with_its_message_and_its_field_errors_as_json() -> None:
    reply = error("validation-failed", fieldErrors={"cron": "Bad"})

    made = outcomes(function("scheduler", "create-schedule").result)(reply)

    assert made == {"success": False, "schedule-id": None, "error": "No.", "field-errors": '{"cron":"Bad"}'}


def test_field_errors_are_in_the_message_where_the_record_has_no_place_for_them() -> None:
    reply = error("validation-failed", fieldErrors={"scheduleId": "Bad", "name": "Long"})

    made = outcomes(function("scheduler", "delete-schedule").result)(reply)

    assert made == {"success": False, "error": "No. (scheduleId: Bad; name: Long)"}


def test_a_write_that_succeeded_is_a_record_without_an_error() -> None:
    create = outcomes(function("scheduler", "create-schedule").result)({"ok": {"scheduleId": "s1"}})
    delete = outcomes(function("scheduler", "delete-schedule").result)({"ok": None})

    assert create == {"success": True, "schedule-id": "s1", "error": None, "field-errors": None}
    assert delete == {"success": True, "error": None}


def test_an_unknown_schedule_is_none_and_no_error() -> None:
    assert outcomes(function("scheduler", "get-schedule").result)({"ok": None}) == ("ok", None)


def test_a_list_without_an_error_type_is_empty_when_it_is_refused() -> None:
    assert outcomes(function("secrets", "list-keys").result)(error("denied")) == []


def test_a_map_becomes_a_list_of_pairs_in_the_order_of_its_keys() -> None:
    of = dict(TYPES["user-data-v2"].fields)["additional-fields"]

    assert shaper(of)({"b": "2", "a": "1"}) == [("a", "1"), ("b", "2")]
