"""What a shipper cannot do of the model, said before anything is rendered: nothing is left out in silence."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from specwatch.stack.logs import Labels, Limit, Metadata, Multiline, Sample, Stage

_SAMPLES: Final = 1000  # the steps in which the collector samples


def unsupported(shipper: str, stage: Stage) -> str:
    """Return why the shipper ("promtail", "alloy", "otelcol" or "fluentd") cannot do the stage, and what to do; empty when it can."""
    return _SHIPPERS[shipper](stage)


def _promtail(stage: Stage) -> str:
    del stage
    return ""


def _alloy(stage: Stage) -> str:
    del stage
    return ""


def _otelcol(stage: Stage) -> str:
    if isinstance(stage, Limit):
        return "the OpenTelemetry Collector has no rate limit; `sample` or `drop` lines, or choose another `stack.shipper`"
    if isinstance(stage, Multiline) and stage.max_lines:
        return "the OpenTelemetry Collector joins lines without counting them; leave out max_lines: an entry is cut at 1 MB"
    if isinstance(stage, Sample) and stage.ratio * _SAMPLES % 1:
        return f"the OpenTelemetry Collector samples in steps of 0.001; choose such a ratio, not {stage.ratio}"
    return _renamed(tuple(stage.fields if isinstance(stage, Metadata) else stage.values if isinstance(stage, Labels) else ()))


def _renamed(names: tuple[str, ...]) -> str:
    """Return what Loki's OTLP intake would do to the names."""
    for name in names:
        if re.search("__|^_+$", name.replace(".", "_")):
            return f"Loki's OTLP intake would call {name} otherwise: it takes several underscores for one; rename the field"
    return ""


def _fluentd(stage: Stage) -> str:
    if isinstance(stage, Multiline) and stage.max_lines:
        return "Fluentd joins lines without counting them; leave out max_lines: an entry is cut at 1 MB"
    return ""


_SHIPPERS: Final[Mapping[str, Callable[[Stage], str]]] = {
    "promtail": _promtail,
    "alloy": _alloy,
    "otelcol": _otelcol,
    "fluentd": _fluentd,
}
