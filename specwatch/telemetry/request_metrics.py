"""The metrics of every request: how many, how long, how large, how many at the moment."""

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from specwatch.telemetry.routes import UNMATCHED

__all__ = ["DURATION_BUCKETS", "SIZE_BUCKETS", "UNMATCHED", "RequestMetrics", "known_method"]

DURATION_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the duration histogram, in seconds."""

SIZE_BUCKETS: Final = (100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0, 10_000_000.0, 100_000_000.0)
"""Upper bounds of the size histograms, in bytes."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_DECLARED_STATUSES: Final = ("200", "500")
_MOST_CACHED: Final = 4096

_SHOWN: Final[weakref.WeakKeyDictionary[Any, Any]] = weakref.WeakKeyDictionary()
_Series = tuple[Callable[[float, float, float], None], Any]


def known_method(method: str) -> str:
    """Return `method` when HTTP has it, else OTHER: a client may invent as many as it likes."""
    return method if method in _METHODS else "OTHER"


class RequestMetrics:
    """`http_requests_total`, `http_request_duration_seconds`, `http_request_size_bytes`, `http_response_size_bytes` and
    `http_requests_in_flight`; for websockets `http_websockets_open`.

    Args:
        registry: a `Metrics`, or a registry of prometheus-client that is to show them; the default registry when left out.
        buckets: upper bounds of the duration histogram, in seconds.
        size_buckets: upper bounds of the size histograms, in bytes.
        prefix: what the names begin with in place of `http_`, such as document 001's `skillmeat_api_`.

    A metric that the registry has already, from the spec, is used as it is declared.

    Raises:
        MetricError: it is declared with another type or other labels.
        ValueError: the prometheus-client registry has a metric of one of these names that is not ours.
    """  # noqa: D205 - the names are the summary

    def __init__(
        self,
        registry: Any = None,
        buckets: Sequence[float] = DURATION_BUCKETS,
        size_buckets: Sequence[float] = SIZE_BUCKETS,
        prefix: str = "http_",
    ) -> None:
        from specwatch.telemetry.metrics import Definition  # noqa: PLC0415 - a program without metrics does not need it
        from specwatch.telemetry.metrics.together import together  # noqa: PLC0415 - as above

        self.metrics = metrics_of(registry)
        self._together: Callable[..., Callable[[float, float, float], None]] = together if self.metrics.enabled else _nothing_together

        def adopted(kind: Any, name: str, text: str, labels: Any = (), bounds: Sequence[float] = ()) -> Any:
            return self.metrics.adopt(Definition(f"{prefix}{name}", kind, text, labels=labels, buckets=tuple(bounds)))

        route = ("method", "endpoint")
        self.requests = adopted("counter", "requests_total", "HTTP requests answered.", (*route, "status"))
        self.duration = adopted(
            "histogram",
            "request_duration_seconds",
            "Time from the first byte of a request to its answer, in seconds.",
            route,
            buckets,
        )
        self.request_size = adopted("histogram", "request_size_bytes", "Length of request bodies, in bytes.", route, size_buckets)
        self.response_size = adopted("histogram", "response_size_bytes", "Length of answers' bodies, in bytes.", route, size_buckets)
        self.in_flight = adopted("gauge", "requests_in_flight", "HTTP requests being answered at the moment.")
        self.websockets = adopted("gauge", "websockets_open", "Websockets that are open at the moment.")
        show_in(registry, self.metrics)
        # What a request calls, bound once: the series are looked up by one key and each call is direct.
        gauge = self.in_flight.labels()
        self.begin: Callable[[], None] = gauge.inc
        self.end: Callable[[], None] = gauge.dec
        self._series: dict[tuple[str, str, str], _Series] = {}

    def declare(self, routes: Iterable[tuple[str, str]]) -> None:
        """Create the counters of each (method, endpoint) at 0.

        rate() needs a first value to see an increase from: without this the first failure of a route is invisible.
        """
        for method, endpoint in routes:
            for status in _DECLARED_STATUSES:
                self.requests.labels(method=method, endpoint=endpoint, status=status)

    def observe(
        self,
        method: str,
        endpoint: str,
        status: str,
        seconds: float,
        request_bytes: int = 0,
        response_bytes: int = 0,
        exemplar: Mapping[str, str] | None = None,
    ) -> None:
        """Count one answered request, and that it is no longer in flight.

        Args:
            method: as `known_method` has it.
            endpoint: the route's template.
            status: three digits.
            seconds: how long it took.
            request_bytes: length of its body.
            response_bytes: length of the answer's body.
            exemplar: the trace, when it is exported.
        """
        try:
            series = self._series.get((method, endpoint, status)) or self._find(method, endpoint, status)
        except BaseException:
            self.end()
            raise
        series[0](seconds, request_bytes, response_bytes)
        if exemplar is not None and self.metrics.enabled:
            series[1].exemplar(exemplar, seconds)

    def count(self, method: str, endpoint: str, status: str) -> None:
        """Count a connection that is no exchange of a request and an answer: a websocket."""
        self.requests.labels(method=method, endpoint=endpoint, status=status).inc()

    def _find(self, method: str, endpoint: str, status: str) -> _Series:
        # By name: a spec may declare the labels in another order.
        requests = self.requests.labels(method=method, endpoint=endpoint, status=status)
        measured = [each.labels(method=method, endpoint=endpoint) for each in (self.duration, self.request_size, self.response_size)]
        series = self._together(requests, *measured, self.in_flight.labels()), measured[0]
        if len(self._series) < _MOST_CACHED:
            self._series[method, endpoint, status] = series
        return series


def _nothing_together(*_: object) -> Callable[[float, float, float], None]:
    return lambda *_: None


def metrics_of(registry: Any) -> Any:
    """Return the `Metrics` that counts for `registry`: itself, one shown by a prometheus-client registry, or the default one."""
    from specwatch.telemetry.metrics import Metrics, default_metrics  # noqa: PLC0415 - a program without metrics does not need it

    if registry is None:
        return default_metrics()
    if isinstance(registry, Metrics):
        return registry
    return _SHOWN.get(registry) or Metrics()


def show_in(registry: Any, metrics: Any) -> None:
    """Have a prometheus-client registry show what `metrics_of` returned for it, once all its metrics are defined.

    Raises:
        ValueError: the registry has a metric of one of the names already.
    """
    if registry is not None and registry is not metrics and registry not in _SHOWN:
        registry.register(metrics)
        _SHOWN[registry] = metrics
