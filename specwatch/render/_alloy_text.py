"""Alloy's configuration syntax: blocks as values, and their one way to text, in which no value can break out of its place.

The grammar is Alloy's `syntax` module (scanner, token and ast packages).
"""

import re
from collections.abc import Mapping
from itertools import groupby
from typing import Final

from msgspec import Struct


class Reference(str):
    """The name of something that another block exports, such as `loki.write.default.receiver`."""

    __slots__ = ()


Value = str | bool | int | float | tuple["Value", ...] | Mapping[str, "Value"]

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*\Z", re.ASCII)
_KEYWORDS: Final = frozenset({"true", "false", "null"})
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Block(Struct, frozen=True, kw_only=True):
    """One `name "label" { … }` with its attributes and the blocks in it; a comment may stand in front."""

    name: str
    label: str = ""
    attributes: Mapping[str, Value] = {}
    blocks: tuple["Block", ...] = ()
    comment: str = ""


def dump(blocks: tuple[Block, ...], header: str = "") -> str:
    """Return the configuration as text, `header` as a comment in front.

    Raises ValueError for a name or label that the syntax cannot carry.
    """
    lines = [f"// {line}" for line in header.splitlines()]
    for block in blocks:
        lines.append("")
        _write(block, "", lines)
    return "\n".join([*lines, ""])


def _write(block: Block, indent: str, lines: list[str]) -> None:
    if not _NAME.match(block.name) or (block.label and not _IDENTIFIER.match(block.label)):
        raise ValueError(f"{block.name} {block.label!r} cannot be written as a block of Alloy's configuration")
    lines.extend(f"{indent}// {line}" for line in block.comment.splitlines())
    label = f' "{block.label}"' if block.label else ""
    if not block.attributes and not block.blocks:
        lines.append(f"{indent}{block.name}{label} {{ }}")
        return
    lines.append(f"{indent}{block.name}{label} {{")
    for key in block.attributes:
        if not _IDENTIFIER.match(key):
            raise ValueError(f"{key!r} cannot be written as an attribute of Alloy's configuration")
    lines.extend(_assigned(block.attributes, f"{indent}\t"))
    for index, inner in enumerate(block.blocks):
        if index or block.attributes:
            lines.append("")
        _write(inner, f"{indent}\t", lines)
    lines.append(f"{indent}}}")


def _assigned(values: Mapping[str, Value], indent: str, end: str = "") -> list[str]:
    """Return `key = value` for each, as `alloy fmt` does it: of neighbours on one line each, the keys are as wide as the widest."""
    texts = [(_key(key), _text(value, indent)) for key, value in values.items()]
    lines: list[str] = []
    for several, group in groupby(texts, key=lambda text: "\n" in text[1]):
        found = list(group)
        width = 0 if several else max(len(key) for key, _ in found)
        lines.extend(f"{indent}{key.ljust(width)} = {text}{end}" for key, text in found)
    return lines


def _text(value: Value, indent: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Reference):
        if not _NAME.match(value):
            raise ValueError(f"{value!r} cannot be written as a reference in Alloy's configuration")
        return str(value)
    if isinstance(value, str):
        return '"' + "".join(map(_escape, value)) + '"'
    if isinstance(value, Mapping):
        return "\n".join(["{", *_assigned(value, f"{indent}\t", ","), f"{indent}}}"])
    return f"[{', '.join(_text(item, indent) for item in value)}]"


def _key(key: str) -> str:
    return key if _IDENTIFIER.match(key) and key not in _KEYWORDS else _text(key, "")


def _escape(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    return char if char.isprintable() else f"\\U{ord(char):08x}"
