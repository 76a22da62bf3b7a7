"""Promtail's stages for those of the model, as data: `promtail.py` writes them as YAML, `alloy.py` as blocks of the same names.

What a parser finds goes to Promtail's extracted map, where the labels are too; so a field stands there under a slot of its own
(`f_level`). Behind a second parser or a rename a field has several slots, of which the first that is there counts. A template cannot
leave an empty text there (its slot is gone then), a regular expression can.
"""

from collections.abc import Iterable, Mapping
from functools import singledispatch
from typing import Final

from specwatch.logs.defaults import MAX_LINE_BYTES, OTHER_VALUE, UNKNOWN_LEVEL
from specwatch.logs.expressions import groups, regrouped
from specwatch.logs.fields import CRI, VALUE, logfmt_expression, text_expression
from specwatch.logs.interpreter import PLACE, used_fields
from specwatch.render._logs import quoted
from specwatch.render._stage_times import timestamp
from specwatch.render._stage_writer import Writer, Written, first
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
    Rename,
    Sample,
    Stage,
    Timestamp,
)

_PARTIAL_LINES: Final = 500
# Promtail holds an entry until the next begins; with no limit, lines that never match a first line would take all memory.
_MOST_LINES: Final = 100_000
_MILLION: Final = 1_000_000
_FILENAME: Final = "filename"
# Of JSON, only texts, numbers and truth values are fields.
_SCALAR: Final = "[?contains('string number boolean', type(@))]|[0]"


def written(stages: tuple[Stage, ...]) -> list[Written]:
    """Return Promtail's stages for lines that pass the model's: each a mapping of one name to its settings."""
    out = Writer()
    openers = tuple(stage for stage in stages if _opens(stage))
    joiners = tuple(stage for stage in stages if isinstance(stage, Multiline))
    rest = stages[len(openers) + len(joiners) :]
    for stage in openers:
        _write(stage, out, ())
    out.add("replace", expression=r"(\r)$")
    for stage in joiners:
        _write(stage, out, ())
        out.add("replace", expression=r"^(\n+)|(\n+)$")
    _begin_entries(out)
    if any(_FILENAME in stage.values for stage in rest if isinstance(stage, Labels)):
        # Until here it is the file's, and told files apart.
        out.stages.append({"labeldrop": [_FILENAME]})
    for index, stage in enumerate(rest):
        _write(stage, out, used_fields(rest if isinstance(stage, Parse) else rest[index + 1 :]))
    return out.stages


def opened_docker(expressions: Mapping[str, str], chosen: Iterable[Written] = ()) -> list[Written]:
    """Return the stages that open Docker's JSON files, of which `expressions` find more; `chosen` stand before the line is looked at.

    Docker cuts a line at 16 KiB. Promtail joins the pieces of the CRI's lines, so Docker's become such.
    """
    out = Writer()
    out.add("json", expressions={"docker_line": "log", "docker_time": "time", "docker_stream": "stream", **expressions})
    out.stages.extend(chosen)
    stream = '{{ if eq "stderr" (default "" .docker_stream) }}stderr{{ else }}stdout{{ end }}'
    piece = '{{ if hasSuffix "\\n" .docker_line }}F {{ trimSuffix "\\n" .docker_line }}{{ else }}P {{ .docker_line }}{{ end }}'
    # Without a line in it this fails, and the slot is not there.
    out.template("cri_line", f"- {stream} {piece}")
    return [*out.stages, *_cri("docker_time", "not_docker")]


def opened_cri() -> list[Written]:
    """Return the stages that open the CRI's files and join its pieces."""
    out = Writer()
    out.add("regex", expression=regrouped(CRI, {name: f"cri_{name}" for name in groups(CRI)}))
    flag = '{{ if regexMatch "^P(:|$)" .cri_flags }}P{{ else }}F{{ end }}'
    out.template("cri_line", f"{{{{ if .cri_time }}}}- {{{{ .cri_stream }}}} {flag} {{{{ .cri_log }}}}{{{{ end }}}}")
    return [*out.stages, *_cri("cri_time", "not_cri")]


