"""OpenTelemetry's API on our spans: whoever asks `opentelemetry.trace` for a tracer or the current span gets ours.

So the spans of instrumentors, of frameworks and of the application's own `tracer.start_as_current_span` are in one
trace with the request's, under one sampling decision, and one class of light object.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import Link, SpanContext, SpanKind, TracerProvider
from opentelemetry.trace.propagation import _SPAN_KEY
from opentelemetry.util._decorator import _agnosticcontextmanager

from specwatch.telemetry.context import RequestContext
from specwatch.telemetry.tracing.operations import activate, deactivate, new_span, parent_of_new_spans, span_below
from specwatch.telemetry.tracing.otlp import span_context
from specwatch.telemetry.tracing.pipeline import SpanPipeline
from specwatch.telemetry.tracing.span import Span

trace.Span.register(Span)


class ContextBridge:
    """Keeps OpenTelemetry's current span in step with ours.

    Each request passes here, so the variable behind OpenTelemetry's context is used itself where it is the usual one.
    """

    def __init__(self) -> None:
        variable = getattr(otel._RUNTIME_CONTEXT, "_current_context", None)  # noqa: SLF001 - see above; the API is used without it
        self._get: Callable[[], Context] = otel.get_current
        self._set: Callable[[Context], object] = otel.attach
        if isinstance(variable, ContextVar):
            self._get, self._set = variable.get, variable.set

    def current(self) -> Any:
        """Return what a new span belongs below by OpenTelemetry's context: a span of ours, another's ids, or None."""
        span = self._get().get(_SPAN_KEY)
        return span if span is None or isinstance(span, Span) else _ours(span)

    def attach(self, span: Span) -> object:
        """Make `span` OpenTelemetry's current one and return the context of before."""
        before = self._get()
        self._set(Context({**before, _SPAN_KEY: span} if before else {_SPAN_KEY: span}))
        return before

    def restore(self, before: object) -> None:
        """Make the context of before current again; not by its token, as an answer may end in another thread or task."""
        if isinstance(before, Context):
            self._set(before)

    def span_context(self, span: Span) -> SpanContext:
        """Return OpenTelemetry's `SpanContext` of `span`."""
        return span_context(span)

    def link(self, context: Any, attributes: Mapping[str, object] | None) -> Link:
        """Return OpenTelemetry's `Link`."""
        return Link(context, dict(attributes or {}))  # type: ignore[arg-type] # checked where it is encoded


class Provider(TracerProvider):
    """The tracer provider that `setup_tracing` makes the process's own.

    Args:
        pipeline: where finished spans go.
        resource: which service this is.
    """

    def __init__(self, pipeline: SpanPipeline, resource: Resource) -> None:
        self.renew(pipeline, resource)

    def renew(self, pipeline: SpanPipeline, resource: Resource) -> None:
        """Go on with another pipeline and resource: OpenTelemetry lets a process set its provider only once."""
        self._pipeline = pipeline
        self.resource = resource

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,  # noqa: ARG002 - the API's signature
        schema_url: str | None = None,  # noqa: ARG002 - as above
        attributes: Any = None,  # noqa: ARG002 - as above
    ) -> "LightTracer":
        """Return a tracer whose spans are named after `instrumenting_module_name`."""
        return LightTracer(instrumenting_module_name)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits and return whether that was done in time."""
        return self._pipeline.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Send what waits, within the pipeline's limit."""
        self._pipeline.shutdown()


class LightTracer(trace.Tracer):
    """Makes spans of ours for whoever speaks OpenTelemetry.

    Args:
        scope: name of the instrumentation.
    """

    def __init__(self, scope: str) -> None:
        self._scope = scope

    def start_span(  # type: ignore[override] # ours answers to the calls of trace.Span
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,  # noqa: ARG002, FBT002 - the API's signature; ours records what leaves a with block
        set_status_on_exception: bool = True,  # noqa: ARG002, FBT002 - as above
    ) -> Span:
        """Return a new span below the current one, or below the one in `context`."""
        parent = parent_of_new_spans() if context is None else _ours(context.get(_SPAN_KEY))
        if isinstance(parent, Span):
            span = span_below(parent, name, attributes, kind.value)
        else:
            path = str((attributes or {}).get("url.path") or (attributes or {}).get("http.target") or "")
            span = new_span(parent, name, kind.value, path).set_attributes(attributes or {})
        span.scope = self._scope
        span.links = tuple(links or ())
        if start_time:
            span.began_at(start_time)
        return span

    @_agnosticcontextmanager
    def start_as_current_span(  # type: ignore[override] # as start_span
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,  # noqa: FBT002 - the API's signature
        set_status_on_exception: bool = True,  # noqa: FBT002 - as above
        end_on_exit: bool = True,  # noqa: FBT002 - as above
    ) -> Iterator[Span]:
        """Make a new span the current one inside the `with` block."""
        span = self.start_span(name, context, kind, attributes, links, start_time)
        before = activate(span)
        try:
            yield span
        except Exception as error:
            if record_exception:
                span.record_exception(error)
            if set_status_on_exception:
                span.set_status("ERROR", f"{type(error).__name__}: {error}")
            raise
        finally:
            deactivate(before)
            if end_on_exit:
                span.end()


def _ours(span: Any) -> Any:
    if span is None or isinstance(span, Span):
        return span
    context = span.get_span_context()
    if not context.is_valid:
        return None
    state = context.trace_state.to_header() if context.trace_state else ""
    return RequestContext(f"{context.trace_id:032x}", "", f"{context.span_id:016x}", f"{int(context.trace_flags):02x}", tracestate=state)
