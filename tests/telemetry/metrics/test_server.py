"""Metrics on a port of their own, in a thread of a program."""

import contextlib
import gzip
import http.client
import json
from collections.abc import Iterator

import pytest

from specwatch.telemetry.endpoints.server import EndpointServer
from specwatch.telemetry.metrics import Metrics, serve_metrics


@pytest.fixture
def server() -> Iterator[EndpointServer]:
    metrics = Metrics()
    metrics.counter("orders").inc(3)
    running = serve_metrics(metrics=metrics)
    yield running
    running.stop()


@contextlib.contextmanager
def ask(server: EndpointServer, path: str, method: str = "GET", **headers: str) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        yield connection.getresponse()
    finally:
        connection.close()


def test_metrics_are_served(server: EndpointServer) -> None:
    """Text, and OpenMetrics and gzip for those who ask."""
    with ask(server, "/metrics") as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert b"orders_total 3\n" in answer.read()
    with ask(server, "/metrics?x=1", Accept="application/openmetrics-text", Accept_Encoding="gzip") as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(answer.read()).endswith(b"# EOF\n")


def test_json_is_served(server: EndpointServer) -> None:
    """/api/metrics, as document 002 has it."""
    with ask(server, "/api/metrics") as answer:
        assert json.load(answer) == {"counters": {"orders_total": 3}, "gauges": {}, "histograms": {}}


@pytest.mark.parametrize(("method", "path", "status"), [("HEAD", "/metrics", 200), ("GET", "/", 404), ("POST", "/metrics", 501)])
def test_nothing_else_is_served(server: EndpointServer, method: str, path: str, status: int) -> None:
    """HEAD has no body, other paths are not found, other methods are not known."""
    with ask(server, path, method) as answer:
        assert answer.status == status
        assert method != "HEAD" or not answer.read()


def test_a_port_that_is_taken_is_an_error(server: EndpointServer) -> None:
    """Two servers cannot share a port; once stopped, it is free."""
    with pytest.raises(OSError, match="in use"):
        serve_metrics(server.port, Metrics())
