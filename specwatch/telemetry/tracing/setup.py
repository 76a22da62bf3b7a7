"""`setup_tracing`: spans leave the process, as the OTEL_* variables say."""

import contextlib
import importlib
import importlib.util
import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from specwatch.telemetry.settings import Settings, settings
from specwatch.telemetry.tracing.runtime import RUNTIME
from specwatch.telemetry.tracing.sampling import Sampler

_INSTRUMENTORS: Final = {
    "sqlalchemy": ("opentelemetry.instrumentation.sqlalchemy", "SQLAlchemyInstrumentor"),
    "redis": ("opentelemetry.instrumentation.redis", "RedisInstrumentor"),
    "requests": ("opentelemetry.instrumentation.requests", "RequestsInstrumentor"),
    "httpx": ("opentelemetry.instrumentation.httpx", "HTTPXClientInstrumentor"),
}


def setup_tracing(
    app: Any = None,
    *,
    service: str | None = None,
    ratio: float | None = None,
    routes: Mapping[str, float] | None = None,
    keep_errors: bool = True,
    exporter: Any = None,
    registry: Any = None,
    instrumentors: Collection[str] | None = None,
    prefix: str = "",
) -> Any:
    """Export spans over OTLP, make ours the process's tracer provider, and switch on the instrumentors that are installed.

    The OTEL_* variables say where to and how: OTEL_EXPORTER_OTLP_ENDPOINT (`localhost:4317` without), …_PROTOCOL, …_HEADERS and
    so on, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER and its _ARG, OTEL_BSP_* for the queue. Nothing is
    done with OTEL_SDK_DISABLED=true or OTEL_TRACES_EXPORTER=none, nor without opentelemetry-sdk, which is said in the log
    once; ids in headers and logs work in any case. A second call changes the sampling and leaves the rest.

    Args:
        app: a FastAPI application whose requests OpenTelemetry's instrumentor is to trace, unless one of our hooks does.
        service: the resource's service.name; by default SERVICE_NAME, OTEL_SERVICE_NAME.
        ratio: the share of traces to keep, instead of OTEL_TRACES_SAMPLER_ARG.
        routes: other shares for routes; see `Sampler`.
        keep_errors: export a trace that is not sampled and ends in an error all the same, with as many of its spans as were
            held (256). Spans of other services are lost, as they were told not to record.
        exporter: an OpenTelemetry `SpanExporter` to use instead of OTLP.
        registry: where `specwatch_telemetry_spans_total{outcome="sent"|"failed"|"dropped"}` is counted; nowhere when left out.
        instrumentors: which of sqlalchemy, redis, requests and httpx to switch on; by default all that are installed.
        prefix: of the application's own variables, such as `SHOP_`.

    Returns:
        OpenTelemetry's tracer for the application's own spans, None where nothing is exported.

    Raises:
        ValueError: a share is not between 0 and 1.
    """
    known = settings(prefix)
    if not _wanted() and exporter is None:
        return None
    sampler = Sampler(
        known.trace_sample_ratio if ratio is None else ratio,
        routes,
        follow_parent=not _sampler_name() or _sampler_name().startswith("parentbased"),
    )
    try:
        from opentelemetry import trace  # noqa: PLC0415 - an extra

        from specwatch.telemetry.tracing.api import ContextBridge  # noqa: PLC0415 - as above
    except ImportError as missing:
        logging.getLogger(__name__).warning("Spans are not exported: %s; install specwatch[tracing]", missing)
        return None
    if RUNTIME.pipeline is None:
        try:
            _start(known, service, exporter, registry)
        except (ImportError, ValueError) as error:
            logging.getLogger(__name__).warning("Spans are not exported: %s", error)
            return None
    RUNTIME.sampler, RUNTIME.keep_errors = sampler, keep_errors
    if RUNTIME.bridge is None:
        RUNTIME.bridge = ContextBridge()
        _instrument(_INSTRUMENTORS if instrumentors is None else instrumentors)
    if app is not None:
        _instrument_app(app)
    return trace.get_tracer("specwatch")


def shutdown_tracing(timeout_seconds: float = 2.0) -> None:
    """Send what waits, within `timeout_seconds`, and export no further span. For tests and for programs that fork late."""
    pipeline: Any = RUNTIME.pipeline
    RUNTIME.pipeline = RUNTIME.sampler = RUNTIME.bridge = None
    if pipeline is not None:
        pipeline.shutdown(timeout_seconds)


