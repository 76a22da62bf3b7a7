"""The request hook under a real uvicorn, around FastAPI, Starlette and an application of no framework."""

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Response
from opentelemetry.trace import SpanKind, StatusCode
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from specwatch.telemetry import asgi
from specwatch.telemetry.asgi import LoggingMiddleware, MetricsMiddleware, ObservabilityMiddleware
from specwatch.telemetry.metrics import render
from specwatch.telemetry.tracing import setup_tracing
from tests.telemetry.requests.fastapi_app import State, make_app
from tests.telemetry.requests.servers import SPAN, TRACE, Seen, uvicorn_serving
from tests.telemetry.tracing.spans import Exported, attributes, ids
from tests.tools import wait_for


class Service:
    """An instrumented FastAPI application under uvicorn."""

    def __init__(self, seen: Seen, state: State, url: str) -> None:
        self.seen = seen
        self.state = state
        self.url = url
        self.client = httpx.Client(base_url=url, timeout=20)

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Return the answer."""
        return self.client.get(path, headers=headers)

    def leave(self, path: str) -> None:
        """Ask, and go away once the application is at work."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), 20) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            wait_for("the application", self.state.waiting.is_set)


@pytest.fixture
def service(seen: Seen, tmp_path: Path) -> Iterator[Service]:
    (tmp_path / "a.txt").write_text("abc", encoding="utf-8")
    state = State()
    app = make_app(state, str(tmp_path))
    app.add_middleware(ObservabilityMiddleware, registry=seen.registry)
    with uvicorn_serving(app) as url:
        service = Service(seen, state, url)
        yield service
        service.client.close()


def test_a_request_is_counted_timed_and_logged_once(service: Service) -> None:
    """Counter, histograms and access log tell the same story under the route's template."""
    answer = service.get("/items/7?token=secret")
    seen = service.seen
    labels = {"method": "GET", "endpoint": "/items/{item}"}
    assert seen.count("GET", "/items/{item}", "200") == 1
    assert seen.value("http_request_duration_seconds_count", **labels) == 1
    assert seen.value("http_response_size_bytes_sum", **labels) == len(answer.content)
    assert seen.value("http_requests_in_flight") == 0
    line = seen.line("Request completed")
    assert (line["method"], line["path"], line["endpoint"], line["status_code"]) == ("GET", "/items/7", "/items/{item}", 200)
    assert line["duration_ms"] == round((seen.value("http_request_duration_seconds_sum", **labels) or 0) * 1000, 3)
    assert "secret" not in json.dumps(line)


def test_ids_come_in_and_go_out(service: Service) -> None:
    """In the answer, in request.state, and in every line of the request, those of the application included."""
    answer = service.get("/items/7", **{"traceparent": f"00-{TRACE}-{SPAN}-00", "X-Request-ID": "r-1"})
    assert answer.headers["X-Request-ID"] == answer.json()["request_id"] == "r-1"
    assert answer.headers["X-Trace-ID"] == TRACE
    assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-00", answer.headers["traceparent"])
    own = [line for line in service.seen.lines() if line.get("item") == 7 or line["message"] == "Request completed"]
    assert len(own) == 3
    assert {(line["trace_id"], line["request_id"]) for line in own} == {(TRACE, "r-1")}


@pytest.mark.parametrize(("sent", "used"), [(TRACE, TRACE), ("0AF76519-16CD-43DD-8448-EB211C80319C", TRACE), ("garbage", None)])
def test_x_trace_id_alone_continues_a_trace(service: Service, sent: str, used: str | None) -> None:
    """Document 001: a caller that knows no traceparent may send the trace id by itself."""
    trace_id = service.get("/items/1", **{"X-Trace-ID": sent}).headers["X-Trace-ID"]
    assert trace_id == used or (used is None and re.fullmatch("[0-9a-f]{32}", trace_id))


def test_requests_at_once_keep_their_own_ids(service: Service) -> None:
    """Of sixty requests that run side by side, each has its ids in all of its lines, in threads too."""
    with ThreadPoolExecutor(12) as pool:
        paths = [f"/{kind}/{number}" for number in range(30) for kind in ("items", "sync")]
        answers = list(pool.map(service.get, paths))
    assert len({answer.headers["X-Request-ID"] for answer in answers}) == 60
    for path, answer in zip(paths, answers, strict=True):
        number = int(path.rpartition("/")[2])
        kind = {"looking", "found"} if path.startswith("/items") else {"in thread"}
        lines = [line for line in service.seen.lines() if line.get("item") == number and line["message"] in kind]
        assert {line["request_id"] for line in lines} == {answer.headers["X-Request-ID"]}


