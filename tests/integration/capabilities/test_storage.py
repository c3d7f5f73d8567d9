"""``storage``: requests to the server, its answers as guests read them, and the code of each refusal (contract 4)."""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from alga_runner import Observation
from alga_runner.engine import FunctionType, ValueType
from alga_runner.engine.component.linker import ComponentFunction
from alga_runner.guests.component import LARGE_BODY_BYTES
from tests.support.component_world import WORLD, world_component
from tests.support.host_calls import ANSWERS_CASE, ANSWERS_TEXT, TOKEN, Calling

pytestmark = pytest.mark.anyio

GRANTS = ("cap:storage.kv",)
AT = {"namespace": "settings", "key": "theme"}
MARK = {"encoding": "base64-bytes"}


async def call(place: Calling, function: str, request: dict[str, Any], **members: Any) -> dict[str, Any]:
    return await place.call(f"storage.{function}", request, **{"grants": GRANTS, **members})


def stored(
    value: object, *, key: str = "theme", revision: int = 3, metadata: object = None
) -> dict[str, Any]:
    """One value as Alga's server answers it."""
    return {
        "namespace": "settings",
        "key": key,
        "revision": revision,
        "value": value,
        "metadata": metadata,
        "ttlExpiresAt": None,
        "createdAt": "2026-01-01T00:00:00.000Z",
        "updatedAt": "2026-01-01T00:00:00.000Z",
    }


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


# ---- Requests


async def test_a_write_sends_base64_that_is_marked_as_such(place: Calling) -> None:
    place.server.answer({**AT, "revision": 4, "ttlExpiresAt": None})

    reply = await call(place, "put", {**AT, "value": b"\x00dark\xff", "revision": 3})

    assert reply == {"ok": {"revision": 4}}
    assert place.server.sent == {
        "operation": "put",
        **AT,
        "value": base64_of(b"\x00dark\xff"),
        "metadata": MARK,
        "ifRevision": 3,
    }


async def test_a_call_carries_the_identity_of_the_execution(place: Calling) -> None:
    place.server.answer(stored("dark"))

    await call(place, "get", AT)

    (request,) = place.server.requests
    assert request.url.path == "/api/internal/ext-storage/install/install-1"
    sent = {name: request.headers[name] for name in ("x-runner-auth", "x-alga-tenant", "x-request-id")}
    assert sent == {"x-runner-auth": TOKEN, "x-alga-tenant": "acme", "x-request-id": "request-1"}


async def test_a_list_asks_for_values_and_what_marks_them(place: Calling) -> None:
    place.server.answer({"items": [], "nextCursor": None})

    await call(place, "list", {"namespace": "settings", "cursor": "theme", "limit": 100})

    assert place.server.sent == {
        "operation": "list",
        "namespace": "settings",
        "cursor": "theme",
        "limit": 100,
        "includeValues": True,
        "includeMetadata": True,
    }


# ---- Values


@pytest.mark.parametrize(
    ("value", "metadata", "expected"),
    [
        (base64_of(b"\x00\xff"), MARK, b"\x00\xff"),
        ("", MARK, b""),
        ({"_bytes_b64": base64_of(b"\x00\xff")}, None, b"\x00\xff"),
        ("ZGFyaw==", None, b"ZGFyaw=="),
        ("dark", {}, b"dark"),
        ("dunkel ü", None, "dunkel ü".encode()),
        ("ZGFyaw==", {"encoding": "text"}, b"ZGFyaw=="),
        ({"a": [1, 2.5, None, "ü"]}, None, '{"a":[1,2.5,null,"ü"]}'.encode()),
        ({"_bytes_b64": "ZGFyaw==", "more": 1}, None, b'{"_bytes_b64":"ZGFyaw==","more":1}'),
        (None, None, b"null"),
        (True, MARK, b"true"),
    ],
)
async def test_only_what_is_marked_as_base64_is_decoded(
    place: Calling, value: object, metadata: object, expected: bytes
) -> None:
    place.server.answer(stored(value, metadata=metadata))

    reply = await call(place, "get", AT)

    assert reply == {"ok": {"entry": {**AT, "value": expected, "revision": 3}}}


