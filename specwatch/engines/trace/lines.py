"""A request's log lines, from Loki."""

from typing import Final
from urllib.parse import urlencode

import msgspec

from specwatch.engines.http import Answer
from specwatch.engines.trace.model import Line

MOST: Final = 1000
_RESERVED: Final = ("service", "level")


def query(trace_id: str) -> str:
    """Return the LogQL that selects the request's lines, whether they have the id plain or as a UUID."""
    groups = (trace_id[:8], trace_id[8:12], trace_id[12:16], trace_id[16:20], trace_id[20:])
    return f'{{service=~".+"}} | trace_id=~"(?i){"-?".join(groups)}"'


def path(trace_id: str, start: int, end: int) -> str:
    """Return the path that asks Loki for the lines between two moments."""
    wanted = {"query": query(trace_id), "start": start, "end": end, "limit": MOST, "direction": "forward"}
    return f"loki/api/v1/query_range?{urlencode(wanted)}"


def read(answer: Answer) -> tuple[Line, ...]:
    """Return the lines of Loki's answer, in the order of time."""
    found = []
    for stream in msgspec.json.decode(answer.text)["data"]["result"]:
        labels = stream["stream"]
        for time, text, *beside in stream["values"]:
            metadata = beside[0].get("structuredMetadata", {}) if beside else {}
            more = {name: value for name, value in labels.items() if name not in _RESERVED}
            service, level = labels.get("service", ""), labels.get("level", "")
            found.append(Line(time=int(time), service=service, level=level, text=text, metadata={**more, **metadata}))
    return tuple(sorted(found, key=lambda line: line.time))
