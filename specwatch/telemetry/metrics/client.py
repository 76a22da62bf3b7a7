"""The names of prometheus-client, made here: a program changes the import and keeps the rest of its code (document 004).

from specwatch.telemetry.metrics.client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from specwatch.telemetry.endpoints.server import EndpointServer
from specwatch.telemetry.metrics import instruments
from specwatch.telemetry.metrics.definition import DEFAULT_BUCKETS
from specwatch.telemetry.metrics.exposition import TEXT
from specwatch.telemetry.metrics.registry import Metrics, default_metrics
from specwatch.telemetry.metrics.server import serve_metrics

CONTENT_TYPE_LATEST: Final = TEXT
"""The content type of what `generate_latest` returns."""


def Counter(name: str, documentation: str, labelnames: Iterable[str] = (), **more: Any) -> instruments.Counter:  # noqa: N802 - the name programs use
    """Return a counter; `more` are `namespace`, `subsystem`, `unit` and `registry`, a `Metrics`."""
    registry, name, options = _place(name, more)
    return registry.counter(name, documentation, tuple(labelnames), **options)


def Gauge(  # noqa: N802 - the name programs use
    name: str, documentation: str, labelnames: Iterable[str] = (), *, multiprocess_mode: Any = "auto", **more: Any
) -> instruments.Gauge:
    """Return a gauge; `more` as for `Counter`. Without a `multiprocess_mode` it is `auto`: see `Definition.mode`."""
    registry, name, options = _place(name, more)
    return registry.gauge(name, documentation, tuple(labelnames), mode=multiprocess_mode, **options)


def Histogram(  # noqa: N802 - the name programs use
    name: str, documentation: str, labelnames: Iterable[str] = (), *, buckets: Iterable[float] = DEFAULT_BUCKETS, **more: Any
) -> instruments.Histogram:
    """Return a histogram; `more` as for `Counter`."""
    registry, name, options = _place(name, more)
    return registry.histogram(name, documentation, tuple(labelnames), buckets=tuple(buckets), **options)


def Summary(name: str, documentation: str, labelnames: Iterable[str] = (), **more: Any) -> instruments.Summary:  # noqa: N802 - the name programs use
    """Return a summary; `more` as for `Counter`."""
    registry, name, options = _place(name, more)
    return registry.summary(name, documentation, tuple(labelnames), **options)


def Info(name: str, documentation: str, **more: Any) -> instruments.Info:  # noqa: N802 - the name programs use
    """Return an info; `more` as for `Counter`."""
    registry, name, options = _place(name, more)
    return registry.info(name, documentation, **options)


def generate_latest(registry: Metrics | None = None) -> bytes:
    """Return all metrics as Prometheus text; those of all workers where they share a folder."""
    return (registry or default_metrics()).render()[0]


def start_http_server(port: int, addr: str = "127.0.0.1", registry: Metrics | None = None) -> EndpointServer:
    """Return a running server of the metrics.

    Raises:
        OSError: the port is taken.
    """
    return serve_metrics(port, registry, host=addr)


def _place(name: str, more: Mapping[str, Any]) -> tuple[Metrics, str, dict[str, Any]]:
    """Return the registry, the full name and what remains of the options."""
    options = dict(more)
    registry = options.pop("registry", None) or default_metrics()
    parts = [options.pop("namespace", ""), options.pop("subsystem", ""), name]
    full, unit = "_".join(filter(None, parts)), options.get("unit", "")
    bare = full.removesuffix("_total")
    return registry, full if not unit or bare.endswith(f"_{unit}") else f"{bare}_{unit}", options
