"""One hook: metrics, access log, ids, health."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from werkzeug.exceptions import ImATeapot

from specwatch.telemetry import configure_logging
from specwatch.telemetry.flask import instrument


class App:
    """An instrumented application, with what it counted and what it logged."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.database_down = False
        self.flask = Flask("app", static_folder=None)
        instrument(self.flask, service="app", registry=self.registry, checks={"database": self.check})
        self.stream = io.StringIO()
        configure_logging("app", stream=self.stream)
        self.client = self.flask.test_client()

        @self.flask.get("/items/<int:item>")
        def item(item: int) -> str:
            logging.getLogger("app.items").info("looking", extra={"item": item})
            return "here"

        @self.flask.route("/broken", methods=["GET", "POST"])
        def broken() -> str:
            raise RuntimeError("no")

        @self.flask.get("/teapot")
        def teapot() -> str:
            raise ImATeapot

        @self.flask.get("/stream/<int:parts>")
        def stream(parts: int) -> Iterator[str]:
            for part in range(parts):
                if part == 2:
                    raise RuntimeError("in the middle")
                yield f"{part}\n"

    def check(self) -> None:
        """Raise when the test says so."""
        if self.database_down:
            raise ConnectionError("refused")

    def count(self, method: str, endpoint: str, status: str) -> float | None:
        """Return http_requests_total, None when there is no such series."""
        labels = {"method": method, "endpoint": endpoint, "status": status}
        return self.registry.get_sample_value("http_requests_total", labels)

    def lines(self, message: str = "") -> list[dict[str, Any]]:
        """Return the log lines whose message begins so."""
        lines = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [line for line in lines if line["message"].startswith(message)]


@pytest.fixture
def app() -> App:
    return App()


def test_a_request_is_counted_timed_and_logged_once(app: App) -> None:
    """Counter, histogram and access log tell the same story under the route's template."""
    assert app.client.get("/items/7?token=secret").status_code == 200
    labels = {"method": "GET", "endpoint": "/items/<int:item>"}
    assert app.count("GET", "/items/<int:item>", "200") == 1
    assert app.registry.get_sample_value("http_request_duration_seconds_count", labels) == 1
    assert app.registry.get_sample_value("http_requests_in_flight") == 0
    [line] = app.lines("Request completed")
    assert (line["method"], line["path"], line["endpoint"], line["status"]) == (*("GET", "/items/7", "/items/<int:item>", 200),)
    seconds = app.registry.get_sample_value("http_request_duration_seconds_sum", labels) or 0.0
    assert line["duration_ms"] == round(seconds * 1000, 3)
    assert "secret" not in app.stream.getvalue()


