"""Spans with OpenTelemetry: one of each execution, one of each of its host calls (docs/service.md, "Traces").

Needs the packages of ``alga-runner[otel]``, and imports them only where the setting ``tracing`` is on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import SettingsError
from ..settings import Settings
from .who import Who

if TYPE_CHECKING:
    from opentelemetry.trace import Span, TracerProvider

HEADERS = ("traceparent", "tracestate")
"""The headers of the W3C's Trace Context."""

EXPORT_WITHIN_S = 5
"""How long a program that ends tries to send the spans that are still queued."""

_NAMES = ("tenant_id", "install_id", "extension_id", "version_id", "request_id")


class Tracing:
    """Makes spans in ``provider``; without one, in the application's own.

    The parent of an execution's span is the current one: that of the request's ``traceparent`` in the service, or the
    application's in a program that uses the runner as a library.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        """Raises ``SettingsError`` without OpenTelemetry's packages."""
        try:
            from opentelemetry import context, propagate, trace  # noqa: PLC0415 - an extra
        except ImportError:
            raise _missing() from None
        self._context = context
        self._propagate = propagate
        self._trace = trace
        self._tracer = trace.get_tracer("alga_runner", tracer_provider=provider)

    @classmethod
    def of(cls, settings: Settings) -> Tracing | None:
        """What ``settings`` ask for. Raises ``SettingsError`` without OpenTelemetry's packages."""
        return cls() if settings.tracing else None

    @contextmanager
    def caller(self, headers: Mapping[str, str]) -> Iterator[None]:
        """Make the span that ``headers`` name the current one; without a valid ``traceparent``, none."""
        token = self._context.attach(self._propagate.extract(headers))
        try:
            yield
        finally:
            self._context.detach(token)

    def execution(self, who: Who) -> ExecutionSpan:
        """Begin the span of an execution of ``who``."""
        attributes = {f"alga.{name}": value for name in _NAMES if (value := getattr(who, name)) is not None}
        span = self._tracer.start_span("execute", kind=self._trace.SpanKind.SERVER, attributes=attributes)
        return ExecutionSpan(self, span)

    def child(self, parent: Span, operation: str) -> HostCallSpan:
        """Begin the span of a call of ``operation`` within ``parent``."""
        context = self._trace.set_span_in_context(parent)
        span = self._tracer.start_span(operation, context, self._trace.SpanKind.CLIENT)
        carrier: dict[str, str] = {}
        self._propagate.inject(carrier, self._trace.set_span_in_context(span))
        headers = tuple((name.encode(), carrier[name].encode()) for name in HEADERS if name in carrier)
        return HostCallSpan(self, span, headers)

    def end(self, span: Span, status: str, *, failed: bool) -> None:
        """End ``span`` with ``status``, ``ok`` or a code."""
        span.set_attribute("alga.status", status)
        if failed:
            span.set_status(self._trace.StatusCode.ERROR, status)
        span.end()


class ExecutionSpan:
    """The span of one execution."""

    def __init__(self, tracing: Tracing, span: Span) -> None:
        self._tracing = tracing
        self._span = span

    def host_call(self, operation: str) -> HostCallSpan:
        """Begin the span of a host call of this execution."""
        return self._tracing.child(self._span, operation)

    def end(self, status: str, *, endpoint: str | None, http_status: int | None) -> None:
        """End it; ``status`` is ``ok`` or an error's code, ``endpoint`` the handler as the manifest declares it."""
        if endpoint is not None:
            self._span.set_attribute("alga.endpoint", endpoint)
        if http_status is not None:
            self._span.set_attribute("http.response.status_code", http_status)
        self._tracing.end(self._span, status, failed=status != "ok" or (http_status or 0) >= 500)


class HostCallSpan:
    """The span of one host call; ``headers`` name it to the Alga server."""

    def __init__(self, tracing: Tracing, span: Span, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        self._tracing = tracing
        self._span = span
        self.headers = headers

    def end(self, status: str) -> None:
        """End it; ``status`` is ``ok`` or a code."""
        self._tracing.end(self._span, status, failed=status != "ok")


@contextmanager
def exporting(settings: Settings) -> Iterator[None]:
    """Send spans by OTLP over HTTP while a program of the runner's own serves, if ``settings`` ask for spans.

    Where to, and which share of them, is in OpenTelemetry's own variables: ``OTEL_EXPORTER_OTLP_ENDPOINT``,
    ``OTEL_TRACES_SAMPLER`` and so on. Raises ``SettingsError`` without its packages.
    """
    if not settings.tracing:
        yield
        return
    try:
        from opentelemetry import trace  # noqa: PLC0415 - an extra
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        raise _missing() from None
    own = Resource.create({SERVICE_NAME: "alga-runner"})
    provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.force_flush(EXPORT_WITHIN_S * 1000)
        provider.shutdown()


def _missing() -> SettingsError:
    return SettingsError(
        f"The setting {Settings.named('tracing')} is on, and OpenTelemetry is not installed.",
        hint="pip install 'alga-runner[otel]', or turn the setting off.",
    )
