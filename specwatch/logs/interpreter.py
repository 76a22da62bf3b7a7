"""What becomes of a line, stage by stage: the meaning that every shipper is held to.

An entry is a line on its way. `assembled` makes entries of the lines of a file, where containers' files are opened and lines joined; each
stage behind that turns an entry into another or drops it. What a shipper decides by chance or by the clock of its host (`sample`, `limit`)
is noted and not decided here.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial, singledispatch
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from specwatch.logs.defaults import MAX_LINE_BYTES, OTHER_VALUE, UNKNOWN_LEVEL
from specwatch.logs.expressions import to_python
from specwatch.logs.fields import CRI, DOCKER, json_fields, parsed
from specwatch.logs.times import nanoseconds
from specwatch.stack.logs import (
    Drop,
    DropFields,
    Labels,
    Level,
    Limit,
    Line,
    Metadata,
    Multiline,
    Parse,
    Redact,
    Redaction,
    Rename,
    Sample,
    Stage,
    Timestamp,
)

PLACE: Final = re.compile(r"\{([A-Za-z_][\w.]*)\}", re.ASCII)
"""A field in the template of a `line` stage."""

_OPENED_TIME: Final = ("rfc3339",)


class Entry(Struct, frozen=True, kw_only=True):
    """A line on its way.

    `time` is in nanoseconds since 1970, None while it is the time at which the shipper saw the line. `notes` say what is left to chance.
    """

    text: str
    time: int | None = None
    fields: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    metadata: Mapping[str, str] = {}
    notes: tuple[str, ...] = ()


class Dropped(Struct, frozen=True, kw_only=True):
    """A line that goes no further, and why; `text` is that of one that cannot be opened."""

    reason: str
    text: str = ""


class Step(NamedTuple):
    """A stage and what an entry became in it."""

    stage: Stage
    result: Entry | Dropped


def interpret(stages: tuple[Stage, ...], entry: Entry, now: int = 0) -> Entry | Dropped:
    """Return what arrives of an entry.

    Args:
        stages: what it passes, in order.
        entry: as `assembled` hands it over; a service's name is among its labels.
        now: nanoseconds since 1970, for stages that compare a line's time with the clock; with 0 any time will do.
    """
    result: Entry | Dropped = entry
    for step in steps(stages, entry, now):
        result = step.result
    return result


def steps(stages: tuple[Stage, ...], entry: Entry, now: int = 0) -> Iterator[Step]:
    """Yield each stage and what the entry became in it; a stage that drops it is the last."""
    at = _Circumstances(used_fields(stages), now)
    for stage in stages:
        result = _passed(stage, entry, at)
        yield Step(stage, result)
        if isinstance(result, Dropped):
            return
        entry = result


def assembled(stages: tuple[Stage, ...], lines: Iterable[str], start: Entry) -> Iterator[Entry | Dropped]:
    """Yield the entries that the lines of one file make: one each, or several joined where the stages say so.

    Lines come without their newline; a carriage return in front of it is none of theirs either. Entries have the labels, metadata and
    fields of `start`, in containers' files also the time and the stream that Docker or the CRI wrote. Blank lines between entries are
    no entries; a text is cut after `MAX_LINE_BYTES` bytes.
    """
    found: Iterable[Entry | Dropped] = (replace(start, text=cut(text.removesuffix("\r"))) for text in lines)
    for stage in stages:
        if isinstance(stage, Parse) and stage.format in _OPENERS:
            found = _whole(found, _OPENERS[stage.format])
        elif isinstance(stage, Multiline):
            found = _joined(found, stage)
    for entry in found:
        if isinstance(entry, Dropped):
            yield entry
        elif entry.text:
            yield replace(entry, text=cut(entry.text))


def cut(text: str) -> str:
    """Return the text without what is beyond `MAX_LINE_BYTES` bytes of UTF-8."""
    if len(text) * 4 <= MAX_LINE_BYTES:
        return text
    return text.encode("utf-8", "replace")[:MAX_LINE_BYTES].decode("utf-8", "ignore")


def used_fields(stages: Iterable[Stage]) -> tuple[str, ...]:
    """Return the fields that a parser has to find: those that a stage reads, in the order of their first use."""
    names: dict[str, None] = {}
    for stage in stages:
        names |= dict.fromkeys(_reads(stage))
    return tuple(names)


def _reads(stage: Stage) -> Iterable[str]:
    if isinstance(stage, Timestamp | Level | Metadata):
        return stage.fields
    if isinstance(stage, Labels):
        return stage.values
    if isinstance(stage, Rename):
        return (old for old, _ in stage.names)
    if isinstance(stage, Drop | Sample):
        return (stage.field,) if stage.field else ()
    if isinstance(stage, Line):
        return (name for name in PLACE.findall(stage.template) if name != "line")
    return ()


class _Piece(NamedTuple):
    """A part of a line as a container's file has it, and whether it is the line's last."""

    entry: Entry
    is_last: bool


def _whole(found: Iterable[Entry | Dropped], opened: Callable[[Entry], _Piece | Dropped]) -> Iterator[Entry | Dropped]:
    """Yield the lines that the pieces make."""
    held: list[Entry] = []
    for each in found:
        if isinstance(each, Dropped) or not each.text:
            continue
        piece = opened(each)
        if isinstance(piece, Dropped):
            yield piece
            continue
        held.append(piece.entry)
        if piece.is_last:
            yield _line_of(held)
            held = []
    if held:
        yield _line_of(held)


def _line_of(pieces: list[Entry]) -> Entry:
    return replace(pieces[0], text="".join(piece.text for piece in pieces).removesuffix("\n").removesuffix("\r"))


def _docker_piece(entry: Entry) -> _Piece | Dropped:
    found = json_fields(entry.text, DOCKER)
    if "log" not in found:
        return Dropped(reason="not_docker", text=entry.text)
    return _Piece(_opened(entry, found), found["log"].endswith("\n"))


def _cri_piece(entry: Entry) -> _Piece | Dropped:
    found = to_python(CRI).search(entry.text)
    if not found:
        return Dropped(reason="not_cri", text=entry.text)
    return _Piece(_opened(entry, found.groupdict()), found["flags"].partition(":")[0] != "P")


def _opened(entry: Entry, found: Mapping[str, str]) -> Entry:
    time = nanoseconds(found.get("time", ""), _OPENED_TIME)
    stream = {"stream": found["stream"]} if found.get("stream") else {}
    return replace(entry, text=found["log"], time=time or entry.time, fields={**entry.fields, **stream})


_OPENERS: Final = {"docker": _docker_piece, "cri": _cri_piece}


def _joined(found: Iterable[Entry | Dropped], stage: Multiline) -> Iterator[Entry | Dropped]:
    first = to_python(stage.first_line)
    held: list[Entry] = []
    for each in found:
        if isinstance(each, Dropped):
            yield each
            continue
        if held and (first.search(each.text) or len(held) == stage.max_lines):
            yield _entry_of(held)
            held = []
        held.append(each)
    if held:
        yield _entry_of(held)


def _entry_of(lines: list[Entry]) -> Entry:
    return replace(lines[0], text="\n".join(line.text for line in lines).strip("\n"))


@singledispatch
def _passed(stage: Stage, entry: Entry, at: "_Circumstances") -> Entry | Dropped:
    """Return what the entry becomes in a stage; what opens files and joins lines has done so in `assembled`."""
    del stage, at
    return entry


class _Circumstances(NamedTuple):
    """What an entry is not: the fields that any stage reads, and the time of day in nanoseconds since 1970."""

    wanted: tuple[str, ...]
    now: int


@_passed.register
def _timestamp(stage: Timestamp, entry: Entry, at: _Circumstances) -> Entry | Dropped:
    found = _of(entry, stage.fields)
    time = None if found is None else nanoseconds(found, stage.layouts, stage.zone, at.now)
    if time is None:
        return Dropped(reason="no_time") if stage.otherwise == "drop" else entry
    return replace(entry, time=time)


@_passed.register
def _level(stage: Level, entry: Entry, _: _Circumstances) -> Entry:
    spelled = (_of(entry, stage.fields) or "").lower()
    level = next((level for level, spellings in stage.spellings.items() if spelled in spellings), UNKNOWN_LEVEL)
    return replace(entry, fields={**entry.fields, "level": level}, labels={**entry.labels, "level": level})


@_passed.register
def _rename(stage: Rename, entry: Entry, _: _Circumstances) -> Entry:
    found = dict(entry.fields)
    for old, new in stage.names:
        if old in found:
            found[new] = found.pop(old)
    return replace(entry, fields=found)


@_passed.register
def _drop_fields(stage: DropFields, entry: Entry, _: _Circumstances) -> Entry:
    return replace(entry, fields={name: value for name, value in entry.fields.items() if name not in stage.fields})


@_passed.register
def _labels(stage: Labels, entry: Entry, _: _Circumstances) -> Entry:
    there = {name: entry.fields[name] for name in stage.values if entry.fields.get(name)}
    closed = {name: value if value in stage.values[name] else OTHER_VALUE for name, value in there.items()}
    return replace(entry, labels={**entry.labels, **closed})


@_passed.register
def _metadata(stage: Metadata, entry: Entry, _: _Circumstances) -> Entry:
    # Loki knows no dots in names, and makes blanks of what was no UTF-8.
    there = {name.replace(".", "_"): entry.fields[name].replace("\ufffd", " ") for name in stage.fields if entry.fields.get(name)}
    return replace(entry, metadata={**entry.metadata, **there})


@_passed.register
def _redact(stage: Redact, entry: Entry, _: _Circumstances) -> Entry:
    fields = {name: _redacted(stage.rules, value) for name, value in entry.fields.items()}
    return replace(entry, text=_redacted(stage.rules, entry.text), fields=fields)


@_passed.register
def _drop(stage: Drop, entry: Entry, at: _Circumstances) -> Entry | Dropped:
    return Dropped(reason=stage.reason) if _is_dropped(stage, entry, at.now) else entry


@_passed.register
def _sample(stage: Sample, entry: Entry, _: _Circumstances) -> Entry:
    if stage.matches and not _matches(stage.field, stage.matches, entry):
        return entry
    return replace(entry, notes=(*entry.notes, f"one of {float(1 / stage.ratio):.3g} is kept"))


@_passed.register
def _limit(stage: Limit, entry: Entry, _: _Circumstances) -> Entry:
    return replace(entry, notes=(*entry.notes, f"dropped beyond {stage.rate} lines a second"))


@_passed.register
def _line(stage: Line, entry: Entry, _: _Circumstances) -> Entry:
    return replace(entry, text=PLACE.sub(lambda place: _place(place[1], entry), stage.template))


@_passed.register
def _parse(stage: Parse, entry: Entry, at: _Circumstances) -> Entry:
    if stage.format in _OPENERS:
        return entry
    return replace(entry, fields={**entry.fields, **parsed(stage, entry.text, at.wanted)})


def _of(entry: Entry, fields: tuple[str, ...]) -> str | None:
    return next((entry.fields[name] for name in fields if name in entry.fields), None)


def _redacted(rules: tuple[Redaction, ...], text: str) -> str:
    for rule in rules:
        text = to_python(f"({rule.before})(?:{rule.matches})").sub(partial(_hidden, rule), text)
    return text


def _hidden(rule: Redaction, found: re.Match[str]) -> str:
    return found[1] + rule.replacement


def _matches(field: str, expression: str, entry: Entry) -> bool:
    text = entry.fields.get(field) if field else entry.text
    return text is not None and to_python(expression).search(text) is not None


def _is_dropped(stage: Drop, entry: Entry, now: int) -> bool:
    if stage.matches and not _matches(stage.field, stage.matches, entry):
        return False
    if stage.field and not stage.matches and stage.field not in entry.fields:
        return False
    if stage.longer_than_bytes and len(entry.text.encode("utf-8", "replace")) <= stage.longer_than_bytes:
        return False
    return not stage.older_than_seconds or (bool(now) and entry.time is not None and now - entry.time > stage.older_than_seconds * 10**9)


def _place(name: str, entry: Entry) -> str:
    return entry.text if name == "line" else entry.fields.get(name, "")
