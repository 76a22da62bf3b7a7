"""The model's stages as the settings of our Fluentd plugin (templates/fluentd/), which passes lines through them.

The plugin's code is constant; what a spec says reaches it as JSON. In it {"/": text} stands for a regular expression.
"""

import json
from collections.abc import Iterable, Mapping
from functools import singledispatch
from typing import Any, Final

from specwatch.logs.defaults import MAX_LINE_BYTES, OTHER_VALUE, UNKNOWN_LEVEL
from specwatch.logs.expressions import groups, regrouped, to_ruby
from specwatch.logs.fields import CRI, logfmt_expression, text_expression
from specwatch.logs.interpreter import PLACE, used_fields
from specwatch.logs.times import AHEAD_SECONDS, CENTURY, EPOCHS, pattern
from specwatch.render._fluentd_text import Section, Value
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

Step = tuple[str, Mapping[str, Any]]

_AUTO_EPOCH: Final = r"(?P<whole>1\d{9}(?:\d{3})?)(?:[.](?P<fraction>\d+))?"
_EPOCH: Final = r"(?P<whole>\d{9,20})(?:[.](?P<fraction>\d+))?"


def ruby(expression: str) -> str:
    """Return a portable expression as Ruby has to be given it, so that words and digits are those of ASCII."""
    return f"(?a:{to_ruby(expression)})"


def section(tags: str, steps: Iterable[Step], comment: str = "") -> Section:
    """Return the filter that passes records through the steps."""
    stages = tuple(Section(name="stage", parameters=_parameters(kind, settings)) for kind, settings in steps)
    return Section(name="filter", argument=tags, comment=comment, parameters={"@type": "specwatch"}, sections=stages)


def begin(service: str = "") -> Step:
    """Return the step with which an entry begins: under the name of its service, the record's own when it is left out."""
    return ("begin", {"bytes": MAX_LINE_BYTES, "service": service})


def opened(format_: str, service: str) -> Step:
    """Return the step that opens the files of "docker" or the "cri", of which `service` writes."""
    settings = {"service": service, "time": {"date": _whole(pattern("rfc3339"))}}
    return ("docker", settings) if format_ == "docker" else ("cri", {**settings, "expression": _expression(CRI)})


def chosen(label: str) -> Step:
    """Return the step that opens Docker's own files: lines of a container without the label are nobody's."""
    name, settings = opened("docker", "")
    return (name, {**settings, "label": label})


def segments(stages: tuple[Stage, ...]) -> tuple[tuple[tuple[Step, ...], Limit | None], ...]:
    """Return the stages behind those that open and join, in parts: each ends with a limit, the last one with none."""
    found: list[tuple[tuple[Step, ...], Limit | None]] = []
    steps: list[Step] = []
    for stage in stages:
        if isinstance(stage, Limit):
            found.append((tuple(steps), stage))
            steps = []
        elif not opens(stage) and not isinstance(stage, Multiline):
            steps.extend(_steps(stage, used_fields(stages)))
    return (*found, (tuple(steps), None))


def opens(stage: Stage) -> bool:
    """Return whether the stage opens containers' files."""
    return isinstance(stage, Parse) and stage.format in {"docker", "cri"}


def _parameters(kind: str, settings: Mapping[str, Any]) -> dict[str, Value]:
    settings_: dict[str, Value] = {"settings": json.dumps(settings)} if settings else {}
    return {"kind": kind, **settings_}


def _expression(expression: str) -> dict[str, str]:
    return {"/": ruby(expression)}


def _whole(expression: str) -> dict[str, str]:
    return {"/": rf"\A{ruby(f'(?:{expression})')}\z"}


@singledispatch
def _steps(stage: Stage, wanted: tuple[str, ...]) -> Iterable[Step]:
    raise NotImplementedError(type(stage))


