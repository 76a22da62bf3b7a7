"""Where spans go."""

from collections.abc import Collection
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from specwatch.stack.secrets import SecretFile


class Sampling(Struct, frozen=True, kw_only=True):
    """Which traces are kept once they are over: failed ones, slow ones (0: none for that), and `ratio` (0 to 1) of the rest."""

    errors: bool
    slower_than_milliseconds: int
    ratio: Decimal
    wait_seconds: int


class Traces(Struct, frozen=True, kw_only=True):
    """Where spans go.

    `endpoint` and `token` are for the backend "otlp"; without `sampling` every span is kept. `through_collector` says whether services
    send to the collector, which sends on, and not to the backend itself.
    """

    backend: Literal["tempo", "jaeger", "otlp"]
    endpoint: str
    token: SecretFile | None
    sampling: Sampling | None
    span_metrics: bool
    through_collector: bool


def store(traces: Traces, components: Collection[str]) -> str:
    """Return the component that keeps the spans; an empty text when it is off, or somebody else's."""
    return traces.backend if traces.backend in components else ""


def intake(traces: Traces, components: Collection[str]) -> str:
    """Return the component to which services send by OTLP, or an empty text when there is none."""
    if traces.through_collector:
        return "otelcol" if "otelcol" in components else ""
    return store(traces, components)


def counted_by(traces: Traces, components: Collection[str]) -> str:
    """Return the component that computes metrics from spans, or an empty text when none does: nobody would keep them, or none can.

    The collector does wherever spans pass it, because it sees them before any is sampled away.
    """
    if not traces.span_metrics or "prometheus" not in components:
        return ""
    if traces.through_collector:
        return "otelcol" if "otelcol" in components and kept(traces, components) else ""
    return "tempo" if store(traces, components) == "tempo" else ""


def kept(traces: Traces, components: Collection[str]) -> bool:
    """Return whether spans that arrive are kept anywhere."""
    return traces.backend == "otlp" or bool(store(traces, components))