async def test_a_value_that_is_marked_as_base64_and_is_none_is_an_error_with_words(place: Calling) -> None:
    place.server.answer(stored("not base64!", metadata=MARK))

    reply = await call(place, "get", AT)

    assert reply["err"]["code"] == "internal"
    assert "marked as base64" in reply["err"]["message"]


async def test_a_key_that_is_not_there_is_no_error(place: Calling) -> None:
    place.server.answer({"error": "Key not found", "code": "NOT_FOUND"}, 404)

    assert await call(place, "get", AT) == {"ok": {}}


@pytest.mark.parametrize(
    "answer", [(200, {"success": False}), (404, {"error": "Key not found", "code": "NOT_FOUND"})]
)
async def test_deleting_a_key_that_is_not_there_is_not_found_and_no_conflict(
    place: Calling, answer: tuple[int, object]
) -> None:
    place.server.answers = [answer]

    assert (await call(place, "delete", AT))["err"]["code"] == "not-found"


async def test_a_deleted_key_is_confirmed(place: Calling) -> None:
    place.server.answer({"success": True})

    assert await call(place, "delete", AT) == {"ok": {}}


# ---- Lists


def algas_pages(keys: list[str], size: int) -> Callable[[dict[str, Any]], object]:
    """Pages as Alga's server cuts them: the cursor is the first key that is not on the page, and asks for those
    beyond it (alga-contract 7, fault 24)."""

    def page(asked: dict[str, Any]) -> object:
        rest = [key for key in keys if key > asked.get("cursor", "")]
        items = [stored(base64_of(key.encode()), key=key, metadata=MARK) for key in rest[:size]]
        return {"items": items, "nextCursor": rest[size] if len(rest) > size else None}

    return page


@pytest.mark.parametrize("count", [0, 1, 24, 25, 26, 75, 80])
async def test_a_list_is_walked_to_its_end_and_loses_no_key(place: Calling, count: int) -> None:
    keys = [f"key-{number:03}" for number in range(count)]
    place.server.answer(algas_pages(keys, 25))
    seen, cursor = [], {}

    while True:
        page = (await call(place, "list", {"namespace": "settings", **cursor}))["ok"]
        seen += [entry["value"].decode() for entry in page["entries"]]
        if "nextCursor" not in page:
            break
        cursor = {"cursor": page["nextCursor"]}

    assert seen == keys


@pytest.mark.parametrize(
    "items",
    [
        [stored("x", key="k" * 257)],
        [stored("x", key="")],
        [stored("x", revision=-1)],
        [{"key": "k", "value": "x"}],
        ["k"],
        [stored("x")] * 10_001,
        {"k": "x"},
    ],
)
async def test_a_page_of_another_shape_is_the_server_s_fault(place: Calling, items: object) -> None:
    place.server.answer({"items": items, "nextCursor": None})

    error = (await call(place, "list", {"namespace": "settings"}))["err"]

    assert error["code"] == "internal"
    assert error["message"].startswith("The Alga server's answer has a wrong shape at items")


@pytest.mark.parametrize("text", ["[" * 150 + "]" * 150, "1" * 5_000, "1e400", "[1e400]"])
async def test_a_value_of_json_at_its_limits_is_given_or_refused_with_words(
    place: Calling, text: str
) -> None:
    entry = json.dumps({**stored(None), "value": 0}).replace('"value": 0', f'"value": {text}')
    place.server.answer(entry.encode())

    reply = await call(place, "get", AT)

    if "err" in reply:
        assert "failed inside the runner" not in reply["err"]["message"]


