"""The stages of a log pipeline as statements of the collector's transform processor, for records that come by OTLP.

What comes by OTLP passes no operators of the file receiver. Here fields are text in the cache, which lasts as long as a record's
statements; labels and metadata are the record's attributes, of which Loki knows the labels by name (`loki.render`), and one that says why
a record is to be dropped. A number below 1e-6, or from 1e21 on, is written with an exponent: the one difference to lines out of files.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import singledispatch
from typing import Final, NamedTuple

from specwatch.logs.defaults import OTHER_VALUE, UNKNOWN_LEVEL
from specwatch.logs.expressions import groups
from specwatch.logs.fields import VALUE, logfmt_expression, text_expression
from specwatch.logs.interpreter import PLACE, used_fields
from specwatch.logs.times import AHEAD_SECONDS, AUTO, CENTURY, EPOCHS, variants
from specwatch.render._assembly import DROPPED
from specwatch.render._logs import Group, quoted
from specwatch.stack.logs import (
    Drop,
    DropFields,
    Labels,
    Level,
    Line,
    Metadata,
    Parse,
    Redact,
    Redaction,
    Rename,
    Sample,
    Stage,
    Timestamp,
)

SAMPLED: Final = "sampled"
"""The reason under which sampled records are counted."""

_NANOSECONDS: Final = 10**9
_DIGITS: Final = {"unix": 9, "unix_ms": 6, "unix_us": 3, "unix_ns": 0}
_HEX_DIGITS: Final = 8  # of a random number
_SEVERITIES: Final = {"debug": (1, 8), "info": (9, 12), "warn": (13, 16), "error": (17, 20), "fatal": (21, 24)}
_NO_ID: Final = "0" * 32
_FOUND: Final = 'log.cache["specwatch.found"]'
_TIME: Final = 'log.cache["specwatch.time"]'
_AT: Final = 'log.cache["specwatch.at"]'
# The zones of the processor's own time formats, and what each of them reads.
_ZONES: Final = {"%z": r"(?:Z|[+-]\d\d\d\d)", "%j": r"[+-]\d\d:\d\d"}
_STRICT_ZONES: Final = {"%z": "Z", "%j": _ZONES["%j"]}
_DROP: Final = f"log.attributes[{quoted(DROPPED)}]"
_BODY: Final = "log.body.string"
# The resource keeps one attribute, and the scope nothing: Loki would add them to every line.
_RESOURCE: Final = (
    'set(resource.attributes["service"], resource.attributes["service.name"])',
    'set(resource.attributes["service"], "unknown") where resource.attributes["service"] == nil',
    'keep_keys(resource.attributes, ["service"])',
)
_SCOPE: Final = ('set(scope.name, "")', 'set(scope.version, "")', "keep_keys(scope.attributes, [])")
# What is no text becomes JSON; a record's own time is the one that its program gave it or saw it at.
_RECORD: Final = (
    "set(log.body, String(log.body)) where not IsString(log.body)",
    "set(log.time_unix_nano, log.observed_time_unix_nano) where log.time_unix_nano == 0",
    "set(log.observed_time, Now())",
)
_EMPTIED: Final = (
    "keep_keys(log.attributes, [])",
    'set(log.severity_text, "")',
    "set(log.severity_number, 0)",
    f'set(log.trace_id.string, "{_NO_ID}")',
    f'set(log.span_id.string, "{_NO_ID[:16]}")',
    "set(log.flags, 0)",
    "set(log.dropped_attributes_count, 0)",
)


class _Place(NamedTuple):
    """Where in a pipeline a stage stands: the fields that any stage reads, and the stages behind it."""

    wanted: tuple[str, ...]
    behind: tuple[Stage, ...]


def statements(found: Iterable[Group], others: tuple[Stage, ...]) -> list[Mapping[str, object]]:
    """Return the transform processor's `log_statements` for the groups' services, and with the stages `others` for all that are in none."""
    known = [name for group in found for name in group.services]
    blocks = [_block(group.stages, f"ContainsValue([{', '.join(map(quoted, group.services))}], {_SERVICE})") for group in found]
    rest = _block(others, f"not ContainsValue([{', '.join(map(quoted, known))}], {_SERVICE})" if known else "true")
    return [
        {"context": "resource", "statements": list(_RESOURCE)},
        {"context": "scope", "statements": list(_SCOPE)},
        {"context": "log", "statements": list(_RECORD)},
        *blocks,
        rest,
    ]


_SERVICE: Final = 'resource.attributes["service"]'


def _block(stages: tuple[Stage, ...], condition: str) -> Mapping[str, object]:
    wanted = used_fields(stages)
    found = [*_own_fields(wanted), *_EMPTIED]
    for index, stage in enumerate(stages):
        found += _passed(stage, _Place(wanted, stages[index + 1 :]))
    return {"context": "log", "conditions": [condition], "statements": found}


def _own_fields(wanted: tuple[str, ...]) -> Iterator[str]:
    """Yield what makes fields of the record's attributes, its trace and its severity."""
    for name in wanted:
        yield from _scalar(name, f"log.attributes[{quoted(name)}]")
    for name, absent in (("trace_id", _NO_ID), ("span_id", _NO_ID[:16])):
        if name in wanted:
            yield f'set({_field(name)}, log.{name}.string) where {_field(name)} == nil and log.{name}.string != "{absent}"'
    if "level" in wanted:
        level = _field("level")
        yield f'set({level}, log.severity_text) where {level} == nil and log.severity_text != ""'
        for word, (low, high) in _SEVERITIES.items():
            yield f"set({level}, {quoted(word)}) where {level} == nil and log.severity_number >= {low} and log.severity_number <= {high}"


