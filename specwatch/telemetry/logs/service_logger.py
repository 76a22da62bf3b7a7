"""The logger class: a record never raises into the caller, and takes the short way to the stream where there is one.

The standard library's own way makes a `LogRecord` of some 20 attributes, hands it to every handler, and each takes out what it needs. Where
nobody but our own handler listens, nobody sees that record, and it is not made.
"""

import io
import logging
import sys
import traceback
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import PurePath
from types import FrameType, TracebackType
from typing import Any, Final

from specwatch.telemetry._jsonline import text

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

RENAMED: Final = "specwatch_renamed"
"""The record attribute with those extra fields whose names the record itself needs."""

RECORD_ATTRIBUTES: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", RENAMED}
"""The names of a record's attributes that are no extra fields."""

_HERE: Final = (lambda: 0).__code__.co_filename
# Files whose frames are never where a record comes from.
_INTERNAL: Final = frozenset({logging.info.__code__.co_filename, _HERE, str(PurePath(_HERE).with_name("bound.py"))})
# Tools that watch records replace these methods of the logging module (sentry-sdk does); then records have to be made for them.
_WATCHED: Final = ("handle", "callHandlers", "makeRecord", "_log")
_ORIGINALS: Final = tuple(vars(logging.Logger)[name] for name in _WATCHED)
_UNTOUCHED: Final = all(method.__globals__ is vars(logging) for method in _ORIGINALS)


class DirectHandler(logging.Handler):
    """A handler that can take what was logged without a record.

    Attributes:
        direct: whether it can, with the formatter that it has at the moment.
    """

    direct: bool = False

    @abstractmethod
    def deliver(
        self,
        name: str,
        level: int,
        message: object,
        args: Any,
        fields: Mapping[str, object] | None,
        exc_info: ExcInfo | None,
        place: FrameType | None,
    ) -> None:
        """Write what was logged; never raises an Exception."""

    @abstractmethod
    def rescue(self, name: str, level: int, message: object, error: Exception) -> None:
        """Write what can be written of a record that could not be made or handled; never raises an Exception."""


class ServiceLogger(logging.Logger):
    """A `logging.Logger` that never raises into the caller.

    It differs from the standard library's in three ways. Extra fields may have any name, also `message`, `name` or another one that a
    record needs: other formatters then find it below `specwatch_renamed`. Extra fields that are no mapping become one field `extra`.
    Keyword arguments that `logging` does not know become fields.
    """

    def makeRecord(  # noqa: N802 - the name and shape logging calls
        self,
        name: str,
        level: int,
        fn: str,
        lno: int,
        msg: object,
        args: Any,
        exc_info: Any,
        func: str | None = None,
        extra: Mapping[str, object] | None = None,
        sinfo: str | None = None,
    ) -> logging.LogRecord:
        """Return the record, with the extra fields whose names it needs itself below `specwatch_renamed`."""
        record = super().makeRecord(name, level, fn, lno, msg, args, exc_info, func, None, sinfo)
        attributes = record.__dict__
        renamed: dict[str, object] = {}
        for key, value in _mapping(extra).items():
            (renamed if key in RECORD_ATTRIBUTES or key in attributes else attributes)[key] = value
        if renamed:
            attributes[RENAMED] = renamed
        return record

    def _log(
        self,
        level: int,
        msg: object,
        args: Any,
        exc_info: Any = None,
        extra: Mapping[str, object] | None = None,
        stack_info: bool = False,  # noqa: FBT002 - the shape logging calls
        stacklevel: int = 1,
        **fields: object,
    ) -> None:
        try:
            frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - as the logging module itself does; there is no other way
            while frame is not None and (frame.f_code.co_filename in _INTERNAL or stacklevel > 1):
                stacklevel -= frame.f_code.co_filename not in _INTERNAL
                frame = frame.f_back
            if fields or (extra is not None and type(extra) is not dict):
                extra = {**_mapping(extra), **fields}
            error = _exception(exc_info) if exc_info else None
            handler = None if stack_info else self._only_handler()
            if handler is None:
                self._by_record(level, msg, args, error, extra, frame, stack_info)
            elif level >= handler.level:
                handler.deliver(self.name, level, msg, args, extra, error, frame)
        except Exception as failure:  # noqa: BLE001 - another handler, a filter or a value may raise anything
            self._rescue(level, msg, failure)

    def _by_record(
        self,
        level: int,
        msg: object,
        args: Any,
        error: ExcInfo | None,
        extra: Mapping[str, object] | None,
        frame: FrameType | None,
        stack_info: bool,
    ) -> None:
        """The standard library's way."""
        name, line, function = "(unknown file)", 0, "(unknown function)"
        if frame is not None:
            name, line, function = frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_name
        stack = _stack(frame) if stack_info else None
        self.handle(self.makeRecord(self.name, level, name, line, msg, args, error, function, extra, stack))

    def _rescue(self, level: int, msg: object, failure: Exception) -> None:
        logger: logging.Logger | None = self
        while logger is not None:
            for handler in logger.handlers:
                if isinstance(handler, DirectHandler):
                    handler.rescue(self.name, level, msg, failure)
            logger = logger.parent if logger.propagate else None

    def _only_handler(self) -> DirectHandler | None:
        """Return the handler when it is the only one who hears of this logger's records, and takes them without a record."""
        found: logging.Handler | None = None
        logger: logging.Logger | None = self
        while logger is not None:
            handlers = logger.handlers
            if handlers:
                if found is not None or len(handlers) > 1:
                    return None
                found = handlers[0]
            logger = logger.parent if logger.propagate else None
        if not isinstance(found, DirectHandler) or not found.direct or found.filters or self.filters or not _unwatched():
            return None
        return found


