"""One call instruments a Flask application: metrics, access log, spans, ids, `/metrics` and `/health`."""

import contextlib
import logging
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from flask import Flask, got_request_exception, request
from flask.logging import default_handler
from werkzeug.exceptions import HTTPException

from specwatch.telemetry import wsgi
from specwatch.telemetry.endpoints import Endpoints
from specwatch.telemetry.endpoints.flask import NAME, telemetry_blueprint
from specwatch.telemetry.logs.configure import provide_logging
from specwatch.telemetry.request import QUIET
from specwatch.telemetry.settings import settings
from specwatch.telemetry.tracing import setup_tracing

__all__ = ["instrument"]

_EXTENSION: Final = "specwatch"
_IMPLIED_METHODS: Final = frozenset({"HEAD", "OPTIONS"})


def instrument(
    app: Flask,
    *,
    service: str = "",
    registry: Any = None,
    checks: Mapping[str, Any] | None = None,
    quiet: Collection[str] = QUIET,
    exclude: Collection[str] = (),
    endpoints: bool = True,
    prefix: str = "",
    **options: Any,
) -> None:
    """Instrument `app`: request metrics, JSON logs, spans, trace and request ids, `GET /metrics`, `GET /health`.

    Every answer carries `X-Request-ID`, `X-Trace-ID` and `traceparent`. Each request is counted once, timed once
    and logged once ("Request completed"), all from the same reading of the clock; a streamed answer when its last
    byte is handed over or the client is gone. An exception is logged once with its traceback and counted as 500.
    With an OTLP endpoint in the environment, spans are exported too (`specwatch.telemetry.tracing.setup_tracing`).

    Args:
        app: the application; routes may still be added afterwards.
        service: value of the field `service` in every log line; by default SERVICE_NAME, then the application's name.
        registry: a `Metrics`, or a registry of prometheus-client: where the request metrics are registered and what
            `/metrics` shows. The default registry when left out.
        checks: what `/health` looks at, by name; see `specwatch.telemetry.health`.
        quiet: routes that are counted and neither logged nor traced.
        exclude: routes with which nothing at all is done.
        endpoints: whether `/metrics`, `/api/metrics`, `/health`, `/health/live` and `/health/ready` are added.
        prefix: of the application's own environment variables, such as `SHOP_`.
        options: further fields of `specwatch.telemetry.request.Options`.

    Logging is left as it is where `configure_logging` has been called before.

    Raises:
        RuntimeError: the application is instrumented already.
        MetricError: the registry has request metrics of another type or with other labels.
        ValueError: the prometheus-client registry has metrics of the same names that are not ours.
        TypeError: there is no such option.
    """
    if _EXTENSION in app.extensions:
        raise RuntimeError(f"{app!r} is instrumented already; call instrument once, with all options")
    switches = settings(prefix)
    name = service or switches.service or app.name
    provide_logging(name, prefix)
    # Flask adds this one where nobody configured logging; beside ours every line would come twice.
    app.logger.removeHandler(default_handler)
    middleware = wsgi.Middleware(app.wsgi_app, registry=registry, quiet=quiet, exclude=exclude, prefix=prefix, **options)
    metrics = middleware.hook.metrics.metrics if middleware.hook.metrics is not None else None
    if switches.tracing_enabled:
        setup_tracing(service=name, prefix=prefix, registry=metrics)
    app.extensions[_EXTENSION] = middleware
    got_request_exception.connect(_note_exception, app)
    app.wsgi_app = middleware  # type: ignore[method-assign] # Flask's documented place for a WSGI middleware
    paths: Collection[str] = ()
    if endpoints:
        shown = Endpoints(registry=registry if registry is not None else metrics, health=checks or {}, switches=switches)
        app.register_blueprint(telemetry_blueprint(shown))
        paths = shown.paths

    def before_first() -> None:
        middleware.hook.declare(_routes(app))
        _tell_of_hidden(app, paths)

    # Not now: routes may be added until the first request comes in.
    middleware.before_first = before_first


def _note_exception(_sender: Flask, exception: BaseException, **_: Any) -> None:
    """Tell the request of an exception that Flask turns into an answer, and of its route while that is still known."""
    exchange = request.environ.get(wsgi.EXCHANGE)
    while exchange is not None:
        if request.url_rule is not None:
            exchange.endpoint = request.url_rule.rule
        exchange.note(exception)
        exchange = exchange.around


def _tell_of_hidden(app: Flask, paths: Collection[str]) -> None:
    """Warn of routes of the application that nobody can reach, as the endpoints' own are before them."""
    ours = {rule.rule: rule.endpoint for rule in app.url_map.iter_rules() if rule.endpoint.startswith(f"{NAME}.")}
    for path in paths:
        others = [rule.endpoint for rule in app.url_map.iter_rules() if rule.rule == path and rule.endpoint != ours.get(path)]
        with contextlib.suppress(HTTPException):
            if others and app.url_map.bind("").match(path, "GET")[0] == ours.get(path):
                logging.getLogger(__name__).warning(
                    "The route %s of %s is never reached, for the telemetry has one; use instrument(…, endpoints=False)", path, others[0]
                )


def _routes(app: Flask) -> Iterator[tuple[str, str]]:
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - _IMPLIED_METHODS):
            yield method, rule.rule
