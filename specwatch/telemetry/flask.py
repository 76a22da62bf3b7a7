"""One call instruments a Flask application: metrics, access log, ids, `/metrics` and `/health`."""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, Response, jsonify, request, request_finished, request_started
from flask.logging import default_handler
from prometheus_client import REGISTRY, CollectorRegistry

from specwatch.telemetry.context import attach, continue_trace
from specwatch.telemetry.exposition import exposition
from specwatch.telemetry.health import Check, run_checks
from specwatch.telemetry.logs import configure_logging
from specwatch.telemetry.request_metrics import UNMATCHED, RequestMetrics, known_method

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_ENVIRON_KEY = "specwatch.exchange"
_PATH_CHARACTERS = 1024
_SMALL_BODY_BYTES = 64 * 1024
_IMPLIED_METHODS = frozenset({"HEAD", "OPTIONS"})


def instrument(
    app: Flask,
    *,
    service: str,
    registry: CollectorRegistry = REGISTRY,
    checks: Mapping[str, Check] | None = None,
    quiet: Collection[str] = ("/metrics", "/health"),
) -> None:
    """Instrument `app`: request metrics, JSON logs, trace and request ids, `GET /metrics`, `GET /health`.

    Every answer carries `X-Request-ID`, `X-Trace-ID` and `traceparent`. Each request is counted once, timed once
    and logged once ("Request completed"), all from the same reading of the clock; a streamed answer when its last
    byte is handed over or the client is gone. An exception is logged once with its traceback and counted as 500.

    Args:
        app: the application; routes may still be added afterwards.
        service: value of the field `service` in every log line.
        registry: where the request metrics are registered and what `/metrics` shows.
        checks: what `/health` looks at, by name; see `specwatch.telemetry.health`.
        quiet: routes that are counted and not written to the access log.

    Raises:
        ValueError: the registry already holds request metrics.
    """
    configure_logging(service)
    # Flask adds this one where nobody configured logging; beside ours every line would come twice.
    app.logger.removeHandler(default_handler)
    hook = _RequestHook(app, RequestMetrics(registry), frozenset(quiet))
    app.extensions["specwatch"] = hook  # signals hold weak references, so somebody has to hold the hook
    request_started.connect(hook.on_started, app)
    request_finished.connect(hook.on_finished, app)
    app.wsgi_app = hook  # type: ignore[method-assign] # Flask's documented place for a WSGI middleware
    app.register_blueprint(metrics_blueprint(registry))
    app.register_blueprint(health_blueprint(checks or {}))


def metrics_blueprint(registry: CollectorRegistry = REGISTRY) -> Blueprint:
    """Return `GET /metrics`: this process's registry, or all workers' when `PROMETHEUS_MULTIPROC_DIR` is set."""
    blueprint = Blueprint("specwatch_metrics", __name__)

    @blueprint.get("/metrics")
    def metrics() -> Response:
        body, content_type = exposition(registry, request.headers.get("Accept", ""))
        return Response(body, content_type=content_type, headers={"Cache-Control": "no-store"})

    return blueprint


def health_blueprint(checks: Mapping[str, Check]) -> Blueprint:
    """Return `GET /health`: 200 with every check's verdict, 503 when one of them fails."""
    blueprint = Blueprint("specwatch_health", __name__)

    @blueprint.get("/health")
    def health() -> Response:
        report, healthy = run_checks(checks)
        response = jsonify(report)
        response.status_code = 200 if healthy else 503
        response.headers["Cache-Control"] = "no-store"
        return response

    return blueprint