def _cri(time: str, otherwise: str) -> list[Written]:
    """Return the stages that take the time of the slot `time`, and the line of one written as the CRI does, without its time."""
    return [
        {"drop": {"source": "cri_line", "expression": "^$", "drop_counter_reason": otherwise}},
        {"regex": {"source": time, "expression": r"^(?P<written>20\d\d-.*)$"}},
        {"timestamp": {"source": "written", "format": "RFC3339Nano", "action_on_failure": "skip"}},
        {"output": {"source": "cri_line"}},
        {
            "cri": {
                "max_partial_lines": _PARTIAL_LINES,
                "max_partial_line_size": MAX_LINE_BYTES,
                "max_partial_line_size_truncate": True,
            }
        },
        {"labeldrop": ["stream"]},
    ]


def _opens(stage: Stage) -> bool:
    return isinstance(stage, Parse) and stage.format in {"docker", "cri"}


def _begin_entries(out: Writer) -> None:
    """Write what holds for every entry: it is not empty, and nothing of it is beyond the length that Loki takes."""
    out.add("drop", expression="^$", drop_counter_reason="blank")
    # Of a character that is cut in two nothing stays.
    kept = f'regexReplaceAllLiteral "\\\\x{{FFFD}}+$" (trunc {MAX_LINE_BYTES} .Entry) ""'
    out.template("cut", f"{{{{ if gt (len .Entry) {MAX_LINE_BYTES} }}}}{{{{ {kept} }}}}{{{{ end }}}}")
    out.add("output", source="cut")


@singledispatch
def _write(stage: Stage, out: Writer, fields: tuple[str, ...]) -> None:
    """Write a stage; `fields` are those that a later stage reads, for a parser those that any stage reads."""
    raise NotImplementedError(type(stage))


@_write.register
def _multiline(stage: Multiline, out: Writer, _: tuple[str, ...]) -> None:
    out.add("multiline", firstline=stage.first_line, max_lines=stage.max_lines or _MOST_LINES, max_wait_time=f"{stage.max_wait_seconds}s")


@_write.register
def _parse(stage: Parse, out: Writer, fields: tuple[str, ...]) -> None:
    match stage.format:
        case "docker":
            out.stages.extend(opened_docker({}))
            out.found("stream", "docker_stream")
        case "cri":
            out.stages.extend(opened_cri())
            out.found("stream", "cri_stream")
        case "json":
            _parse_json(out, fields)
        case "regex":
            _parse_regex(stage.expression, out, fields)
        case _:
            _parse_each(stage.format, out, fields)


def _parse_json(out: Writer, fields: tuple[str, ...]) -> None:
    slots = {field: out.slot(field) for field in fields}
    if slots:
        out.add("json", expressions={slot: f"[{'.'.join(map(quoted, field.split('.')))}]{_SCALAR}" for field, slot in slots.items()})
    for field, slot in slots.items():
        out.found(field, slot)


def _parse_regex(expression: str, out: Writer, fields: tuple[str, ...]) -> None:
    slots = {field: out.slot(field) for field in groups(expression) if field in fields}
    if slots:
        out.add("regex", expression=regrouped(expression, slots))
    for field, slot in slots.items():
        # A group that found nothing is no field.
        out.template(slot, f"{{{{ with .{slot} }}}}{{{{ . }}}}{{{{ end }}}}")
        out.found(field, slot)


def _parse_each(format_: str, out: Writer, fields: tuple[str, ...]) -> None:
    find = logfmt_expression if format_ == "logfmt" else text_expression
    for field in fields:
        slot = out.slot(field)
        out.add("regex", expression=regrouped(find(field), {VALUE: slot}))
        if format_ == "logfmt":
            bare = '{{ if hasPrefix "\\"" . }}{{ . | trimPrefix "\\"" | trimSuffix "\\"" }}{{ else }}{{ . }}{{ end }}'
            out.template(slot, f"{{{{ with .{slot} }}}}{bare}{{{{ end }}}}")
        out.found(field, slot)


@_write.register
def _timestamp(stage: Timestamp, out: Writer, _: tuple[str, ...]) -> None:
    timestamp(stage, out)


@_write.register
def _level(stage: Level, out: Writer, _: tuple[str, ...]) -> None:
    slot = out.slot("level")
    spelled = "".join(
        f"{{{{ {'else if' if index else 'if'} eq $level {' '.join(map(quoted, spellings))} }}}}{level}"
        for index, (level, spellings) in enumerate(stage.spellings.items())
    )
    text = first(out.slots(*stage.fields), "{{{{ $level = ToLower .{slot} }}}}")
    out.template(slot, f'{{{{ $level := "" }}}}{text}{spelled}{{{{ else }}}}{UNKNOWN_LEVEL}{{{{ end }}}}')
    out.add("labels", level=slot)
    out.found("level", slot)


