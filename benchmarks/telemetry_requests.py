"""What a request costs more when it is counted, logged and traced, in Flask: ours against the usual three libraries together.

Both sides do metrics, one JSON access log line and spans of which a tenth is kept, in one process, over a bare Flask application.
They take turns in an order that changes from round to round, each with a few requests at a time, so that what else the machine does
meets all alike. What is printed is the difference to the bare application, in microseconds of processor time, as medians over the
rounds with their spread; what a thread does later, the export of spans, is measured by itself and added.

    python benchmarks/telemetry_requests.py [--rounds 800] [--requests 12]
"""

import argparse
import gc
import json
import logging
import os
import random
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from flask import Flask, Response, g, request
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import get_current_span
from prometheus_client import CollectorRegistry
from prometheus_flask_exporter import PrometheusMetrics  # type: ignore[import-untyped] # the package ships no types
from pythonjsonlogger.json import JsonFormatter
from werkzeug.test import EnvironBuilder

from specwatch.telemetry.flask import instrument
from specwatch.telemetry.logs import configure_logging
from specwatch.telemetry.metrics import Metrics
from specwatch.telemetry.tracing import flush_spans, setup_tracing

_SHARE = 0.1
_WARM = 20  # rounds
_BATCH = 20  # rounds
_NEVER_MILLISECONDS = 3_600_000
_FLUSHED = ("ours", "rival")
_Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Nowhere(SpanExporter):
    """Takes spans as fast as can be, so that neither side waits for a collector."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - the interface
        """Return success."""
        return SpanExportResult.SUCCESS


def bare() -> Flask:
    """Return the application itself."""
    app = Flask("bench", static_folder=None)

    @app.get("/items/<int:item>")
    def item(item: int) -> dict[str, int]:
        return {"item": item}

    return app


def ours(**options: Any) -> Flask:
    """Return the application with the request hook."""
    app = bare()
    instrument(app, service="bench", registry=Metrics(), **options)
    return app


def rival(provider: TracerProvider) -> Flask:
    """Return the application with prometheus-flask-exporter, OpenTelemetry's Flask instrumentation and python-json-logger."""
    app = bare()
    PrometheusMetrics(app, registry=CollectorRegistry(), group_by="url_rule")
    FlaskInstrumentor().instrument_app(app, tracer_provider=provider)  # type: ignore[no-untyped-call] # untyped there
    log = logging.getLogger("rival.access")
    log.propagate = False
    handler = logging.StreamHandler(Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
    handler.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s %(module)s %(funcName)s %(lineno)d"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()

    @app.after_request
    def write(response: Response) -> Response:
        fields = {
            "trace_id": f"{get_current_span().get_span_context().trace_id:032x}",
            "method": request.method,
            "path": request.path,
            "endpoint": str(request.url_rule),
            "status_code": response.status_code,
            "duration_ms": round((time.perf_counter() - g.began) * 1000, 3),
        }
        log.info("Request completed", extra=fields)
        return response

    return app


def timed(app: _Application, environs: list[dict[str, Any]]) -> float:
    """Return the microseconds that this thread takes for one request."""
    own = [dict(environ) for environ in environs]

    def start(_status: str, _headers: list[tuple[str, str]], _error: Any = None) -> None:
        """Take the head of the answer."""

    began = time.thread_time()
    while own:
        body = app(own.pop(), start)
        for _ in body:
            pass
        close = getattr(body, "close", None)
        if close is not None:
            close()
    return (time.thread_time() - began) / len(environs) * 1e6


def exported(flush: Callable[[], object], requests: int) -> float:
    """Return the microseconds of all threads that it takes to export the spans of a request, of which there were so many."""
    began = time.process_time()
    flush()
    return (time.process_time() - began) / requests * 1e6


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """Return the median with the quartiles around it."""
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": round(middle, 1), "q1": round(low, 1), "q3": round(high, 1)}


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=800)
    parser.add_argument("--requests", type=int, default=12)
    arguments = parser.parse_args()
    os.environ["OTEL_BSP_SCHEDULE_DELAY"] = str(_NEVER_MILLISECONDS)
    setup_tracing(exporter=Nowhere(), service="bench", ratio=_SHARE, instrumentors=())
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(_SHARE)))
    provider.add_span_processor(BatchSpanProcessor(Nowhere(), schedule_delay_millis=_NEVER_MILLISECONDS))
    applications: dict[str, Flask] = {
        "bare": bare(),
        "ours": ours(),
        "ours, nothing on": ours(metrics=False, access_log=False, traces=False),
        "ours, metrics": ours(access_log=False, traces=False),
        "ours, access log": ours(metrics=False, traces=False),
        "ours, spans": ours(metrics=False, access_log=False),
        "rival": rival(provider),
    }
    configure_logging("bench", stream=Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
    environs = [EnvironBuilder(path=f"/items/{number}").get_environ() for number in range(arguments.requests)]
    rounds: dict[str, list[float]] = {name: [] for name in applications}
    exports: dict[str, list[float]] = {name: [] for name in _FLUSHED}
    order = list(applications)
    chance = random.Random(1)  # noqa: S311 - the same orders each time
    for number in range(arguments.rounds + _WARM):
        if number == _WARM:
            gc.collect()
            gc.freeze()
        chance.shuffle(order)
        for name in order:
            rounds[name].append(timed(applications[name].wsgi_app, environs))
            if number % _BATCH == _BATCH - 1 and name in _FLUSHED:
                flush = provider.force_flush if name == "rival" else flush_spans
                flush()  # what is there of other rounds, and of other applications: all of ours share one queue
                for _ in range(_BATCH):
                    timed(applications[name].wsgi_app, environs)
                exports[name].append(exported(flush, _BATCH * len(environs)))
    over = {
        name: quartiles([with_it - without for with_it, without in zip(values[_WARM:], rounds["bare"][_WARM:], strict=True)])
        for name, values in rounds.items()
    }
    for name in _FLUSHED:
        over[name] = {key: round(value + statistics.median(exports[name]), 1) for key, value in over[name].items()}
    share = over["ours"]["median"] / over["rival"]["median"]
    report = {
        "row": "request overhead, metrics + JSON access log + spans at 10 %, Flask",
        "unit": "µs over a bare Flask application",
        "bare": quartiles(rounds["bare"][_WARM:]),
        "ours": over["ours"],
        "rival": over["rival"],
        "of which export of spans": {name: round(statistics.median(exports[name]), 1) for name in _FLUSHED},
        "parts": {name: values for name, values in over.items() if name.startswith("ours, ")},
        "share": round(share, 3),
        "reach": 0.25,
        "reached": share <= 0.25,  # noqa: PLR2004 - the reach
    }
    print(json.dumps(report, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