async def test_an_empty_page_ends_a_list(place: Calling) -> None:
    place.server.answer({"items": [], "nextCursor": "theme"})

    assert await call(place, "list", {"namespace": "settings"}) == {"ok": {"entries": []}}


async def test_one_value_that_cannot_be_read_fails_the_page(place: Calling) -> None:
    place.server.answer({"items": [stored("a"), {**stored("b"), "revision": "4"}], "nextCursor": None})

    reply = await call(place, "list", {"namespace": "settings"})

    assert reply["err"]["code"] == "internal"
    assert "items.1.revision" in reply["err"]["message"]


# ---- Refusals


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "VALIDATION_FAILED", "validation-failed"),
        (400, "LIMIT_EXCEEDED", "too-large"),
        (401, "UNAUTHORIZED", "denied"),
        (403, "NAMESPACE_DENIED", "denied"),
        (409, "REVISION_MISMATCH", "conflict"),
        (429, "QUOTA_EXCEEDED", "quota-exceeded"),
        (429, "RATE_LIMITED", "rate-limited"),
        (500, "INTERNAL_ERROR", "internal"),
    ],
)
async def test_a_refusal_reaches_the_guest_with_the_server_s_words(
    place: Calling, status: int, code: str, expected: str
) -> None:
    refusal = {"error": "So it is.", "code": code, "details": {"fieldErrors": {"key": ["Too long"]}}}
    place.server.answer(refusal, status)

    error = (await call(place, "put", {**AT, "value": b"x"}))["err"]

    assert (error["code"], error["message"]) == (expected, "So it is.")
    assert error["fieldErrors"] == {"key": "Too long"}


async def test_an_install_that_is_disabled_does_not_make_the_runner_s_token_a_refused_one(
    place: Calling,
) -> None:
    place.server.answer({"error": "Install is disabled", "code": "UNAUTHORIZED"}, 401)

    await call(place, "get", AT)

    assert not place.alga.token_refused


async def test_a_refused_token_is_the_operator_s_affair(place: Calling) -> None:
    place.server.answer({"error": "Invalid runner token", "code": "UNAUTHORIZED"}, 401)

    reply = await call(place, "get", AT)

    assert reply["err"]["code"] == "unavailable"
    assert place.alga.token_refused


async def test_a_server_without_a_route_for_storage_is_named(place: Calling) -> None:
    place.server.answer(b"<h1>404</h1>", 404)

    error = (await call(place, "get", AT))["err"]

    assert error == {"code": "unsupported", "message": "The Alga server has no route for storage."}


@pytest.mark.parametrize(
    ("function", "request_", "field"),
    [
        ("get", {"namespace": "", "key": "k"}, "namespace"),
        ("get", {"namespace": "n" * 129, "key": "k"}, "namespace"),
        ("delete", {"namespace": "n", "key": "k" * 257}, "key"),
        ("put", {**AT, "value": "text"}, "value"),
        ("put", {**AT, "value": b"x" * 65_537}, "value"),
        ("put", {**AT, "value": b"", "revision": -1}, "revision"),
        ("list", {"namespace": "n", "limit": 101}, "limit"),
        ("list", {"namespace": "n", "limit": 0}, "limit"),
    ],
)
async def test_a_request_against_a_limit_is_not_sent(
    place: Calling, function: str, request_: dict[str, Any], field: str
) -> None:
    reply = await call(place, function, request_)

    assert reply["err"]["code"] == "validation-failed"
    assert list(reply["err"]["fieldErrors"]) == [field]
    assert place.server.requests == []


FUNCTIONS = [("get", AT), ("put", {**AT, "value": b"x"}), ("delete", AT), ("list", {"namespace": "n"})]


@pytest.mark.parametrize(("function", "request_"), FUNCTIONS)
async def test_without_the_grant_nothing_is_asked(
    place: Calling, function: str, request_: dict[str, Any]
) -> None:
    reply = await call(place, function, request_, grants=("cap:secrets.get",))

    assert reply["err"]["code"] == "denied"
    assert "cap:storage.kv not granted" in reply["err"]["message"]
    assert place.server.requests == []


