"""Any mapping, whatever it holds, as one line of valid JSON."""

import json
import math
from collections.abc import Mapping
from datetime import date, time

_DEEPEST = 16
_MOST_VALUES = 10_000
# Line separators to Python, JavaScript and some log shippers, though JSON allows them inside a string.
_LINE_BREAKS = {0x7F: "\\u007f", 0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def json_line(fields: Mapping[str, object]) -> str:
    """Return `fields` as one line of JSON, without a line break at its end.

    What JSON has no word for becomes text: NaN and the infinities, bytes (as UTF-8), sets (as lists), dates (ISO),
    objects (their `str`, or their type's name when that raises), odd keys, and what lies deeper than 16 levels
    whenever something in the mapping needs such care. A lone surrogate becomes a question mark. Never raises.
    """
    try:
        line = _ENCODER.encode(fields)
    except Exception:  # noqa: BLE001 - a value's own code may raise anything
        line = _ENCODER.encode(_Plain().mapping(fields, 0))
    if line.isascii() and "\x7f" not in line:
        return line
    return line.encode("utf-8", "replace").decode().translate(_LINE_BREAKS)


def text(value: object) -> str:
    """Return `str(value)`, or the name of its type where that raises."""
    try:
        if isinstance(value, bytes | bytearray):
            return value.decode("utf-8", "replace")
        if isinstance(value, date | time):
            return value.isoformat()
        return str(value)[:]
    except Exception:  # noqa: BLE001 - an object's own __str__ may raise anything
        return f"<unprintable {type(value).__name__}>"


def _default(value: object) -> object:
    return list(value) if isinstance(value, set | frozenset) else text(value)


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_default)


class _Plain:
    """Copies values into ones that always encode, and stops after enough of them: a cycle may branch."""

    def __init__(self) -> None:
        self._left = _MOST_VALUES

    def mapping(self, value: Mapping[object, object] | Mapping[str, object], depth: int) -> dict[str, object]:
        return {text(key): self.value(item, depth + 1) for key, item in list(value.items())}

    def value(self, value: object, depth: int) -> object:
        self._left -= 1
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            # Python refuses to write more than 4,300 digits; no reader would take so many either.
            return int(value) if value.bit_length() < 1024 else f"<integer of {value.bit_length()} bits>"  # noqa: PLR2004 - the range of a double
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else repr(float(value))
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            return self._container(value, depth)
        return text(value)

    def _container(
        self, value: Mapping[object, object] | list[object] | tuple[object, ...] | set[object] | frozenset[object], depth: int
    ) -> object:
        if depth >= _DEEPEST or self._left <= 0:
            return f"<{type(value).__name__} left out>"
        try:
            if isinstance(value, Mapping):
                return self.mapping(value, depth)
            return [self.value(item, depth + 1) for item in value]
        except Exception:  # noqa: BLE001 - a container's own iteration may raise anything
            return f"<unprintable {type(value).__name__}>"
