"""A request, as lines for a person."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import click

from specwatch.cli._text import short
from specwatch.engines.trace import Exemplar, Line, Span, Trace
from specwatch.engines.trace.order import moment, ordered

_LONGEST_LINE: Final = 400
_COLOURS: Final = {"critical": "red", "error": "red", "warn": "yellow", "debug": "bright_black"}
_MESSAGES: Final = ("message", "msg", "event")
# Each stands in the view already, is the same for every line of a request, or says where in the program the line was written.
_KNOWN: Final = frozenset(
    {
        *("timestamp", "time", "ts", "level", "severity", "service", "trace_id", "request_id", *_MESSAGES),
        *("logger", "module", "function", "line"),
    }
)
_LEFT_OUT: Final = frozenset({"job", "service", "team", "instance", "environment"})


def as_text(trace: Trace) -> str:
    """Return what is known of the request: when and where it was, then all of it in one order, then where to look further."""
    first, last = trace.times
    services = ", ".join(short(name) for name in trace.services)
    head = [click.style(trace.id, bold=True), f"{_utc(first)} UTC", _span_of_time(last - first), *([services] if services else [])]
    shown = ["  ".join(head), ""]
    for depth, thing in ordered(trace):
        offset = f"{(moment(thing) - first) / 1e6:>10,.1f} ms"
        shown.append(f"{offset}  {'  ' * depth}{_shown(thing)}")
    if trace.links:
        width = max(len(title) for title, _ in trace.links)
        shown += ["", *(f"  {title:<{width}}  {url}" for title, url in trace.links)]
    return "\n".join(shown)


def as_data(trace: Trace) -> dict[str, Any]:
    """Return the same for machines."""
    first, last = trace.times
    return {
        "trace_id": trace.id,
        "found": trace.found,
        "services": trace.services,
        "start_ns": first,
        "duration_ns": last - first,
        "spans": trace.spans,
        "lines": trace.lines,
        "exemplars": trace.exemplars,
        "missing": trace.missing,
        "links": [{"title": title, "url": url} for title, url in trace.links],
    }


def _shown(thing: Span | Line | Exemplar) -> str:
    if isinstance(thing, Span):
        failed = f"  {click.style('failed', fg='red')}{f': {short(thing.error)}' if thing.error else ''}" if thing.failed else ""
        return f"{click.style(short(thing.service), fg='cyan')} {short(thing.name)}  {_span_of_time(thing.duration)}{failed}"
    if isinstance(thing, Line):
        level = click.style(short(thing.level).upper() or "?", fg=_COLOURS.get(thing.level, "green"))
        return f"{level} {short(thing.service)}: {short(_message(thing.text), _LONGEST_LINE)}"
    labels = ", ".join(f"{name}={short(text)}" for name, text in sorted(thing.labels.items()) if name not in _LEFT_OUT)
    return f"{click.style('sample', fg='magenta')} {short(thing.metric)} {thing.value:g}  {labels}"


def _message(text: str) -> str:
    """Return what a line of JSON says, its message first; any other line as it is."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(fields, dict):
        return text
    message = next((str(fields[name]) for name in _MESSAGES if fields.get(name)), "")
    return "  ".join(filter(None, [message, *_pairs(fields)]))


def _pairs(fields: Mapping[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        if name not in _KNOWN and value not in (None, "", [], {}):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            *before, last = text.strip().splitlines() or [""]
            yield f"{name}={'… ' if before else ''}{last}"  # of a traceback the last line says the most


def _utc(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{rest // 10**6:03d}"


def _span_of_time(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e9:,.2f} s" if nanoseconds >= 10**9 else f"{nanoseconds / 1e6:,.1f} ms"
