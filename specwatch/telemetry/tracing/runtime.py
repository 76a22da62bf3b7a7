"""Where the finished spans of this process go: one place, as there is one trace context for a process."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from specwatch.telemetry.tracing.sampling import Sampler
    from specwatch.telemetry.tracing.span import Span


class Pipeline(Protocol):
    """Takes finished spans."""

    def put(self, span: "Span", /) -> None:
        """Take the span; never blocks and never raises."""


class Bridge(Protocol):
    """OpenTelemetry's side of the current span; see `tracing.api`."""

    def current(self) -> Any:
        """Return OpenTelemetry's current span: one of ours, a foreign one, or None."""

    def attach(self, span: "Span") -> object:
        """Make `span` OpenTelemetry's current one and return what `restore` takes."""

    def restore(self, before: object) -> None:
        """Make current again what was before."""

    def span_context(self, span: "Span") -> Any:
        """Return OpenTelemetry's `SpanContext` of `span`."""

    def link(self, context: Any, attributes: Mapping[str, object] | None) -> Any:
        """Return OpenTelemetry's `Link`."""


class Runtime:
    """What `setup_tracing` has set up.

    Attributes:
        sampler: decides which traces are exported; None while nothing is.
        pipeline: takes finished spans; None while nothing is exported.
        keep_errors: whether a trace that is not sampled and ends in an error is exported all the same.
        bridge: keeps OpenTelemetry's current span in step; None while its API is not in use.
    """

    __slots__ = ("bridge", "keep_errors", "pipeline", "sampler")

    def __init__(self) -> None:
        self.sampler: Sampler | None = None
        self.pipeline: Pipeline | None = None
        self.keep_errors = True
        self.bridge: Bridge | None = None


RUNTIME: Final = Runtime()
