"""Data to text: YAML and JSON that are byte-stable, and that no value can break out of.

PyYAML's own C dumper needs about a second for 10,000 rules; what we write is plain (mappings, lists, scalars, no anchors, no
tags), so a writer of that subset is small and several times faster. Whatever it leaves unquoted reads back as the same
text under YAML 1.1 (PyYAML) and 1.2 (Go's readers) alike.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

# A plain scalar may not look like another type in either YAML version, nor hold an indicator: so only words that begin with a
# letter, "/" or "_" and go on with harmless characters stand bare (and durations such as "1h30m"), and the words that
# YAML 1.1 or 1.2 reads as something else do not.
_PLAIN: Final = re.compile(r"(?:\d+(?:ms|[smhdwy]))+\Z|[A-Za-z_/](?:[\w ./%+()=$*@^~;<>|-]++|:(?=[\w/]))*+(?<! )\Z", re.ASCII)
_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "none"})
_BLOCK: Final = re.compile(
    r"(?:[^\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\t\r]*\n)+[^\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]*"
)
_PRINTABLE: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]*+\Z")


def dump_yaml(value: object, header: str = "") -> str:
    """Return `value` (mappings, sequences, text, numbers, booleans, None) as one block-style YAML document.

    Mappings keep their order. `header` becomes a comment in front. Raises TypeError for a value of any other type.
    """
    lines: list[str] = [f"# {line}".rstrip() for line in header.splitlines()]
    if isinstance(value, Mapping) and value:
        _mapping(value, "", lines, {})
    elif isinstance(value, (list, tuple)) and value:
        _sequence(value, "", lines, {})
    else:
        lines.append(_scalar(value, "  "))
    lines.append("")
    return "\n".join(lines)


def dump_json(value: object) -> str:
    """Return `value` as indented JSON with a final newline; numbers that are Decimal keep their digits."""
    return msgspec.json.format(msgspec.json.Encoder(decimal_format="number").encode(value), indent=2).decode() + "\n"


def _mapping(value: Mapping[object, object], indent: str, lines: list[str], known: dict[object, str], first: str = "") -> None:
    """Append the mapping's lines; the first of them begins with `first` (a "- ") instead of the indent.

    `known` maps keys and texts on one line to how they are written: in ten thousand rules most of them come back.
    """
    deeper = indent + "  "
    lead = first or indent
    for key, item in value.items():
        text = known.get(key)
        if text is None:
            text = known[key] = _key(key)
        kind = type(item)
        if kind is str:
            written = known.get(item)
            if written is None:
                written = _text(item, deeper)  # type: ignore[arg-type]  # kind says that it is text
                if "\n" not in written:
                    known[item] = written
            lines.append(f"{lead}{text}: {written}")
        elif kind is dict or isinstance(item, Mapping):
            if item:
                lines.append(f"{lead}{text}:")
                _mapping(item, deeper, lines, known)  # type: ignore[arg-type]  # as above
            else:
                lines.append(f"{lead}{text}: {{}}")
        elif isinstance(item, (list, tuple)):
            if item:
                lines.append(f"{lead}{text}:")
                _sequence(item, deeper, lines, known)
            else:
                lines.append(f"{lead}{text}: []")
        else:
            lines.append(f"{lead}{text}: {_scalar(item, deeper)}")
        lead = indent


def _sequence(value: Sequence[object], indent: str, lines: list[str], known: dict[object, str]) -> None:
    deeper = indent + "  "
    for item in value:
        if isinstance(item, Mapping) and item:
            _mapping(item, deeper, lines, known, first=f"{indent}- ")
        elif isinstance(item, (list, tuple)) and item:
            lines.append(f"{indent}-")
            _sequence(item, deeper, lines, known)
        else:
            lines.append(f"{indent}- {_scalar(item, deeper)}")


def _key(key: object) -> str:
    # A key is always on one line: a block scalar cannot be a simple key.
    if not isinstance(key, str):
        return _scalar(key, "")
    return key if _plain(key) else _quoted(key)


def _scalar(value: object, indent: str) -> str:  # noqa: PLR0911  # one line for each type
    if isinstance(value, str):
        return _text(value, indent)
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        text = format(Decimal(repr(value)), "f")
        return text if "." in text else f"{text}.0"
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, (list, tuple)):
        return "[]"
    raise TypeError(f"cannot write {type(value).__name__} as YAML")


def _text(value: str, indent: str) -> str:
    if _plain(value):
        return value
    if "\n" in value and value.strip("\n ") and value[0] not in " \n" and _BLOCK.fullmatch(value):
        body = value.rstrip("\n")
        extra = len(value) - len(body)
        if extra <= 1:
            lines = [f"{indent}{line}" if line else "" for line in body.split("\n")]
            return "\n".join(["|" if extra else "|-", *lines])
    return _quoted(value)


def _plain(value: str) -> bool:
    return _PLAIN.match(value) is not None and value.lower() not in _WORDS


def _quoted(value: str) -> str:
    if _PRINTABLE.match(value):
        return "'" + value.replace("'", "''") + "'"
    return '"' + "".join(_ESCAPES.get(char) or _escape(char) for char in value) + '"'


_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _escape(char: str) -> str:
    if _PRINTABLE.match(char):
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 1 << 8 else f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"
