"""The metrics of every request: how many, how long, how many at the moment."""

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

UNMATCHED = "unmatched"
"""The endpoint of a request that no route answers."""

DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the duration histogram, in seconds."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_DECLARED_STATUSES = ("200", "500")


def known_method(method: str) -> str:
    """Return `method` when HTTP has it, else OTHER: a client may invent as many as it likes."""
    return method if method in _METHODS else "OTHER"


class RequestMetrics:
    """`http_requests_total`, `http_request_duration_seconds` and `http_requests_in_flight`.

    Args:
        registry: where the metrics are registered; a second set in the same registry raises ValueError.
        buckets: upper bounds of the duration histogram, in seconds.
    """

    def __init__(self, registry: CollectorRegistry, buckets: Sequence[float] = DURATION_BUCKETS) -> None:
        self.requests = Counter(
            "http_requests_total",
            "HTTP requests answered.",
            ["method", "endpoint", "status"],
            registry=registry,
        )
        self.duration = Histogram(
            "http_request_duration_seconds",
            "Time from the first byte of a request to its answer, in seconds.",
            ["method", "endpoint"],
            buckets=buckets,
            registry=registry,
        )
        self.in_flight = Gauge(
            "http_requests_in_flight",
            "HTTP requests being answered at the moment.",
            multiprocess_mode="livesum",
            registry=registry,
        )

    def declare(self, routes: Iterable[tuple[str, str]]) -> None:
        """Create the series of each (method, endpoint) at 0.

        rate() needs a first value to see an increase from: without this the first failure of a route is invisible.
        """
        for method, endpoint in routes:
            self.duration.labels(method, endpoint)
            for status in _DECLARED_STATUSES:
                self.requests.labels(method, endpoint, status)

    def observe(self, method: str, endpoint: str, status: str, seconds: float) -> None:
        """Count one answered request."""
        self.requests.labels(method, endpoint, status).inc()
        self.duration.labels(method, endpoint).observe(seconds)
