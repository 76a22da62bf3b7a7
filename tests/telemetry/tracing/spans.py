"""Spans as OpenTelemetry's SDK gets them, for tests."""

import os
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from specwatch.telemetry.tracing import flush_spans, setup_tracing


class Exported:
    """What has been exported.

    Attributes:
        tracer: OpenTelemetry's tracer.
    """

    def __init__(self, tracer: Any, memory: InMemorySpanExporter) -> None:
        self.tracer = tracer
        self._memory = memory

    def spans(self) -> dict[str, ReadableSpan]:
        """Return the spans by name, once all have arrived."""
        assert flush_spans(10)
        spans = self._memory.get_finished_spans()
        found = {span.name: span for span in spans}
        assert len(found) == len(spans), [span.name for span in spans]
        return found

    def names(self) -> set[str]:
        """Return the names of all spans."""
        return set(self.spans())


def exported_spans(monkeypatch: pytest.MonkeyPatch, **options: Any) -> Exported:
    """Export every trace to memory, whatever the machine's environment says."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    memory = InMemorySpanExporter()
    return Exported(setup_tracing(exporter=memory, service="shop", instrumentors=(), **options), memory)


def ids(span: ReadableSpan) -> tuple[str, str, str]:
    """Return trace id, span id and the parent's span id."""
    context = span.context
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}", f"{span.parent.span_id:016x}" if span.parent else ""


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """Return the attributes as a plain dictionary."""
    return dict(span.attributes or {})
