"""Records as JSON lines."""

import json
import logging
import time
from collections.abc import Container, Mapping
from pathlib import PurePath
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from specwatch.telemetry._jsonline import bounded, copied, encode, encode_plain, one_line, quote, text
from specwatch.telemetry.context import RequestContext, current
from specwatch.telemetry.logs.context import context_fields
from specwatch.telemetry.logs.layout import FLAT, PROMOTED, SERVICE, Layout
from specwatch.telemetry.logs.records import exception_of, fields_of, level_name, message_of, nanoseconds_of, short_trace

if TYPE_CHECKING:
    from specwatch.telemetry.logs.redact import Redaction

Place = FrameType | tuple[str, str, int]
"""Where a record comes from: the frame that logs, or module, function and line."""

# Bounds in bytes of JSON; together with the ids, the service and the like no line is longer than 256 KiB.
_MESSAGE_BYTES: Final = 49_152
_EXCEPTION_BYTES: Final = 57_344
_STACK_BYTES: Final = 24_576
_FIELDS_BYTES: Final = 81_920
_CONTEXT_BYTES: Final = 16_384
_IDS_BYTES: Final = 8_192
_NAME_BYTES: Final = 512
# A character takes at most six bytes: what has no more characters than this is inside every bound.
_SHORT_CHARACTERS: Final = 2_730
_MOST_CACHED: Final = 4_096
_KEY_CHARACTERS: Final = 64
_LARGEST_NUMBER: Final = 1 << 1024
_NUMBERS: Final = frozenset({int, float})
_SECOND: Final = 1_000_000_000


class _Context(NamedTuple):
    """The ids and context fields of the moment, and their JSON: made once for all records of a request."""

    request: RequestContext | None
    fields: Mapping[str, object]
    values: dict[str, object]
    names: frozenset[str]
    ids_json: str
    fields_json: str


