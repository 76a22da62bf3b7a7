"""The endpoints, asked over HTTP: under WSGI, under ASGI, in Flask and in FastAPI."""

import contextlib
import gzip
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.validate import validator

import fastapi
import flask
import httpx
import prometheus_client
import pytest
import uvicorn
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from specwatch.telemetry.discovery_metrics import DiscoveryMetrics
from specwatch.telemetry.endpoints import Endpoints, asgi_app, wsgi_app
from specwatch.telemetry.endpoints.fastapi import telemetry_router
from specwatch.telemetry.endpoints.flask import telemetry_blueprint
from specwatch.telemetry.health import Health, HealthCheck
from specwatch.telemetry.metrics import Metrics
from specwatch.telemetry.settings import Settings
from tests.tools import wait_for

Serve = Callable[[Endpoints], contextlib.AbstractContextManager[httpx.Client]]


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def _wsgi(app: Any) -> Iterator[httpx.Client]:
    server = make_server("127.0.0.1", 0, validator(app), handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}") as client:
            yield client
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextlib.contextmanager
def _asgi(app: Any) -> Iterator[httpx.Client]:
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for("uvicorn", lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(10)


def _flask(endpoints: Endpoints) -> contextlib.AbstractContextManager[httpx.Client]:
    app = flask.Flask("app", static_folder=None)
    app.register_blueprint(telemetry_blueprint(endpoints))
    return _wsgi(app)


def _fastapi(endpoints: Endpoints) -> contextlib.AbstractContextManager[httpx.Client]:
    app = fastapi.FastAPI()
    app.include_router(telemetry_router(endpoints))
    return _asgi(app)


@pytest.fixture(
    params=[lambda endpoints: _wsgi(wsgi_app(endpoints)), lambda endpoints: _asgi(asgi_app(endpoints)), _flask, _fastapi],
    ids=["wsgi", "asgi", "flask", "fastapi"],
)
def serve(request: pytest.FixtureRequest) -> Serve:
    """Every way to serve the endpoints."""
    chosen: Serve = request.param
    return chosen


def shop() -> Metrics:
    """Return metrics with something in them."""
    metrics = Metrics()
    metrics.counter("job_processed_total", "Jobs processed.").inc(1250)
    metrics.counter("orders_total", "Orders.", ["status"]).inc(status="paid")
    metrics.gauge("queue_length", "Jobs that wait.").set(42)
    seconds = metrics.histogram("job_processing_seconds", "How long a job takes.", buckets=(1, 2, 5))
    for value in (0.5, 1.5, 1.5, 4.0):
        seconds.observe(value)
    return metrics


def test_a_scrape_is_prometheus_text_or_openmetrics(serve: Serve) -> None:
    """Ensure the Accept header decides, both parse, and no `_created` line is among them."""
    with serve(Endpoints(registry=shop())) as client:
        plain = client.get("/metrics")
        assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert plain.headers["cache-control"] == "no-store"
        assert {"job_processed", "queue_length"} <= {family.name for family in parse_text(plain.text)}
        assert "_created" not in plain.text
        open_metrics = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        assert open_metrics.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        assert "job_processed" in {family.name for family in parse_openmetrics(open_metrics.text)}  # type: ignore[no-untyped-call] # untyped there


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [("gzip", True), ("deflate, gzip;q=0.5", True), ("*", True), ("identity", False), ("gzip;q=0", False), ("gzip;q=x", False)],
)
def test_a_scrape_is_gzip_where_it_is_asked_for(accepted: str, packed: bool) -> None:
    """Ensure Accept-Encoding is read with its weights, and that caches are told of it."""
    with (
        _wsgi(wsgi_app(Endpoints(registry=shop()))) as client,
        client.stream("GET", "/metrics", headers={"Accept-Encoding": accepted}) as answer,
    ):
        body = b"".join(answer.iter_raw())
        assert (answer.headers.get("content-encoding") == "gzip") is packed
        assert "Accept-Encoding" in answer.headers["vary"]
        assert b"queue_length 42" in (gzip.decompress(body) if packed else body)


def test_metrics_as_json_read_as_the_document_shows_them(serve: Serve) -> None:
    """Ensure counters, gauges, and histograms with count, sum, avg and percentiles."""
    with serve(Endpoints(registry=shop())) as client:
        shown = client.get("/api/metrics").json()
    assert shown["counters"]["job_processed_total"] == 1250
    assert shown["counters"]['orders_total{status="paid"}'] == 1
    assert shown["gauges"]["queue_length"] == 42
    assert shown["histograms"]["job_processing_seconds"] == {"count": 4, "sum": 7.5, "avg": 1.875, "p50": 1.5, "p95": 4.4, "p99": 4.88}


