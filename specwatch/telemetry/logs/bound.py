"""Loggers that take their fields as keyword arguments, with fields bound to them, and words for jobs and operations."""

import logging
import traceback
from typing import Any, Final

from specwatch.telemetry._jsonline import text
from specwatch.telemetry.logs.service_logger import adopt

# What the logging module's own calls take; everything else is a field.
_CONTROL: Final = frozenset({"exc_info", "extra", "stack_info", "stacklevel"})
_NUMBERS: Final = {"trace": 5, "warn": logging.WARNING, "fatal": logging.CRITICAL}


class BoundLogger:
    """A logger whose keyword arguments are fields: `log.info("scan_started", token="BTC")` (documents 002 and 003).

    It never changes: `bind` returns another one. `exc_info`, `extra`, `stack_info` and `stacklevel` mean what they mean to
    `logging`, and so do arguments after the event: they are put into its `%` places.

    Args:
        logger: the logger of the standard library that it writes to.
        fields: what every record carries; a field of the call itself wins.

    Attributes:
        logger: the logger of the standard library.
        fields: what every record carries.
    """

    __slots__ = ("fields", "logger")

    def __init__(self, logger: logging.Logger, /, **fields: object) -> None:
        self.logger = logger
        self.fields = fields

    @property
    def name(self) -> str:
        """The logger's name."""
        return self.logger.name

    def bind(self, **fields: object) -> "BoundLogger":
        """Return a logger with these fields besides those it has."""
        return BoundLogger(self.logger, **{**self.fields, **fields})

    def unbind(self, *names: str) -> "BoundLogger":
        """Return a logger without the fields of these names."""
        return BoundLogger(self.logger, **{key: value for key, value in self.fields.items() if key not in names})

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - as logging.Logger has it
        """Return whether a record of this level would be written."""
        return self.logger.isEnabledFor(level)

    def setLevel(self, level: int | str) -> None:  # noqa: N802 - as logging.Logger has it
        """Set the level of the logger below."""
        self.logger.setLevel(level)

    def debug(self, event: object, /, *args: object, **fields: Any) -> None:
        """Log at level DEBUG."""
        if self.logger.isEnabledFor(logging.DEBUG):
            self._log(logging.DEBUG, event, args, fields)

    def info(self, event: object, /, *args: object, **fields: Any) -> None:
        """Log at level INFO."""
        if self.logger.isEnabledFor(logging.INFO):
            self._log(logging.INFO, event, args, fields)

    def warning(self, event: object, /, *args: object, **fields: Any) -> None:
        """Log at level WARNING."""
        if self.logger.isEnabledFor(logging.WARNING):
            self._log(logging.WARNING, event, args, fields)

    warn = warning

    def error(self, event: object, /, *args: object, **fields: Any) -> None:
        """Log at level ERROR."""
        if self.logger.isEnabledFor(logging.ERROR):
            self._log(logging.ERROR, event, args, fields)

    def exception(self, event: object, /, *args: object, **fields: Any) -> None:
        """Log at level ERROR, with the exception that is being handled."""
        if self.logger.isEnabledFor(logging.ERROR):
            fields.setdefault("exc_info", True)
            self._log(logging.ERROR, event, args, fields)

    def critical(self, event: object, /, *args: object, **fields: Any) -> None:
        """Log at level CRITICAL."""
        if self.logger.isEnabledFor(logging.CRITICAL):
            self._log(logging.CRITICAL, event, args, fields)

    def log(self, level: int | str, event: object, /, *args: object, **fields: Any) -> None:
        """Log at `level`, a number or a name; INFO where there is no such level."""
        number = level if isinstance(level, int) else _number(level)
        if self.logger.isEnabledFor(number):
            self._log(number, event, args, fields)

    def log_job(self, event: str, job_id: object, /, **fields: Any) -> None:
        """Log "Job <event>" with the field job_id (document 002)."""
        self.info(f"Job {event}", **{"job_id": job_id, **fields})

    def log_job_complete(self, job_id: object, /, duration_ms: float, **fields: Any) -> None:
        """Log "Job completed" with job_id and duration_ms (document 002)."""
        self.info("Job completed", **{"job_id": job_id, "duration_ms": duration_ms, **fields})

    def log_job_failed(self, job_id: object, /, error: object, attempts: int = 1, **fields: Any) -> None:
        """Log "Job failed" at level ERROR with job_id, error and attempts (document 002).

        An exception gives error_stack too, and error_code when it has a `code` or `errno`.
        """
        self.error("Job failed", **{"job_id": job_id, **_error_fields(error), "attempts": attempts, **fields})

    def log_operation(self, operation: str, /, duration_ms: float, success: bool = True, **fields: Any) -> None:  # noqa: FBT002 - document 002 has it so
        """Log "Operation completed", or "Operation failed" at level ERROR, with operation, duration_ms and success (document 002)."""
        level, message = (logging.INFO, "Operation completed") if success else (logging.ERROR, "Operation failed")
        self.log(level, message, **{"operation": operation, "duration_ms": duration_ms, "success": success, **fields})

    def _log(self, level: int, event: object, args: tuple[object, ...], fields: dict[str, Any]) -> None:
        control: dict[str, Any] = {}
        if not _CONTROL.isdisjoint(fields):
            control = {key: fields.pop(key) for key in _CONTROL if key in fields}
            extra = control.pop("extra", None)
            if extra:
                fields = {**(extra if isinstance(extra, dict) else {"extra": extra}), **fields}
        if self.fields:
            fields = {**self.fields, **fields}
        self.logger._log(level, event, args, extra=fields, **control)  # noqa: SLF001 - past the level, which is checked already


def get_logger(name: str | None = None, /, **fields: object) -> BoundLogger:
    """Return the logger of that name, whose keyword arguments are fields, with `fields` bound to it (documents 002 and 003)."""
    return BoundLogger(adopt(logging.getLogger(name)), **fields)


def get_logger_with_context(name: str | None = None) -> logging.Logger:
    """Return the logger of that name, to be called with `extra={…}` (document 001).

    Once logging is configured every record carries the ids of its request and the fields of `LogContext`, from whichever logger it comes.
    """
    return adopt(logging.getLogger(name))


def _number(level: str) -> int:
    name = text(level).strip().lower()
    return _NUMBERS.get(name) or logging.getLevelNamesMapping().get(name.upper(), logging.INFO)


def _error_fields(error: object) -> dict[str, object]:
    if not isinstance(error, BaseException):
        return {"error": error}
    fields: dict[str, object] = {"error": text(error) or type(error).__name__}
    try:
        fields["error_stack"] = "".join(traceback.format_exception(error)).rstrip()
        code = getattr(error, "code", None) or getattr(error, "errno", None)
    except Exception:  # noqa: BLE001 - an exception's own code may raise anything
        return fields
    return fields if code is None else {**fields, "error_code": code}
