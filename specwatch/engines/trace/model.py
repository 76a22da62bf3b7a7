"""What is known of one request, as values; times are nanoseconds since the epoch."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

_ID: Final = re.compile(r"[0-9a-f]{32}")


class Line(Struct, frozen=True, kw_only=True):
    """A log line: whose it is, its level, its whole text, and the structured metadata that it has in Loki."""

    time: int
    service: str
    level: str
    text: str
    metadata: Mapping[str, str] = {}


class Span(Struct, frozen=True, kw_only=True):
    """One unit of work. `parent` is empty for the first; `error` is empty unless it failed, and then says how, as far as is known."""

    id: str
    parent: str
    service: str
    name: str
    start: int
    duration: int
    failed: bool = False
    error: str = ""


class Exemplar(Struct, frozen=True, kw_only=True):
    """A sample of a metric that names the request."""

    time: int
    metric: str
    labels: Mapping[str, str]
    value: float


class Missing(Struct, frozen=True):
    """A kind of thing ("log lines", "spans", "exemplars") that is not known, and why."""

    what: str
    why: str


class Trace(Struct, frozen=True, kw_only=True):
    """What was found, each kind in the order of time; `links` are (title, URL) pairs of pages that show it.

    `answered` is whether anything that could know of it was there to be asked.
    """

    id: str
    answered: bool
    lines: tuple[Line, ...] = ()
    spans: tuple[Span, ...] = ()
    exemplars: tuple[Exemplar, ...] = ()
    missing: tuple[Missing, ...] = ()
    links: tuple[tuple[str, str], ...] = ()

    @property
    def found(self) -> bool:
        """Whether anything is known of it."""
        return bool(self.lines or self.spans or self.exemplars)

    @property
    def times(self) -> tuple[int, int]:
        """The first and the last moment of which anything is known; zeros when nothing is."""
        moments = [line.time for line in self.lines] + [sample.time for sample in self.exemplars]
        moments += [moment for span in self.spans for moment in (span.start, span.start + span.duration)]
        return (min(moments), max(moments)) if moments else (0, 0)

    @property
    def services(self) -> tuple[str, ...]:
        """The services that took part, in the order in which they did."""
        moments = [(span.start, span.service) for span in self.spans] + [(line.time, line.service) for line in self.lines]
        return tuple(dict.fromkeys(service for _, service in sorted(moments) if service))


def parse_id(text: str) -> str:
    """Return a trace id as 32 hex digits in lower case, whether it was written so or as a UUID; empty when it is none."""
    plain = text.strip().lower().replace("-", "")
    return plain if _ID.fullmatch(plain) and plain.strip("0") else ""
