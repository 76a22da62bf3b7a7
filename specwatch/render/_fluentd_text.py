"""Fluentd's configuration format: sections as values, and their one way to text, in which no value can break out of its place."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct


class FileContents(str):
    """The path of a file whose contents are the value; a newline at its end is none of it."""

    __slots__ = ()


Value = str | int | bool

# What may stand without quotes: nothing that begins a comment, a string, JSON, embedded Ruby or a nested section.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_/@.:*-][\w/@.:,*+=-]*\Z", re.ASCII)
_KEY: Final = re.compile(r"[@A-Za-z_$][\w.$]*\Z", re.ASCII)
_NAME: Final = re.compile(r"[a-z_]+\Z", re.ASCII)
_ARGUMENT: Final = re.compile(r"[\w@.*{},-]+(?: [\w@.*{},-]+)*\Z", re.ASCII)
_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f", "\b": "\\b", '"': '\\"', "\\": "\\\\", "#": "\\#"}


class Section(Struct, frozen=True, kw_only=True):
    """One `<name argument>` section with its parameters and the sections in it; each may carry a comment in front."""

    name: str
    argument: str = ""
    parameters: Mapping[str, Value] = {}
    sections: tuple["Section", ...] = ()
    comment: str = ""


def dump(sections: tuple[Section, ...], header: str = "") -> str:
    """Return the configuration as text, `header` as a comment in front.

    Raises ValueError for a name, an argument or a control character that the format cannot carry.
    """
    lines = [f"# {line}" for line in header.splitlines()]
    for section in sections:
        lines.append("")
        _write(section, "", lines)
    return "\n".join([*lines, ""])


def _write(section: Section, indent: str, lines: list[str]) -> None:
    if not _NAME.match(section.name) or (section.argument and not _ARGUMENT.match(section.argument)):
        raise ValueError(f"<{section.name} {section.argument}> cannot be written as a section of Fluentd's configuration")
    lines.extend(f"{indent}# {line}" for line in section.comment.splitlines())
    lines.append(f"{indent}<{' '.join(filter(None, (section.name, section.argument)))}>")
    for key, value in section.parameters.items():
        if not _KEY.match(key):
            raise ValueError(f"{key!r} cannot be written as a parameter of Fluentd's configuration")
        lines.append(f"{indent}  {key} {_text(value)}")
    for inner in section.sections:
        _write(inner, f"{indent}  ", lines)
    lines.append(f"{indent}</{section.name}>")


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, FileContents):
        # The one place for embedded Ruby: it reads the file when Fluentd starts, and Fluentd shows no password in its log.
        path = value.replace("\\", "\\\\").replace("'", "\\'")
        if not path.isprintable():
            raise ValueError(f"{value!r} cannot be written as a path in Fluentd's configuration")
        return f"\"#{{File.read('{path}').chomp}}\""
    if _PLAIN.match(value):
        return value
    if value.isprintable():
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return '"' + "".join(map(_escape, value)) + '"'


def _escape(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if ord(char) < ord(" ") or char == "\x7f":
        raise ValueError(f"the control character {char!r} cannot be written in Fluentd's configuration")
    return char
