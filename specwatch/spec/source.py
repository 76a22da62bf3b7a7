"""YAML text to plain data, with the surprises of YAML closed and a place for every value.

Only text, numbers, true, false, null, mappings and sequences come out. Booleans and numbers are those of YAML 1.2's core schema:
`no`, `on`, `1:30` and `0123` are text, and where something else is wanted the reader's message says what to write. Numbers with a
point are Decimal, so that 0.1 stays 0.1.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

import yaml
from msgspec import Struct
from yaml.cyaml import CParser  # type: ignore[attr-defined]  # the stubs leave the C parser out

from specwatch.errors import Problem, SpecError

Path = tuple[str | int, ...]
Places = dict[Path, tuple[tuple[int, int], tuple[int, int]]]

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_ALIASED: Final = 500_000
MAX_DEPTH: Final = 60
_SHOWN: Final = 60

_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9]\d{0,30})\Z", re.ASCII)
_DECIMAL: Final = re.compile(r"[-+]?(?:(?:0|[1-9]\d{0,30})(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][-+]?\d{1,2})?\Z", re.ASCII)
_WORDS: Final[dict[str, bool | None]] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS.update({"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False})
_STRING_TAGS: Final = frozenset({"tag:yaml.org,2002:str", "!"})
_EMPTY: Final = Problem(1, 1, "is empty; the least is `version: 1`")
_NOT_YAML: Final = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# A long text that many aliases repeat is as much of a bomb as many values are.
_CHARACTERS_A_VALUE: Final = 64


def shown(text: str) -> str:
    """Return `text` as messages quote it: on one line, nothing that a terminal would obey, cut at a line's worth."""
    cut = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    return cut if cut.isprintable() else "".join(char if char.isprintable() else repr(char)[1:-1] for char in cut)


class Fault(Struct, frozen=True):
    """Something wrong with the value at `path` (or with the last key of `path`), not yet given its place.

    `refers_to` is the name that the value gives, where the fault is that there is nothing of that name.
    """

    path: Path
    message: str
    on_key: bool = False
    refers_to: str = ""


class Source(Struct, frozen=True):
    """A spec's text, under the name that messages give it."""

    name: str
    text: str

    def data(self) -> Any:
        """Return the plain data; raises SpecError for anything that is not one clean YAML document."""
        composer = _Composer(self.text, None)
        value = composer.document()
        if composer.problems:
            raise SpecError(self.name, tuple(composer.problems))
        return value

    def error(self, faults: Iterable[Fault]) -> SpecError:
        """Return the SpecError that names every fault at its line and column."""
        return SpecError(self.name, self.locate(faults))

    def locate(self, faults: Iterable[Fault]) -> tuple[Problem, ...]:
        """Return each fault with its place; one that has no value of its own stands at the nearest value above it."""
        places: Places = {}
        _Composer(self.text, places).document()  # a second pass, so that a spec without errors never pays for places
        return tuple(_locate(places, fault) for fault in faults)


def _locate(places: Places, fault: Fault) -> Problem:
    for length in range(len(fault.path), -1, -1):
        found = places.get(fault.path[:length])
        if found is not None:
            key, value = found
            line, column = key if fault.on_key or length < len(fault.path) else value
            return Problem(line, column, fault.message)
    return Problem(1, 1, fault.message)


