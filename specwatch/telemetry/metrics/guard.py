"""What becomes of a mistake: raised in development, counted in production; and of a metric that grows too many series."""

import logging
from collections.abc import Mapping
from typing import Final, Protocol

from specwatch.telemetry.metrics.definition import Definition, MetricError

ERRORS: Final = Definition(
    "specwatch_telemetry_errors_total",
    "counter",
    "Uses of a metric that its declaration does not allow, and values that could not be kept.",
    labels={"kind": ("undeclared_metric", "undeclared_label", "undeclared_value", "bad_value", "storage")},
)
OVERFLOWS: Final = Definition(
    "specwatch_telemetry_series_overflow_total",
    "counter",
    "Lookups that were counted in a metric's overflow series, for the metric has as many series as it may have.",
    labels=("metric",),  # type: ignore[arg-type] # names alone are turned into a mapping
)
OVERFLOW: Final = "__overflow__"
"""The value of every open label in the series that takes what is too many."""
UNDECLARED: Final = "other"
"""What stands in production for a label value that is not among the declared ones."""

_MOST_TOLD: Final = 200


class Counts(Protocol):
    """Counters by one label."""

    def labels(self, *values: object) -> "Counted":
        """Return one series."""


class Counted(Protocol):
    """One counter."""

    def inc(self, amount: float = 1.0) -> None:
        """Add."""


class Guard:
    """The rules of one registry.

    Args:
        strict: whether a mistake is raised; else it is counted and told once through `logging`.
        max_series: how many series a metric may have that does not say so itself.
    """

    def __init__(self, *, strict: bool, max_series: int) -> None:
        self.strict = strict
        self.max_series = max_series
        self.errors: Counts | None = None
        self.overflows: Counts | None = None
        self._told: set[tuple[str, str]] = set()

    def mistake(self, kind: str, metric: str, message: str) -> None:
        """Raise MetricError in development; else count it, and tell the first of each metric and kind.

        Args:
            kind: a value of the label `kind`.
            metric: whose mistake it is.
            message: what was found and what was expected.
        """
        if self.strict:
            raise MetricError(message)
        self.note(kind, metric, message)

    def note(self, kind: str, metric: str, message: str) -> None:
        """Count what went wrong through no fault of the caller."""
        if self.errors is not None and metric != ERRORS.name:
            self.errors.labels(kind).inc()
        self._tell(kind, metric, message)

    def overflow(self, definition: Definition, limit: int) -> None:
        """Count that a label set found no place."""
        if self.overflows is not None and definition.name != OVERFLOWS.name:
            self.overflows.labels(definition.name).inc()
        self._tell("overflow", definition.name, f"metric {definition.name} has {limit} series, the rest share one; see max_series")

    def _tell(self, kind: str, metric: str, message: str) -> None:
        if (kind, metric) not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add((kind, metric))
            logging.getLogger(__name__).warning("%s", message)


def declared(definition: Definition, values: tuple[str, ...]) -> str:
    """Return what is wrong with the label values, or an empty text."""
    for (name, allowed), value in zip(definition.labels.items(), values, strict=True):
        if allowed is not None and value not in allowed:
            return f"metric {definition.name}: {name}={value!r}, expected one of {', '.join(allowed)}"
    return ""


def closed(definition: Definition, values: tuple[str, ...], stand_in: Mapping[bool, str]) -> tuple[str, ...]:
    """Return the values with open labels replaced by `stand_in[True]`, undeclared values of closed ones by `stand_in[False]`."""
    return tuple(
        (stand_in.get(True, value) if allowed is None else value if value in allowed else stand_in[False])
        for allowed, value in zip(definition.labels.values(), values, strict=True)
    )
