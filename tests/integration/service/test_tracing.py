"""Spans of executions and their host calls, from the caller's trace to the Alga server's."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id
from pydantic import SecretStr

from alga_runner import Runner, Settings
from alga_runner.alga import HttpAlgaServer
from alga_runner.bundles import MemoryBundles
from alga_runner.errors import SettingsError
from alga_runner.telemetry import Tracing
from tests.support.guests import LIST_IMPORT

pytestmark = pytest.mark.anyio

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
CALLER = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}

CALLS = "(drop (call $list (i32.const 1024) (i32.const 1) (i32.const 2048) (i32.const 1024)))"
ANSWERS = "(call $respond (i32.const 0) (global.get $ok))"
CALLING = {"handler": f"{CALLS} {CALLS} {ANSWERS}", "imports": LIST_IMPORT, "data": b"\xc0"}
GRANTED = {"providers": ["cap:scheduler.manage"]}


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def asked() -> list[httpx.Request]:
    """The requests that the Alga server got."""
    return []


@pytest.fixture
async def runner(
    settings: Settings, bundles: MemoryBundles, spans: InMemorySpanExporter, asked: list[httpx.Request]
) -> AsyncIterator[Runner]:
    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"schedules": []})

    alga = HttpAlgaServer("http://alga.example", SecretStr("token"), transport=httpx.MockTransport(answer))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    runner = Runner(settings, alga=alga, bundles=bundles)
    runner.telemetry.tracing = Tracing(provider)
    async with runner:
        yield runner


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


def parent_id(span: ReadableSpan) -> str | None:
    return None if span.parent is None else format_span_id(span.parent.span_id)


async def test_an_execution_is_a_span_below_its_callers(execute, spans) -> None:
    await execute(headers=CALLER, context={"request_id": "request-1", "version_id": "v1"})

    (span,) = spans.get_finished_spans()
    assert span.context is not None
    assert format_trace_id(span.context.trace_id) == TRACE
    assert parent_id(span) == PARENT
    assert (span.name, span.kind, span.status.status_code) == ("execute", SpanKind.SERVER, StatusCode.UNSET)
    assert dict(span.attributes or {}) == {
        "alga.tenant_id": "acme",
        "alga.install_id": "install-1",
        "alga.extension_id": "ext",
        "alga.version_id": "v1",
        "alga.request_id": "request-1",
        "alga.status": "ok",
        "http.response.status_code": 200,
    }


@pytest.mark.parametrize(
    "given", [{}, {"traceparent": "nonsense"}, {"traceparent": f"00-{'0' * 32}-{PARENT}-01"}]
)
async def test_an_execution_whose_caller_has_no_trace_begins_one(execute, spans, given) -> None:
    await execute(headers=given)

    (span,) = spans.get_finished_spans()
    assert span.parent is None


async def test_each_host_call_is_a_span_of_its_execution(execute, publish, spans) -> None:
    await execute(publish(**CALLING), headers=CALLER, **GRANTED)

    (execution,) = named(spans, "execute")
    calls = named(spans, "scheduler.list")
    assert execution.context is not None
    assert [parent_id(call) for call in calls] == [format_span_id(execution.context.span_id)] * 2
    assert {call.kind for call in calls} == {SpanKind.CLIENT}


async def test_the_alga_server_is_asked_with_the_host_calls_own_span(execute, publish, spans, asked) -> None:
    await execute(publish(**CALLING), headers=CALLER, **GRANTED)

    calls = [call.context for call in named(spans, "scheduler.list")]
    assert [request.headers["traceparent"] for request in asked] == [
        f"00-{TRACE}-{format_span_id(call.span_id)}-01" for call in calls if call
    ]
    assert [request.headers["tracestate"] for request in asked] == ["vendor=1"] * 2


async def test_a_refused_host_call_is_a_failed_span_that_names_the_code(execute, publish, spans) -> None:
    await execute(publish(**CALLING))

    call, _ = named(spans, "scheduler.list")
    assert (call.status.status_code, call.status.description) == (StatusCode.ERROR, "denied")
    assert dict(call.attributes or {}) == {"alga.status": "denied"}


async def test_an_execution_that_traps_is_a_failed_span(execute, publish, spans) -> None:
    await execute(publish("unreachable"))

    (span,) = spans.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "guest_trap")


async def test_one_callers_trace_does_not_reach_the_next_execution(execute, spans) -> None:
    await execute(headers=CALLER)
    await execute()

    first, second = spans.get_finished_spans()
    assert first.parent is not None
    assert second.parent is None


def test_without_the_setting_there_are_no_spans(settings: Settings) -> None:
    assert Runner(settings, bundles=MemoryBundles()).telemetry.tracing is None


def test_the_setting_without_the_packages_names_what_to_install(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    with pytest.raises(SettingsError) as caught:
        Runner(settings.model_copy(update={"tracing": True}), bundles=MemoryBundles())
    assert "alga-runner[otel]" in (caught.value.hint or "")
