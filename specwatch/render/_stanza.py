"""The stages of a log pipeline as operators of the collector's file receiver.

Fields are not kept as such: for each, a `Field` says by which expression an operator gets at it, so that renaming and forgetting cost
nothing. Labels, and why a line is dropped, are in the resource, where nothing that the line says can overwrite them. In the attributes,
names with a dot are ours: a field whose name has one lies in a nested object.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import singledispatch
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from specwatch.logs.defaults import OTHER_VALUE, UNKNOWN_LEVEL
from specwatch.logs.expressions import groups
from specwatch.logs.fields import VALUE, logfmt_expression, text_expression
from specwatch.logs.interpreter import PLACE, used_fields
from specwatch.render._assembly import DROPPED, KEPT, QUIET, Operator, opener
from specwatch.render._expr import RFC_3339, Field, byte_count, first_text, member, nested, seconds, text, time
from specwatch.render._logs import quoted
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

_USUAL_LEVELS: Final = ("info", "warning", "warn", "error", "debug")
_TIME: Final = "specwatch.time"
_SAMPLES: Final = 1000  # the filter operator's own precision
_HALF: Final = Decimal("0.5")


class Branch(NamedTuple):
    """Operators that a line passes over for which `usual` holds."""

    usual: str
    odd: tuple[Operator, ...]


class _Line(Struct, frozen=True, kw_only=True):
    """What the operators so far have made of a line.

    `fields` is what can be got at, `has_own_time` that the time is the line's, when it had one of the usual kind; `may_drop` that some
    lines are to be dropped already. `holds_names` says that the attributes have names that the line chose.
    """

    parts: tuple[Operator | Branch, ...] = ()
    fields: Mapping[str, Field] = {}
    has_own_time: bool = False
    may_drop: bool = False
    holds_names: bool = False


class _Place(NamedTuple):
    """Where in a pipeline a stage stands: the fields that any stage reads, the stages behind it, whether a line has a time already."""

    wanted: tuple[str, ...]
    behind: tuple[Stage, ...]
    is_timed: bool


def operators(stages: tuple[Stage, ...], name: str, *, is_timed: bool = False, end: str = "") -> list[Operator]:
    """Return the operators for what a line passes, in order, behind those that open containers' files and join lines.

    Args:
        stages: all of a pipeline's stages.
        name: what the operators' ids begin with, where they need some.
        is_timed: whether a line has a time already, which it keeps when it says none itself.
        end: the id of the operator that follows, when that is not the next one.
    """
    line = _Line(fields={"stream": Field("attributes.stream")} if opener(stages) else {})
    wanted = used_fields(stages)
    for index, stage in enumerate(stages):
        line = _passed(stage, line, _Place(wanted, stages[index + 1 :], is_timed or opener(stages) is not None))
    return linked(line.parts, name, end)


def linked(parts: Sequence[Operator | Branch], name: str, end: str = "") -> list[Operator]:
    """Return the parts as operators that lead to one another; the last one leads to `end`."""
    found: list[Operator] = []
    joins = ""
    for index, part in enumerate(parts):
        label = {"id": joins} if joins else {}
        joins = ""
        if isinstance(part, Branch):
            joins, odd = f"{name}/{index}", f"{name}/{index}/odd"
            router = {"type": "router", **label, "routes": [{"expr": part.usual, "output": joins}], "default": odd}
            found += [router, {**part.odd[0], "id": odd}, *part.odd[1:]]
        else:
            found.append({**part, **label})
    if joins:
        found.append({"type": "noop", "id": joins})
    if end:
        found[-1] = {**found[-1], "output": end}
    return found


def _with(line: _Line, *parts: Operator | Branch, **changes: object) -> _Line:
    return replace(line, parts=(*line.parts, *parts), **changes)


def _add(field: str, expression: str, condition: str = "") -> Operator:
    return {"type": "add", "field": field, **({"if": condition} if condition else {}), "value": f"EXPR({expression})", **QUIET}


@singledispatch
def _passed(stage: Stage, line: _Line, place: _Place) -> _Line:
    """Return what becomes of a line in a stage; the collector knows no limit, and opens and joins lines before anything else."""
    del stage, place
    return line


@_passed.register
def _parse(stage: Parse, line: _Line, place: _Place) -> _Line:
    if stage.format in {"docker", "cri"}:
        return line
    if stage.format == "json":
        return _parse_json(line, place)
    if stage.format == "regex":
        return _parse_regex(stage.expression, line)
    expression = logfmt_expression if stage.format == "logfmt" else text_expression
    parts: list[Operator] = []
    found: dict[str, Field] = {}
    for name in place.wanted:
        group = f"specwatch_{len(line.parts)}_{len(found)}"
        parts.append(_regex_parser(expression(name).replace(f"(?P<{VALUE}>", f"(?P<{group}>"), _hint(stage.format, name)))
        found[name] = Field(f"attributes.{group}", "quoted")
    return _with(line, *parts, fields=_found(line, found))


def _hint(format_: str, name: str) -> str:
    """Return a condition without which there is no such field: most lines have only some, and looking for a word is cheap."""
    if format_ == "text" and name in {"level", "time"}:
        return ""
    return f"body contains {quoted(f'{name}=' if format_ == 'logfmt' else name)}"


def _parse_json(line: _Line, place: _Place) -> _Line:
    is_first = not line.fields and not line.holds_names
    to = "attributes" if is_first else f"attributes[{quoted(f'specwatch.{len(line.parts)}')}]"
    parser: dict[str, object] = {"type": "json_parser", "parse_from": "body", "parse_to": to, **QUIET}
    following = next((stage for stage in place.behind if isinstance(stage, Timestamp)), None)
    has_own_time = is_first and not place.is_timed and following is not None and _is_usual(following, place)
    if has_own_time and following:
        parser["timestamp"] = {
            "parse_from": f"attributes.{following.fields[0]}",
            "layout_type": "gotime",
            "layout": RFC_3339,
            "location": "UTC",
        }
    prefix = "attributes" if is_first else f"({to} ?? {{}})"
    found = {name: Field(nested(name, prefix), "json") for name in place.wanted}
    return _with(line, parser, fields=_found(line, found), has_own_time=has_own_time, holds_names=line.holds_names or is_first)


def _is_usual(stage: Timestamp, place: _Place) -> bool:
    """Return whether the parser may take the time in passing: a wrong one is forgotten in the end, which nothing may notice before."""
    if stage is not place.behind[0] or stage.layouts != ("auto",) or stage.otherwise != "seen" or "." in stage.fields[0]:
        return False
    return not any(isinstance(each, Drop) and each.older_than_seconds for each in place.behind)


def _parse_regex(expression: str, line: _Line) -> _Line:
    is_first = not line.fields and not line.holds_names
    names = {name: name if is_first else f"specwatch_{len(line.parts)}_{name}" for name in groups(expression)}
    for name, group in names.items():
        expression = expression.replace(f"(?P<{name}>", f"(?P<{group}>")
    found = {name: Field(f"attributes.{group}", "group") for name, group in names.items()}
    return _with(line, _regex_parser(expression), fields=_found(line, found), holds_names=line.holds_names or is_first)


def _regex_parser(expression: str, condition: str = "") -> Operator:
    where = {"if": condition} if condition else {}
    return {"type": "regex_parser", **where, "parse_from": "body", "parse_to": "attributes", "regex": expression, **QUIET}


def _found(line: _Line, found: Mapping[str, Field]) -> dict[str, Field]:
    """Return the fields with those that were found now, each of which goes before one of the same name."""
    both = {name: Field(f"({text(field)} ?? {text(line.fields[name])})") for name, field in found.items() if name in line.fields}
    return {**line.fields, **found, **both}


@_passed.register
def _timestamp(stage: Timestamp, line: _Line, _: _Place) -> _Line:
    found = first_text(_of(line, stage.fields))
    if found == "nil":
        return _dropped(line, "no_time", "true") if stage.otherwise == "drop" else line
    read = _add(f"attributes[{quoted(_TIME)}]", time(stage, found))
    set_: Operator = {
        "type": "time_parser",
        "if": f"{member(_TIME)} != nil",
        "parse_from": f"attributes[{quoted(_TIME)}]",
        "layout_type": "native",
        **QUIET,
    }
    if line.has_own_time:
        first = line.fields[stage.fields[0]].at
        zoned = 't endsWith "Z" || t[-6:-5] in ["+", "-"] && t[-3:-2] == ":"'
        usual = f'let t = {first}; type(t) == "string" && t startsWith "20" && t[10:11] == "T" && ({zoned})'
        return _with(line, Branch(usual, (read, set_)))
    line = _with(line, read, set_)
    return _dropped(line, "no_time", f"{member(_TIME)} == nil") if stage.otherwise == "drop" else line


@_passed.register
def _level(stage: Level, line: _Line, _: _Place) -> _Line:
    fields = _of(line, stage.fields)
    tests = "".join(_chosen("l", spellings, level) for level, spellings in stage.spellings.items())
    expression = f'let l = lower({first_text(fields)} ?? ""); {tests}{quoted(UNKNOWN_LEVEL)}'
    if fields and fields[0].kind == "json":
        # Comparing is cheaper than looking for a word in many, and these are what nearly every line says.
        usual = "".join(_equal("u", word, level) for word in _USUAL_LEVELS if (level := _level_of(word, stage)))
        expression = f"let u = {fields[0].at}; {usual}({expression})"
    return _with(line, _add("resource.level", expression), fields={**line.fields, "level": Field("resource.level")})


def _chosen(name: str, words: tuple[str, ...], value: str) -> str:
    return f"{name} in [{', '.join(map(quoted, words))}] ? {quoted(value)} : " if words else ""


def _equal(name: str, word: str, value: str) -> str:
    return f"{name} == {quoted(word.upper())} || {name} == {quoted(word)} ? {quoted(value)} : "


def _level_of(word: str, stage: Level) -> str:
    return next((level for level, spellings in stage.spellings.items() if word in spellings), "")


@_passed.register
def _rename(stage: Rename, line: _Line, _: _Place) -> _Line:
    fields = dict(line.fields)
    for old, new in stage.names:
        if old in fields:
            moved = fields.pop(old)
            fields[new] = Field(f"({text(moved)} ?? {text(fields[new])})") if new in fields else moved
    return replace(line, fields=fields)


@_passed.register
def _drop_fields(stage: DropFields, line: _Line, _: _Place) -> _Line:
    return replace(line, fields={name: field for name, field in line.fields.items() if name not in stage.fields})


@_passed.register
def _labels(stage: Labels, line: _Line, _: _Place) -> _Line:
    parts = []
    for name, values in stage.values.items():
        for field in _of(line, (name,)):
            closed = f"let v = {text(field)}; v in [{', '.join(map(quoted, values))}] ? v : {quoted(OTHER_VALUE)}"
            parts.append(_add(f"resource.{name}", closed, f'({text(field)} ?? "") != ""'))
    return _with(line, *parts)


@_passed.register
def _metadata(stage: Metadata, line: _Line, _: _Place) -> _Line:
    """Leave nothing but the metadata in the attributes, under its names."""
    found = {name.replace(".", "_"): field for name in stage.fields for field in _of(line, (name,))}
    if not found:
        return _with(line, {"type": "remove", "field": "attributes", **QUIET}) if line.parts else line
    names = [f"attributes.{name}" for name in found]
    retain: Operator = {"type": "retain", "fields": names}
    if all(field == Field(f"attributes.{name}", "json") for name, field in found.items()):
        values = "".join(f"let m{index} = {field.at}; " for index, field in enumerate(found.values()))
        usual = values + " && ".join(f'type(m{index}) == "string" && m{index} != ""' for index in range(len(found)))
        set_ = [_add(f"attributes.{name}", f'let s = {text(field)}; s == "" ? nil : s') for name, field in found.items()]
        gone = [{"type": "remove", "field": name, "if": f"{name} == nil", **QUIET} for name in names]
        return _with(line, Branch(usual, (*set_, *gone)), retain)
    if not line.holds_names:
        return _with(
            line, *(_add(f"attributes.{name}", text(field), f'({text(field)} ?? "") != ""') for name, field in found.items()), retain
        )
    kept = [f"attributes[{quoted(f'specwatch.as.{name}')}]" for name in found]
    set_ = [_add(slot, text(field), f'({text(field)} ?? "") != ""') for slot, field in zip(kept, found.values(), strict=True)]
    moved = [{"type": "move", "from": slot, "to": name, **QUIET} for slot, name in zip(kept, names, strict=True)]
    return _with(line, *set_, {"type": "retain", "fields": kept}, *moved)


@_passed.register
def _redact(stage: Redact, line: _Line, place: _Place) -> _Line:
    parts = [_replacement("body", rule) for rule in stage.rules]
    fields = dict(line.fields)
    for name in used_fields(place.behind):
        if name in fields:
            slot = f"specwatch.{name}.{len(line.parts)}"
            at = f"attributes[{quoted(slot)}]"
            parts += [_add(at, text(fields[name])), *(_replacement(at, rule, f"{at} != nil") for rule in stage.rules)]
            fields[name] = Field(at)
    return _with(line, *parts, fields=fields)


def _replacement(field: str, rule: Redaction, condition: str = "") -> Operator:
    return {
        "type": "regex_replace",
        "field": field,
        **({"if": condition} if condition else {}),
        "regex": f"({rule.before})(?:{rule.matches})",
        "replace_with": "${1}" + rule.replacement.replace("$", "$$"),
        **QUIET,
    }


@_passed.register
def _drop(stage: Drop, line: _Line, _: _Place) -> _Line:
    conditions = []
    if stage.matches:
        conditions.append(_matches(stage.field, stage.matches, line))
    if stage.longer_than_bytes:
        conditions.append(f"{byte_count('body')} > {stage.longer_than_bytes}")
    if stage.older_than_seconds:
        conditions.append(f"!timestamp.IsZero() && now() - timestamp > {seconds(stage.older_than_seconds)}")
    return _dropped(line, stage.reason, " && ".join(conditions))


def _dropped(line: _Line, reason: str, condition: str) -> _Line:
    alive = f"{KEPT} && ({condition})" if line.may_drop else condition
    mark: Operator = {"type": "add", "field": f"resource[{quoted(DROPPED)}]", "value": reason, "if": alive, **QUIET}
    return _with(line, mark, may_drop=True)


@_passed.register
def _sample(stage: Sample, line: _Line, _: _Place) -> _Line:
    condition = _matches(stage.field, stage.matches, line) if stage.matches else "true"
    alive = f"{KEPT} && ({condition})" if line.may_drop else condition
    # Half a step more, so that no rounding of the product makes it a step less.
    ratio = ((1 - stage.ratio) * _SAMPLES + _HALF) / _SAMPLES
    return _with(line, {"type": "filter", "expr": alive, "drop_ratio": ratio})


@_passed.register
def _line(stage: Line, line: _Line, _: _Place) -> _Line:
    pieces = []
    for index, piece in enumerate(PLACE.split(stage.template)):
        if index % 2 == 0:
            pieces += [quoted(piece)] if piece else []
        elif piece == "line":
            pieces.append("body")
        else:
            pieces += [f'({text(field)} ?? "")' for field in _of(line, (piece,))]
    return _with(line, _add("body", " + ".join(pieces) or '""'))


def _of(line: _Line, names: tuple[str, ...]) -> tuple[Field, ...]:
    return tuple(line.fields[name] for name in names if name in line.fields)


def _matches(field: str, expression: str, line: _Line) -> str:
    if not field:
        return f"body matches {quoted(expression)}"
    if field not in line.fields:
        return "false"
    return f"({text(line.fields[field])}) matches {quoted(expression)}"
