"""One hook: metrics, access log, ids, health."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import werkzeug.test
from flask import Blueprint, Flask, request
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from werkzeug.exceptions import ImATeapot

from specwatch.telemetry import configure_logging, wsgi
from specwatch.telemetry.flask import instrument
from specwatch.telemetry.metrics import Metrics
from specwatch.telemetry.tracing import shutdown_tracing, trace_operation
from tests.telemetry.tracing.spans import Exported, attributes, exported_spans, ids

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


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
    assert (line["method"], line["path"], line["endpoint"], line["status_code"]) == (*("GET", "/items/7", "/items/<int:item>", 200),)
    seconds = app.registry.get_sample_value("http_request_duration_seconds_sum", labels) or 0.0
    assert line["duration_ms"] == round(seconds * 1000, 3)
    assert "secret" not in app.stream.getvalue()


def test_ids_come_in_and_go_out(app: App) -> None:
    """The caller's trace and request ids are in the answer and in every line of the request, and end with it."""
    answer = app.client.get("/items/7", headers={"traceparent": f"00-{TRACE}-{SPAN}-00", "X-Request-ID": "r-1"})
    assert answer.headers["X-Trace-ID"] == TRACE
    assert answer.headers["X-Request-ID"] == "r-1"
    assert answer.headers["traceparent"].startswith(f"00-{TRACE}-")
    assert answer.headers["traceparent"].endswith("-00")
    assert {(line["trace_id"], line["request_id"]) for line in app.lines()} == {(TRACE, "r-1")}
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


def test_the_applications_own_prefix_holds_for_logs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a prefix, `SHOP_LOG_LEVEL` wins over LOG_LEVEL, as every other switch does."""
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    monkeypatch.setenv("SHOP_LOG_LEVEL", "DEBUG")
    instrument(Flask("app", static_folder=None), registry=CollectorRegistry(), prefix="SHOP_")
    assert logging.getLogger().level == logging.DEBUG


class Shop:
    """A second application, on a registry of ours, with a blueprint; every trace is exported."""

    def __init__(self, **options: Any) -> None:
        self.registry = Metrics(strict=True, directory="", enabled=True)
        self.flask = Flask("shop", static_folder=None)
        instrument(self.flask, service="shop", registry=self.registry, exclude=["/internal/*"], **options)
        self.stream = io.StringIO()
        configure_logging("shop", stream=self.stream)
        self.client = self.flask.test_client()
        api = Blueprint("api", "shop", url_prefix="/api/v1")
        inner = Blueprint("inner", "shop", url_prefix="/orders")

        @inner.post("/<int:order>")
        def order(order: int) -> str:
            with trace_operation("store", order=order):
                return "x" * 10

        @api.get("/broken")
        def broken() -> str:
            raise LookupError("no")

        @self.flask.get("/internal/state")
        def state() -> str:
            return "fine"

        @self.flask.before_request
        def refuse() -> tuple[str, int] | None:
            return ("not you", 403) if request.headers.get("X-Refuse") else None

        api.register_blueprint(inner)
        self.flask.register_blueprint(api)

    def series(self) -> dict[tuple[str, ...], float]:
        """Return http_requests_total where it is not 0, by method, endpoint and status."""
        samples = [sample for family in self.registry.collect() for sample in family.samples if sample.name == "http_requests_total"]
        return {tuple(sample.labels.values()): sample.value for sample in samples if sample.value}

    def lines(self) -> list[dict[str, Any]]:
        """Return the log lines."""
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[Exported]:
    """Every trace is exported to memory."""
    yield exported_spans(monkeypatch)
    shutdown_tracing(0)


def test_metrics_log_line_and_span_tell_the_same(exported: Exported) -> None:
    """One request of a nested blueprint: its whole template, status, sizes, duration and trace in all three, and an exemplar."""
    shop = Shop()
    answer = shop.client.post("/api/v1/orders/7", data=b"abc", headers={"traceparent": f"00-{TRACE}-{SPAN}-01", "X-Request-ID": "r-1"})
    labels = {"method": "POST", "endpoint": "/api/v1/orders/<int:order>"}
    assert shop.series() == {(*labels.values(), "200"): 1}
    value = shop.registry.get_sample_value
    assert (value("http_request_size_bytes_sum", labels), value("http_response_size_bytes_sum", labels)) == (3, 10)
    [line] = shop.lines()
    span, store = exported.spans()["POST /api/v1/orders/<int:order>"], exported.spans()["store"]
    found = attributes(span)
    assert (line["endpoint"], line["status_code"], line["response_bytes"]) == (labels["endpoint"], 200, 10)
    assert (found["http.route"], found["http.response.status_code"], found["http.request.body.size"]) == (labels["endpoint"], 200, 3)
    assert ids(span)[0] == ids(store)[0] == line["trace_id"] == answer.headers["X-Trace-ID"] == TRACE
    assert (ids(span)[2], ids(store)[2]) == (SPAN, ids(span)[1])
    assert answer.headers["traceparent"] == f"00-{TRACE}-{ids(span)[1]}-01"
    assert found["request_id"] == line["request_id"] == answer.headers["X-Request-ID"] == "r-1"
    seconds = value("http_request_duration_seconds_sum", labels) or 0.0
    assert line["duration_ms"] == round(seconds * 1000, 3)
    assert span.end_time is not None
    assert span.start_time is not None
    assert (span.end_time - span.start_time) / 1e9 == pytest.approx(seconds, abs=1e-6)
    scrape = shop.client.get("/metrics", headers={"Accept": "application/openmetrics-text"}).text
    [bucket] = [each for each in scrape.splitlines() if each.startswith("http_request_duration_seconds_bucket") and "# {" in each]
    assert f'# {{trace_id="{TRACE}"}} {seconds!r} ' in bucket


@pytest.mark.parametrize("propagate", [True, False])
def test_an_unhandled_exception_is_one_everywhere(exported: Exported, propagate: bool) -> None:
    """One 500, one ERROR line with the traceback, one failed span with one exception event, whether or not Flask lets it through."""
    shop = Shop()
    shop.flask.config["PROPAGATE_EXCEPTIONS"] = propagate
    if propagate:
        with pytest.raises(LookupError):
            shop.client.get("/api/v1/broken")
    else:
        assert shop.client.get("/api/v1/broken").status_code == 500
    assert shop.series() == {("GET", "/api/v1/broken", "500"): 1}
    assert shop.registry.get_sample_value("http_requests_in_flight") == 0
    errors = [line for line in shop.lines() if line["level"] == "ERROR"]
    assert len(errors) == 1
    assert "LookupError: no" in errors[0]["exception"]
    assert [line["status_code"] for line in shop.lines() if line["message"] == "Request completed"] == [500]
    span = exported.spans()["GET /api/v1/broken"]
    assert (span.status.status_code, attributes(span)["error.type"]) == (StatusCode.ERROR, "LookupError")
    assert [event.name for event in span.events] == ["exception"]
    assert errors[0]["trace_id"] == ids(span)[0]


def test_a_handled_exception_is_an_answer(exported: Exported) -> None:
    """What the application's own handler answers is what is counted, and nothing is logged as an error."""
    shop = Shop()
    shop.flask.register_error_handler(LookupError, lambda error: (f"not found: {error}", 404))
    assert shop.client.get("/api/v1/broken").status_code == 404
    assert shop.series() == {("GET", "/api/v1/broken", "404"): 1}
    assert {line["level"] for line in shop.lines()} == {"INFO"}
    assert exported.spans()["GET /api/v1/broken"].status.status_code is StatusCode.UNSET


