"""One call sets a program's logging up."""

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TextIO

from specwatch.telemetry.logs.handler import LineHandler
from specwatch.telemetry.logs.jsonformat import JsonFormatter
from specwatch.telemetry.logs.layout import LAYOUTS, Layout
from specwatch.telemetry.logs.sampling import RateLimit, Reason, Sampling
from specwatch.telemetry.logs.service_logger import adopt, adopt_all
from specwatch.telemetry.logs.textformat import TextFormatter
from specwatch.telemetry.settings import settings

if TYPE_CHECKING:
    from specwatch.telemetry.logs.redact import Redaction

_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_OTHER_NAMES: Final = {"TRACE": "DEBUG", "WARN": "WARNING", "FATAL": "CRITICAL"}
_QUIET: Final = {"uvicorn": "WARNING", "sqlalchemy": "WARNING"}
# Servers and libraries that write to the terminal themselves, past the root logger.
_WITH_HANDLERS: Final = (
    "uvicorn",
    "uvicorn.error",
    "uvicorn.access",
    "gunicorn.error",
    "gunicorn.access",
    "sqlalchemy",
    "sqlalchemy.engine",
)


def configure_logging(
    service: str | None = None,
    *,
    level: str | int | None = None,
    log_format: str | None = None,
    stream: TextIO | None = None,
    preset: str | Layout = "flat",
    environment: str | None = None,
    version: str | None = None,
    levels: Mapping[str, str | int] | None = None,
    redact: "Redaction | bool" = False,
    sampling: Sampling | None = None,
    rate_limit: RateLimit | None = None,
    metrics: Any = None,
    prefix: str = "",
    **layout: Any,
) -> logging.Logger:
    """Send every record of the program to `stream`, one line each, and return the root logger; another call replaces the first.

    Handlers that others put on the root logger stay. Handlers that uvicorn, gunicorn and SQLAlchemy have set up for the terminal go, and
    their records come this way. Warnings of the `warnings` module become records too. Loggers of the standard library become ones that
    never raise (see `ServiceLogger`).

    Args:
        service: value of the field `service` in every line; without it SERVICE_NAME.
        level: DEBUG, INFO, WARNING, ERROR or CRITICAL; without it LOG_LEVEL, then INFO.
        log_format: json or text; without it LOG_FORMAT, then json.
        stream: where lines go, standard output by default.
        preset: which fields a line has: flat (document 000), nested (001), jobs (002), event (003), service (004), or a `Layout`.
        environment: value of the field `environment` in layouts that have it; without it ENVIRONMENT.
        version: value of the field `version` in layouts that have it; without it APP_VERSION.
        levels: levels of single loggers, by name.
        redact: what is made unreadable: a `Redaction`, or True for all that it can do.
        sampling: which share of the records is written; all without it.
        rate_limit: how many records alike are written; no limit without it.
        metrics: the registry for `specwatch_log_records_left_out_total{logger,level,reason}`; it is not counted there without one.
        prefix: the application's own prefix of environment variables; `SKILLMEAT_LOG_LEVEL` then wins over `LOG_LEVEL`.
        layout: single attributes of `Layout`, in place of the preset's: `message_key="event"`, `nested=True`, `level_case="lower"` …

    A level or format that does not exist is logged as a warning and its default used: a typing error in the environment must not keep a
    service from starting.

    Raises:
        ValueError: there is no such preset.
        TypeError: a layout has no such attribute.
    """
    shape = replace(_layout(preset), **layout)
    handler = LineHandler(stream, sampling=sampling, rate_limit=rate_limit, tell=_counter(metrics) if metrics is not None else None)
    handler.setFormatter(JsonFormatter(service or "", layout=shape))
    adopt_all()
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each, LineHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    # From here on what is wrong with the settings can be told.
    found = settings(prefix)
    redaction = _redaction() if redact is True else redact or None
    if _known_format(log_format or found.log_format) == "text":
        handler.setFormatter(TextFormatter(layout=shape, redaction=redaction))
    else:
        handler.setFormatter(
            JsonFormatter(
                service or found.service,
                layout=shape,
                environment=environment or found.environment,
                version=version or found.version,
                redaction=redaction,
            )
        )
    root.setLevel(_known_level(level if level is not None else found.log_level))
    for name in _WITH_HANDLERS:
        _bring_home(logging.getLogger(name))
    for name, wanted in (levels or {}).items():
        adopt(logging.getLogger(name)).setLevel(_known_level(wanted))
    logging.captureWarnings(capture=True)
    return root


def provide_logging(service: str, prefix: str = "", *, again: bool = True) -> None:
    """Set logging up where the program has not done so itself by `configure_logging`.

    Args:
        service: value of the field `service`.
        prefix: as `configure_logging` has it.
        again: whether what an earlier call of this has set up is replaced.
    """
    handlers = [each for each in logging.getLogger().handlers if isinstance(each, LineHandler)]
    if not handlers or (again and not any(each.chosen for each in handlers)):
        for each in configure_logging(service, prefix=prefix).handlers:
            if isinstance(each, LineHandler):
                each.chosen = False


def setup_logging(service: str | None = None, environment: str | None = None, version: str | None = None, **options: Any) -> logging.Logger:
    """Set logging up as document 004 does, and return the root logger.

    Lines have name, service, environment and version; uvicorn and SQLAlchemy are heard from WARNING on.

    Args:
        service: without it SERVICE_NAME.
        environment: without it ENVIRONMENT, then "development".
        version: without it APP_VERSION, then "unknown".
        options: what else `configure_logging` takes.
    """
    wanted = {"preset": "service", **options, "levels": {**_QUIET, **(options.get("levels") or {})}}
    return configure_logging(service, environment=environment, version=version, **wanted)


def _redaction() -> "Redaction":
    from specwatch.telemetry.logs.redact import Redaction  # noqa: PLC0415 - its patterns are slow to compile, and most programs have none

    return Redaction()


def _layout(preset: str | Layout) -> Layout:
    if isinstance(preset, Layout):
        return preset
    if preset not in LAYOUTS:
        raise ValueError(f"there is no preset {preset!r}; it can be {', '.join(LAYOUTS)}")
    return LAYOUTS[preset]


def _known_level(level: str | int) -> int:
    if isinstance(level, int):
        return level
    name = _OTHER_NAMES.get(level.strip().upper(), level.strip().upper())
    if name in _LEVELS:
        return logging.getLevelNamesMapping()[name]
    logging.getLogger(__name__).warning("Unknown log level %r, using INFO; it can be %s", level, ", ".join(_LEVELS))
    return logging.INFO


def _known_format(log_format: str) -> str:
    name = log_format.strip().lower()
    if name in {"json", "text"}:
        return name
    logging.getLogger(__name__).warning("Unknown log format %r, using json; it can be json or text", log_format)
    return "json"


def _bring_home(logger: logging.Logger) -> None:
    """Take away what writes to the terminal, and let records go on to the root logger; a file that was asked for stays."""
    terminal = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    for handler in list(logger.handlers):
        if isinstance(handler, logging.StreamHandler) and handler.stream in terminal:
            logger.removeHandler(handler)
    if not logger.handlers:
        logger.propagate = True


def _counter(metrics: Any) -> Callable[[str, str, Reason], None]:
    counter = metrics.counter(
        "specwatch_log_records_left_out_total",
        "Log records that were not written: sampled, over their rate, or lost with their stream.",
        ("logger", "level", "reason"),
    )

    def tell(logger: str, level: str, reason: Reason) -> None:
        counter.labels(logger, level, reason).inc()

    return tell
