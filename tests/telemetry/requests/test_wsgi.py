"""The request hook around WSGI applications, called as a server calls them."""

import io
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from specwatch.telemetry import wsgi
from specwatch.telemetry.context import current, outgoing_headers, set_user
from specwatch.telemetry.metrics import Metrics
from specwatch.telemetry.tracing import trace_operation
from tests.telemetry.requests.servers import SPAN, TRACE, Seen
from tests.telemetry.tracing.spans import Exported, attributes, exported_spans, ids

log = logging.getLogger("app.inside")


class Body:
    """An answer in parts, which notes that it was closed."""

    def __init__(self, parts: Iterable[bytes], at_close: Callable[[], object] = lambda: None) -> None:
        self._parts = iter(parts)
        self._at_close = at_close
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._parts)

    def close(self) -> None:
        """Note it."""
        self.closed += 1
        self._at_close()


class Server:
    """Calls an application as a server does."""

    def __init__(self, app: Any, *, check: bool = True) -> None:
        self._app = validator(app) if check else app
        self.headers: list[tuple[str, str]] = []
        self.status = ""

    def begin(self, path: str, method: str = "GET", body: bytes = b"", environ: dict[str, Any] | None = None, **more: Any) -> Any:
        """Return the body that the application returns."""
        full = {
            "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "a=1", "SERVER_NAME": "x", "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1", "CONTENT_LENGTH": str(len(body)), "wsgi.version": (1, 0), "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body), "wsgi.errors": io.StringIO(), "wsgi.multithread": True, "wsgi.multiprocess": True,
            "wsgi.run_once": False, **(environ or {}), **more,
        }  # fmt: skip

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            self.status, self.headers = status, headers
            return lambda _: exc_info

        return self._app(full, start_response)

    def get(self, path: str, **more: Any) -> bytes:
        """Return the whole answer."""
        body = self.begin(path, **more)
        try:
            return b"".join(body)
        finally:
            getattr(body, "close", lambda: None)()

    def header(self, name: str) -> str:
        """Return the only header of this name."""
        [value] = [value for key, value in self.headers if key.lower() == name.lower()]
        return value


def serving(seen: Seen, body: Any, length: int | None = None, status: str = "200 OK", *, check: bool = True, **options: Any) -> Server:
    """Return a server whose application answers with `body`, which may be a function that makes it."""

    def application(_environ: Any, start_response: Any) -> Any:
        made = body() if callable(body) else body
        sized = [("Content-Length", str(length))] if length is not None else []
        start_response(status, [("Content-Type", "text/plain"), *sized])
        return made

    return Server(wsgi.instrument(application, registry=seen.registry, **options), check=check)


def in_flight(seen: Seen) -> float | None:
    """Return how many requests are in flight."""
    return seen.value("http_requests_in_flight")


@pytest.mark.parametrize("body", [lambda: [b"abc", b"de"], lambda: Body([b"abcde"])])
def test_an_answer_that_is_there_is_counted_before_it_leaves(seen: Seen, body: Any) -> None:
    """Who has the answer finds it in the metrics: it is complete in one part, or a list."""
    server = serving(seen, body, 5)
    answer = server.begin("/")
    assert seen.series() == {("GET", "unmatched", "200"): 1}
    assert in_flight(seen) == 0
    assert b"".join(answer) == b"abcde"
    answer.close()
    assert seen.value("http_response_size_bytes_sum", method="GET", endpoint="unmatched") == 5
    assert seen.series() == {("GET", "unmatched", "200"): 1}


@pytest.mark.parametrize("length", [None, 6])
def test_a_streamed_answer_is_counted_with_its_last_part(seen: Seen, length: int | None) -> None:
    """With a Content-Length and without; the application's own `close` is called once."""
    body = Body([b"abc", b"def"])
    server = serving(seen, body, length)
    answer = server.begin("/")
    assert in_flight(seen) == 1
    assert b"".join(answer) == b"abcdef"
    assert in_flight(seen) == 0
    answer.close()
    assert body.closed == 1
    assert seen.line("Request completed")["response_bytes"] == 6