def flush_spans(timeout_seconds: float = 5.0) -> bool:
    """Send the spans that wait and return whether that was done in time; for a job that is about to end, and for tests."""
    pipeline: Any = RUNTIME.pipeline
    return pipeline is None or bool(pipeline.flush(timeout_seconds))


def _wanted() -> bool:
    return (
        os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"
        and os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() != "none"
    )


def _sampler_name() -> str:
    return os.environ.get("OTEL_TRACES_SAMPLER", "").strip().lower()


def _start(known: Settings, service: str | None, exporter: Any, registry: Any) -> None:
    from opentelemetry import trace  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - as above

    from specwatch.telemetry.tracing import otlp  # noqa: PLC0415 - as above
    from specwatch.telemetry.tracing.api import Provider  # noqa: PLC0415 - as above
    from specwatch.telemetry.tracing.pipeline import SpanPipeline  # noqa: PLC0415 - as above

    attributes: dict[str, str] = {"service.version": known.version, "deployment.environment": known.environment}
    name = service or known.service
    if name:
        attributes["service.name"] = name
    # What the operator says in OTEL_RESOURCE_ATTRIBUTES stands above what we found out, but for a name that is said by itself.
    said = {key: value for key, value in _resource_attributes().items() if key != "service.name" or not known.service}
    resource = Resource.create(attributes).merge(Resource(said))
    make = otlp.environment_exporter() if exporter is None else lambda: exporter
    pipeline = SpanPipeline(
        lambda: otlp.connect(make, resource),
        queue_size=_number("OTEL_BSP_MAX_QUEUE_SIZE", 2048),
        batch_size=_number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512),
        delay_seconds=_number("OTEL_BSP_SCHEDULE_DELAY", 5000) / 1000,
        report=None if registry is None else _counter(registry),
    )
    RUNTIME.pipeline = pipeline
    provider = trace.get_tracer_provider()
    if isinstance(provider, Provider):
        provider.renew(pipeline, resource)
    elif type(provider).__name__ == "ProxyTracerProvider":
        trace.set_tracer_provider(Provider(pipeline, resource))
    else:
        logging.getLogger(__name__).warning("OpenTelemetry has a tracer provider already: the spans of instrumentors go there, not to ours")


def _counter(registry: Any) -> Callable[[str, int], None]:
    from specwatch.telemetry.request_metrics import metrics_of, show_in  # noqa: PLC0415 - a program without metrics does not need it

    metrics = metrics_of(registry)
    spans = metrics.counter("specwatch_telemetry_spans_total", "Spans by what became of them.", ["outcome"])
    show_in(registry, metrics)
    for outcome in ("sent", "failed", "dropped"):
        spans.labels(outcome)

    def report(outcome: str, count: int) -> None:
        spans.labels(outcome).inc(count)

    return report


def _resource_attributes() -> dict[str, Any]:
    pairs = (each.partition("=") for each in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","))
    return {key.strip(): unquote(value.strip()) for key, equals, value in pairs if equals and key.strip()}


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "").strip()
    return int(text) if text.isdecimal() and int(text) > 0 else default


def _instrument(names: Collection[str]) -> None:
    for name in names:
        module, kind = _INSTRUMENTORS[name]
        if _installed(module) and _installed(name):
            with _told(name):
                # SQLAlchemy's declares a range of versions that ends before the newest, though it stands on public events alone.
                getattr(importlib.import_module(module), kind)().instrument(skip_dep_check=name == "sqlalchemy")


def _instrument_app(app: Any) -> None:
    """Trace a FastAPI application's requests, unless one of our hooks does, or FastAPI itself (from 0.140 on)."""
    from specwatch.telemetry import asgi  # noqa: PLC0415 - imports this package

    native = getattr(getattr(app, "_native_telemetry", None), "config", {"tracing": False})
    if asgi.is_instrumented(app) or native.get("tracing", True):
        return
    if type(app).__module__.partition(".")[0] != "fastapi" or not _installed("opentelemetry.instrumentation.fastapi"):
        if hasattr(app, "add_middleware"):
            app.add_middleware(asgi.TracingMiddleware)
        return
    with _told("fastapi"):
        importlib.import_module("opentelemetry.instrumentation.fastapi").FastAPIInstrumentor.instrument_app(app)


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - an instrumentor that does not fit its library must not stop the service
        logging.getLogger(__name__).warning("The instrumentor of %s could not be switched on: %s", name, error)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
