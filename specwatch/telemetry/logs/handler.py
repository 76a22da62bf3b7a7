"""The handler: one record, one line, nothing raised, and nothing lost without being counted."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Final, TextIO, cast

from specwatch.telemetry._jsonline import quote, text
from specwatch.telemetry.logs.jsonformat import JsonFormatter
from specwatch.telemetry.logs.records import fields_of, message_of
from specwatch.telemetry.logs.sampling import LEFT_OUT, Gate, LeftOut, RateLimit, Reason, Sampling
from specwatch.telemetry.logs.service_logger import DirectHandler, ExcInfo
from specwatch.telemetry.logs.stream import Lines

_NAME: Final = "specwatch.telemetry.logs"


class LineHandler(DirectHandler, logging.StreamHandler[TextIO]):
    """Writes whole lines, also when several processes share one pipe, and never raises into the caller.

    What cannot be written, because the stream is closed, its disk full or its reader gone, is counted; with the first record that goes
    through again comes one that says how many were lost.

    Args:
        stream: where lines go, standard output by default.
        sampling: which share of the records is written; all without it.
        rate_limit: how many records alike are written; no limit without it.
        tell: called with (logger, level, reason) for each record that is left out or lost, for a metric.

    Attributes:
        left_out: counts what is left out and what is lost.
        chosen: whether the program itself has set it up; else it was put there for want of another.
    """

    chosen = True

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        sampling: Sampling | None = None,
        rate_limit: RateLimit | None = None,
        tell: Callable[[str, str, Reason], None] | None = None,
    ) -> None:
        super().__init__(sys.stdout if stream is None else stream)
        # The lock of a handler is the one lock that the logging module makes anew in a forked process.
        lock = cast("threading.RLock", self.lock)
        self.left_out = LeftOut(lock, tell)
        self._lock = lock
        self._gate = Gate(sampling, rate_limit, self.left_out, lock) if sampling or rate_limit else None
        self._lines = Lines(self.stream)
        self._lost = 0
        self._untold = 0
        self._json: JsonFormatter | None = None
        self.setFormatter(JsonFormatter())

    @property
    def lost(self) -> int:
        """How many records could not be written."""
        return self._lost

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802 - the name logging calls
        """Take this formatter from now on."""
        super().setFormatter(fmt)
        self._json = fmt if isinstance(fmt, JsonFormatter) and fmt.direct else None
        # A subclass that looks at records has to see them.
        self.direct = self._json is not None and type(self).emit is LineHandler.emit and type(self).handle is logging.Handler.handle

    def setStream(self, stream: TextIO) -> TextIO | None:  # noqa: N802 - the name logging calls
        """Write to this stream from now on, and return the one before."""
        before = super().setStream(stream)
        self._lines = Lines(stream)
        return before

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record; what fails is counted in `lost`."""
        try:
            if self._gate is not None:
                left_out = self._gate.admit(record.name, record.levelno, record.msg, fields_of(record))
                if left_out < 0:
                    return
                if left_out:
                    record = logging.makeLogRecord({**record.__dict__, LEFT_OUT: left_out})
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - a record's values, a filter or a formatter may raise anything
            self.rescue(record.name, record.levelno, record.msg, error)
        else:
            self._write(line, record.name, record.levelno)

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
        """Write what was logged, without a record in between; what fails is counted in `lost`."""
        now = time.time_ns()
        try:
            if self._gate is not None:
                left_out = self._gate.admit(name, level, message, fields)
                if left_out < 0:
                    return
                if left_out:
                    fields = {**(fields or {}), LEFT_OUT: left_out}
            shown = message if not args and type(message) is str else message_of(message, args)
            line = self._json.line(now, name, level, shown, fields, place, exc_info)  # type: ignore[union-attr] # `direct` says that it is there
        except Exception as error:  # noqa: BLE001 - a record's values may raise anything
            self.rescue(name, level, message, error)
        else:
            self._write(line, name, level)

    def rescue(self, name: str, level: int, message: object, error: Exception) -> None:
        """Write what can be written of a record that could not be made into a line."""
        try:
            line = _last_resort(name, level, message, error)
        except Exception:  # noqa: BLE001 - there may be no stack left at all
            self._count_lost(name, level)
        else:
            self._write(line, name, level)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name and shape logging calls
        """Count the record as lost: there is nowhere left to say so."""
        self._count_lost(record.name, record.levelno)

    def _write(self, line: str, name: str, level: int) -> None:
        try:
            with self._lock:
                self._lines.write(line)
                if self._untold:
                    self._tell()
        except Exception:  # noqa: BLE001 - a stream of the program's own may raise anything
            self._count_lost(name, level)

    def _count_lost(self, name: str, level: int) -> None:
        self._lost += 1
        self._untold += 1
        self.left_out.add(name, level, "lost")

    def _tell(self) -> None:
        """Say how many records were lost, now that the stream takes lines again."""
        untold, self._untold = self._untold, 0
        said = logging.LogRecord(_NAME, logging.ERROR, __file__, 0, "Log records were lost", (), None, "LineHandler")
        said.__dict__["lost"] = untold
        try:
            self._lines.write(self.format(said))
        except Exception:
            self._untold += untold
            raise


def _last_resort(name: str, level: int, message: object, error: Exception) -> str:
    """A line for a record of which nothing else can be made, in the fields that every layout has."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    shown = text(message)[:1_000].encode("ascii", "replace").decode()
    return (
        f'{{"timestamp":"{moment}.000000Z","level":{quote(str(logging.getLevelName(level)))},"logger":{quote(text(name)[:200])},'
        f'"message":{quote(shown)},"log_error":{quote(type(error).__name__)}}}'
    )
