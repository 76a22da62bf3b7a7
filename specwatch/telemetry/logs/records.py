"""What a formatter takes out of a record, without ever raising."""

import logging
import time
import traceback
from collections.abc import Mapping
from typing import Any, Final

from specwatch.telemetry._jsonline import bounded, text
from specwatch.telemetry.logs.service_logger import RECORD_ATTRIBUTES, RENAMED

_OWN: Final = len(logging.makeLogRecord({}).__dict__)
_LAST: Final = list(logging.makeLogRecord({}).__dict__)[-1]
_YEAR_10000: Final = 253_402_300_800


def nanoseconds_of(record: logging.LogRecord) -> int:
    """Return when the record was made, since 1970, rounded to microseconds; the time of now when it does not say."""
    try:
        if 0 <= record.created < _YEAR_10000 - 1:
            return round(record.created * 1_000_000) * 1_000
    except TypeError:
        pass
    return time.time_ns()


def message_of(message: object, args: Any) -> str:
    """Return the message with its arguments in place; arguments that do not fit are shown behind it."""
    if not args:
        return message if isinstance(message, str) and type(message) is str else text(message)
    if isinstance(args, tuple) and len(args) == 1 and isinstance(args[0], Mapping) and args[0]:
        args = args[0]
    try:
        return "".join(str(message) % args)
    except Exception:  # noqa: BLE001 - arguments that do not fit the message, or whose own code raises
        return f"{text(message)} {text(args)}"


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """Return the record's own fields: what the caller gave as `extra`, and what filters have added."""
    attributes = record.__dict__
    names = list(attributes)
    # A record gets its own attributes first, always in the same order.
    if len(names) >= _OWN and names[_OWN - 1] == _LAST:
        del names[:_OWN]
    fields = {name: attributes[name] for name in names if name not in RECORD_ATTRIBUTES}
    renamed = attributes.get(RENAMED)
    return {**fields, **renamed} if type(renamed) is dict else fields


def exception_of(error: Any, made: str | None = None) -> str:
    """Return the traceback as text, empty when there is no exception.

    Args:
        error: type, exception and traceback, or None.
        made: the text, where another handler has made it already.
    """
    if not made and isinstance(error, tuple) and error[0] is not None:
        try:
            made = "".join(traceback.format_exception(*error)).removesuffix("\n")
        except Exception:  # noqa: BLE001 - an exception's own code may raise anything
            made = f"{text(getattr(error[0], '__name__', error[0]))}: {text(error[1])}"
    return made or ""


def short_trace(trace: str, most_bytes: int) -> str:
    """Return `trace`, without its middle when its JSON would be longer than `most_bytes`: its end says most."""
    if len(trace) * 6 <= most_bytes or bounded(trace, most_bytes) is trace:
        return trace
    kept = most_bytes // 6 - 64  # a character takes at most six bytes
    return f"{trace[: kept // 5]}\n…[cut, {len(trace)} characters]…\n{trace[-kept * 4 // 5 :]}"


def level_name(level: int, case: str = "upper") -> str:
    """Return the level's name: `WARNING` in upper case, `warn` in lower case."""
    if case == "lower":
        return "warn" if level == logging.WARNING else logging.getLevelName(level).lower()
    return logging.getLevelName(level)