@_steps.register
def _parse(stage: Parse, wanted: tuple[str, ...]) -> Iterable[Step]:
    if stage.format == "json":
        return [("json", {"fields": wanted})]
    if stage.format == "regex":
        names = {field: f"g{index}" for index, field in enumerate(groups(stage.expression))}
        expression = _expression(regrouped(stage.expression, names))
        return [("regex", {"expression": expression, "names": {group: field for field, group in names.items()}})]
    find = logfmt_expression if stage.format == "logfmt" else text_expression
    return [("each", {"found": {field: _expression(find(field)) for field in wanted}})]


@_steps.register
def _timestamp(stage: Timestamp, _: tuple[str, ...]) -> Iterable[Step]:
    settings = {
        "fields": stage.fields,
        "layouts": [_layout(layout) for layout in stage.layouts],
        "zone": stage.zone,
        "century": CENTURY,
        "ahead": AHEAD_SECONDS,
        "otherwise": stage.otherwise,
    }
    return [("timestamp", settings)]


def _layout(layout: str) -> dict[str, Any]:
    if layout in EPOCHS:
        return {"epoch": _whole(_EPOCH), "units": EPOCHS[layout]}
    epoch = {"epoch": _whole(_AUTO_EPOCH), "units": 0} if layout == "auto" else {}
    return {**epoch, "date": _whole(pattern(layout))}


@_steps.register
def _level(stage: Level, _: tuple[str, ...]) -> Iterable[Step]:
    return [("level", {"fields": stage.fields, "spellings": stage.spellings, "unknown": UNKNOWN_LEVEL})]


@_steps.register
def _rename(stage: Rename, _: tuple[str, ...]) -> Iterable[Step]:
    return [("rename", {"names": stage.names})]


@_steps.register
def _drop_fields(stage: DropFields, _: tuple[str, ...]) -> Iterable[Step]:
    return [("drop_fields", {"fields": stage.fields})]


@_steps.register
def _labels(stage: Labels, _: tuple[str, ...]) -> Iterable[Step]:
    return [("labels", {"values": stage.values, "other": OTHER_VALUE})]


@_steps.register
def _metadata(stage: Metadata, _: tuple[str, ...]) -> Iterable[Step]:
    # Loki knows no dots in names.
    return [("metadata", {"names": {field: field.replace(".", "_") for field in stage.fields}})]


@_steps.register
def _redact(stage: Redact, _: tuple[str, ...]) -> Iterable[Step]:
    rules = [
        {
            "expression": _expression(f"(?P<kept>{regrouped(rule.before)})(?:{regrouped(rule.matches)})"),
            "replacement": rule.replacement,
        }
        for rule in stage.rules
    ]
    return [("redact", {"rules": rules})]


@_steps.register
def _drop(stage: Drop, _: tuple[str, ...]) -> Iterable[Step]:
    settings: dict[str, Any] = {"reason": stage.reason, **_matches(stage)}
    if stage.longer_than_bytes:
        settings["bytes"] = stage.longer_than_bytes
    if stage.older_than_seconds:
        settings["seconds"] = stage.older_than_seconds
    return [("drop", settings)]


@_steps.register
def _sample(stage: Sample, _: tuple[str, ...]) -> Iterable[Step]:
    return [("sample", {"ratio": float(stage.ratio), **_matches(stage)})]


def _matches(stage: Drop | Sample) -> dict[str, Any]:
    found: dict[str, Any] = {"field": stage.field} if stage.field else {}
    return found | ({"matches": _expression(stage.matches)} if stage.matches else {})


@_steps.register
def _line(stage: Line, _: tuple[str, ...]) -> Iterable[Step]:
    parts, at = [], 0
    for place in PLACE.finditer(stage.template):
        parts += [("text", stage.template[at : place.start()]), ("line", "") if place[1] == "line" else ("field", place[1])]
        at = place.end()
    return [("line", {"parts": [*parts, ("text", stage.template[at:])]})]
