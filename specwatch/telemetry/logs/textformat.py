"""Records as lines for a person at a terminal."""

import logging
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from specwatch.telemetry._jsonline import bounded, copied, encode_plain, one_line
from specwatch.telemetry.context import current
from specwatch.telemetry.logs.context import context_fields
from specwatch.telemetry.logs.layout import FLAT, Layout
from specwatch.telemetry.logs.records import exception_of, fields_of, level_name, message_of, nanoseconds_of, short_trace

if TYPE_CHECKING:
    from specwatch.telemetry.logs.redact import Redaction

_LONGEST_BYTES: Final = 49_152
# Control characters and line separators: none may pose as another line or move the terminal's cursor.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NEEDS_QUOTES: Final = re.compile(r"[\s\"=]|\A\Z")


class TextFormatter(logging.Formatter):
    """Lines for a person: `time LEVEL logger: message key=value`, or `[time] [LEVEL] message key=value` where the layout is bracketed.

    A traceback follows on lines of its own; line breaks in the message and in values are shown as escapes. Never raises.

    Args:
        layout: how the line begins.
        redaction: what is made unreadable; nothing without it.
    """

    def __init__(self, *, layout: Layout = FLAT, redaction: "Redaction | None" = None) -> None:
        super().__init__()
        self._layout = layout
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text."""
        message = message_of(record.msg, record.args)
        level = level_name(record.levelno)
        moment = self._time(nanoseconds_of(record))
        if self._redaction is not None:
            message = self._redaction.text(message)
        message = _shown(bounded(message, _LONGEST_BYTES))
        head = f"[{moment}] [{level}] {message}" if self._layout.bracketed else f"{moment} {level:<8} {record.name}: {message}"
        line = " ".join([head, *self._pairs(record)])
        trace = short_trace(exception_of(record.exc_info, record.exc_text), _LONGEST_BYTES)
        stack = short_trace(record.stack_info or "", _LONGEST_BYTES)
        if self._redaction is not None:
            trace, stack = self._redaction.text(trace), self._redaction.text(stack)
        return "\n".join(filter(None, [one_line(line), trace, stack])).encode("utf-8", "replace").decode()

    def _time(self, nanoseconds: int) -> str:
        second, rest = divmod(nanoseconds, 1_000_000_000)
        digits = self._layout.timestamp_digits
        return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))}.{rest // 10 ** (9 - digits):0{digits}d}Z"

    def _pairs(self, record: logging.LogRecord) -> Iterator[str]:
        request = current()
        fields: dict[str, object] = {} if request is None else {"trace_id": request.trace_id, **dict(request.fields)}
        fields |= context_fields()
        fields |= fields_of(record)
        if self._redaction is not None:
            fields = self._redaction.mapping(fields)
        for key, value in copied(fields, _LONGEST_BYTES).items():
            plain = isinstance(value, str) and not _NEEDS_QUOTES.search(value)
            shown = str(value) if plain else encode_plain(value)
            yield f"{_shown(key)}={_shown(shown)}"


def _shown(value: str) -> str:
    return _CONTROL.sub(lambda match: repr(match.group())[1:-1], value)