@_write.register
def _rename(stage: Rename, out: Writer, _: tuple[str, ...]) -> None:
    for old, new in stage.names:
        for slot in reversed(out.forget(old)):
            out.found(new, slot)


@_write.register
def _drop_fields(stage: DropFields, out: Writer, _: tuple[str, ...]) -> None:
    for field in stage.fields:
        out.forget(field)


@_write.register
def _labels(stage: Labels, out: Writer, _: tuple[str, ...]) -> None:
    labels = {}
    for label, values in stage.values.items():
        slots = out.slots(label)
        if slots:
            labels[label] = out.name(f"l_{label}")
            closed = f"{{{{ if eq $value {' '.join(map(quoted, values))} }}}}{{{{ $value }}}}{{{{ else }}}}{OTHER_VALUE}{{{{ end }}}}"
            text = first(slots, "{{{{ $value = .{slot} }}}}")
            out.template(labels[label], f'{{{{ $value := "" }}}}{text}{{{{ if $value }}}}{closed}{{{{ end }}}}')
    if labels:
        out.add("labels", **labels)


@_write.register
def _metadata(stage: Metadata, out: Writer, _: tuple[str, ...]) -> None:
    # Loki knows no dots in names.
    found = {field.replace(".", "_"): slot for field in stage.fields if (slot := out.one(field))}
    if found:
        out.add("structured_metadata", **found)


@_write.register
def _redact(stage: Redact, out: Writer, fields: tuple[str, ...]) -> None:
    for rule in stage.rules:
        expression = f"{regrouped(rule.before)}({regrouped(rule.matches)})"
        for slot in ("", *out.slots(*fields)):
            out.add("replace", **({"source": slot} if slot else {}), expression=expression, replace=_plain(rule.replacement))


@_write.register
def _drop(stage: Drop, out: Writer, _: tuple[str, ...]) -> None:
    settings: dict[str, object] = {"drop_counter_reason": stage.reason}
    if stage.older_than_seconds:
        settings["older_than"] = f"{stage.older_than_seconds}s"
    if stage.longer_than_bytes:
        settings["longer_than"] = f"{stage.longer_than_bytes}B"
    if stage.matches and not stage.field:
        settings["expression"] = stage.matches
    elif stage.matches:
        # A stage that drops takes a field that is not there for an empty one.
        settings["source"] = _found(stage.field, stage.matches, out)
        settings["expression"] = "^yes$"
    out.add("drop", **settings)


@_write.register
def _sample(stage: Sample, out: Writer, _: tuple[str, ...]) -> None:
    if not stage.matches:
        out.add("sampling", rate=float(stage.ratio), drop_counter_reason="sampled")
        return
    found = _found(stage.field, stage.matches, out)
    chance = out.name("chance")
    out.template(
        chance, f"{{{{ if .{found} }}}}{{{{ if ge (randInt 0 {_MILLION}) {int(stage.ratio * _MILLION)} }}}}out{{{{ end }}}}{{{{ end }}}}"
    )
    out.add("drop", source=chance, expression="^out$", drop_counter_reason="sampled")


@_write.register
def _limit(stage: Limit, out: Writer, _: tuple[str, ...]) -> None:
    out.add("limit", rate=stage.rate, burst=stage.burst, drop=True)


@_write.register
def _line(stage: Line, out: Writer, _: tuple[str, ...]) -> None:
    text, at = "", 0
    for place in PLACE.finditer(stage.template):
        text += _plain(stage.template[at : place.start()])
        at = place.end()
        slot = "Value" if place[1] == "line" else out.one(place[1])
        text += f'{{{{ index . "{slot}" }}}}' if slot else ""
    out.add("replace", expression="(?s)^(.*)$", replace=text + _plain(stage.template[at:]))


def _found(field: str, expression: str, out: Writer) -> str:
    """Write that a slot is there when the expression is found in the field (or the line), and return the slot."""
    hit, yes = out.name("hit"), out.name("found")
    slot = out.one(field) if field else ""
    if slot is not None:
        out.add("regex", **({"source": slot} if slot else {}), expression=f"(?P<{hit}>)(?:{regrouped(expression)})")
    out.template(yes, f'{{{{ if hasKey . "{hit}" }}}}yes{{{{ end }}}}')
    return yes


def _plain(text: str) -> str:
    """Return the template that stands for exactly `text`."""
    return f"{{{{ {quoted(text)} }}}}" if "{" in text else text
