"""Spans leave ``alga-runner serve`` for a collector that speaks OTLP over HTTP."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.processes


class Collector(ThreadingHTTPServer):
    """Keeps each request that it gets, as ``(path, message)``."""

    def __init__(self) -> None:
        self.received: queue.SimpleQueue[tuple[str, ExportTraceServiceRequest]] = queue.SimpleQueue()
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        message = ExportTraceServiceRequest()
        message.ParseFromString(self.rfile.read(int(self.headers["content-length"])))
        self.server.received.put((self.path, message))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever, daemon=True)
        thread.start()
        yield collector
        collector.shutdown()
        thread.join()


@pytest.fixture
def document(publish: Callable[..., str], request_for: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return request_for(publish())


@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
def test_the_spans_of_an_execution_reach_the_collector(
    serve, document, headers, collector: Collector, workers: tuple[str, ...]
) -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
    server = serve(*workers, ALGA_RUNNER_TRACING="1", **endpoint)

    server.client.post("/v1/execute", json=document, headers=headers).raise_for_status()

    path, message = collector.received.get(timeout=PATIENCE_S)
    (of_process,) = message.resource_spans
    attributes = {item.key: item.value.string_value for item in of_process.resource.attributes}
    assert path == "/v1/traces"
    assert attributes["service.name"] == "alga-runner"
    assert [span.name for scope in of_process.scope_spans for span in scope.spans] == ["execute"]


def test_a_collector_that_is_away_costs_no_execution(serve, document, headers) -> None:
    server = serve(ALGA_RUNNER_TRACING="1", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")

    answer = server.client.post("/v1/execute", json=document, headers=headers)
    assert answer.json()["status"] == 200