def _field(name: str) -> str:
    return f"log.cache[{quoted(name)}]"


def _scalar(name: str, at: str) -> Iterator[str]:
    """Yield what makes a field of the value, when that is text, a number, true or false."""
    yield f"set({_field(name)}, String({at})) where IsString({at}) or IsDouble({at}) or IsInt({at}) or IsBool({at})"


def _is_there(name: str) -> str:
    return f'{_field(name)} != nil and {_field(name)} != ""'


@singledispatch
def _passed(stage: Stage, place: _Place) -> Iterator[str]:
    """Yield the statements of a stage; what comes by OTLP is whole, and the collector knows no limit."""
    del stage, place
    yield from ()


@_passed.register
def _parse(stage: Parse, place: _Place) -> Iterator[str]:
    if stage.format == "json":
        yield from _found(f"ParseJSON({_BODY})")
        for name in place.wanted:
            yield from _scalar(name, _FOUND + "".join(f"[{quoted(part)}]" for part in name.split(".")))
    elif stage.format == "regex":
        yield from _found(f"ExtractPatterns({_BODY}, {quoted(stage.expression)})")
        for name in groups(stage.expression):
            at = f"{_FOUND}[{quoted(name)}]"
            yield f'set({_field(name)}, {at}) where {at} != nil and {at} != ""'
    else:
        expression = logfmt_expression if stage.format == "logfmt" else text_expression
        for name in place.wanted:
            yield from _found(f"ExtractPatterns({_BODY}, {quoted(expression(name))})[{quoted(VALUE)}]")
            yield f'replace_pattern({_FOUND}, "(?s)^\\"(.*)\\"$", "$1")'
            yield f'set({_field(name)}, {_FOUND}) where {_FOUND} != nil and {_FOUND} != ""'


def _found(expression: str) -> Iterator[str]:
    yield 'delete_key(log.cache, "specwatch.found")'
    yield f"set({_FOUND}, {expression})"


@_passed.register
def _timestamp(stage: Timestamp, _: _Place) -> Iterator[str]:
    yield 'delete_matching_keys(log.cache, "^specwatch[.](?:time|at)$")'
    for name in stage.fields:
        yield f"set({_TIME}, {_field(name)}) where {_TIME} == nil"
    for layout in stage.layouts:
        yield from _read(layout, stage.zone)
    latest = f"UnixNano(Now()) + {AHEAD_SECONDS * _NANOSECONDS}"
    yield f"set(log.time_unix_nano, {_AT}) where {_AT} != nil and {_AT} < {latest}"
    if stage.otherwise == "drop":
        yield from _dropped("no_time", f"{_AT} == nil or {_AT} >= {latest}")


def _read(layout: str, zone: str) -> Iterator[str]:
    place = "" if zone == "UTC" else f", {quoted(zone)}"
    if layout in EPOCHS:
        yield from _epoch(r"\d{9,20}", _DIGITS[layout])
        return
    layouts = AUTO if layout == "auto" else AUTO[1:2] if layout == "rfc3339" else (layout,)
    zones = _STRICT_ZONES if layout == "rfc3339" else _ZONES
    for each in layouts:
        for expression, written in variants(each, {}, zones):
            where = "" if "%z" in each else place
            yield f"set({_AT}, UnixNano(Time({_TIME}, {quoted(written)}{where}))) where {_AT} == nil and {_is_like(expression)}"
    if layout == "auto":
        yield from _epoch(r"1\d{9}", _DIGITS["unix"])
        yield from _epoch(r"1\d{12}", _DIGITS["unix_ms"])


def _epoch(expression: str, digits: int) -> Iterator[str]:
    """Yield what reads so many units since 1970, of which a second has 10 to the power of 9 less `digits`: nothing is rounded."""
    yield from _found(f"ExtractPatterns({_TIME}, {quoted(f'^(?P<whole>{expression})(?:[.](?P<rest>[0-9]+))?$')})")
    padded = f'Concat([{_FOUND}["rest"], "{"0" * digits}"], "")'
    parts = f'{_FOUND}["whole"]' + (f", Substring({padded}, 0, {digits})" if digits else "")
    low, high = (second * _NANOSECONDS for second in CENTURY)
    yield f'set({_FOUND}, Int(Concat([{parts}], ""))) where {_FOUND}["whole"] != nil'
    yield f"set({_AT}, {_FOUND}) where {_AT} == nil and IsInt({_FOUND}) and {_FOUND} >= {low} and {_FOUND} < {high}"