def test_a_refusal_before_the_view_has_its_route(exported: Exported) -> None:
    """before_request answers: counted under the route that was asked for; what has no route stays one endpoint."""
    shop = Shop()
    shop.client.post("/api/v1/orders/7", headers={"X-Refuse": "1"})
    shop.client.get("/wp-login.php", headers={"X-Refuse": "1"})
    assert shop.series() == {("POST", "/api/v1/orders/<int:order>", "403"): 1, ("GET", "unmatched", "403"): 1}
    assert exported.names() == {"POST /api/v1/orders/<int:order>", "GET"}


def test_an_excluded_route_is_not_touched(exported: Exported) -> None:
    """No series, not even at 0, no line, no span, no ids; a quiet one is counted and nothing else."""
    shop = Shop()
    answer = shop.client.get("/internal/state")
    assert (answer.status_code, "X-Request-ID" in answer.headers) == (200, False)
    assert shop.client.get("/health").headers["X-Request-ID"]
    assert shop.series() == {("GET", "/health", "200"): 1}
    assert shop.registry.get_sample_value("http_requests_total", {"method": "GET", "endpoint": "/internal/state", "status": "500"}) is None
    assert shop.lines() == []
    assert exported.names() == set()


def test_a_hook_around_the_instrumented_application_adds_nothing() -> None:
    """A server's own `wsgi.Middleware` and the application's hook do the work once; a second call of instrument is an error."""
    shop = Shop()
    outer = werkzeug.test.Client(wsgi.Middleware(shop.flask.wsgi_app, registry=shop.registry))
    answer = outer.post("/api/v1/orders/7")
    assert shop.series() == {("POST", "/api/v1/orders/<int:order>", "200"): 1}
    [line] = shop.lines()
    assert answer.headers.getlist("X-Request-ID") == [line["request_id"]]
    with pytest.raises(RuntimeError, match="is instrumented already; call instrument once"):
        instrument(shop.flask, registry=shop.registry)
    with pytest.raises(RuntimeError, match="is instrumented already"):
        wsgi.instrument(shop.flask)


def test_logging_that_was_set_up_before_stays() -> None:
    """The hook provides a configuration only where the program has none of its own."""
    stream = io.StringIO()
    configure_logging("mine", stream=stream, preset="nested")
    app = Flask("app", static_folder=None)
    instrument(app, service="other", registry=Metrics(directory=""))
    app.test_client().get("/nothing")
    assert json.loads(stream.getvalue())["service"] == "mine"


def test_a_route_that_ours_hides_is_told() -> None:
    """The application's own /health, added afterwards, would never be reached; one that came first is, and nothing is said."""
    for first in (True, False):
        app = Flask("app", static_folder=None)
        if first:
            app.add_url_rule("/health", "mine", lambda: "mine")
        instrument(app, registry=Metrics(directory=""))
        if not first:
            app.add_url_rule("/health", "mine", lambda: "mine")
        stream = io.StringIO()
        configure_logging("app", stream=stream)
        assert (app.test_client().get("/health").text == "mine") is first
        told = [json.loads(line)["message"] for line in stream.getvalue().splitlines()]
        assert [message.startswith("The route /health of mine is never reached") for message in told] == ([] if first else [True])


def test_one_registry_shows_two_applications() -> None:
    """A registry of prometheus-client too; one that has a metric of these names already is refused."""
    registry = CollectorRegistry()
    for name in ("one", "two"):
        app = Flask(name, static_folder=None)
        instrument(app, registry=registry)
        app.test_client().get("/nothing")
    assert registry.get_sample_value("http_requests_total", {"method": "GET", "endpoint": "unmatched", "status": "404"}) == 2
    taken = CollectorRegistry()
    Counter("http_requests_total", "Somebody else's.", registry=taken)
    with pytest.raises(ValueError, match="http_requests"):
        instrument(Flask("three"), registry=taken)