def test_the_user_is_in_the_access_log(service: Service) -> None:
    """Also when the application found out in a thread of its own who asks."""
    service.get("/sync/5")
    assert service.seen.line("Request completed")["user_id"] == "user-5"


@pytest.mark.parametrize(
    ("path", "endpoint", "status"),
    [
        ("/api/v1/inner/users/3", "/api/v1/inner/users/{user}", "200"),
        ("/api/v1/inner/users/x", "/api/v1/inner/users/{user}", "422"),
        ("/tenants/acme/deep/x", "/tenants/{tenant}/deep/{part}", "200"),
        ("/tenants/acme/nothing", "unmatched", "404"),
        ("/static/a.txt", "/static/{path}", "200"),
        ("/nothing", "unmatched", "404"),
        ("/items/7/", "unmatched", "307"),
    ],
)
def test_an_endpoint_is_the_whole_template(service: Service, path: str, endpoint: str, status: str) -> None:
    """With the prefixes of included routers and mounts; what no route answers is one endpoint."""
    service.get(path)
    assert service.seen.series() == {("GET", endpoint, status): 1}


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/items/7", "/items/{item}"),
        ("/api/v1/inner/users/3", "/api/v1/inner/users/{user}"),
        ("/tenants/acme/deep/x", "/tenants/{tenant}/deep/{part}"),
        ("/static/a.txt", "/static/{path}"),
        ("/tenants/acme/nothing", "unmatched"),
        ("/nothing", "unmatched"),
    ],
)
def test_a_refusal_before_the_route_has_its_endpoint(seen: Seen, path: str, endpoint: str) -> None:
    """A middleware that answers itself, as one that asks for a login, hides nothing of what was asked for."""
    app = make_app(State(), ".")

    @app.middleware("http")
    async def refuse(_request: Any, _call_next: Any) -> Response:
        return Response("not you", 401)

    asgi.instrument(app, registry=seen.registry)
    with uvicorn_serving(app) as url:
        httpx.get(f"{url}{path}")
    assert seen.series() == {("GET", endpoint, "401"): 1}


def test_a_method_that_a_route_lacks_is_counted_with_the_route(service: Service) -> None:
    """405 under the template; a made-up method is OTHER."""
    service.client.delete("/items/7")
    service.client.request("BREW", "/items/7")
    assert service.seen.series() == {("DELETE", "/items/{item}", "405"): 1, ("OTHER", "/items/{item}", "405"): 1}


def test_an_exception_is_logged_once_and_counted_once(service: Service) -> None:
    """The answer of the framework's own error handling carries the ids, and the first one already."""
    answer = service.get("/broken")
    assert answer.status_code == 500
    line = service.seen.line("Request failed")
    assert line["trace_id"] == answer.headers["X-Trace-ID"]
    assert line["error"] == "no"
    assert "RuntimeError: no" in line["exception"]
    assert service.seen.line("Request completed")["status_code"] == 500
    assert service.seen.series() == {("GET", "/broken", "500"): 1}
    assert wait_for("the end", lambda: service.seen.value("http_requests_in_flight") == 0)


def test_an_http_error_is_no_exception(service: Service) -> None:
    """HTTPException answers with its status and leaves no ERROR line."""
    service.get("/teapot")
    assert service.seen.series() == {("GET", "/teapot", "418"): 1}
    assert {line["level"] for line in service.seen.lines()} == {"INFO"}


def test_bodies_are_measured(service: Service) -> None:
    """With a Content-Length and without."""
    service.client.post("/items", content=b"x" * 500)
    service.client.post("/items", content=iter([b"x" * 200, b"y" * 100]))
    assert service.seen.value("http_request_size_bytes_sum", method="POST", endpoint="/items") == 800


def test_a_stream_is_one_request(service: Service) -> None:
    """Its parts are logged with its ids, and it is counted with its last part."""
    answer = service.get("/stream/2")
    assert answer.text == "0\n1\n"
    line = service.seen.line("Request completed")
    assert (line["status_code"], line["response_bytes"]) == (200, 4)
    assert {part["request_id"] for part in service.seen.lines("part")} == {answer.headers["X-Request-ID"]}


