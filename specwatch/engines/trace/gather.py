"""Ask Loki, the traces' backend and Prometheus for one request."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from specwatch.engines.http import Answer
from specwatch.engines.trace import exemplars, lines, links, spans
from specwatch.engines.trace.model import Exemplar, Line, Missing, Span, Trace
from specwatch.engines.trace.parts import Parts
from specwatch.stack import Stack

_Thing = TypeVar("_Thing", Line, Span, Exemplar)

_NOT_FOUND: Final = 404
_SECOND: Final = 10**9
# Clocks differ a little, and a sample without a time of its own has that of its scrape.
_BEFORE: Final = 60 * _SECOND
_BEHIND: Final = 300 * _SECOND


def gather(stack: Stack, there: Parts, trace_id: str, since_seconds: int) -> Trace:
    """Return all that the stack's parts know of the request `trace_id` (see `parse_id`) within the last `since_seconds`."""
    found = _Gathering(there)
    now = time.time_ns()
    window = (now - since_seconds * _SECOND, now + _BEFORE)
    found_lines = found.ask("log lines", "loki", lines.path(trace_id, *window), lines.read)
    if len(found_lines) == lines.MOST:
        found.missing.append(Missing("further log lines", f"only the first {lines.MOST} are looked at"))
    backend = next((name for name in ("tempo", "jaeger") if name in there.running), "")
    if backend:
        found_spans = found.ask("spans", backend, spans.path(backend, trace_id), lambda answer: spans.read(backend, answer))
    else:
        found_spans = ()
        found.missing.append(Missing("spans", _no_backend(stack, there)))
    first, last = Trace(id=trace_id, answered=True, lines=found_lines, spans=found_spans).times
    narrow = (first - _BEFORE, last + _BEHIND) if last else window
    found_exemplars = found.ask("exemplars", "prometheus", exemplars.path(*narrow), lambda answer: exemplars.read(answer, trace_id))
    trace = Trace(
        id=trace_id,
        answered=found.answered,
        lines=found_lines,
        spans=found_spans,
        exemplars=found_exemplars,
        missing=tuple(found.missing),
    )
    return msgspec.structs.replace(trace, links=links.links(stack, there.running, backend, trace)) if trace.found else trace


class _Gathering:
    """Asks one part after another, and notes what cannot be known and why."""

    def __init__(self, there: Parts) -> None:
        self._there = there
        self.answered = False
        self.missing: list[Missing] = []

    def ask(self, what: str, name: str, path: str, read: Callable[[Answer], tuple[_Thing, ...]]) -> tuple[_Thing, ...]:
        if name not in self._there.running:
            self.missing.append(Missing(what, f"{name} {self._there.absent[name]}"))
            return ()
        answer = self._there.running[name](path)
        if answer.status == _NOT_FOUND:  # how a backend says that it has no such trace
            self.answered = True
            return ()
        if not answer.ok:
            self.missing.append(Missing(what, f"{name} does not tell: {answer.text.strip() or f'HTTP status {answer.status}'}"))
            return ()
        try:
            found = read(answer)
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            self.missing.append(Missing(what, f"the answer of {name} cannot be read: {error!r}"))
            return ()
        self.answered = True
        return found


def _no_backend(stack: Stack, there: Parts) -> str:
    if stack.traces.backend == "otlp":
        return f"they are kept elsewhere: {stack.traces.endpoint}"
    return f"{stack.traces.backend} {there.absent[stack.traces.backend]}"