class _ServiceRoot(ServiceLogger, logging.RootLogger):
    """The root logger, as a `ServiceLogger`."""


def adopt(logger: logging.Logger) -> logging.Logger:
    """Return `logger`, made a `ServiceLogger` in place where it is one of the standard library's own classes.

    Modules hold on to the loggers that they made when they were imported, so another object would not reach them.
    """
    if type(logger) is logging.Logger:
        logger.__class__ = ServiceLogger
    elif type(logger) is logging.RootLogger:
        logger.__class__ = _ServiceRoot
    return logger


def adopt_all() -> None:
    """Make every logger of the standard library's own class a `ServiceLogger`, those to come too.

    A class of its own that a program has set with `logging.setLoggerClass` stays what it is.
    """
    if logging.getLoggerClass() is logging.Logger:
        logging.setLoggerClass(ServiceLogger)
    adopt(logging.getLogger())
    for logger in list(logging.getLogger().manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            adopt(logger)


def _unwatched() -> bool:
    own = logging.Logger
    return (
        _UNTOUCHED
        and own.callHandlers is _ORIGINALS[1]
        and own.handle is _ORIGINALS[0]
        and own.makeRecord is _ORIGINALS[2]
        and own._log is _ORIGINALS[3]  # noqa: SLF001 - only compared
        and logging.getLogRecordFactory() is logging.LogRecord
    )


def _mapping(extra: object) -> Mapping[str, object]:
    if not extra:
        return {}
    if isinstance(extra, Mapping):
        try:
            return dict(extra)
        except Exception:  # noqa: BLE001 - a mapping's own code may raise anything
            return {"extra": text(extra)}
    return {"extra": extra}


def _exception(exc_info: object) -> ExcInfo | None:
    if isinstance(exc_info, BaseException):
        return type(exc_info), exc_info, exc_info.__traceback__
    found: Any = exc_info if isinstance(exc_info, tuple) else sys.exc_info()
    return found if len(found) == len(("type", "value", "traceback")) and isinstance(found[1], BaseException) else None


def _stack(frame: FrameType | None) -> str:
    written = io.StringIO("Stack (most recent call last):\n")
    written.seek(0, io.SEEK_END)
    traceback.print_stack(frame, file=written)
    return written.getvalue().rstrip("\n")
