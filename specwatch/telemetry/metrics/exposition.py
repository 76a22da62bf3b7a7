"""What a scrape gets: Prometheus text or OpenMetrics, and JSON for people, from one process or from all workers."""

import math
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from specwatch.telemetry.metrics.definition import Definition
from specwatch.telemetry.metrics.guard import ERRORS, OVERFLOWS
from specwatch.telemetry.metrics.text import Exemplars, FamilyText, cumulated, label_pairs

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_GZIP_WINDOW: Final = 31
_OWN: Final = frozenset({ERRORS.name, OVERFLOWS.name})
_QUANTILES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with its numbers at one moment; see `FamilyText.body` for their order.

    Attributes:
        text: writes it.
        values: the numbers of all rows.
        exemplars: by row and bucket.
        created: when a row's series was made, in seconds since 1970, for those of which that is known.
    """

    text: FamilyText
    values: Sequence[float]
    exemplars: Exemplars | None = None
    created: Mapping[int, float] | None = None

    @property
    def definition(self) -> Definition:
        """What the metric is."""
        return self.text.definition


class Source(Protocol):
    """What can be scraped."""

    def families(self) -> Iterable[Family]:
        """Return every metric with its numbers."""

    def foreign(self, *, openmetrics: bool, taken: Collection[str] = ()) -> str:
        """Return the lines of metrics that other libraries keep, without those whose names are `taken`."""


def wants_openmetrics(accept: str) -> bool:
    """Return whether an Accept header prefers OpenMetrics to Prometheus text (RFC 9110, section 12.5.1)."""
    weights = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for part in accept.split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if media in weights:
            weights[media] = max(weights[media], _weight(parameters))
    openmetrics = weights["application/openmetrics-text"]
    return openmetrics > 0 and openmetrics >= weights["text/plain"]


def text_of(source: Source, *, openmetrics: bool) -> str:
    """Return all metrics of `source` as Prometheus text 0.0.4 or as OpenMetrics 1.0."""
    parts: list[str] = []
    names: set[str] = set()
    for family in source.families():
        names.add(family.definition.name)
        parts.append(family.text.header(openmetrics=openmetrics))
        more = (family.exemplars, family.created) if openmetrics else ()
        parts.append(family.text.body(family.values, *more))
    parts.append(source.foreign(openmetrics=openmetrics, taken=names))
    if openmetrics:
        parts.append("# EOF\n")
    return "".join(parts)


def compress(body: bytes) -> bytes:
    """Return `body` as gzip, at the level that costs least: it travels over one wire and is thrown away."""
    packer = zlib.compressobj(level=1, wbits=_GZIP_WINDOW)
    return packer.compress(body) + packer.flush()


def as_json(source: Source) -> dict[str, Any]:
    """Return counters, gauges and histograms by name, as document 002 shows them.

    A histogram has count, sum, avg and p50, p95, p99 estimated within their buckets (None while it is empty); a summary has no
    quantiles. A series with labels is named as in PromQL, `name{label="value"}`. The library's own counters of mistakes are left out.
    """
    shown: dict[str, dict[str, Any]] = {"counters": {}, "gauges": {}, "histograms": {}}
    for family in source.families():
        definition = family.definition
        if definition.name in _OWN:
            continue
        width = len(family.values) // len(family.text.rows) if family.text.rows else 1
        for index, row in enumerate(family.text.rows):
            numbers = family.values[index * width : (index + 1) * width]
            pairs = label_pairs(family.text.names, row)
            name = definition.name + ("{" + ",".join(pairs) + "}" if pairs else "")
            if definition.type in {"counter", "gauge"}:
                shown[f"{definition.type}s"][name] = _plain(numbers[0])
            elif definition.type == "histogram":
                shown["histograms"][name] = _spread(definition.buckets, numbers)
            elif definition.type == "summary":
                shown["histograms"][name] = _mean(numbers[0], numbers[1])
    return shown


def quantile(share: float, bounds: Sequence[float], cumulative: Sequence[float]) -> float | None:
    """Return the value below which `share` of all lie, read off within its bucket as PromQL's histogram_quantile does.

    Args:
        share: from 0 to 1.
        bounds: the buckets' upper bounds without +Inf.
        cumulative: how many values lie at or below each bound, then all.
    """
    if not cumulative or not cumulative[-1]:
        return None
    rank = share * cumulative[-1]
    bucket = next(index for index, count in enumerate(cumulative) if count >= rank)
    if bucket == len(bounds):
        return bounds[-1]
    lower = bounds[bucket - 1] if bucket else min(0.0, bounds[0])
    before = cumulative[bucket - 1] if bucket else 0.0
    inside = cumulative[bucket] - before
    return lower + (bounds[bucket] - lower) * ((rank - before) / inside if inside else 1.0)


def _spread(bounds: Sequence[float], numbers: Sequence[float]) -> dict[str, Any]:
    *cumulative, total, count = cumulated(numbers, len(numbers))
    spread = _mean(count, total)
    for name, share in _QUANTILES:
        found = quantile(share, bounds, cumulative)
        spread[name] = None if found is None else _plain(round(found, 6))
    return spread


def _mean(count: float, total: float) -> dict[str, Any]:
    return {"count": _plain(count), "sum": _plain(total), "avg": _plain(round(total / count, 6)) if count else None}


def _plain(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
