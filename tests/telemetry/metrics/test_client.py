"""The names of prometheus-client: document 004's metrics with another import."""

import pytest

from specwatch.telemetry.metrics import Metrics
from specwatch.telemetry.metrics.client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, Info, Summary, generate_latest


@pytest.fixture
def registry() -> Metrics:
    return Metrics(strict=True)


def test_document_004_counts_as_before(registry: Metrics) -> None:
    """Its definitions and its middleware's calls, with a status that is a number."""
    http_requests_total = Counter("http_requests_total", "Total HTTP requests", ["method", "endpoint", "status"], registry=registry)
    http_request_duration_seconds = Histogram(
        "http_request_duration_seconds", "HTTP request latency", ["method", "endpoint"], registry=registry
    )
    database_connections_gauge = Gauge("database_connections", "Database connection pool status", ["state"], registry=registry)
    http_requests_total.labels(method="GET", endpoint="/api", status=200).inc()
    http_request_duration_seconds.labels(method="GET", endpoint="/api").observe(0.2)
    database_connections_gauge.labels(state="active").set(7)
    shown = generate_latest(registry).decode()
    assert 'http_requests_total{method="GET",endpoint="/api",status="200"} 1\n' in shown
    assert 'http_request_duration_seconds_bucket{method="GET",endpoint="/api",le="0.25"} 1\n' in shown
    assert 'database_connections{state="active"} 7\n' in shown
    assert CONTENT_TYPE_LATEST.startswith("text/plain; version=0.0.4")


def test_names_are_put_together_as_before(registry: Metrics) -> None:
    """Namespace, subsystem and unit."""
    Summary("wait", "Waiting.", namespace="app", subsystem="queue", unit="seconds", registry=registry).observe(2)
    Counter("sent", "Sent.", unit="bytes", registry=registry).inc(3)
    Info("build", "Build.", registry=registry).info({"version": "1"})
    assert registry.get_sample_value("app_queue_wait_seconds_sum") == 2
    assert registry.get_sample_value("sent_bytes_total") == 3
    assert registry.get_sample_value("build_info", {"version": "1"}) == 1
