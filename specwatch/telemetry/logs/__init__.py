"""Logs: one record, one line.

`configure_logging` sets a program up; `LOG_LEVEL` and `LOG_FORMAT` say how much is written and whether as JSON or as text. A record is
always exactly one valid JSON line, whatever it holds, and it never raises into the caller. Which fields a line has is a layout, one for
each of the systems that the documents show: `flat` (document 000), `nested` (001), `jobs` (002), `event` (003), `service` (004).
"""

from typing import TYPE_CHECKING, Any

from specwatch.telemetry.logs.bound import BoundLogger, get_logger, get_logger_with_context
from specwatch.telemetry.logs.configure import configure_logging, setup_logging
from specwatch.telemetry.logs.context import LogContext
from specwatch.telemetry.logs.handler import LineHandler
from specwatch.telemetry.logs.jsonformat import CustomJsonFormatter, JsonFormatter
from specwatch.telemetry.logs.layout import EVENT, FLAT, JOBS, LAYOUTS, NESTED, SERVICE, Layout
from specwatch.telemetry.logs.sampling import LeftOut, RateLimit, Sampling
from specwatch.telemetry.logs.service_logger import ServiceLogger
from specwatch.telemetry.logs.textformat import TextFormatter

if TYPE_CHECKING:
    from specwatch.telemetry.logs.redact import SECRET_KEYS, Redaction

__all__ = [
    "EVENT",
    "FLAT",
    "JOBS",
    "LAYOUTS",
    "NESTED",
    "SECRET_KEYS",
    "SERVICE",
    "BoundLogger",
    "CustomJsonFormatter",
    "JsonFormatter",
    "Layout",
    "LeftOut",
    "LineHandler",
    "LogContext",
    "RateLimit",
    "Redaction",
    "Sampling",
    "ServiceLogger",
    "TextFormatter",
    "configure_logging",
    "get_logger",
    "get_logger_with_context",
    "logger",
    "setup_logging",
]

logger: BoundLogger


def __getattr__(name: str) -> Any:
    """Return `logger`, document 002's logger for a program that needs only one, or import what only a program that redacts needs."""
    if name == "logger":
        return get_logger()
    if name in {"SECRET_KEYS", "Redaction"}:
        from specwatch.telemetry.logs import redact  # noqa: PLC0415 - see above

        return getattr(redact, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
