"""What becomes of a line, for the screen and for machines."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import click
from msgspec import Struct

from specwatch.cli._text import short as _short
from specwatch.errors import UsageError
from specwatch.logs.interpreter import Dropped, Entry, Step, assembled, steps
from specwatch.spec.explain import did_you_mean
from specwatch.stack import Service, Stack
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

_NAMES: Mapping[type, str] = {
    Parse: "parse",
    Multiline: "multiline",
    Timestamp: "timestamp",
    Level: "level",
    Rename: "rename",
    DropFields: "drop_fields",
    Labels: "labels",
    Metadata: "metadata",
    Redact: "redact",
    Drop: "drop",
    Sample: "sample",
    Limit: "limit",
    Line: "line",
}


class Journey(Struct, frozen=True):
    """An entry as its source hands it over, and every stage that it passed."""

    start: Entry
    steps: tuple[Step, ...]

    @property
    def end(self) -> Entry | Dropped:
        """What arrives."""
        return self.steps[-1].result if self.steps else self.start


def service_of(stack: Stack, name: str) -> Service:
    """Return the service that is called so, or the only one with logs; raises UsageError."""
    found = {service.name: service for service in stack.services if service.logs}
    if name in found:
        return found[name]
    if name:
        known = {service.name for service in stack.services}
        why = "writes no logs" if name in known else f"is no service{did_you_mean(name, found)}"
        raise UsageError(f"{stack.spec_name}: {name} {why}; with logs there are: {', '.join(found) or 'none'}")
    if len(found) != 1:
        raise UsageError(f"{stack.spec_name}: --service is missing; expected one of {', '.join(found) or 'none: no service has logs'}")
    return next(iter(found.values()))


def journeys(service: Service, lines: Iterable[str], now: int) -> Iterator[Journey]:
    """Yield the way of each entry that the service's lines make."""
    logs = service.logs
    if logs is None:
        return
    for start in assembled(logs.stages, lines, Entry(text="", labels={"service": service.name})):
        if isinstance(start, Dropped):
            yield Journey(Entry(text=start.text), (Step(logs.stages[0], start),))
        else:
            yield Journey(start, tuple(steps(logs.stages, start, now)))


def as_text(journey: Journey) -> str:
    """Return the way as lines for a person: each stage that changed something, and what arrives."""
    shown = [click.style(_short(journey.start.text), bold=True)]
    before = journey.start
    for step in journey.steps:
        if isinstance(step.result, Dropped):
            shown.append(f"  {_NAMES[type(step.stage)]:<12} {click.style('dropped', fg='red')}: {step.result.reason}")
            return "\n".join([*shown, ""])
        changes = list(_changes(step.stage, before, step.result))
        shown += [f"  {_NAMES[type(step.stage)] if not index else '':<12} {change}" for index, change in enumerate(changes)]
        before = step.result
    labels = ", ".join(f'{name}="{value}"' for name, value in before.labels.items())
    shown.append(f"  {click.style('arrives', fg='green'):<12}      {{{labels}}} {_time(before.time)}")
    if before.metadata:
        shown.append(f"  {'':<12} {_pairs(before.metadata)}")
    shown += [f"  {'':<12} {_short(line)}" for line in before.text.splitlines()]
    return "\n".join([*shown, ""])


def as_json(journey: Journey) -> dict[str, Any]:
    """Return the way as data."""
    end = journey.end
    stages = [
        {"stage": _NAMES[type(step.stage)], **({"dropped": step.result.reason} if isinstance(step.result, Dropped) else _data(step.result))}
        for step in journey.steps
    ]
    arrives = {"dropped": end.reason} if isinstance(end, Dropped) else _data(end)
    return {"line": journey.start.text, "stages": stages, **arrives}


def _data(entry: Entry) -> dict[str, Any]:
    return {
        "text": entry.text,
        "time_ns": entry.time,
        "fields": dict(entry.fields),
        "labels": dict(entry.labels),
        "metadata": dict(entry.metadata),
        "notes": list(entry.notes),
    }


def _changes(stage: Stage, before: Entry, after: Entry) -> Iterator[str]:
    if isinstance(stage, Parse) and before.fields == after.fields and before.text == after.text:
        yield click.style(f"found no field of {stage.format}", fg="yellow")
    if before.text != after.text:
        yield _short(after.text)
    if before.time != after.time:
        yield _time(after.time)
    elif isinstance(stage, Timestamp):
        yield click.style(f"no time in {', '.join(stage.fields)}: the time at which the line is seen", fg="yellow")
    for name, old, new in (
        ("", before.fields, after.fields),
        ("label ", before.labels, after.labels),
        ("metadata ", before.metadata, after.metadata),
    ):
        changed = {key: value for key, value in new.items() if old.get(key) != value}
        if changed:
            yield f"{name}{_pairs(changed)}"
        gone = [key for key in old if key not in new]
        if gone:
            yield f"without {', '.join(gone)}"
    yield from (click.style(note, fg="yellow") for note in after.notes[len(before.notes) :])


def _pairs(found: Mapping[str, str]) -> str:
    return " ".join(f"{name}={_short(value)}" for name, value in found.items())


def _time(nanoseconds: int | None) -> str:
    if nanoseconds is None:
        return "at the time it is seen"
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