def test_a_client_that_leaves_ends_the_request(seen: Seen) -> None:
    """The server closes the answer before its end: counted once with its status, and marked in the log."""
    answer = serving(seen, Body([b"abc", b"def", b"ghi"])).begin("/")
    next(iter(answer))
    answer.close()
    assert seen.series() == {("GET", "unmatched", "200"): 1}
    assert in_flight(seen) == 0
    line = seen.line("Request completed")
    assert (line["response_bytes"], line["client_left"]) == (3, True)


def test_a_stream_that_breaks_is_a_failure(seen: Seen) -> None:
    """The status had left already, and still it is logged once and counted as 500."""

    def parts() -> Iterator[bytes]:
        yield b"abc"
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        serving(seen, Body(parts())).get("/")
    assert seen.series() == {("GET", "unmatched", "500"): 1}
    assert seen.line("Request failed")["error"] == "in the middle"


def test_an_exception_is_counted_once_and_goes_on(seen: Seen) -> None:
    """The server gets it; the log has it once with its traceback."""

    def broken() -> None:
        raise RuntimeError("no")

    server = serving(seen, broken)
    with pytest.raises(RuntimeError):
        server.get("/")
    assert seen.series() == {("GET", "unmatched", "500"): 1}
    assert "RuntimeError: no" in seen.line("Request failed")["exception"]
    assert in_flight(seen) == 0
    assert current() is None


def test_a_generator_application_may_answer_late(seen: Seen) -> None:
    """An application that calls start_response with its first part is served like any other."""

    def application(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("201 Created", [("Content-Type", "text/plain")])
        yield b"late"

    server = Server(wsgi.instrument(application, registry=seen.registry))
    assert server.get("/", REQUEST_METHOD="POST") == b"late"
    assert server.status == "201 Created"
    assert server.header("X-Request-ID")
    assert seen.series() == {("POST", "unmatched", "201"): 1}


def test_a_file_stays_what_the_server_can_send_from_the_kernel(seen: Seen, tmp_path: Path) -> None:
    """The server gets its own wrapper back; the request ends when the server closes it."""
    (tmp_path / "a").write_bytes(b"x" * 5000)
    body = FileWrapper((tmp_path / "a").open("rb"))
    answer = serving(seen, body, 5000, check=False).begin("/", environ={"wsgi.file_wrapper": FileWrapper})
    assert answer is body
    assert in_flight(seen) == 1
    answer.close()
    assert in_flight(seen) == 0
    assert body.filelike.closed
    assert seen.line("Request completed")["response_bytes"] == 5000


@pytest.mark.parametrize(
    ("method", "status", "length"), [("HEAD", "200 OK", 5), ("GET", "204 No Content", 0), ("GET", "304 Not Modified", 5)]
)
def test_answers_without_a_body_are_counted_at_once(seen: Seen, method: str, status: str, length: int) -> None:
    """Whatever length their headers name."""
    serving(seen, Body([]), length, status, check=False).begin("/", method=method)
    assert in_flight(seen) == 0
    assert seen.line("Request completed")["response_bytes"] == 0


def test_the_request_is_current_while_the_application_works(seen: Seen) -> None:
    """In the call, in each part of the body and in `close`, and never in between, when the server may do something else."""
    found: list[str] = []

    def note() -> None:
        context = current()
        found.append(context.request_id if context else "")

    def parts() -> Iterator[bytes]:
        note()
        yield b"a"
        note()
        yield b"b"

    def made() -> Body:
        note()
        return Body(parts(), note)

    answer = serving(seen, made).begin("/", HTTP_X_REQUEST_ID="r-1")
    assert current() is None
    for _ in answer:
        assert current() is None
    answer.close()
    assert current() is None
    assert found == ["r-1"] * 4


def test_ids_are_handed_to_the_next_service(seen: Seen) -> None:
    """`outgoing_headers` continues the trace below the request, with its tracestate."""
    found: list[dict[str, str]] = []

    def made() -> list[bytes]:
        found.append(outgoing_headers())
        return [b""]

    server = serving(seen, made)
    server.get("/", HTTP_TRACEPARENT=f"00-{TRACE}-{SPAN}-01", HTTP_TRACESTATE="vendor=1", HTTP_X_REQUEST_ID="r-1")
    assert found == [
        {"traceparent": server.header("traceparent"), "X-Trace-ID": TRACE, "X-Request-ID": "r-1", "tracestate": "vendor=1"},
    ]


@pytest.mark.parametrize("tracestate", ["x" * 600, "a=\x00", "a=1\nb: c"])
def test_an_unusable_tracestate_is_not_passed_on(seen: Seen, tracestate: str) -> None:
    """Too long, or with what would break a header."""
    found: list[dict[str, str]] = []

    def made() -> list[bytes]:
        found.append(outgoing_headers())
        return [b""]

    serving(seen, made).get("/", HTTP_TRACEPARENT=f"00-{TRACE}-{SPAN}-01", HTTP_TRACESTATE=tracestate)
    assert "tracestate" not in found[0]


def test_an_id_that_the_application_sets_stays(seen: Seen) -> None:
    """There are never two headers of the same name."""

    def application(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("x-request-id", "mine")])
        return [b""]

    server = Server(wsgi.instrument(application, registry=seen.registry))
    server.get("/")
    assert server.header("X-Request-ID") == "mine"
    assert server.header("X-Trace-ID")


