"""What one log record costs, from the call to the bytes in the kernel: eight fields and the context of a request.

All sides write to /dev/null and take turns in one process. Needs python-json-logger, structlog and orjson. Prints JSON: microseconds of CPU
time for a record (median, 10th and 90th percentile over the rounds) and our share of each rival.

    python benchmarks/telemetry_logs.py [--rounds 31] [--records 1000]
"""

import argparse
import json
import logging
import statistics
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TextIO

import orjson
import structlog
from pythonjsonlogger.json import JsonFormatter as PythonJsonLogger

from specwatch.telemetry.context import RequestContext, attach
from specwatch.telemetry.logs import JsonFormatter, LineHandler, LogContext, Redaction, Sampling, get_logger
from specwatch.telemetry.logs.service_logger import ServiceLogger

Side = Callable[[], None]
_MESSAGE = "Request completed"
_RENAMED = {"levelname": "level", "asctime": "timestamp", "name": "logger", "funcName": "function", "lineno": "line"}
_IDS = {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "request_id": "req-789", "user_id": "user-123"}
_CONTEXT: ContextVar[dict[str, str]] = ContextVar("ids")


def fields() -> dict[str, Any]:
    """Return the eight fields, made for each record as a program does."""
    return {
        "method": "GET",
        "path": "/api/v1/orders/17",
        "status_code": 200,
        "duration_ms": 45.67,
        "order": "o-1",
        "items": 3,
        "paid": True,
        "currency": "EUR",
    }


class ContextFilter(logging.Filter):
    """What users of python-json-logger write to get the ids of the request into each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the ids."""
        record.__dict__.update(_CONTEXT.get())
        return True


class Floor(logging.Handler):
    """The least that a handler of one's own can do through the standard library, with orjson."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, without any care."""
        line = {
            "timestamp": record.created,
            "level": record.levelname,
            "message": record.msg,
            **_CONTEXT.get(),
            **record.__dict__["fields"],
        }
        self._stream.write(orjson.dumps(line).decode() + "\n")
        self._stream.flush()


def through(name: str, handler: logging.Handler, kind: type[logging.Logger] = logging.Logger) -> logging.Logger:
    """Return a logger of its own that only this handler listens to."""
    logger = kind(name, logging.INFO)
    logger.addHandler(handler)
    return logger


def python_json_logger(stream: TextIO, spec: str) -> Side:
    """Return python-json-logger with these fields."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        PythonJsonLogger(spec, rename_fields={old: new for old, new in _RENAMED.items() if old in spec}, timestamp="asctime" not in spec)
    )
    handler.addFilter(ContextFilter())
    logger = through("shop.orders", handler)
    return lambda: logger.info(_MESSAGE, extra=fields())


def structlog_orjson(stream: TextIO) -> Side:
    """Return structlog through the standard library, rendered by orjson; without the place, which costs it most."""
    handler = logging.StreamHandler(stream)
    render = structlog.processors.JSONRenderer(serializer=lambda event, **_: orjson.dumps(event).decode())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render])
    )
    structlog.contextvars.bind_contextvars(**_IDS)
    logger = structlog.wrap_logger(
        through("shop.orders", handler),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    ).bind()
    return lambda: logger.info(_MESSAGE, **fields())


def ours(
    stream: TextIO, kind: type[logging.Logger] = ServiceLogger, redaction: Redaction | None = None, sampling: Sampling | None = None
) -> logging.Logger:
    """Return a logger with our handler, every field of the layout `FLAT` in each line."""
    handler = LineHandler(stream, sampling=sampling)
    handler.setFormatter(JsonFormatter("shop", redaction=redaction))
    return through("shop.orders", handler, kind)


def sides(stream: TextIO) -> dict[str, Side]:
    """Return what is compared, by name."""
    plain, record, keywords = ours(stream), ours(stream, logging.Logger), get_logger("benchmark").bind()
    keywords = type(keywords)(ours(stream))
    redacting, sampling = ours(stream, redaction=Redaction()), ours(stream, sampling=Sampling(levels={"DEBUG": 0.1}))
    floor = through("shop.orders", Floor(stream))
    quiet = through("shop.orders", logging.NullHandler())
    return {
        "specwatch": lambda: plain.info(_MESSAGE, extra=fields()),
        "specwatch keyword logger": lambda: keywords.info(_MESSAGE, **fields()),
        "specwatch through a LogRecord": lambda: record.info(_MESSAGE, extra=fields()),
        "specwatch with redaction": lambda: redacting.info(_MESSAGE, extra=fields()),
        "specwatch with sampling": lambda: sampling.info(_MESSAGE, extra=fields()),
        "python-json-logger, the same fields": python_json_logger(
            stream, "%(asctime)s %(levelname)s %(name)s %(message)s %(module)s %(funcName)s %(lineno)d"
        ),
        "python-json-logger, level, name, message": python_json_logger(stream, "%(levelname)s %(name)s %(message)s"),
        "structlog, orjson": structlog_orjson(stream),
        "floor: orjson in a handler, no care": lambda: floor.info(_MESSAGE, extra={"fields": fields()}),
        "floor: the standard library writes nothing": lambda: quiet.info(_MESSAGE, extra=fields()),
    }


def measure(rounds: int, records: int) -> dict[str, list[float]]:
    """Return the microseconds of CPU time for a record, for each side and round."""
    attach(RequestContext(_IDS["trace_id"], _IDS["request_id"], "00f067aa0ba902b7", user_id=_IDS["user_id"]))
    _CONTEXT.set(_IDS)
    taken: dict[str, list[float]] = {}
    with open("/dev/null", "w", encoding="utf-8") as stream:  # noqa: PTH123 - a path object opens it in the same way
        compared = sides(stream)
        for turn in range(rounds + 1):
            for name, log in compared.items():
                begun = time.thread_time_ns()
                for _ in range(records):
                    log()
                microseconds = (time.thread_time_ns() - begun) / records / 1_000
                if turn:  # the first is for caches
                    taken.setdefault(name, []).append(microseconds)
    return taken


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=31)
    arguments.add_argument("--records", type=int, default=1_000, help="records of a round")
    rounds, records = vars(arguments.parse_args()).values()
    LogContext.clear()
    taken = measure(rounds, records)
    report: dict[str, Any] = {
        "unit": "microseconds of CPU time for a record",
        "rounds": rounds,
        "records": records,
        "python": sys.version.split()[0],
    }
    for name, times in taken.items():
        tenths = statistics.quantiles(times, n=10)
        report[name] = {"median": round(statistics.median(times), 2), "p10": round(tenths[0], 2), "p90": round(tenths[-1], 2)}
    rivals = [name for name in taken if name.startswith(("python-json-logger", "structlog"))]
    report["share of rival"] = {
        side: {rival: round(statistics.median(a / b for a, b in zip(taken[side], taken[rival], strict=True)), 3) for rival in rivals}
        for side in ("specwatch", "specwatch keyword logger", "specwatch through a LogRecord")
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
