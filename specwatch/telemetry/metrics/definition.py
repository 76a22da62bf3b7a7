"""What a metric is: its name, its type, its labels and the values they may take."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

MetricType: TypeAlias = Literal["counter", "gauge", "histogram", "summary", "info"]
GaugeMode: TypeAlias = Literal[
    "auto", "sum", "livesum", "max", "livemax", "min", "livemin", "mostrecent", "livemostrecent", "all", "liveall"
]
Labels: TypeAlias = Mapping[str, tuple[str, ...] | None] | Iterable[str]
Shape: TypeAlias = tuple[str, str, tuple[str, ...], tuple[float, ...], str]

DEFAULT_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper bounds of a histogram that declares none: those of prometheus-client, in seconds."""

FACTS: Final = "facts"
"""The one label under which an info metric keeps its facts, as JSON."""

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_RESERVED: Final = {"histogram": "le", "summary": "quantile"}
_TOTAL: Final = "_total"


class MetricError(ValueError):
    """A metric that is declared or used wrongly; the message says what is expected."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric as the spec declares it.

    Attributes:
        name: the name in PromQL; a counter's ends with `_total`, which is appended where it is missing.
        type: counter, gauge, histogram, summary or info.
        help: one sentence on what it counts or measures.
        unit: a base unit such as `seconds`.
        labels: label names with the values each may take, None for an open set; a plain sequence of names will do.
        buckets: a histogram's upper bounds, rising, without +Inf; prometheus-client's own when left out.
        mode: how a gauge's values of several workers become one: `sum`, `max`, `min`, `mostrecent`, each also as `live…` (workers
            that are gone do not count); `all` or `liveall` keep one series for each worker. `auto` is `mostrecent` where a worker has
            set the gauge, and `livesum` where workers count up and down.
        max_series: how many series the metric may have in one process before the rest share one; the registry's when None.

    Raises:
        MetricError: a name, a label or the buckets break Prometheus' rules.
    """

    name: str
    type: MetricType
    help: str = ""
    unit: str = ""
    labels: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()
    mode: GaugeMode = "auto"
    max_series: int | None = None

    def __post_init__(self) -> None:
        if self.type not in get_args(MetricType):
            raise MetricError(f"metric {self.name}: type {self.type!r}, expected one of {', '.join(get_args(MetricType))}")
        if not _NAME.fullmatch(self.name):
            raise MetricError(f"metric {self.name!r}: expected letters, digits, _ and :, not beginning with a digit")
        if self.mode not in get_args(GaugeMode):
            raise MetricError(f"metric {self.name}: mode {self.mode!r}, expected one of {', '.join(get_args(GaugeMode))}")
        if self.type == "counter" and not self.name.endswith(_TOTAL):
            object.__setattr__(self, "name", self.name + _TOTAL)
        object.__setattr__(self, "labels", _labels(self))
        object.__setattr__(self, "buckets", _buckets(self))

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels' names, in the order in which values are given."""
        return tuple(self.labels)

    @property
    def shape(self) -> Shape:
        """What two declarations of a metric have to have in common for their numbers to belong together."""
        return self.name, self.type, self.label_names, self.buckets, self.mode

    @property
    def width(self) -> int:
        """How many numbers one series keeps: a histogram one for each bucket and the sum, a gauge its value and when it was set."""
        if self.type == "histogram":
            return len(self.buckets) + 2
        return 1 if self.type == "counter" else 2


def is_label(name: str) -> bool:
    """Return whether a label may be called so."""
    return _LABEL.fullmatch(name) is not None


def _labels(definition: Definition) -> dict[str, tuple[str, ...] | None]:
    given: object = definition.labels
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise MetricError(f"metric {definition.name}: labels are {given!r}, expected a sequence of names")
    pairs = given.items() if isinstance(given, Mapping) else ((name, None) for name in given)
    labels = {name: tuple(map(str, values)) if values else None for name, values in pairs}
    for name in labels:
        if not _LABEL.fullmatch(name) or name == _RESERVED.get(definition.type):
            raise MetricError(f"metric {definition.name}: label {name!r} is reserved or holds more than letters, digits and _")
    return labels


def _buckets(definition: Definition) -> tuple[float, ...]:
    if definition.type != "histogram":
        return ()
    bounds = tuple(float(bound) for bound in definition.buckets) or DEFAULT_BUCKETS
    bounds = bounds[:-1] if bounds[-1] == math.inf else bounds
    if not bounds or not all(map(math.isfinite, bounds)) or list(bounds) != sorted(set(bounds)):
        raise MetricError(f"metric {definition.name}: buckets {list(definition.buckets)}, expected rising numbers")
    return bounds