def test_metrics_of_prometheus_client_are_shown_too() -> None:
    """Ensure a registry of prometheus-client is served as it is, as text and as JSON, and that NaN is no broken JSON."""
    registry = prometheus_client.CollectorRegistry()
    prometheus_client.Counter("jobs_total", "Jobs.", ["kind"], registry=registry).labels('a"b').inc(2)
    prometheus_client.Gauge("odd", "No number.", registry=registry).set(float("nan"))
    prometheus_client.Histogram("took_seconds", "Time.", buckets=(1, 2), registry=registry).observe(0.5)
    prometheus_client.Summary("sizes", "Sizes.", registry=registry).observe(4)
    with _wsgi(wsgi_app(Endpoints(registry=registry))) as client:
        assert 'jobs_total{kind="a\\"b"} 2.0' in client.get("/metrics").text
        shown = client.get("/api/metrics").json()
    assert shown["counters"]['jobs_total{kind="a\\"b"}'] == 2
    assert shown["gauges"]["odd"] is None
    assert shown["histograms"]["took_seconds"] == {"count": 1, "sum": 0.5, "avg": 0.5, "p50": 0.5, "p95": 0.95, "p99": 0.99}
    assert shown["histograms"]["sizes"] == {"count": 1, "sum": 4, "avg": 4}


def test_health_live_and_ready_answer_by_their_checks(serve: Serve) -> None:
    """Ensure 200 or 503 by the checks of each path, with the document's report."""

    def broken() -> None:
        raise ConnectionError("refused")

    health = Health({"database": broken, "loop": HealthCheck(lambda: True, live=True)}, registry=Metrics())
    with serve(Endpoints(registry=Metrics(), health=health)) as client:
        answer = client.get("/health")
        assert answer.status_code == 503
        assert answer.json()["status"] == "unhealthy"
        assert answer.json()["checks"]["database"]["error"] == "ConnectionError: refused"
        assert client.get("/health/ready").status_code == 503
        live = client.get("/health/live")
        assert (live.status_code, list(live.json()["checks"])) == (200, ["loop"])
        assert live.headers["cache-control"] == "no-store"


def test_checks_may_be_given_as_they_are(serve: Serve) -> None:
    """Ensure functions are enough, and that degraded is 200."""
    with serve(Endpoints(registry=Metrics(), health={"queue": lambda: "degraded"})) as client:
        answer = client.get("/health")
        assert (answer.status_code, answer.json()["status"]) == (200, "degraded")


def test_statistics_are_shown_where_the_document_has_them(serve: Serve) -> None:
    """Ensure 000's statistics under its path, as its answer shows them."""
    discovery = DiscoveryMetrics(Metrics())
    discovery.record_scan(15, 234.56)
    path = "/api/v1/artifacts/health/discovery"
    with serve(Endpoints(registry=Metrics(), stats={path: discovery.get_stats})) as client:
        shown = client.get(path).json()
    assert (shown["total_scans"], shown["last_scan"]["artifact_count"], shown["last_scan"]["duration_ms"]) == (1, 15, 234.56)


def test_statistics_hold_whatever_they_hold(serve: Serve) -> None:
    """Ensure NaN, sets, odd keys, other objects and cycles make valid JSON."""
    cycle: list[object] = [float("nan"), {1}, {2: b"x"}, "\ud800"]
    cycle.append(cycle)
    with serve(Endpoints(registry=Metrics(), stats={"/stats": lambda: cycle})) as client:
        shown = client.get("/stats").json()
    assert shown[:4] == [None, [1], {"2": "b'x'"}, "?"]


