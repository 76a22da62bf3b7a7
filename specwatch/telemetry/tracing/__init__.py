"""Traces: spans around requests and operations, in the logs always, exported when `setup_tracing` has been called."""

from typing import TYPE_CHECKING

from specwatch.telemetry.tracing.operations import (
    add_span_attributes,
    get_current_span,
    start_span,
    trace_async_function,
    trace_function,
    trace_operation,
    use_span,
)
from specwatch.telemetry.tracing.span import Span

if TYPE_CHECKING:
    from specwatch.telemetry.tracing.sampling import Sampler
    from specwatch.telemetry.tracing.setup import flush_spans, setup_tracing, shutdown_tracing

__all__ = [
    "Sampler",
    "Span",
    "add_span_attributes",
    "flush_spans",
    "get_current_span",
    "setup_tracing",
    "shutdown_tracing",
    "start_span",
    "trace_async_function",
    "trace_function",
    "trace_operation",
    "use_span",
]


def __getattr__(name: str) -> object:
    """Import what only a program that exports spans needs when it asks for it."""
    if name == "Sampler":
        from specwatch.telemetry.tracing.sampling import Sampler  # noqa: PLC0415 - see above

        return Sampler
    if name in {"setup_tracing", "shutdown_tracing", "flush_spans"}:
        from specwatch.telemetry.tracing import setup  # noqa: PLC0415 - see above

        return getattr(setup, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
