"""The samples in Prometheus that name a request as their exemplar."""

from typing import Final
from urllib.parse import urlencode

import msgspec

from specwatch.engines.http import Answer
from specwatch.engines.trace.model import Exemplar, parse_id

# Our library and the collector write the first, Tempo's metrics generator the second.
_LABELS: Final = ("trace_id", "traceID")


def path(start: int, end: int) -> str:
    """Return the path that asks Prometheus for all exemplars between two moments; it cannot look for one label of theirs."""
    wanted = {"query": '{__name__=~".+"}', "start": f"{start / 1e9:.3f}", "end": f"{end / 1e9:.3f}"}
    return f"api/v1/query_exemplars?{urlencode(wanted)}"


def read(answer: Answer, trace_id: str) -> tuple[Exemplar, ...]:
    """Return the exemplars of Prometheus' answer that name the request, in the order of time."""
    found = []
    for series in msgspec.json.decode(answer.text)["data"]:
        labels = dict(series["seriesLabels"])
        metric = labels.pop("__name__", "")
        found += [
            Exemplar(time=int(float(each["timestamp"]) * 1e9), metric=metric, labels=labels, value=float(each["value"]))
            for each in series["exemplars"]
            if trace_id in {parse_id(str(each["labels"].get(label, ""))) for label in _LABELS}
        ]
    return tuple(sorted(found, key=lambda exemplar: (exemplar.time, exemplar.metric)))