def test_statistics_that_break_are_an_answer_and_a_log_line(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Ensure the application around the endpoint sees no exception, and the client none of its text."""

    def broken() -> object:
        raise RuntimeError("a secret")

    with serve(Endpoints(registry=Metrics(), stats={"/stats": broken})) as client, caplog.at_level(logging.ERROR):
        answer = client.get("/stats")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Endpoint failed" in caplog.messages


def test_what_is_not_asked_for_is_refused(serve: Serve) -> None:
    """Ensure other paths are 404, other methods 405, and HEAD has headers alone."""
    with serve(Endpoints(registry=shop())) as client:
        assert client.get("/nothing").status_code == 404
        refused = client.post("/metrics")
        assert (refused.status_code, "GET" in refused.headers["allow"]) == (405, True)
        head = client.head("/health")
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["content-length"]) > 0


def test_with_metrics_off_the_scrape_is_not_there(serve: Serve) -> None:
    """Ensure METRICS_ENABLED=false says so, and that health still answers."""
    with serve(Endpoints(registry=shop(), switches=Settings(metrics_enabled=False))) as client:
        for path in ("/metrics", "/api/metrics"):
            answer = client.get(path)
            assert answer.status_code == 404
            assert "METRICS_ENABLED" in answer.text
        assert client.get("/health").status_code == 200


def test_other_requests_go_to_the_application() -> None:
    """Ensure both kinds of application are served beside the endpoints, their lifespan included."""
    app = fastapi.FastAPI()
    inner = flask.Flask("inner", static_folder=None)
    app.add_api_route("/hello", lambda: {"hello": "you"})
    inner.add_url_rule("/hello", "hello", lambda: {"hello": "you"})
    endpoints = Endpoints(registry=shop())
    for serving in (_asgi(asgi_app(endpoints, app)), _wsgi(wsgi_app(endpoints, inner))):
        with serving as client:
            assert client.get("/hello").json() == {"hello": "you"}
            assert "queue_length 42" in client.get("/metrics").text
            assert client.get("/nothing").status_code == 404


def test_a_mounted_application_answers_below_its_place() -> None:
    """Ensure Starlette's mount and its root path lead to the same endpoints."""
    app = fastapi.FastAPI()
    app.mount("/telemetry", asgi_app(Endpoints(registry=shop())))
    with _asgi(app) as client:
        assert "queue_length 42" in client.get("/telemetry/metrics").text
        assert client.get("/metrics").status_code == 404


def test_the_paths_can_be_chosen() -> None:
    """Ensure each path is the application's to choose."""
    endpoints = Endpoints(registry=shop(), metrics_path="/internal/metrics", json_path="/internal/metrics.json", health_path="/healthz")
    with _flask(endpoints) as client:
        assert "queue_length 42" in client.get("/internal/metrics").text
        assert json.loads(client.get("/internal/metrics.json").text)["gauges"]["queue_length"] == 42
        assert client.get("/healthz/ready").status_code == 200
        assert client.get("/metrics").status_code == 404


def test_a_slow_check_holds_up_no_other_request() -> None:
    """Ensure an event loop goes on serving while a plain function is being waited for."""
    entered, release = threading.Event(), threading.Event()

    def slow() -> None:
        entered.set()
        release.wait(20)

    with _asgi(asgi_app(Endpoints(registry=shop(), health={"slow": slow}))) as client:
        asking = threading.Thread(target=client.get, args=("/health",))
        asking.start()
        assert entered.wait(10)
        assert "queue_length 42" in client.get("/metrics").text
        release.set()
        asking.join(10)


class Asking(dict[str, str]):
    """Headers that note when they are looked at."""

    seen: ClassVar[list[str]] = []

    def get(self, name: str, default: Any = "") -> Any:
        """Return the default."""
        self.seen.append(name)
        return default


def test_scrapes_at_the_same_time_are_one(serve: Serve) -> None:
    """Ensure the work is done for all who wait together, and once more at most for those who asked while it was being done."""
    entered, release, collected = threading.Event(), threading.Event(), []

    class Slow:
        """A collector that waits."""

        def collect(self) -> list[prometheus_client.Metric]:
            """Return nothing."""
            collected.append(1)
            entered.set()
            release.wait(20)
            return []

    endpoints = Endpoints(registry=Metrics().include(Slow()))
    Asking.seen.clear()
    askers = [threading.Thread(target=endpoints.answer, args=("GET", "/metrics", Asking())) for _ in range(8)]
    askers[0].start()
    assert entered.wait(10)
    for asker in askers[1:]:
        asker.start()
    wait_for("all who ask", lambda: Asking.seen.count("accept") == 8)
    release.set()
    for asker in askers:
        asker.join(10)
    # One of the eight may have been about to ask when the second answer was begun.
    assert 2 <= len(collected) <= 3
    with serve(Endpoints(registry=Metrics().include(Slow()), fresh_seconds=60)) as client:
        collected.clear()
        assert [client.get("/metrics").status_code for _ in range(3)] == [200] * 3
    assert len(collected) == 1
