"""Any value, whatever it holds, as JSON that stays on one line and inside a bound."""

import json
import math
import numbers
from collections.abc import Container, Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, time
from itertools import islice
from json.encoder import encode_basestring as quote
from typing import Any

__all__ = ["DEEPEST", "KEY_BYTES", "Plain", "bounded", "copied", "encode", "encode_plain", "one_line", "quote", "text", "unused"]

DEEPEST = 32
"""How many levels of containers a value may have."""

KEY_BYTES = 256
"""How much of a mapping's key is kept."""

_VALUE_BYTES = 8
_FIELD_BYTES = 512
_MOST_FIELDS = 1_000
_REST = "<the rest is left out>"
_NUMBER_BITS = 1024
_FLOAT_BYTES = 16
# Line separators to Python, JavaScript and some log shippers, though JSON allows them inside a string.
_LINE_BREAKS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def text(value: object) -> str:
    """Return `str(value)`, or the name of its type where that raises."""
    try:
        if isinstance(value, bytes | bytearray):
            return value.decode("utf-8", "replace")
        if isinstance(value, date | time):
            return value.isoformat()
        # An instance of a str subclass would bring its own methods along.
        return "".join(str(value))
    except Exception:  # noqa: BLE001 - an object's own __str__ may raise anything
        return f"<unprintable {type(value).__name__}>"


def one_line(line: str) -> str:
    """Return `line`, which is JSON, without characters that some readers take for its end, and as valid Unicode.

    A lone surrogate, which UTF-8 has no word for, becomes a question mark.
    """
    if line.isascii():
        return line
    try:
        line.encode()
    except UnicodeEncodeError:
        line = line.encode("utf-8", "replace").decode()
    if "\u2028" in line or "\u2029" in line or "\x85" in line:
        return line.translate(_LINE_BREAKS)
    return line


def bounded(value: str, most_bytes: int) -> str:
    """Return `value`, or its beginning with a marker that says how long it was, so that its JSON has at most `most_bytes`."""
    if len(value) * 6 <= most_bytes or _size(value) <= most_bytes:
        return value
    marker = f"…[cut, {len(value)} characters]"
    kept = value[:most_bytes]
    room = max(most_bytes - _size(marker), 0)
    while kept and _size(kept) > room:
        kept = kept[: min(len(kept) * 9 // 10, len(kept) - 1)]
    return kept + marker


def unused(name: str, taken: Container[str]) -> str:
    """Return `name`, with as many underscores behind it as it takes to be no name in `taken`."""
    while name in taken:
        name += "_"
    return name


def encode(value: object) -> str:
    """Return `value` as JSON, by the fast way.

    Raises:
        Exception: whatever the value's own code raises; a value that is too deep, holds itself or holds what JSON has no word for.
    """
    encoded = _ENCODER.encode(value)
    # Each level has a bracket. This may take many shallow values for a deep one: those only go the careful way.
    if encoded.count("[") + encoded.count("{") > DEEPEST:
        raise ValueError("perhaps too deep")
    return encoded


def encode_plain(value: object) -> str:
    """Return what `Plain` has copied as JSON; never raises."""
    return _ENCODER.encode(value)


def _size(value: str) -> int:
    quoted = quote(value)
    return len(quoted) if quoted.isascii() else len(quoted.encode("utf-8", "replace"))


def _word(value: object) -> object:
    """What the encoder asks about a value of a type that JSON does not have."""
    if isinstance(value, AbstractSet):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    # numpy's own floating types; a fraction or a decimal is exact and stays text
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Rational):
        return float(value)
    return text(value)


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_word)