def _is_like(expression: str) -> str:
    return f"IsMatch({_TIME}, {quoted(expression)})"


@_passed.register
def _level(stage: Level, _: _Place) -> Iterator[str]:
    yield f'set({_FOUND}, "")'
    for name in reversed(stage.fields):
        yield f"set({_FOUND}, ToLowerCase({_field(name)})) where {_field(name)} != nil"
    yield f'set(log.attributes["level"], {quoted(UNKNOWN_LEVEL)})'
    # From the last to the first, because of several levels with one spelling the first counts.
    for level, spellings in reversed(tuple(stage.spellings.items())):
        if spellings:
            yield f'set(log.attributes["level"], {quoted(level)}) where ContainsValue([{", ".join(map(quoted, spellings))}], {_FOUND})'
    yield f'set({_field("level")}, log.attributes["level"])'


@_passed.register
def _rename(stage: Rename, _: _Place) -> Iterator[str]:
    for old, new in stage.names:
        yield f"set({_field(new)}, {_field(old)}) where {_field(old)} != nil"
        yield f"delete_key(log.cache, {quoted(old)})"


@_passed.register
def _drop_fields(stage: DropFields, _: _Place) -> Iterator[str]:
    for name in stage.fields:
        yield f"delete_key(log.cache, {quoted(name)})"


@_passed.register
def _labels(stage: Labels, _: _Place) -> Iterator[str]:
    for name, values in stage.values.items():
        label = f"log.attributes[{quoted(name)}]"
        yield f"set({label}, {quoted(OTHER_VALUE)}) where {_is_there(name)}"
        yield f"set({label}, {_field(name)}) where ContainsValue([{', '.join(map(quoted, values))}], {_field(name)})"


@_passed.register
def _metadata(stage: Metadata, _: _Place) -> Iterator[str]:
    for name in stage.fields:
        yield f"set(log.attributes[{quoted(name.replace('.', '_'))}], {_field(name)}) where {_is_there(name)}"


@_passed.register
def _redact(stage: Redact, place: _Place) -> Iterator[str]:
    fields = (_field(name) for name in used_fields(place.behind))
    for target in ("log.body", *fields):
        yield from (_replaced(target, rule) for rule in stage.rules)


def _replaced(target: str, rule: Redaction) -> str:
    replacement = "${1}" + rule.replacement.replace("$", "$$")
    return f"replace_pattern({target}, {quoted(f'({rule.before})(?:{rule.matches})')}, {quoted(replacement)})"


@_passed.register
def _drop(stage: Drop, _: _Place) -> Iterator[str]:
    conditions = []
    if stage.matches:
        conditions.append(_matches(stage.field, stage.matches))
    if stage.longer_than_bytes:
        conditions.append(f"Len({_BODY}) > {stage.longer_than_bytes}")
    if stage.older_than_seconds:
        oldest = f"UnixNano(Now()) - {stage.older_than_seconds * _NANOSECONDS}"
        conditions.append(f"log.time_unix_nano >= {CENTURY[0] * _NANOSECONDS} and log.time_unix_nano < {oldest}")
    yield from _dropped(stage.reason, " and ".join(conditions))


def _dropped(reason: str, condition: str) -> Iterator[str]:
    yield f"set({_DROP}, {quoted(reason)}) where {_DROP} == nil and ({condition})"


@_passed.register
def _sample(stage: Sample, _: _Place) -> Iterator[str]:
    # A random number as text, which compares like the number.
    limit = f"{int(stage.ratio * 16**_HEX_DIGITS):0{_HEX_DIGITS}x}"
    chosen = f" and {_matches(stage.field, stage.matches)}" if stage.matches else ""
    yield from _dropped(SAMPLED, f"Substring(UUID(), 0, {_HEX_DIGITS}) >= {quoted(limit)}{chosen}")


@_passed.register
def _line(stage: Line, _: _Place) -> Iterator[str]:
    pieces = []
    for index, piece in enumerate(PLACE.split(stage.template)):
        if index % 2 == 0:
            pieces += [quoted(piece)] if piece else []
        elif piece == "line":
            pieces.append(_BODY)
        else:
            slot = _field(f"specwatch.line.{piece}")
            yield f'set({slot}, "")'
            yield f"set({slot}, {_field(piece)}) where {_field(piece)} != nil"
            pieces.append(slot)
    yield f'set(log.body, Concat([{", ".join(pieces)}], ""))'


def _matches(field: str, expression: str) -> str:
    target = _field(field) if field else _BODY
    return f"{target} != nil and IsMatch({target}, {quoted(expression)})"
