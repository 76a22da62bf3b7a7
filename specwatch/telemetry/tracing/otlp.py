"""The OpenTelemetry SDK's side: our spans as its own, and its exporters for OTLP over HTTP or gRPC.

Imported only where spans are exported; the variables are those of OpenTelemetry's "OTLP Exporter Configuration".
"""

import contextvars
import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, set_value
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from specwatch.telemetry.tracing.span import Span

_KINDS: Final = tuple(SpanKind)
_STATUS: Final = {"UNSET": StatusCode.UNSET, "OK": StatusCode.OK, "ERROR": StatusCode.ERROR}
_CHATTY: Final = ("opentelemetry.exporter", "opentelemetry.sdk", "urllib3.connectionpool")
_GRPC_PORT: Final = 4317


def span_context(span: Span) -> SpanContext:
    """Return the ids of `span` as OpenTelemetry's `SpanContext`."""
    return _context(span.trace_id, span.span_id, span.root, remote=False)


def connect(make: Callable[[], SpanExporter], resource: Resource) -> tuple[Callable[[Sequence[Span]], bool], Callable[[], None]]:
    """Return what sends spans through the exporter that `make` returns, and what stops it.

    To be called in the thread that sends: what the exporter itself says and does there is neither logged nor traced.
    """
    exporter = make()
    _quieten(threading.get_ident())
    scopes: dict[str, InstrumentationScope] = {}

    def send(spans: Sequence[Span]) -> bool:
        # Else an instrumentor would make spans of the sending of spans.
        attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))  # noqa: FBT003 - the API's signature
        readable = [_readable(span, resource, scopes) for span in spans]
        try:
            return exporter.export(readable) is SpanExportResult.SUCCESS
        except Exception:  # noqa: BLE001 - whatever an exporter raises, the spans did not arrive
            return False

    return (lambda spans: contextvars.copy_context().run(send, spans)), exporter.shutdown


def environment_exporter() -> Callable[[], SpanExporter]:
    """Return what makes the exporter that OTEL_TRACES_EXPORTER and the OTEL_EXPORTER_OTLP_* variables ask for.

    To be called where the program starts: its modules cannot be imported any more while the interpreter ends, when the spans
    of a short program are sent. The exporter itself is made in the thread that sends, as it does not live through a fork.

    Raises:
        ImportError: it is not installed.
        ValueError: there is no such exporter or protocol.
    """
    kind = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() or "otlp"
    if kind == "console":
        return ConsoleSpanExporter
    if kind != "otlp":
        raise ValueError(f"OTEL_TRACES_EXPORTER is {kind!r}, expected otlp, console or none")
    endpoint = _variable("ENDPOINT")
    protocol = _variable("PROTOCOL").lower() or _usual_protocol(endpoint)
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - large, only where wanted

        # Without a scheme (`localhost:4317`, as document 004 has it) there is no TLS either, unless the environment says so.
        insecure = None if "://" in endpoint or _variable("INSECURE") else True
        return lambda: OTLPSpanExporter(endpoint=endpoint or None, insecure=insecure)
    if protocol != "http/protobuf":
        raise ValueError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}, expected grpc or http/protobuf")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp  # noqa: PLC0415 - as above

    return lambda: OverHttp(endpoint=_http_endpoint(endpoint))


def _variable(name: str) -> str:
    return (os.environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") or "").strip()


def _usual_protocol(endpoint: str) -> str:
    """The protocol that nobody named: by the port, as each has one of its own; gRPC for no endpoint, as document 004 has it."""
    if endpoint:
        try:
            return "grpc" if urlsplit(endpoint if "://" in endpoint else f"//{endpoint}").port == _GRPC_PORT else "http/protobuf"
        except ValueError:
            return "http/protobuf"
    try:
        import opentelemetry.exporter.otlp.proto.grpc  # noqa: F401, PLC0415 - is it there?
    except ImportError:
        return "http/protobuf"
    return "grpc"


def _http_endpoint(endpoint: str) -> str | None:
    if not endpoint or "://" in endpoint:
        return None  # the exporter reads its variables itself, and knows which of them takes a path
    return f"http://{endpoint.rstrip('/')}/v1/traces"


def _readable(span: Span, resource: Resource, scopes: dict[str, InstrumentationScope]) -> ReadableSpan:
    root = span.root
    parent = _context(span.trace_id, span.parent_id, root, remote=span is root and root.remote) if span.parent_id else None
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace_id, span.span_id, root, remote=False),
        parent=parent,
        resource=resource,
        attributes=span.all_attributes(),
        events=[Event(event.name, event.attributes, event.time_ns) for event in span.events or ()],
        links=span.links,
        kind=_KINDS[span.kind],
        status=Status(_STATUS[span.status], span.description or None),
        start_time=span.started_ns,
        end_time=span.ended_ns,
        instrumentation_scope=scopes.get(span.scope) or scopes.setdefault(span.scope, InstrumentationScope(span.scope)),
    )


def _context(trace_id: str, span_id: str, root: Span, *, remote: bool) -> SpanContext:
    flags = int(root.flags, 16) | (1 if root.sampled else 0)
    state = TraceState.from_header([root.tracestate]) if root.tracestate else None
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=remote, trace_flags=TraceFlags(flags), trace_state=state)


def _quieten(thread: int) -> None:
    """Keep out of the log what exporters say in `thread` on every failure; the pipeline says it once."""

    def elsewhere(record: logging.LogRecord) -> bool:
        return record.thread != thread

    for name in [*_CHATTY, *(each for each in logging.root.manager.loggerDict if each.startswith("opentelemetry.exporter"))]:
        logging.getLogger(name).addFilter(elsewhere)