class Plain:
    """Copies values into ones that always encode, until the room is used up: a cycle may branch.

    What JSON has no word for becomes text: NaN and the infinities, bytes (as UTF-8), sets (as lists), dates (ISO), objects
    (their `str`, or their type's name when that raises), odd keys, what lies deeper than 32 levels.

    Args:
        left_bytes: room for the JSON of all values together.
    """

    def __init__(self, left_bytes: int) -> None:
        self.left_bytes = left_bytes

    def key(self, value: object) -> str:
        """Return a mapping's key as a short text."""
        return self.kept(text(value), KEY_BYTES)

    def item(self, key: object, value: object, depth: int) -> object:  # noqa: ARG002 - who overrides it may look at the key
        """Return the value of a mapping's key as something that always encodes."""
        return self.value(value, depth)

    def value(self, value: object, depth: int = 1) -> object:
        """Return `value` as something that always encodes; never raises an Exception but RecursionError."""
        self.left_bytes -= _VALUE_BYTES
        if value is None or isinstance(value, bool):
            return value
        if not isinstance(value, Mapping | list | tuple | AbstractSet):
            return self.scalar(value)
        if depth > DEEPEST or self.left_bytes <= 0:
            return self.text(f"<{type(value).__name__} left out>")
        try:
            return self._container(value, depth)
        except Exception as error:
            if isinstance(error, RecursionError):
                raise
            return f"<unprintable {type(value).__name__}>"

    def _container(self, value: Mapping[object, object] | Iterable[object], depth: int) -> object:
        # A list first: another thread may change the container while it is read.
        if not isinstance(value, Mapping):
            values: list[object] = []
            for item in list(islice(value, self._most_values())):
                if self.left_bytes <= 0:
                    values.append(_REST)
                    break
                values.append(self.value(item, depth + 1))
            return values
        fields: dict[str, object] = {}
        for key, item in list(islice(value.items(), self._most_values())):
            if self.left_bytes <= 0:
                fields[_REST] = None
                break
            name = unused(self.key(key), fields)
            fields[name] = self.item(key, item, depth + 1)
        return fields

    def _most_values(self) -> int:
        return max(self.left_bytes, 0) // _VALUE_BYTES + 1

    def scalar(self, value: object) -> object:
        """Return a value that holds no others as something that always encodes."""
        try:
            plain = value if isinstance(value, str | bytes | bytearray | int | float) else _word(value)
            if isinstance(plain, int):
                # Python refuses to write more than 4,300 digits; no reader would take so many either.
                self.left_bytes -= min(plain.bit_length(), _NUMBER_BITS) // 3
                return int(plain) if plain.bit_length() <= _NUMBER_BITS else f"<integer of {plain.bit_length()} bits>"
            if isinstance(plain, float):
                self.left_bytes -= _FLOAT_BYTES
                return float(plain) if math.isfinite(plain) else repr(float(plain))
        except Exception:  # noqa: BLE001 - a number's own code may raise anything
            plain = f"<unprintable {type(value).__name__}>"
        return self.text(text(plain))

    def text(self, value: str) -> str:
        """Return a text, cut where there is no room left for it."""
        return self.kept(self.readable(value), self.left_bytes) if self.left_bytes > 0 else "<left out>"

    def readable(self, value: str) -> str:
        """Return what is shown of a text; for who overrides it."""
        return value

    def kept(self, value: str, most_bytes: int) -> str:
        """Return a text with at most so many bytes, and take them from the room."""
        kept = bounded(value, most_bytes)
        self.left_bytes -= _size(kept)
        return kept


def copied(fields: Mapping[str, object], most_bytes: int, kind: type[Plain] = Plain, **options: Any) -> dict[str, object]:
    """Return a copy of `fields` that always encodes; one field that takes much leaves room for the others.

    Args:
        fields: any keys and values.
        most_bytes: room for the JSON of all.
        kind: what copies each field.
        options: what it takes besides the room.
    """
    found = list(dict(fields).items())
    result: dict[str, object] = {}
    for place, (key, value) in enumerate(found[:_MOST_FIELDS], 1):
        kept = min(_FIELD_BYTES, most_bytes // (len(found) + 1)) * (len(found) - place)
        plain = kind(most_bytes - kept, **options)
        name = unused(plain.key(key), result)
        result[name] = plain.item(key, value, 1)
        most_bytes = max(plain.left_bytes, 0) + kept
    if len(found) > _MOST_FIELDS:
        result[_REST] = len(found) - _MOST_FIELDS
    return result