def test_a_stream_that_breaks_is_a_failure(service: Service) -> None:
    """The status had left already, and still it is logged once and counted as 500."""
    with pytest.raises(httpx.RemoteProtocolError):
        service.get("/stream/3")
    assert service.seen.line("Request failed")["error"] == "in the middle"
    assert service.seen.series() == {("GET", "/stream/{parts}", "500"): 1}


def test_a_client_that_leaves_a_stream_ends_the_request(service: Service) -> None:
    """Counted once with the status it had, marked in the log, nothing left in flight."""
    service.leave("/endless")
    line = service.seen.line("Request completed")
    assert (line["status_code"], line["client_left"]) == (200, True)
    assert service.seen.series() == {("GET", "/endless", "200"): 1}
    assert service.seen.value("http_requests_in_flight") == 0
    assert not service.seen.lines("Request failed")


def test_a_task_after_the_answer_has_the_requests_ids(service: Service) -> None:
    """What a background task logs belongs to the request."""
    answer = service.get("/background")
    assert service.seen.line("afterwards")["request_id"] == answer.headers["X-Request-ID"]


def test_the_lifespan_is_left_alone(seen: Seen) -> None:
    """Start and stop reach the application."""
    state = State()
    app = make_app(state)
    asgi.instrument(app, registry=seen.registry)
    with uvicorn_serving(app):
        assert state.events == ["started"]
    assert state.events == ["started", "stopped"]
    assert seen.series() == {}


def test_a_websocket_is_counted_and_not_timed(service: Service) -> None:
    """101 when it ends, in the gauge while it is open, and its hours do not spoil the latencies."""
    with connect(f"{service.url.replace('http', 'ws')}/echo/blue", additional_headers={"X-Request-ID": "r-1"}) as client:
        client.send("a")
        assert client.recv() == "aa"
        assert client.response is not None
        assert client.response.headers["X-Request-ID"] == "r-1"
        assert service.seen.value("http_websockets_open") == 1
        client.send("bye")
    line = service.seen.line("Websocket closed")
    assert (line["endpoint"], line["status_code"], line["request_id"]) == ("/echo/{room}", 101, "r-1")
    assert service.seen.line("opened")["request_id"] == "r-1"
    assert service.seen.series() == {("GET", "/echo/{room}", "101"): 1}
    assert service.seen.series("http_request_duration_seconds_count") == {}
    assert service.seen.value("http_websockets_open") == 0


def test_a_websocket_that_breaks_is_a_failure(service: Service) -> None:
    """Logged once with its traceback, counted as 500."""
    with connect(f"{service.url.replace('http', 'ws')}/echo/blue") as client:
        client.send("break")
        with pytest.raises(ConnectionClosedError):
            client.recv()
    assert service.seen.line("Request failed")["error"] == "in the socket"
    assert wait_for("the end", lambda: service.seen.series() == {("GET", "/echo/{room}", "500"): 1})
    assert service.seen.value("http_websockets_open") == 0


def test_a_websocket_whose_client_leaves_is_no_failure(service: Service) -> None:
    """Starlette raises where the application did not wait for it; nobody did anything wrong."""
    client = connect(f"{service.url.replace('http', 'ws')}/echo/blue")
    client.socket.shutdown(socket.SHUT_RDWR)
    service.seen.line("Websocket closed")
    assert not service.seen.lines("Request failed")
    assert service.seen.series() == {("GET", "/echo/{room}", "101"): 1}


def test_a_refused_websocket_is_counted(service: Service) -> None:
    """As 403, which is what its client gets."""
    with pytest.raises(InvalidStatus):
        connect(f"{service.url.replace('http', 'ws')}/refused")
    service.seen.line("Websocket closed")
    assert service.seen.series() == {("GET", "/refused", "403"): 1}


def test_instrumenting_twice_is_an_error(seen: Seen) -> None:
    """One call has all options; document 004's middlewares beside each other are no second call."""
    app, other = make_app(State()), make_app(State())
    asgi.instrument(app, registry=seen.registry)
    with pytest.raises(RuntimeError, match="is instrumented already; call instrument once"):
        asgi.instrument(app, registry=seen.registry)
    with pytest.raises(RuntimeError, match="is instrumented already"):
        asgi.instrument(asgi.instrument(plain, registry=seen.registry))
    other.add_middleware(LoggingMiddleware)
    asgi.instrument(other, registry=seen.registry, access_log=False)