class _RequestHook:
    """The WSGI middleware; Flask's signals tell it the route and whether the answer is streamed."""

    def __init__(self, app: Flask, metrics: RequestMetrics, quiet: frozenset[str]) -> None:
        self._app = app
        self._wsgi_app: WSGIApplication = app.wsgi_app
        self._declared = False
        self.metrics = metrics
        self.quiet = quiet
        self.access_log = logging.getLogger(f"{__name__}.access")

    def on_started(self, _sender: Flask, **_: Any) -> None:
        exchange = request.environ.get(_ENVIRON_KEY)
        if exchange is not None and request.url_rule is not None:
            exchange.endpoint = request.url_rule.rule

    def on_finished(self, _sender: Flask, response: Response, **_: Any) -> None:
        exchange = request.environ.get(_ENVIRON_KEY)
        if exchange is None:
            return
        # Flask turns an HTTP error into an iterator of known length. As a list it is counted before it leaves.
        if response.is_streamed and not response.direct_passthrough:
            length = response.content_length
            if length is not None and length <= _SMALL_BODY_BYTES:
                response.make_sequence()
        exchange.streamed = response.is_streamed

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not self._declared:
            # Not in instrument(): routes may be added until the first request comes in.
            self.metrics.declare(self._routes())
            self._declared = True
        exchange = _Exchange(self, environ)
        try:
            body = self._wsgi_app(environ, exchange.responder(start_response))
        except BaseException as error:
            exchange.fail(error)
            raise
        if exchange.streamed:
            return _StreamedBody(body, exchange)
        # Counted before the answer leaves: who has the answer finds it in the metrics.
        exchange.finish()
        return body

    def _routes(self) -> Iterator[tuple[str, str]]:
        for rule in self._app.url_map.iter_rules():
            for method in sorted((rule.methods or set()) - _IMPLIED_METHODS):
                yield method, rule.rule


class _Exchange:
    """One request and its answer, from the first byte in to the last byte out."""

    def __init__(self, hook: _RequestHook, environ: "WSGIEnvironment") -> None:
        self._started = time.perf_counter()
        self._hook = hook
        self._context = continue_trace(environ.get("HTTP_TRACEPARENT"), environ.get("HTTP_X_REQUEST_ID"))
        self._outer = attach(self._context)
        self._method = known_method(environ.get("REQUEST_METHOD", ""))
        self._path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        self._status = "500"
        self._finished = False
        self.endpoint = UNMATCHED
        self.streamed = True
        environ[_ENVIRON_KEY] = self
        hook.metrics.in_flight.inc()

    def responder(self, start_response: "StartResponse") -> "StartResponse":
        ids = [
            ("X-Request-ID", self._context.request_id),
            ("X-Trace-ID", self._context.trace_id),
            ("traceparent", self._context.traceparent),
        ]

        def respond(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Callable[[bytes], object]:
            self._status = status[:3]
            return start_response(status, [*headers, *ids], exc_info)

        return respond

    def fail(self, error: BaseException) -> None:
        """Count the request as 500; an exception that Flask has not logged is logged here."""
        self._status = "500"
        if isinstance(error, Exception) and not self._finished:
            self._hook.access_log.error("Request failed", exc_info=error, extra={"endpoint": self.endpoint})
        self.finish()

    def finish(self) -> None:
        """Count, time and log the request; a second call does nothing."""
        if self._finished:
            return
        self._finished = True
        seconds = time.perf_counter() - self._started
        metrics = self._hook.metrics
        metrics.observe(self._method, self.endpoint, self._status, seconds)
        metrics.in_flight.dec()
        if self.endpoint not in self._hook.quiet:
            self._hook.access_log.info(
                "Request completed",
                extra={
                    "method": self._method,
                    # WSGI hands over the bytes of the path as Latin-1 (PEP 3333).
                    "path": self._path.encode("latin-1", "replace").decode("utf-8", "replace")[:_PATH_CHARACTERS],
                    "endpoint": self.endpoint,
                    "status": int(self._status),
                    "duration_ms": round(seconds * 1000, 3),
                },
            )
        attach(self._outer)


class _StreamedBody:
    """The parts of a streamed answer; the request ends with the last of them, with an exception or with `close`."""

    def __init__(self, body: Iterable[bytes], exchange: _Exchange) -> None:
        self._body = body
        self._parts = iter(body)
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._parts)
        except StopIteration:
            self._exchange.finish()
            raise
        except BaseException as error:
            self._exchange.fail(error)
            raise

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._exchange.finish()
