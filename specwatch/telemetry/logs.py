"""Logs: one record, one JSON line on standard output.

Settings come from the environment: `LOG_LEVEL` (default INFO) and `LOG_FORMAT` (json or text, default json).
"""

import fcntl
import logging
import os
import stat
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TextIO

from pythonjsonlogger.core import RESERVED_ATTRS, BaseJsonFormatter

from specwatch.telemetry._jsonline import json_line, text
from specwatch.telemetry.context import current

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_RECORD_ATTRIBUTES = frozenset(RESERVED_ATTRS) | {"taskName", "message", "asctime"}
# What says where a line comes from stays true; an extra of the same name is kept beside it.
_OWN_FIELDS = frozenset({"timestamp", "level", "logger", "function", "line", "exception", "stack"})


def configure_logging(service: str, *, level: str | None = None, log_format: str | None = None, stream: TextIO | None = None) -> None:
    """Send every record of the program to `stream`, one line each; calling it again replaces the earlier call.

    Handlers that others put on the root logger stay. Warnings of the `warnings` module become records too.

    Args:
        service: value of the field `service` in every line.
        level: DEBUG, INFO, WARNING, ERROR or CRITICAL; without it LOG_LEVEL, then INFO.
        log_format: json or text; without it LOG_FORMAT, then json.
        stream: where lines go, standard output by default.

    A level or format that does not exist is logged as a warning and its default used: a typing error in the
    environment must not keep a service from starting.
    """
    wanted_level = (level or os.environ.get("LOG_LEVEL") or "INFO").strip().upper()
    wanted_format = (log_format or os.environ.get("LOG_FORMAT") or "json").strip().lower()
    handler = LineHandler(stream)
    handler.setFormatter(TextFormatter() if wanted_format == "text" else JsonFormatter(service))
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each, LineHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(wanted_level if wanted_level in _LEVELS else "INFO")
    logging.captureWarnings(capture=True)
    log = logging.getLogger(__name__)
    if wanted_level not in _LEVELS:
        log.warning("Unknown LOG_LEVEL %s, using INFO; it can be %s", wanted_level, ", ".join(_LEVELS))
    if wanted_format not in {"json", "text"}:
        log.warning("Unknown LOG_FORMAT %s, using json; it can be json or text", wanted_format)


class JsonFormatter(BaseJsonFormatter):
    """A python-json-logger formatter that never raises and always gives exactly one line of valid JSON.

    Fields, in this order: timestamp (RFC 3339, UTC, microseconds), level, logger, message, module, function, line,
    service, trace_id and request_id (inside a request), then the record's extra fields, flat, then exception and
    stack. An extra field named like one that says where the line comes from gets the prefix `extra_`.

    Args:
        service: value of the field `service`.
    """

    def __init__(self, service: str = "") -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        fields: dict[str, object] = {
            "timestamp": _timestamp(record),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            "module": record.module,
            "function": record.funcName,
            "line": record.lineno,
            "service": self._service,
        }
        request = current()
        if request is not None:
            fields["trace_id"] = request.trace_id
            fields["request_id"] = request.request_id
        for key, value in _extra(record):
            fields[f"extra_{key}" if key in _OWN_FIELDS else key] = value
        exception = _exception(record)
        if exception:
            fields["exception"] = exception
        if record.stack_info:
            fields["stack"] = record.stack_info
        return json_line(fields)


class TextFormatter(logging.Formatter):
    """Lines for a person at a terminal: time, level, logger, message, `key=value` for each extra field."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text; an exception's traceback follows on lines of its own."""
        request = current()
        fields = {} if request is None else {"trace_id": request.trace_id}
        fields.update((key, text(value)) for key, value in _extra(record))
        head = f"{_timestamp(record)} {record.levelname:<8} {record.name}: {_message(record)}"
        line = " ".join([head, *(f"{key}={value}" for key, value in fields.items())])
        return "\n".join(filter(None, [line, _exception(record), record.stack_info]))


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes whole lines, also when several processes share one pipe, and never raises into the caller.

    Args:
        stream: where lines go, standard output by default.

    Attributes:
        lost: how many records could not be written, because the stream is closed or its disk is full.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(sys.stdout if stream is None else stream)
        self.lost = 0
        self._pipe = _pipe_descriptor(self.stream)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record; what fails is counted in `lost`."""
        if self._pipe is None:
            super().emit(record)
            return
        # A pipe keeps only up to 4,096 bytes together, and a line with a traceback is longer: without the lock
        # the lines of two workers would run into each other.
        try:
            fcntl.lockf(self._pipe, fcntl.LOCK_EX)
        except (OSError, ValueError):
            super().emit(record)
            return
        try:
            super().emit(record)
        finally:
            fcntl.lockf(self._pipe, fcntl.LOCK_UN)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - the name and shape logging calls
        """Count the record as lost: there is nowhere left to say so."""
        self.lost += 1


def _pipe_descriptor(stream: TextIO) -> int | None:
    try:
        descriptor = stream.fileno()
        return descriptor if stat.S_ISFIFO(os.fstat(descriptor).st_mode) else None
    except (OSError, ValueError, AttributeError):
        return None


def _timestamp(record: logging.LogRecord) -> str:
    try:
        moment = datetime.fromtimestamp(record.created, UTC)
    except (OSError, OverflowError, TypeError, ValueError):
        moment = datetime.now(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}Z"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit the message, or whose own code raises
        return f"{text(record.msg)} {text(record.args)}"


def _extra(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    for key, value in list(record.__dict__.items()):
        if key not in _RECORD_ATTRIBUTES:
            yield text(key), value


def _exception(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[0] is None:
        return record.exc_text or ""
    try:
        return logging.Formatter().formatException(record.exc_info)
    except Exception:  # noqa: BLE001 - an exception's own code may raise anything
        return text(record.exc_info[1])