def test_who_asks_is_in_the_access_log(seen: Seen) -> None:
    """Once the application has said so."""

    def made() -> list[bytes]:
        set_user("u-7")
        log.info("inside")
        return [b""]

    serving(seen, made).get("/")
    assert seen.line("inside")["user_id"] == seen.line("Request completed")["user_id"] == "u-7"
    assert current() is None


def test_paths_are_text_and_never_break_a_line(seen: Seen) -> None:
    """Bytes that are UTF-8 are shown as such, others are replaced, and a long path is cut."""
    server = serving(seen, [b""])
    server.get("/caf\xc3\xa9")
    server.get("/\xff\n")
    server.get("/" + "x" * 5000)
    assert [line["path"][:6] for line in seen.lines("Request completed")] == ["/café", "/\ufffd\n", "/xxxxx"]
    assert len(seen.lines("Request completed")[2]["path"]) == 1024


def test_routes_can_be_said_excluded_and_quiet(seen: Seen) -> None:
    """Templates and the environ name endpoints; an excluded route is not touched; a quiet one is counted only."""

    def application(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/own":
            environ["specwatch.endpoint"] = "/said-by-application"
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    app = wsgi.instrument(application, registry=seen.registry, templates=["/items/<id>"], exclude=["/internal/*"], quiet=["/health"])
    server = Server(app)
    for path in ("/items/1", "/own", "/health", "/other"):
        server.get(path)
    server.get("/internal/x")
    assert [name for name, _ in server.headers] == ["Content-Type"]
    endpoints = ["/items/<id>", "/said-by-application", "unmatched"]
    assert seen.series() == {("GET", endpoint, "200"): 1 + (endpoint == "unmatched") for endpoint in endpoints}
    assert [line["path"] for line in seen.lines("Request completed")] == ["/items/1", "/own", "/other"]


@pytest.mark.parametrize(
    ("outer", "inner"),
    [({}, {}), ({"metrics": False}, {"access_log": False, "traces": False}), ({"access_log": False, "traces": False}, {"metrics": False})],
)
def test_two_hooks_count_once(seen: Seen, exported: Exported, outer: dict[str, Any], inner: dict[str, Any]) -> None:
    """Two hooks around one application do each part of the work once, under the same ids."""

    def application(_environ: Any, start_response: Any) -> list[bytes]:
        set_user("u-7")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    hook = wsgi.Middleware(application, registry=seen.registry, templates=["/"], **inner)
    server = Server(wsgi.Middleware(hook, registry=seen.registry, templates=["/"], **outer))
    server.get("/")
    assert seen.series() == {("GET", "/", "200"): 1}
    assert in_flight(seen) == 0
    line = seen.line("Request completed")
    assert server.header("X-Request-ID") == line["request_id"]
    assert server.header("X-Trace-ID") == line["trace_id"] == ids(exported.spans()["GET /"])[0]
    assert line["user_id"] == attributes(exported.spans()["GET /"])["user.id"] == "u-7"


def test_instrumenting_twice_is_an_error(seen: Seen) -> None:
    """One call has all options."""
    app = wsgi.instrument(print, registry=seen.registry)
    with pytest.raises(RuntimeError, match="is instrumented already; call instrument once"):
        wsgi.instrument(app, registry=seen.registry)


def test_with_everything_off_nothing_is_done(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application's own answer goes through as it is."""
    monkeypatch.setenv("METRICS_ENABLED", "false")
    body = [b"abc"]

    def application(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return body

    server = Server(wsgi.instrument(application, registry=seen.registry, access_log=False, traces=False), check=False)
    assert server.begin("/") is body
    assert [name for name, _ in server.headers] == ["Content-Type"]
    assert "http_requests_total" not in seen.registry


def test_a_registry_that_is_off_counts_nothing(seen: Seen) -> None:
    """The hook serves and logs as before."""
    off = Metrics(enabled=False)

    def application(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"abc"]

    assert Server(wsgi.instrument(application, registry=off)).get("/") == b"abc"
    assert seen.line("Request completed")["status_code"] == 200
    assert off.render()[0] == b""


def test_a_request_and_its_operations_are_one_trace(seen: Seen, exported: Exported) -> None:
    """The server span has the route and the sizes, operations are below it, and OpenTelemetry's API knows it."""

    def made() -> list[bytes]:
        trace.get_current_span().set_attribute("by", "api")
        with trace_operation("load"):
            return [b"abcd"]

    server = serving(seen, made, 4, templates=["/items/{id}"])
    server.get("/items/1", method="POST", body=b"xyz", HTTP_TRACEPARENT=f"00-{TRACE}-{SPAN}-01")
    request, load = exported.spans()["POST /items/{id}"], exported.spans()["load"]
    assert ids(request)[::2] == (TRACE, SPAN)
    assert ids(load)[2] == ids(request)[1]
    assert request.kind is SpanKind.SERVER
    assert attributes(request) == {
        "http.request.method": "POST",
        "http.request.body.size": 3,
        "http.response.body.size": 4,
        "http.response.status_code": 200,
        "http.route": "/items/{id}",
        "url.path": "/items/1",
        "url.scheme": "http",
        "request_id": server.header("X-Request-ID"),
        "by": "api",
    }
    line = seen.line("Request completed")
    assert request.end_time is not None
    assert request.start_time is not None
    assert line["duration_ms"] == pytest.approx((request.end_time - request.start_time) / 1e6, abs=0.001)


def test_requests_are_sampled_by_route_and_errors_are_kept(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """A route's own share, the failed request with what had been held, and the flag in the headers that says so."""
    exported = exported_spans(monkeypatch, ratio=0, routes={"/kept": 1})
    fails: list[bool] = []

    def made() -> list[bytes]:
        with trace_operation(f"step {len(fails)}"):
            pass
        if fails:
            raise RuntimeError("no")
        return [b""]

    server = serving(seen, made, normalise=True)
    server.get("/kept")
    assert server.header("traceparent").endswith("-01")
    fails.append(True)
    with pytest.raises(RuntimeError):
        server.get("/failed")
    fails.clear()
    monkeypatch.undo()
    server.get("/lost")
    assert server.header("traceparent").endswith("-00")
    server.get("/metrics", HTTP_TRACEPARENT=f"00-{TRACE}-{SPAN}-01")
    assert sorted(exported.names()) == ["GET /failed", "GET /kept", "step 0", "step 1"]
    assert exported.spans()["GET /failed"].status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_the_share_of_requests_that_is_kept(seen: Seen, monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    """Head sampling by ratio holds for requests as for operations."""
    exported = exported_spans(monkeypatch, ratio=share)
    server = serving(seen, lambda: [b""], templates=[f"/{number}" for number in range(500)], metrics=False)
    for number in range(500):
        server.get(f"/{number}")
    assert 500 * share * 0.4 <= len(exported.names()) <= 500 * share * 2


def test_spans_are_counted_by_what_became_of_them(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """`specwatch_telemetry_spans_total`, where a registry is given."""
    exported = exported_spans(monkeypatch, registry=seen.registry)
    with trace_operation("work"):
        pass
    assert exported.names() == {"work"}
    assert seen.series("specwatch_telemetry_spans_total") == {("sent",): 1}