def test_ids_come_in_and_go_out(app: App) -> None:
    """The caller's trace and request ids are in the answer and in every line of the request, and end with it."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = app.client.get("/items/7", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-00", "X-Request-ID": "r-1"})
    assert answer.headers["X-Trace-ID"] == trace
    assert answer.headers["X-Request-ID"] == "r-1"
    assert answer.headers["traceparent"].startswith(f"00-{trace}-")
    assert answer.headers["traceparent"].endswith("-00")
    assert {(line["trace_id"], line["request_id"]) for line in app.lines()} == {(trace, "r-1")}
    logging.getLogger("app").info("afterwards")
    assert "trace_id" not in app.lines("afterwards")[0]


@pytest.mark.parametrize("path", ["/nothing", "/items/x", "/%ff%00", "/items/7/"])
def test_unknown_routes_share_one_series(app: App, path: str) -> None:
    """Scanners cannot make series."""
    assert app.client.get(path).status_code == 404
    assert app.count("GET", "unmatched", "404") == 1


def test_unknown_methods_share_one_series(app: App) -> None:
    """A made-up method is OTHER, in the metrics and in the log."""
    app.client.open("/items/7", method="BREW")
    assert app.count("OTHER", "unmatched", "405") == 1
    assert app.lines("Request completed")[0]["method"] == "OTHER"


def test_an_exception_is_logged_once_and_counted_once(app: App) -> None:
    """One ERROR line with the traceback and the trace id of the answer; one 500."""
    answer = app.client.get("/broken")
    assert answer.status_code == 500
    assert app.count("GET", "/broken", "500") == 1
    [line] = [line for line in app.lines() if line["level"] == "ERROR"]
    assert "RuntimeError: no" in line["exception"]
    assert line["trace_id"] == answer.headers["X-Trace-ID"]


def test_an_exception_that_leaves_flask_is_logged_once_and_counted_once(app: App) -> None:
    """With PROPAGATE_EXCEPTIONS Flask logs nothing, so the hook does."""
    app.flask.testing = True
    with pytest.raises(RuntimeError):
        app.client.get("/broken")
    assert app.count("GET", "/broken", "500") == 1
    assert app.registry.get_sample_value("http_requests_in_flight") == 0
    assert [line["message"] for line in app.lines() if "exception" in line] == ["Request failed"]


def test_an_http_error_is_no_exception(app: App) -> None:
    """abort() answers with its status and leaves no ERROR line."""
    app.client.get("/teapot")
    assert app.count("GET", "/teapot", "418") == 1
    assert {line["level"] for line in app.lines()} == {"INFO"}


def test_failures_stand_at_zero_before_the_first(app: App) -> None:
    """rate() needs the series before the first failure: every route and method has its 500 from the first request on."""
    app.client.get("/health")
    assert app.count("GET", "/broken", "500") == 0
    assert app.count("POST", "/broken", "500") == 0
    assert app.count("GET", "/items/<int:item>", "500") == 0


def test_a_streamed_answer_ends_with_its_last_part(app: App) -> None:
    """It is in flight until it has been read, and then counted once."""
    answer = app.client.get("/stream/2")
    assert app.registry.get_sample_value("http_requests_in_flight") == 1
    assert answer.data == b"0\n1\n"
    answer.close()
    assert app.registry.get_sample_value("http_requests_in_flight") == 0
    assert app.count("GET", "/stream/<int:parts>", "200") == 1


def test_a_client_that_leaves_ends_the_request(app: App) -> None:
    """The server closes the answer before its end: counted once, nothing left in flight."""
    app.client.get("/stream/2").close()
    assert app.registry.get_sample_value("http_requests_in_flight") == 0
    assert app.count("GET", "/stream/<int:parts>", "200") == 1


def test_a_stream_that_breaks_is_a_failure(app: App) -> None:
    """The status had left already, and still it is logged once and counted as 500."""
    answer = app.client.get("/stream/3")
    with pytest.raises(RuntimeError):
        answer.get_data()
    answer.close()
    assert app.count("GET", "/stream/<int:parts>", "500") == 1
    assert app.count("GET", "/stream/<int:parts>", "200") == 0
    assert len(app.lines("Request failed")) == 1


def test_health_says_what_is_wrong(app: App) -> None:
    """200 with each check's verdict; 503 when one fails; neither is in the access log."""
    answer = app.client.get("/health")
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["status"] == "healthy"
    assert answer.json["checks"]["database"]["status"] == "healthy"
    app.database_down = True
    answer = app.client.get("/health")
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["checks"]["database"]["error"] == "ConnectionError: refused"
    assert not app.lines("Request completed")
    assert app.count("GET", "/health", "503") == 1


def test_metrics_are_prometheus_text_or_openmetrics(app: App) -> None:
    """The scraper's Accept header decides, and both parse."""
    app.client.get("/items/7")
    plain = app.client.get("/metrics")
    assert plain.content_type.startswith("text/plain; version=0.0.4")
    assert "http_requests" in {family.name for family in parse_text(plain.text)}
    open_metrics = app.client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert open_metrics.content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert "http_requests" in {family.name for family in parse_openmetrics(open_metrics.text)}  # type: ignore[no-untyped-call] # untyped there