@pytest.mark.parametrize(("function", "request_"), FUNCTIONS)
async def test_without_an_install_nothing_is_asked(
    place: Calling, function: str, request_: dict[str, Any]
) -> None:
    reply = await call(place, function, request_, install=None)

    assert reply == {"err": {"code": "denied", "message": "Install ID missing"}}
    assert place.server.requests == []


@pytest.mark.parametrize(("revision", "retryable"), [({}, True), ({"revision": 3}, None)])
async def test_a_write_that_expects_a_revision_is_not_retryable(
    place: Calling, revision: dict[str, int], retryable: bool | None
) -> None:
    place.server.answer({"error": "Restarting", "code": "UNAVAILABLE"}, 503)

    reply = await call(place, "put", {**AT, "value": b"x", **revision})

    assert (reply["err"]["code"], reply["err"].get("retryable")) == ("unavailable", retryable)


async def test_values_and_keys_are_in_no_log_and_no_metric(
    place: Calling, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    place.server.answer({"error": "No: planted-words", "code": "VALIDATION_FAILED"}, 400)

    await call(place, "put", {"namespace": "planted-space", "key": "planted-key", "value": b"planted-value"})
    place.runner.telemetry.flush()

    written = caplog.text + place.runner.telemetry.render().decode()
    assert "storage.put" in caplog.text
    planted = ("planted", base64_of(b"planted-value"), TOKEN)
    assert not any(text in written for text in planted)


# ---- Components

DATA = '(data (i32.const 2000) "settings") (data (i32.const 2100) "theme") (data (i32.const 2200) "dark")'
NAMESPACE, KEY = "(i32.const 2000) (i32.const 8)", "(i32.const 2100) (i32.const 5)"
GETS = f"(call $storage.get {NAMESPACE} {KEY} (i32.const 512))"
PUTS = (
    f"(call $storage.put {NAMESPACE} {KEY} (i32.const 2200) (i32.const 4)"
    " (i32.const 1) (i64.const 3) (i32.const 512))"
)
DELETES = f"(call $storage.delete {NAMESPACE} {KEY} (i32.const 512))"
LISTS = f"(call $storage.list-entries {NAMESPACE} (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 512))"


def answering_text(place: str) -> str:
    return f"(if (i32.load8_u (i32.const 512)) (then unreachable)) (local.set $text {place}) {ANSWERS_TEXT}"


async def observe(place: Calling, function: str, handler: str) -> Observation:
    component = world_component(f"(local $text i32) {handler}", [f"storage {function}"], code=DATA)
    return await place.observe(component, grants=GRANTS)


@pytest.mark.parametrize(
    ("function", "calls", "text", "answer"),
    [
        ("get", GETS, f"(i32.const {512 + 24})", stored(base64_of(b"dark"), metadata=MARK)),
        ("put", PUTS, f"(i32.const {512 + 24})", {**AT, "revision": 4}),
        (
            "list-entries",
            LISTS,
            "(i32.add (i32.load (i32.const 516)) (i32.const 16))",
            {"items": [stored(base64_of(b"dark"), metadata=MARK)], "nextCursor": None},
        ),
    ],
)
async def test_a_component_reads_the_value_of_an_entry(
    place: Calling, function: str, calls: str, text: str, answer: object
) -> None:
    place.server.answer(answer)

    observation = await observe(place, function, calls + answering_text(text))

    assert observation.response is not None, observation.error
    assert observation.response.body() == b"dark"


async def test_a_page_too_large_for_a_component_is_cut_after_the_values_that_fit(place: Calling) -> None:
    items = [stored("x" * 60_000, key=f"key-{number:02}") for number in range(25)]
    place.server.answer({"items": items, "nextCursor": None})
    count_of_the_page = """(i32.store16 (i32.const 0) (i32.add (i32.const 200) (i32.load (i32.const 520))))
      (i32.const 0)"""

    observation = await observe(place, "list-entries", LISTS + count_of_the_page)

    assert observation.response is not None, observation.error
    assert observation.response.status == 200 + 2**20 // 60_000


@pytest.mark.parametrize(("size", "in_cpu_thread"), [(LARGE_BODY_BYTES, True), (1_000, False)])
async def test_a_large_answer_is_copied_in_the_cpu_thread_and_any_other_on_the_loop(
    place: Calling, monkeypatch: pytest.MonkeyPatch, size: int, in_cpu_thread: bool
) -> None:
    threads: list[str] = []
    give = ComponentFunction.give

    def noted(*arguments: Any) -> None:
        threads.append(threading.current_thread().name)
        give(*arguments)

    monkeypatch.setattr(ComponentFunction, "give", noted)
    place.server.answer(stored("x" * size))

    observation = await observe(place, "get", GETS + ANSWERS_CASE.format(case=520))

    assert observation.response is not None, observation.error
    assert [name == "alga-runner-cpu" for name in threads] == [in_cpu_thread]


async def test_a_large_answer_that_the_component_s_type_cannot_hold_ends_it_with_words(
    place: Calling,
) -> None:
    place.server.answer(stored("x" * LARGE_BODY_BYTES))
    entry = ValueType("record", (("value", ValueType("string")),))
    of = WORLD.functions["storage", "get"]
    other = FunctionType(of.params, ValueType("result", element=entry, error=WORLD.types["storage-error"]))
    guest = world_component(GETS + ANSWERS_CASE.format(case=520), {"storage get": other}, code=DATA)

    observation = await place.observe(guest, grants=GRANTS)

    assert observation.error is not None
    assert observation.error.code == "host_function_missing"
    assert "storage get with a type that the host has no value of" in str(observation.error)


async def test_a_component_s_write_names_the_revision_that_it_replaces(place: Calling) -> None:
    place.server.answer({**AT, "revision": 4})
    revision_is_4 = """(if (i64.ne (i64.load (i32.const 552)) (i64.const 4)) (then unreachable))"""

    observation = await observe(place, "put", PUTS + revision_is_4 + ANSWERS_CASE.format(case=520))

    assert observation.response is not None, observation.error
    assert place.server.sent["ifRevision"] == 3
    assert base64.b64decode(place.server.sent["value"]) == b"dark"


CASES = ["missing", "conflict", "denied", "internal"]


@pytest.mark.parametrize(
    ("answer", "case"),
    [
        ((400, "VALIDATION_FAILED"), "denied"),
        ((400, "LIMIT_EXCEEDED"), "denied"),
        ((401, "UNAUTHORIZED"), "denied"),
        ((403, "NAMESPACE_DENIED"), "denied"),
        ((404, "NOT_FOUND"), "missing"),
        ((409, "REVISION_MISMATCH"), "conflict"),
        ((429, "QUOTA_EXCEEDED"), "denied"),
        ((429, "RATE_LIMITED"), "denied"),
        ((500, "INTERNAL_ERROR"), "internal"),
    ],
)
@pytest.mark.parametrize(
    "function",
    [("get", GETS, 520), ("put", PUTS, 520), ("delete", DELETES, 513)],
    ids=["get", "put", "delete"],
)
async def test_a_refusal_is_the_case_of_the_component_s_error(
    place: Calling, function: tuple[str, str, int], answer: tuple[int, str], case: str
) -> None:
    (status, code), (name, calls, at) = answer, function
    place.server.answer({"error": "So it is.", "code": code}, status)

    observation = await observe(place, name, calls + ANSWERS_CASE.format(case=at))

    assert observation.response is not None, observation.error
    assert observation.response.status == 210 + CASES.index(case)