def read(file: Any, name: str) -> Source:
    """Return the source in `file` (a pathlib.Path), under `name`; raises SpecError when it cannot be read as UTF-8 text."""
    try:
        with file.open("rb") as opened:
            raw: bytes = opened.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SpecError(
            name, (Problem(0, 0, "no such file; write one (ten lines do, see README.md) or name another with --file"),)
        ) from None
    except OSError as error:
        raise SpecError(name, (Problem(0, 0, f"cannot be read: {error.strerror}"),)) from None
    if len(raw) > MAX_BYTES:
        raise SpecError(name, (Problem(0, 0, f"is larger than {MAX_BYTES // 1024 // 1024} MB, the most that a spec may have"),))
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SpecError(name, (Problem(1, 1, "is UTF-16 or UTF-32; save it as UTF-8"),))
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        return Source(name, raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = len(raw[raw.rfind(b"\n", 0, error.start) + 1 : error.start].decode("utf-8")) + 1
        raise SpecError(name, (Problem(line, column, f"byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8"),)) from None


class _Composer:
    """One pass over libyaml's events; with `places` it also notes where each key and value stands."""

    def __init__(self, text: str, places: Places | None) -> None:
        self.parser = CParser(text)
        self.places = places
        self.problems: list[Problem] = []
        self.anchors: dict[str, _Anchor] = {}
        self.open_anchors: set[str] = set()
        self.aliased = 0
        self.size = 0
        self.deepest = 0
        self.text = text

    def document(self) -> Any:
        """Return the only document's value; what is wrong is in `problems`, or was raised where reading on makes no sense."""
        try:
            self.parser.get_event()
            event: Any = self.parser.get_event()
            if isinstance(event, yaml.StreamEndEvent):
                self.problems.append(_EMPTY)
                return None
            value = self._value(self.parser.get_event(), (), 0)
            if value is None and not self.problems:
                self.problems.append(_EMPTY)
            self.parser.get_event()
            event = self.parser.get_event()
            if not isinstance(event, yaml.StreamEndEvent):
                self._problem(event, "a second document begins here; a spec is one document, so take out the `---`")
        except yaml.YAMLError as error:
            self.problems.append(_syntax(error, self.text))
        except _Stop:
            pass  # the problem is noted, and what follows would only repeat it
        return value if not self.problems else None

    def _problem(self, event: Any, message: str) -> None:
        self.problems.append(Problem(event.start_mark.line + 1, event.start_mark.column + 1, message))

    def _value(self, event: Any, path: Path, depth: int) -> Any:
        if self.places is not None and path not in self.places:
            here = (event.start_mark.line + 1, event.start_mark.column + 1)
            self.places[path] = (here, here)
        kind = type(event)
        if kind is yaml.ScalarEvent and event.anchor is None:
            return self._scalar(event)
        if kind is yaml.AliasEvent:
            return self._alias(event, depth)
        anchor = event.anchor
        if anchor is None:
            return self._collection(event, path, depth)
        size, deepest = self.size, self.deepest
        self.deepest = depth
        self.open_anchors.add(anchor)
        value = self._scalar(event) if kind is yaml.ScalarEvent else self._collection(event, path, depth)
        self.open_anchors.discard(anchor)
        self.anchors[anchor] = _Anchor(value, self.size - size, self.deepest - depth)
        self.deepest = max(deepest, self.deepest)
        return value

    def _collection(self, event: Any, path: Path, depth: int) -> Any:
        self.size += 1
        self._check_depth(event, depth)
        if event.tag is not None:
            self._problem(event, f"the tag {_tag(event)} is not understood; take it out")
        return self._mapping(path, depth) if type(event) is yaml.MappingStartEvent else self._sequence(path, depth)

    def _check_depth(self, event: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            self._problem(event, f"is nested more than {MAX_DEPTH} deep")
            raise _Stop
        self.deepest = max(depth, self.deepest)

    def _alias(self, event: Any, depth: int) -> Any:
        if event.anchor in self.open_anchors:
            self._problem(event, f"*{event.anchor} stands inside what it names; that never ends")
            return None
        if event.anchor not in self.anchors:
            self._problem(event, f"*{event.anchor} names no anchor above; write &{event.anchor} before it")
            return None
        anchor = self.anchors[event.anchor]
        self._check_depth(event, depth + anchor.height)
        self.aliased += anchor.size
        self.size += anchor.size
        if self.aliased > MAX_ALIASED:
            self._problem(event, f"the aliases up to here stand for more than {MAX_ALIASED:,} values; write them out or take them out")
            raise _Stop
        return anchor.value

    def _sequence(self, path: Path, depth: int) -> list[Any]:
        items: list[Any] = []
        event = self.parser.get_event()
        while type(event) is not yaml.SequenceEndEvent:
            items.append(self._value(event, (*path, len(items)), depth + 1))
            event = self.parser.get_event()
        return items

    def _mapping(self, path: Path, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merges: list[Any] = []
        lines: dict[str, int] = {}
        event: Any = self.parser.get_event()
        while type(event) is not yaml.MappingEndEvent:
            key = self._key(event)
            here = (*path, key)
            if key in lines:
                advice = "write `<<: [*a, *b]`" if key == "<<" else "keep one of the two"
                self._problem(event, f'"{shown(key)}" is already there in line {lines[key]}; {advice}')
                here = (*here, "")
            lines[key] = event.start_mark.line + 1
            value_event: Any = self.parser.get_event()
            if self.places is not None:
                self.places[here] = (
                    (event.start_mark.line + 1, event.start_mark.column + 1),
                    (value_event.start_mark.line + 1, value_event.start_mark.column + 1),
                )
            value = self._value(value_event, here, depth + 1)
            if key == "<<" and not event.style:
                merges.append((event, value))
            else:
                found[key] = value
            event = self.parser.get_event()
        for merge_event, value in merges:
            found = self._merged(merge_event, value, found)
        return found

    def _merged(self, event: Any, value: Any, found: dict[str, Any]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for part in value if isinstance(value, list) else [value]:
            if not isinstance(part, dict):
                self._problem(event, "`<<` merges a mapping, or a list of mappings, as in `<<: *defaults`")
                return found
            merged = part | merged
        return merged | found

    def _key(self, event: Any) -> str:
        if type(event) is not yaml.ScalarEvent:
            self._problem(event, "a key is one word or one text, not a list, a mapping or an alias")
            raise _Stop
        if event.tag is not None and event.tag not in _STRING_TAGS:
            self._problem(event, f"the tag {_tag(event)} is not understood; take it out")
        value: str = event.value
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchor(value, 1 + len(value) // _CHARACTERS_A_VALUE, 0)
        return value

    def _scalar(self, event: Any) -> Any:  # noqa: PLR0911  # one line for each kind of scalar
        text: str = event.value
        self.size += 1 + len(text) // _CHARACTERS_A_VALUE
        if event.tag is not None:
            if event.tag in _STRING_TAGS:
                return text
            self._problem(event, f"the tag {_tag(event)} is not understood; take it out, or quote the value")
            return text
        if event.style:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.match(text):
            return int(text)
        if _DECIMAL.match(text):
            return Decimal(text)
        return text


class _Anchor(Struct, frozen=True):
    """What an alias stands for: a value, how much it holds, and how deep it is nested itself."""

    value: Any
    size: int
    height: int


class _Stop(Exception):  # noqa: N818  # not an error of its own: the problem is already noted
    """Reading on makes no sense."""


def _tag(event: Any) -> str:
    return shown(str(event.tag).replace("tag:yaml.org,2002:", "!!", 1))


def _syntax(error: yaml.YAMLError, text: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:  # a character that YAML does not allow at all
        strange = _NOT_YAML.search(text)
        position = strange.start() if strange else 0
        found = f"the character U+{ord(strange[0]):04X} is not allowed; take it out" if strange else str(error)
        return Problem(text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position), f"not YAML: {found}")
    lines = text.split("\n")
    line = lines[mark.line] if mark.line < len(lines) else ""
    message = str(getattr(error, "problem", "") or error)
    context, begin = getattr(error, "context", None), getattr(error, "context_mark", None)
    if "\t" in line[: len(line) - len(line.lstrip())]:
        message = "a tab; YAML is indented with spaces"
    elif "mapping values are not allowed" in message:
        message = "a second `:` in one line, or wrong indentation; quote the text when the colon belongs to it"
    elif context and begin and "end of stream" in message:
        mark, message = begin, f"what begins here never ends ({context})"
    elif context and begin:
        message = f"{message} ({context}, begun at {begin.line + 1}:{begin.column + 1})"
    return Problem(mark.line + 1, mark.column + 1, f"not YAML: {message}")
