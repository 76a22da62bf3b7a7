"""Counters, gauges, histograms, summaries and infos: fast to count with, cheap to scrape, exact over several workers.

    from specwatch.telemetry.metrics import Metrics, load_catalog

    metrics = Metrics(load_catalog("metrics.json"))
    metrics.orders_total.labels(status="paid").inc()

or, without a catalog, on the registry that `default_metrics` returns:

    from specwatch.telemetry.metrics import counter

    orders_total = counter("orders_total", "Orders placed.", ["status"])
    orders_total.inc(status="paid")
"""

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from specwatch.telemetry.metrics.catalog import load_catalog
from specwatch.telemetry.metrics.definition import DEFAULT_BUCKETS, Definition, GaugeMode, Labels, MetricError
from specwatch.telemetry.metrics.instruments import Counter, Gauge, Histogram, Info, Instrument, Summary
from specwatch.telemetry.metrics.operations import track_operation
from specwatch.telemetry.metrics.registry import MAX_SERIES, Metrics, UndeclaredMetricError, default_metrics
from specwatch.telemetry.metrics.render import render, render_json

if TYPE_CHECKING:
    from specwatch.telemetry.metrics.batch import batch_job, push, write_textfile
    from specwatch.telemetry.metrics.server import serve_metrics

__all__ = [
    "DEFAULT_BUCKETS",
    "MAX_SERIES",
    "Counter",
    "Definition",
    "Gauge",
    "Histogram",
    "Info",
    "Instrument",
    "MetricError",
    "Metrics",
    "Summary",
    "UndeclaredMetricError",
    "batch_job",
    "counter",
    "default_metrics",
    "gauge",
    "histogram",
    "info",
    "load_catalog",
    "push",
    "render",
    "render_json",
    "serve_metrics",
    "summary",
    "track_operation",
    "write_textfile",
]

# Imported when first used: they bring HTTP along.
_LATER = {"batch_job": "batch", "push": "batch", "write_textfile": "batch", "serve_metrics": "server"}


def counter(name: str, help: str = "", labels: Labels = (), **more: Any) -> Counter:  # noqa: A002 - the field's own word
    """Return a counter of the default registry; asked for again with the same arguments it is the same counter."""
    return default_metrics().counter(name, help, labels, **more)


def gauge(name: str, help: str = "", labels: Labels = (), *, mode: GaugeMode = "auto", **more: Any) -> Gauge:  # noqa: A002
    """Return a gauge of the default registry."""
    return default_metrics().gauge(name, help, labels, mode=mode, **more)


def histogram(
    name: str,
    help: str = "",  # noqa: A002 - the field's own word
    labels: Labels = (),
    *,
    buckets: Iterable[float] = DEFAULT_BUCKETS,
    **more: Any,
) -> Histogram:
    """Return a histogram of the default registry."""
    return default_metrics().histogram(name, help, labels, buckets=buckets, **more)


def summary(name: str, help: str = "", labels: Labels = (), **more: Any) -> Summary:  # noqa: A002 - the field's own word
    """Return a summary of the default registry."""
    return default_metrics().summary(name, help, labels, **more)


def info(name: str, help: str = "", labels: Labels = (), **more: Any) -> Info:  # noqa: A002 - the field's own word
    """Return an info of the default registry."""
    return default_metrics().info(name, help, labels, **more)


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