async def plain(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """An application of no framework, and of no lifespan."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/silent":
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    status = 404 if scope["path"].startswith("/no") else 200
    headers = [(b"x-request-id", b"mine")] if scope["path"] == "/own-id" else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


def test_an_application_of_no_framework_says_its_routes(seen: Seen) -> None:
    """By templates; all other paths are one endpoint. Excluded ones are not touched, quiet ones only counted."""
    app = asgi.instrument(plain, registry=seen.registry, templates=["/items/{id}"], exclude=["/internal/*"], quiet=["/health"])
    with uvicorn_serving(app) as url, httpx.Client(base_url=url) as client:
        for path in ("/items/1", "/items/2", "/other", "/health", "/own-id"):
            client.get(path)
        assert "X-Request-ID" not in client.get("/internal/x").headers
        assert client.get("/own-id").headers["X-Request-ID"] == "mine"
    assert seen.series() == {("GET", "/items/{id}", "200"): 2, ("GET", "unmatched", "200"): 4}
    assert [line["path"] for line in seen.lines("Request completed")] == ["/items/1", "/items/2", "/other", "/own-id", "/own-id"]


def test_ids_in_paths_can_be_replaced(seen: Seen) -> None:
    """Document 001: where nobody knows the routes, numbers and the like become placeholders; what is not found stays one endpoint."""
    app = asgi.instrument(plain, registry=seen.registry, normalise=True)
    with uvicorn_serving(app) as url, httpx.Client(base_url=url) as client:
        for path in ("/users/1/orders/77", "/users/2/orders/78", "/users/8f14e45f-ceea-467f-a0e6-8d2a0d1c3b5e/orders/1", "/nothing/x"):
            client.get(path)
    assert seen.series() == {("GET", "/users/{id}/orders/{id}", "200"): 3, ("GET", "unmatched", "404"): 1}


def test_a_client_that_leaves_before_any_answer_is_counted_as_499(seen: Seen) -> None:
    """It got none, and nobody failed."""
    with uvicorn_serving(asgi.instrument(plain, registry=seen.registry)) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), 20) as connection:
            connection.sendall(b"GET /silent HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_for("the request", lambda: seen.value("http_requests_in_flight") == 1)
        assert seen.line("Request completed")["status_code"] == 499
    assert seen.series() == {("GET", "unmatched", "499"): 1}


@pytest.mark.parametrize(("answered", "status"), [(False, "499"), (True, "200")])
def test_a_request_that_is_cancelled_is_no_failure(seen: Seen, answered: bool, status: str) -> None:
    """Servers that cancel a request when its client leaves, or when they end, have it counted once, and not as 500."""
    waiting = asyncio.Event()

    async def application(_scope: dict[str, Any], _receive: Any, send: Any) -> None:
        if answered:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        waiting.set()
        await asyncio.sleep(60)

    async def nothing(*_: object) -> None:
        """Take a message."""

    async def run() -> None:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"traceparent", b"00-a"), (b"traceparent", b"00-b")]}
        request = asyncio.create_task(asgi.instrument(application, registry=seen.registry)(scope, nothing, nothing))
        await waiting.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    asyncio.run(run())
    assert seen.series() == {("GET", "unmatched", status): 1}
    assert seen.value("http_requests_in_flight") == 0
    line = seen.line("Request completed")
    assert (line["status_code"], line["client_left"]) == (int(status), True)


def test_document_004s_logging_middleware(seen: Seen) -> None:
    """The line "Request started" has client and user agent, "Request completed" with status and duration, and the id in the answer."""
    app = make_app(State())
    app.add_middleware(LoggingMiddleware)
    with uvicorn_serving(app) as url:
        answer = httpx.get(f"{url}/items/1", headers={"User-Agent": "test"})
        httpx.get(f"{url}/broken")
    begun = seen.lines("Request started")[0]
    assert (begun["method"], begun["path"], begun["client_ip"], begun["user_agent"]) == ("GET", "/items/1", "127.0.0.1", "test")
    done = seen.lines("Request completed")[0]
    assert done["status_code"] == 200
    assert done["duration_ms"] > 0
    assert begun["request_id"] == done["request_id"] == answer.headers["X-Request-ID"]
    failed = seen.line("Request failed")
    assert failed["error"] == "no"
    assert failed["duration_ms"] > 0
    assert seen.series() == {}


@pytest.mark.parametrize("way", ["add_middleware", "decorator"])
def test_document_004s_middlewares_work_together(seen: Seen, way: str) -> None:
    """Each does its part once, under the same ids; also in the form `(request, call_next)` of `app.middleware("http")`."""
    app = FastAPI() if way == "decorator" else make_app(State())
    if way == "decorator":

        @app.get("/items/{item}")
        async def item(item: int) -> int:
            return item

        app.middleware("http")(MetricsMiddleware(registry=seen.registry))
        app.middleware("http")(LoggingMiddleware())
    else:
        app.add_middleware(MetricsMiddleware, registry=seen.registry)
        app.add_middleware(LoggingMiddleware)
    with uvicorn_serving(app) as url:
        answers = [httpx.get(f"{url}/items/1") for _ in range(3)]
    # Starlette's own middleware for such functions sends the body before its end, so the server has to come to its own.
    assert [answer.headers.get_list("X-Request-ID") for answer in answers] == [
        [line["request_id"]] for line in seen.lines("Request completed")
    ]
    assert seen.series() == {("GET", "/items/{item}", "200"): 3}
    assert len(seen.lines("Request started")) == len(seen.lines("Request completed")) == 3


def test_metrics_can_be_switched_off(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """METRICS_ENABLED=false, also with the application's own prefix: nothing is counted, the rest goes on."""
    monkeypatch.setenv("SHOP_METRICS_ENABLED", "false")
    app = asgi.instrument(make_app(State()), registry=seen.registry, prefix="SHOP_")
    with uvicorn_serving(app) as url:
        assert "X-Request-ID" in httpx.get(f"{url}/items/1").headers
    assert "http_requests_total" not in seen.registry
    assert seen.line("Request completed")["status_code"] == 200


@pytest.mark.parametrize("who", ["ours", "FastAPI's own", "instrumentor"])
def test_a_request_is_one_server_span(seen: Seen, exported: Exported, who: str) -> None:
    """Whoever else traces the application, there is one, in the caller's trace, with the route, and the access log has its trace."""
    app = make_app(State(), telemetry={"tracing": who == "FastAPI's own", "operation_spans": False})
    asgi.instrument(app, registry=seen.registry)
    if who == "instrumentor":
        setup_tracing(app)
    with uvicorn_serving(app) as url:
        answer = httpx.get(f"{url}/items/1", headers={"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=1"})
    [span] = [span for span in exported.spans().values() if span.kind is SpanKind.SERVER]
    assert span.name == "GET /items/{item}"
    assert ids(span)[::2] == (TRACE, SPAN)
    assert span.context is not None
    assert span.context.trace_state.to_header() == "vendor=1"
    assert attributes(span)["http.route"] == "/items/{item}"
    assert attributes(span)["http.response.status_code"] == 200
    assert answer.headers["traceparent"] == f"00-{TRACE}-{ids(span)[1]}-01"
    assert seen.line("Request completed")["trace_id"] == TRACE


def test_a_failed_request_is_a_failed_span(seen: Seen, exported: Exported) -> None:
    """With the exception as its event, and an exemplar on the histogram that names the trace."""
    app = asgi.instrument(make_app(State(), telemetry={"tracing": False}), registry=seen.registry)
    with uvicorn_serving(app) as url:
        answer = httpx.get(f"{url}/broken")
    span = exported.spans()["GET /broken"]
    assert span.status.status_code is StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]
    assert attributes(span)["error.type"] == "RuntimeError"
    scrape, _, _ = render(seen.registry, accept="application/openmetrics-text; version=1.0.0")
    assert f'# {{trace_id="{answer.headers["X-Trace-ID"]}"}}' in scrape.decode()


def test_setup_tracing_traces_a_fastapi_application(exported: Exported) -> None:
    """Document 004: `setup_tracing(app)`, with no hook of ours around the application."""
    app = make_app(State(), telemetry={"tracing": True, "operation_spans": False})
    setup_tracing(app)
    with uvicorn_serving(app) as url:
        httpx.get(f"{url}/items/1")
    assert [span.name for span in exported.spans().values() if span.kind is SpanKind.SERVER] == ["GET /items/{item}"]


def test_the_hook_needs_no_server() -> None:
    """An exchange in memory works too: what is not HTTP and not a websocket is handed on."""
    kinds: list[str] = []

    async def application(scope: dict[str, Any], _receive: Any, _send: Any) -> None:
        kinds.append(scope["type"])

    asyncio.run(ObservabilityMiddleware(application, metrics=False)({"type": "something new"}, None, print))
    assert kinds == ["something new"]
