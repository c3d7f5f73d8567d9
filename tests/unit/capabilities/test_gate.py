from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from time import monotonic
from typing import Any

import anyio
import pytest

from alga_runner.alga import NoAlgaServer
from alga_runner.capabilities import Execution, Gate, Operation
from alga_runner.capabilities.operation import NoInput
from alga_runner.errors import BrokenFraming, HostCallCode, HostCallError, LogLimit, ServerFault
from alga_runner.models import ExecutionContext, JsonValue, ScheduleInfo
from alga_runner.models._base import CamelModel
from alga_runner.telemetry import Telemetry

pytestmark = pytest.mark.anyio

CAPABILITY = "cap:scheduler.manage"


class Wish(CamelModel):
    wished_thing: str
    how_many: bool = False
    payload: JsonValue = None


class PlainCodec:
    """Requests and replies as Python values; counts what it was asked to decode."""

    def __init__(self, decode_error: Exception | None = None) -> None:
        self.decoded: list[object] = []
        self.decode_error = decode_error

    def decode(self, request: object, /) -> object:
        self.decoded.append(request)
        if self.decode_error is not None:
            raise self.decode_error
        return request

    def encode(self, reply: Mapping[str, object], /) -> Mapping[str, object]:
        return reply

    def piece(self, item: object, /) -> object:
        return item


@pytest.fixture
def lines() -> Iterator[list[logging.LogRecord]]:
    records: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    logger = logging.getLogger("gate-test")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    keep = Keep()
    logger.addHandler(keep)
    yield records
    logger.removeHandler(keep)


@pytest.fixture
def telemetry(lines: list[logging.LogRecord]) -> Iterator[Telemetry]:
    telemetry = Telemetry(logging.getLogger("gate-test"))
    yield telemetry
    telemetry.close()


CONTEXT = ExecutionContext(
    request_id="request-1",
    install_id="install-1",
    tenant_id="tenant-1",
    extension_id="acme.sync",
    content_hash="sha256:0",
    version_id="version-1",
)


@pytest.fixture
def gate(telemetry: Telemetry) -> Gate:
    return Gate(telemetry)


def an_execution(*granted: str, deadline_in: float = 60.0, **more: Any) -> Execution:
    return Execution(
        granted=frozenset(granted),
        alga=NoAlgaServer(),
        deadline=monotonic() + deadline_in,
        context=CONTEXT,
        **more,
    )


def an_operation(
    run: Callable[[Execution, Any], Awaitable[Any]] | None = None,
    *,
    takes: type[CamelModel] = Wish,
    gives: Any = dict[str, Any],
) -> Operation[Any, Any]:
    async def nothing(execution: Execution, wish: Any) -> dict[str, Any]:
        return {}

    return Operation(
        name="scheduler.wish",
        capability=CAPABILITY,
        summary="For tests.",
        input=takes,
        output=gives,
        run=run or nothing,
    )


def failing(error: Exception) -> Operation[Any, Any]:
    async def run(execution: Execution, wish: Any) -> dict[str, Any]:
        raise error

    return an_operation(run)


def error_of(reply: Mapping[str, object]) -> dict[str, Any]:
    assert list(reply) == ["err"]
    error = reply["err"]
    assert isinstance(error, dict)
    return error


def statuses(telemetry: Telemetry) -> list[str]:
    return [
        line
        for line in telemetry.render().decode().splitlines()
        if line.startswith("alga_runner_host_calls_total{")
    ]


async def test_a_granted_call_reaches_its_operation(gate: Gate) -> None:
    async def run(execution: Execution, wish: Wish) -> dict[str, Any]:
        return {"granted": wish.wished_thing}

    reply = await gate.call(
        an_execution(CAPABILITY), an_operation(run), {"wishedThing": "rain"}, PlainCodec()
    )

    assert reply == {"ok": {"granted": "rain"}}


async def test_a_denied_call_is_not_decoded(gate: Gate) -> None:
    codec = PlainCodec(BrokenFraming())

    reply = await gate.call(an_execution("cap:context.read"), an_operation(), {"wishedThing": "x"}, codec)

    assert codec.decoded == []
    assert error_of(reply)["code"] == "denied"


async def test_a_denied_call_names_capability_extension_and_operation(gate: Gate) -> None:
    reply = await gate.call(an_execution(), an_operation(), {}, PlainCodec())

    message = error_of(reply)["message"]
    assert message == ("Permission denied: cap:scheduler.manage not granted; scheduler.wish needs it.")


