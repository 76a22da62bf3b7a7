"""One order for all that is known of a request: spans as a tree, log lines under the span in which they were written."""

from collections.abc import Iterator
from typing import NamedTuple

from specwatch.engines.trace.model import Exemplar, Line, Span, Trace


class Placed(NamedTuple):
    """A thing and how deep in the tree it stands."""

    depth: int
    thing: Span | Line | Exemplar


def ordered(trace: Trace) -> Iterator[Placed]:
    """Yield everything of the trace; what stands under one span is in the order of time, and so is what stands under none."""
    spans = {span.id: span for span in trace.spans}
    below: dict[str, list[Span | Line | Exemplar]] = {}
    for span in trace.spans:
        below.setdefault(span.parent if span.parent in spans else "", []).append(span)
    for line in trace.lines:
        below.setdefault(_writer(line, trace.spans), []).append(line)
    below.setdefault("", []).extend(trace.exemplars)
    seen: set[str] = set()
    yield from _walk(below, "", seen)
    for span in trace.spans:  # spans that are each other's parents hang on nothing
        if span.id not in seen:
            seen.add(span.id)
            yield Placed(0, span)
            yield from _walk(below, span.id, seen, depth=1)


def _walk(below: dict[str, list[Span | Line | Exemplar]], parent: str, seen: set[str], depth: int = 0) -> Iterator[Placed]:
    waiting = [iter(sorted(below.get(parent, ()), key=moment))]
    while waiting:
        thing = next(waiting[-1], None)
        if thing is None:
            waiting.pop()
        elif not isinstance(thing, Span):
            yield Placed(depth + len(waiting) - 1, thing)
        elif thing.id not in seen:
            seen.add(thing.id)
            yield Placed(depth + len(waiting) - 1, thing)
            waiting.append(iter(sorted(below.get(thing.id, ()), key=moment)))


def moment(thing: Span | Line | Exemplar) -> int:
    """Return when the thing was, or began."""
    return thing.start if isinstance(thing, Span) else thing.time


def _writer(line: Line, spans: tuple[Span, ...]) -> str:
    """Return the id of the innermost span of the line's service that was open when the line was written; empty when none was."""
    around = [span for span in spans if span.service == line.service and span.start <= line.time <= span.start + span.duration]
    return min(around, key=lambda span: span.duration).id if around else ""