class JsonFormatter(logging.Formatter):
    """Makes every record exactly one line of valid JSON, at most 256 KiB long, and never raises.

    The fields and their order are the layout's; a field of the record that is named like one that says where the line comes from
    gets the prefix `extra_`. What JSON has no word for becomes text; what is too long, too deep or holds itself is cut, with a marker.

    Args:
        service: value of the field `service`; empty leaves the field out.
        layout: which fields there are.
        environment: value of the field `environment`, in layouts that have it.
        version: value of the field `version`, in layouts that have it.
        redaction: what is made unreadable; nothing without it.

    A subclass may override `add_fields`, as python-json-logger's users do; its lines then take the longer way.
    """

    def __init__(
        self,
        service: str = "",
        *,
        layout: Layout = FLAT,
        environment: str = "",
        version: str = "",
        redaction: "Redaction | None" = None,
    ) -> None:
        super().__init__()
        self._layout = layout
        self._redaction = redaction
        known = {"service": service} if layout.service else {}
        known.update({"environment": environment, "version": version} if layout.deployment else {})
        known = {key: bounded(text(value), _NAME_BYTES) for key, value in known.items() if value}
        self._service = "".join(f",{quote(key)}:{quote(value)}" for key, value in known.items())
        # Below `extra` no field can pose as one of ours.
        self._own = frozenset() if layout.nested else layout.own_fields() - ({"service", "environment", "version"} - set(known))
        self._apart = frozenset(PROMOTED) if layout.nested or layout.fields_first else frozenset()
        self._extended = type(self).add_fields is not JsonFormatter.add_fields
        self._keys: dict[object, str] = {}
        self._heads: dict[tuple[str, int], str] = {}
        self._places: dict[tuple[Any, ...], tuple[CodeType | None, str]] = {}
        self._second = (0, "")
        self._context = self._encoded_context(None, {})

    @property
    def direct(self) -> bool:
        """Whether `line` gives what `format` gives: not where a subclass changes one of them."""
        return not self._extended and type(self).format is JsonFormatter.format and type(self).line is JsonFormatter.line

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON, without a line break at its end."""
        line = self.line(
            nanoseconds_of(record),
            record.name,
            record.levelno,
            message_of(record.msg, record.args),
            fields_of(record),
            (record.module, record.funcName or "", record.lineno),
            record.exc_info,
            exception_text=record.exc_text,
            stack=record.stack_info,
        )
        return self._with_added_fields(line, record) if self._extended else line

    def add_fields(self, log_record: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """Change the fields of a line before it is written; for subclasses, in python-json-logger's shape (document 004)."""

    def line(
        self,
        nanoseconds: int,
        name: str,
        level: int,
        message: str,
        fields: Mapping[str, object] | None,
        place: Place | None,
        error: Any = None,
        *,
        exception_text: str | None = None,
        stack: str | None = None,
    ) -> str:
        """Return one line of JSON.

        Args:
            nanoseconds: when, since 1970.
            name: the logger's.
            level: the number.
            message: the message with its arguments in place.
            fields: the record's own.
            place: where it comes from.
            error: type, exception and traceback.
            exception_text: the traceback, where it has been made already.
            stack: the stack, where it was asked for.

        Raises:
            RecursionError: there is hardly any stack left.
        """
        if self._redaction is not None:
            message = self._redaction.text(message)
            fields = self._redaction.mapping(fields) if fields else fields
        if len(message) > _SHORT_CHARACTERS:
            message = bounded(message, _MESSAGE_BYTES)
        request, around = current(), context_fields()
        context = self._context
        if context.request is not request or context.fields is not around:
            context = self._context = self._encoded_context(request, around)
        ids_json, fields_json = context.ids_json, context.fields_json
        if fields:
            if context.names.isdisjoint(fields):
                fields_json += self._encoded(fields, context.names)
            else:
                ids_json, fields_json = self._split({**context.values, **fields}, _FIELDS_BYTES)
        layout = self._layout
        if layout.nested and fields_json:
            fields_json = f',"extra":{{{fields_json[1:]}}}'
        line = (
            self._timestamp(nanoseconds)
            + (self._heads.get((name, level)) or self._head(name, level))
            + quote(message)
            + (self._place(place) if layout.place and place is not None else "")
            + (f"{fields_json}{ids_json}{self._service}" if layout.fields_first else f"{self._service}{ids_json}{fields_json}")
            + (self._ending(error, exception_text, stack) if error or exception_text or stack else "}")
        )
        return line if line.isascii() else one_line(line)

    def _with_added_fields(self, line: str, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = json.loads(line)
        try:
            self.add_fields(fields, record, {})
            return one_line(encode_plain(copied(fields, _MESSAGE_BYTES + _EXCEPTION_BYTES + _FIELDS_BYTES)))
        except Exception:  # noqa: BLE001 - a subclass may raise anything, and the line without its fields is there
            return line

    def _timestamp(self, nanoseconds: int) -> str:
        second, rest = divmod(nanoseconds, _SECOND)
        known, shown = self._second
        if known != second:
            shown = time.strftime('{"timestamp":"%Y-%m-%dT%H:%M:%S', time.gmtime(second))
            self._second = (second, shown)
        return f"{shown}.{rest // 1_000:06d}" if self._layout.timestamp_digits != 3 else f"{shown}.{rest // 1_000_000:03d}"  # noqa: PLR2004 - milliseconds

    def _head(self, name: str, level: int) -> str:
        layout = self._layout
        head = f'Z","level":{quote(level_name(level, layout.level_case))}'
        if layout.logger_key:
            head += f",{quote(layout.logger_key)}:{quote(bounded(text(name), _NAME_BYTES))}"
        head += f",{quote(layout.message_key)}:"
        if len(self._heads) >= _MOST_CACHED:
            self._heads.clear()
        self._heads[name, level] = head
        return head

    def _place(self, place: Place) -> str:
        # The id of a code object says which one it is as long as it lives, and the cache keeps it alive.
        code = None if isinstance(place, tuple) else place.f_code
        key = place if isinstance(place, tuple) else (id(place.f_code), place.f_lasti)
        known = self._places.get(key)
        if known is not None:
            return known[1]
        if isinstance(place, tuple):
            module, function, line = place
        else:
            module, function, line = PurePath(place.f_code.co_filename).stem, place.f_code.co_name, place.f_lineno or 0
        module, function = bounded(text(module), _NAME_BYTES), bounded(text(function), _NAME_BYTES)
        shown = f',"module":{quote(module)},"function":{quote(function)},"line":{line if type(line) is int else 0}'
        if len(self._places) >= _MOST_CACHED:
            self._places.clear()
        self._places[key] = (code, shown)
        return shown

    def _ending(self, error: Any, exception_text: str | None, stack: str | None) -> str:
        parts = {
            "exception": short_trace(exception_of(error, exception_text), _EXCEPTION_BYTES),
            "stack": short_trace(stack or "", _STACK_BYTES),
        }
        if self._redaction is not None:
            parts = {key: self._redaction.text(part) for key, part in parts.items()}
        return "".join(f',"{key}":{quote(part)}' for key, part in parts.items() if part) + "}"

    def _encoded_context(self, request: RequestContext | None, around: Mapping[str, object]) -> _Context:
        values: dict[str, object] = {}
        if request is not None:
            ids = {"trace_id": request.trace_id, "request_id": request.request_id, "user_id": request.user_id}
            values = {key: value for key, value in ids.items() if value} | dict(request.fields)
        values |= around
        names = frozenset(values)
        if self._redaction is not None:
            ids = {key: value for key, value in values.items() if key in {"trace_id", "request_id"} and type(value) is str}
            values = self._redaction.mapping(values) | ids
        ids_json, fields_json = self._split(values, _CONTEXT_BYTES)
        taken = names | {f"extra_{name}" for name in names & self._own} | self._apart
        return _Context(request, around, values, taken, ids_json, fields_json)

    def _split(self, values: Mapping[str, object], most_bytes: int) -> tuple[str, str]:
        ids = {key: values[key] for key in PROMOTED if key in values}
        return self._encoded(ids, most_bytes=_IDS_BYTES), self._encoded(
            {key: value for key, value in values.items() if key not in ids}, ids, most_bytes
        )

    def _encoded(self, fields: Mapping[str, object], taken: Container[str] = (), most_bytes: int = _FIELDS_BYTES) -> str:
        try:
            encoded = self._quickly(fields)
        except Exception:  # noqa: BLE001 - a value's own code may raise anything
            return self._carefully(fields, taken, most_bytes)
        return encoded if len(encoded) <= _SHORT_CHARACTERS else self._carefully(fields, taken, most_bytes)

    def _quickly(self, fields: Mapping[str, object]) -> str:
        keys = self._keys
        encoded = ""
        for key, value in fields.items():
            encoded += keys.get(key) or self._key(key)
            kind = type(value)
            if kind is str:
                encoded += quote(value)  # type: ignore[arg-type] # its type is str
            elif kind in _NUMBERS and -_LARGEST_NUMBER < value < _LARGEST_NUMBER:  # type: ignore[operator] # its type is a number's
                # Not so for NaN, which is not smaller than anything, nor for the infinities.
                encoded += repr(value)
            elif value is None:
                encoded += "null"
            elif kind is bool:
                encoded += "true" if value else "false"
            else:
                encoded += encode(value)
        return encoded

    def _key(self, key: object) -> str:
        if type(key) is not str or key in self._own or len(key) > _KEY_CHARACTERS:
            raise ValueError("a key that needs care")
        if len(self._keys) >= _MOST_CACHED:
            self._keys.clear()
        self._keys[key] = encoded = f",{quote(key)}:"
        return encoded

    def _carefully(self, fields: Mapping[str, object], taken: Container[str], most_bytes: int) -> str:
        named: dict[str, object] = {}
        for key, value in copied(fields, most_bytes).items():
            name = f"extra_{key}" if key in self._own else key
            while name in named or name in taken:
                name += "_"
            named[name] = value
        return "".join(f",{quote(key)}:{encode_plain(value)}" for key, value in named.items())


class CustomJsonFormatter(JsonFormatter):
    """The formatter of document 004: a format text as its first argument, the fields of the layout `SERVICE`.

    Args:
        fmt: names the fields, as python-json-logger takes them; the layout has all of them anyway.
        service: value of the field `service`.
        environment: value of the field `environment`.
        version: value of the field `version`.
        redaction: what is made unreadable.
    """

    def __init__(
        self, fmt: str = "", *, service: str = "", environment: str = "", version: str = "", redaction: "Redaction | None" = None
    ) -> None:
        super().__init__(service, layout=SERVICE, environment=environment, version=version, redaction=redaction)
        self.fmt = fmt