async def test_a_refusal_of_the_codec_reaches_the_guest_as_it_is(gate: Gate) -> None:
    codec = PlainCodec(HostCallError(HostCallCode.TOO_LARGE, "too large by 3 bytes"))

    reply = await gate.call(an_execution(CAPABILITY), an_operation(), {}, codec)

    assert reply == {"err": {"code": "too-large", "message": "too large by 3 bytes"}}


@pytest.mark.parametrize("request_", [[], "text", 5, None, b"bytes"])
async def test_an_input_that_is_no_map_is_refused(gate: Gate, request_: object) -> None:
    reply = await gate.call(an_execution(CAPABILITY), an_operation(), request_, PlainCodec())

    assert error_of(reply)["code"] == "validation-failed"
    assert "takes a map" in error_of(reply)["message"]


async def test_nil_does_for_an_operation_without_members(gate: Gate) -> None:
    reply = await gate.call(an_execution(CAPABILITY), an_operation(takes=NoInput), None, PlainCodec())

    assert reply == {"ok": {}}


async def test_a_list_does_not_do_for_an_operation_without_members(gate: Gate) -> None:
    reply = await gate.call(an_execution(CAPABILITY), an_operation(takes=NoInput), [], PlainCodec())

    assert error_of(reply)["code"] == "validation-failed"


async def test_field_errors_carry_the_names_the_guest_wrote(gate: Gate) -> None:
    reply = await gate.call(an_execution(CAPABILITY), an_operation(), {"howMany": "many"}, PlainCodec())

    assert error_of(reply)["fieldErrors"] == {
        "wishedThing": "Required",
        "howMany": "Must be true or false",
    }


async def test_field_errors_are_camel_case_for_a_guest_that_writes_snake_case(gate: Gate) -> None:
    reply = await gate.call(an_execution(CAPABILITY), an_operation(), {"wished_thing": 5}, PlainCodec())

    assert error_of(reply)["fieldErrors"] == {"wishedThing": "Must be a string"}


async def test_field_errors_do_not_repeat_the_value(gate: Gate) -> None:
    reply = await gate.call(
        an_execution(CAPABILITY),
        an_operation(),
        {"wishedThing": 123456789, "payload": {"hush": float("inf")}},
        PlainCodec(),
    )

    assert error_of(reply)["fieldErrors"]["payload"] == "Holds a number that is not finite"
    assert "123456789" not in str(reply)
    assert "hush" not in str(reply)


async def test_an_operation_does_not_start_after_the_deadline(gate: Gate) -> None:
    started: list[object] = []

    async def run(execution: Execution, wish: Wish) -> dict[str, Any]:
        started.append(wish)
        return {}

    execution = an_execution(CAPABILITY, deadline_in=-1.0)
    reply = await gate.call(execution, an_operation(run), {"wishedThing": "x"}, PlainCodec())

    assert started == []
    assert error_of(reply)["code"] == "timeout"


async def test_a_deadline_that_passes_inside_an_operation_is_a_timeout(gate: Gate) -> None:
    reply = await gate.call(
        an_execution(CAPABILITY), failing(TimeoutError()), {"wishedThing": "x"}, PlainCodec()
    )

    assert error_of(reply)["code"] == "timeout"


async def test_an_error_of_the_operation_keeps_its_fields(gate: Gate) -> None:
    error = HostCallError(
        HostCallCode.RATE_LIMITED, "slow down", field_errors={"cron": "bad"}, retry_after_ms=1500
    )

    reply = await gate.call(an_execution(CAPABILITY), failing(error), {"wishedThing": "x"}, PlainCodec())

    assert reply == {
        "err": {
            "code": "rate-limited",
            "message": "slow down",
            "fieldErrors": {"cron": "bad"},
            "retryAfterMs": 1500,
            "retryable": True,
        }
    }


@pytest.mark.parametrize("code", list(HostCallCode))
@pytest.mark.parametrize("repeatable", [True, False])
async def test_a_call_that_may_be_made_again_is_marked(
    gate: Gate, code: HostCallCode, repeatable: bool
) -> None:
    operation = replace(failing(HostCallError(code, "no")), repeatable=lambda *_: repeatable)

    error = error_of(await gate.call(an_execution(CAPABILITY), operation, {"wishedThing": "x"}, PlainCodec()))

    again = {"rate-limited"} | ({"timeout", "unavailable"} if repeatable else set())
    assert error.get("retryable", False) == (code in again)


