"""The metrics that prometheus-client keeps, in the shape of document 002's `/api/metrics`."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from specwatch.telemetry.metrics.exposition import quantile

_PERCENTILES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
_GAUGES: Final = frozenset({"gauge", "untyped", "unknown"})


def add_foreign(shown: dict[str, dict[str, Any]], families: Iterable[Any]) -> None:
    """Add prometheus-client's metric objects to `shown`, beside what `as_json` of our own metrics has put there."""
    for family in families:
        if family.type in {"histogram", "summary"}:
            shown["histograms"].update({key: series.as_json() for key, series in _grouped(family).items()})
        elif family.type == "counter" or family.type in _GAUGES:
            kind = "counters" if family.type == "counter" else "gauges"
            for sample in family.samples:
                if not sample.name.endswith("_created"):
                    shown[kind][_key(sample.name, sample.labels)] = _number(sample.value)


class _Distribution:
    """One series of a histogram or a summary."""

    def __init__(self) -> None:
        self.count = 0.0
        self.sum = 0.0
        self.buckets: list[tuple[float, float]] = []

    def as_json(self) -> dict[str, object]:
        """Return count, sum, avg, and percentiles where there are buckets to read them from."""
        average = _number(round(self.sum / self.count, 6)) if self.count else None
        shown: dict[str, object] = {"count": _number(self.count), "sum": _number(self.sum), "avg": average}
        bounds = [bound for bound, _ in sorted(self.buckets) if math.isfinite(bound)]
        if bounds:
            cumulative = [count for _, count in sorted(self.buckets)]
            for name, share in _PERCENTILES:
                found = quantile(share, bounds, cumulative)
                shown[name] = None if found is None else _number(round(found, 6))
        return shown


def _grouped(family: Any) -> dict[str, _Distribution]:
    grouped: dict[str, _Distribution] = {}
    for sample in family.samples:
        labels = {name: value for name, value in sample.labels.items() if name not in {"le", "quantile"}}
        series = grouped.setdefault(_key(family.name, labels), _Distribution())
        match sample.name.removeprefix(family.name):
            case "_bucket":
                series.buckets.append((float(sample.labels["le"]), sample.value))
            case "_count":
                series.count = sample.value
            case "_sum":
                series.sum = sample.value
    return grouped


def _key(name: str, labels: Mapping[str, str]) -> str:
    escaped = {label: value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for label, value in labels.items()}
    pairs = ",".join(f'{label}="{value}"' for label, value in escaped.items())
    return f"{name}{{{pairs}}}" if pairs else name


def _number(value: float) -> object:
    if not math.isfinite(value):
        return None
    return int(value) if value == int(value) else value