async def test_a_call_without_time_left_may_be_made_again_if_its_operation_allows(gate: Gate) -> None:
    late = an_execution(CAPABILITY, deadline_in=-1.0)

    error = error_of(await gate.call(late, an_operation(), {"wishedThing": "x"}, PlainCodec()))

    assert (error["code"], error["retryable"]) == ("timeout", True)


async def test_what_came_back_from_a_server_is_for_the_operator_and_not_for_the_guest(
    gate: Gate, telemetry: Telemetry, lines: list[logging.LogRecord]
) -> None:
    refused = HostCallError(
        HostCallCode.UNAVAILABLE,
        "It does not accept calls.",
        fault=ServerFault.UNAUTHORIZED,
        detail="HTTP 401, text/html",
    )

    reply = await gate.call(an_execution(CAPABILITY), failing(refused), {"wishedThing": "x"}, PlainCodec())
    telemetry.flush()

    assert reply == {
        "err": {"code": "unavailable", "message": "It does not accept calls.", "retryable": True}
    }
    assert [line.getMessage().rpartition(": ")[2] for line in lines] == ["HTTP 401, text/html"] * 2
    assert 'alga_runner_server_faults_total{fault="unauthorized"} 1.0' in telemetry.render().decode()


async def test_an_unforeseen_exception_is_internal_and_its_text_is_for_operators_only(
    gate: Gate, telemetry: Telemetry, lines: list[logging.LogRecord]
) -> None:
    reply = await gate.call(
        an_execution(CAPABILITY), failing(KeyError("pool exhausted")), {"wishedThing": "x"}, PlainCodec()
    )
    telemetry.flush()

    assert error_of(reply)["code"] == "internal"
    assert "pool exhausted" not in str(reply)
    assert "pool exhausted" in lines[0].getMessage()
    assert lines[0].levelno == logging.ERROR


async def test_a_validation_error_inside_an_operation_does_not_log_the_value_it_refused(
    gate: Gate, telemetry: Telemetry, lines: list[logging.LogRecord]
) -> None:
    async def run(execution: Execution, wish: Wish) -> dict[str, Any]:
        Wish.model_validate({"wishedThing": ["topsecret"]})
        return {}

    reply = await gate.call(an_execution(CAPABILITY), an_operation(run), {"wishedThing": "x"}, PlainCodec())
    telemetry.flush()

    assert error_of(reply)["code"] == "internal"
    assert "topsecret" not in lines[0].getMessage()


async def test_an_output_of_the_wrong_type_is_internal(gate: Gate) -> None:
    async def run(execution: Execution, wish: Wish) -> object:
        return {"id": "not a ScheduleInfo"}

    operation = an_operation(run, gives=ScheduleInfo)
    reply = await gate.call(an_execution(CAPABILITY), operation, {"wishedThing": "x"}, PlainCodec())

    assert error_of(reply)["code"] == "internal"


async def test_a_reply_that_cannot_be_encoded_is_the_error_the_codec_says(gate: Gate) -> None:
    class NarrowCodec(PlainCodec):
        def encode(self, reply: Mapping[str, object], /) -> Mapping[str, object]:
            if "ok" in reply:
                raise HostCallError(HostCallCode.TOO_LARGE, "The reply is too large.")
            return reply

        def piece(self, item: object, /) -> object:
            return item

    execution = an_execution(CAPABILITY)
    reply = await gate.call(execution, an_operation(), {"wishedThing": "x"}, NarrowCodec())

    assert reply == {"err": {"code": "too-large", "message": "The reply is too large."}}
    assert execution.host_calls[0].status == "too-large"


async def test_absent_members_are_left_out_and_payloads_kept_exactly(gate: Gate) -> None:
    payload = {"none": None, "list": [None, {"deep": None}], "snake_case": 1.0}

    async def run(execution: Execution, wish: Wish) -> ScheduleInfo:
        return ScheduleInfo(
            id="1",
            endpoint_path="/sync",
            endpoint_method="POST",
            cron="0 * * * *",
            timezone="UTC",
            enabled=True,
            payload=payload,
        )

    operation = an_operation(run, gives=ScheduleInfo)
    reply = await gate.call(an_execution(CAPABILITY), operation, {"wishedThing": "x"}, PlainCodec())

    assert reply == {
        "ok": {
            "id": "1",
            "endpointPath": "/sync",
            "endpointMethod": "POST",
            "cron": "0 * * * *",
            "timezone": "UTC",
            "enabled": True,
            "payload": payload,
        }
    }


async def test_a_breach_passes_through_and_is_recorded_once(
    gate: Gate, telemetry: Telemetry, lines: list[logging.LogRecord]
) -> None:
    execution = an_execution(CAPABILITY)

    with pytest.raises(BrokenFraming):
        await gate.call(execution, an_operation(), b"", PlainCodec(BrokenFraming("trailing bytes")))
    telemetry.flush()

    assert [record.status for record in execution.host_calls] == ["breach"]
    assert [line.status for line in lines] == ["breach"]
    assert statuses(telemetry) == [
        'alga_runner_host_calls_total{operation="scheduler.wish",status="breach"} 1.0'
    ]


async def test_a_limit_passes_through_under_its_own_code(gate: Gate) -> None:
    execution = an_execution(CAPABILITY)

    with pytest.raises(LogLimit):
        await gate.call(execution, failing(LogLimit()), {"wishedThing": "x"}, PlainCodec())

    assert [record.status for record in execution.host_calls] == ["log_limit"]


async def test_cancellation_passes_through_and_is_recorded(gate: Gate, telemetry: Telemetry) -> None:
    async def run(execution: Execution, wish: Wish) -> dict[str, Any]:
        scope.cancel()
        await anyio.sleep_forever()
        return {}

    execution = an_execution(CAPABILITY)
    with anyio.CancelScope() as scope:
        await gate.call(execution, an_operation(run), {"wishedThing": "x"}, PlainCodec())

    assert scope.cancelled_caught
    assert [record.status for record in execution.host_calls] == ["cancelled"]
    assert statuses(telemetry) == [
        'alga_runner_host_calls_total{operation="scheduler.wish",status="cancelled"} 1.0'
    ]


async def test_every_call_is_recorded_with_its_number_arguments_and_reply(gate: Gate) -> None:
    execution = an_execution(CAPABILITY)

    await gate.call(execution, an_operation(), {"wishedThing": "a"}, PlainCodec())
    await gate.call(execution, an_operation(), {}, PlainCodec())

    first, second = execution.host_calls
    assert (first.number, first.operation, first.status) == (1, "scheduler.wish", "ok")
    assert (first.arguments, first.reply) == ({"wishedThing": "a"}, {"ok": {}})
    assert (second.number, second.status, second.arguments) == (2, "validation-failed", {})
    assert first.duration_s >= 0


async def test_records_let_values_go_when_their_budget_is_spent(gate: Gate) -> None:
    execution = an_execution(CAPABILITY, recorded_bytes_left=2_000)

    for size in (100, 5_000, 100):
        await gate.call(execution, an_operation(), {"wishedThing": "x" * size}, PlainCodec())

    assert [record.elided for record in execution.host_calls] == [False, True, True]
    assert [record.arguments is None for record in execution.host_calls] == [False, True, True]
    assert [record.status for record in execution.host_calls] == ["ok", "ok", "ok"]


async def test_a_budget_of_nothing_keeps_no_values(gate: Gate) -> None:
    execution = an_execution(CAPABILITY, recorded_bytes_left=0)

    await gate.call(execution, an_operation(), {"wishedThing": "x"}, PlainCodec())

    assert execution.host_calls[0].reply is None


async def test_a_log_line_has_the_identity_and_neither_arguments_nor_reply(
    gate: Gate, telemetry: Telemetry, lines: list[logging.LogRecord]
) -> None:
    async def run(execution: Execution, wish: Wish) -> dict[str, Any]:
        return {"answer": "hushhush"}

    await gate.call(an_execution(CAPABILITY), an_operation(run), {"wishedThing": "topsecret"}, PlainCodec())
    telemetry.flush()

    (line,) = lines
    fields = {
        name: getattr(line, name)
        for name in (
            "action",
            "tenant_id",
            "install_id",
            "extension_id",
            "version_id",
            "request_id",
            "operation",
            "status",
        )
    }
    assert fields == {
        "action": "host_call",
        "tenant_id": "tenant-1",
        "install_id": "install-1",
        "extension_id": "acme.sync",
        "version_id": "version-1",
        "request_id": "request-1",
        "operation": "scheduler.wish",
        "status": "ok",
    }
    assert "hushhush" not in str(line.__dict__)
    assert "topsecret" not in str(line.__dict__)
