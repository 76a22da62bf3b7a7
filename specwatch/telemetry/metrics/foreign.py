"""Metrics that prometheus-client keeps: shown beside ours, and ours shown by it."""

import logging
import os
import struct
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from specwatch.telemetry.metrics.exposition import Family
from specwatch.telemetry.metrics.text import cumulated, number

_EOF = "# EOF\n"
_ATTEMPTS = 4
_PAUSE_SECONDS = 0.005


class Collector(Protocol):
    """What prometheus-client calls a collector; its registries are some, too."""

    def collect(self) -> Iterable[Any]:
        """Return metric objects of prometheus-client."""


class Foreign:
    """Collectors of prometheus-client. One that raises is left out of the scrape, and told once."""

    def __init__(self) -> None:
        self._collectors: list[Collector] = []
        self._told: set[str] = set()

    def add(self, collector: Collector) -> None:
        """Show a collector's metrics from now on."""
        self._collectors.append(collector)

    def text(self, *, openmetrics: bool, taken: Collection[str], directory: str = "") -> str:
        """Return the lines of all metrics whose names are not among `taken`.

        Args:
            openmetrics: OpenMetrics, else Prometheus text.
            taken: names that are shown elsewhere.
            directory: where prometheus-client keeps the values of several processes, or an empty text.
        """
        if self._collectors and not directory:
            # prometheus-client itself goes by the environment alone; its registries then know this process' values only.
            directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
        families: dict[str, Any] = {}
        shared = [_AllProcesses(directory)] if _shares(directory) else []
        for collector in (*shared, *self._collectors):
            for family in self._collected(collector):
                if family.name not in taken and f"{family.name}_total" not in taken:
                    families.setdefault(family.name, family)
        return _encoded(families.values(), openmetrics=openmetrics) if families else ""

    def _collected(self, collector: Collector) -> list[Any]:
        try:
            return list(collector.collect())
        except Exception:
            name = type(collector).__qualname__
            if name not in self._told:
                self._told.add(name)
                logging.getLogger(__name__).warning("A collector raised and is left out: %s", name, exc_info=True)
            return []


class _Fixed:
    """A registry of metrics that were collected before."""

    def __init__(self, families: Iterable[Any]) -> None:
        self._families = families

    def collect(self) -> Iterable[Any]:
        return self._families


def _encoded(families: Iterable[Any], *, openmetrics: bool) -> str:
    from prometheus_client import exposition  # noqa: PLC0415 - only where its metrics are included
    from prometheus_client.openmetrics import exposition as openmetrics_exposition  # noqa: PLC0415 - as above

    write: Any = openmetrics_exposition.generate_latest if openmetrics else exposition.generate_latest
    text: str = write(_Fixed(families)).decode()
    return text.removesuffix(_EOF)


def _shares(directory: str) -> bool:
    return bool(directory) and any(Path(directory).glob("*.db"))


class _AllProcesses:
    """What prometheus-client's own files hold."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def collect(self) -> Iterable[Any]:
        from prometheus_client import CollectorRegistry  # noqa: PLC0415 - only where its metrics are shared
        from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415 - as above

        collector: Any = MultiProcessCollector(CollectorRegistry(), self._directory)  # type: ignore[no-untyped-call] # untyped there
        for _ in range(_ATTEMPTS - 1):
            # A process that is just starting has made its file and not yet written its header.
            try:
                return list(collector.collect())
            except (struct.error, RuntimeError, OSError, ValueError):
                time.sleep(_PAUSE_SECONDS)
        return list(collector.collect())


def families_for_prometheus_client(families: Iterable[Family]) -> Iterator[Any]:
    """Yield our metrics as prometheus-client's metric objects."""
    from prometheus_client import Metric  # noqa: PLC0415 - only where a registry of prometheus-client asks

    for family in families:
        definition, kind = family.definition, family.definition.type
        name = definition.name.removesuffix("_total") if kind == "counter" else definition.name
        metric = Metric(name, definition.help, kind)
        for suffix, labels, value in samples(family):
            metric.add_sample(definition.name + suffix, labels, value)
        yield metric


def samples(family: Family) -> Iterator[tuple[str, dict[str, str], float]]:
    """Yield each sample's suffix, labels and value."""
    kind, rows = family.definition.type, family.text.rows
    width = len(family.values) // len(rows) if rows else 1
    for index, row in enumerate(rows):
        numbers = family.values[index * width : (index + 1) * width]
        labels = dict(zip(family.text.names, row, strict=True))
        if kind == "histogram":
            shown = cumulated(numbers, width)
            for bound, count in zip((*family.definition.buckets, float("inf")), shown, strict=False):
                yield "_bucket", labels | {"le": number(bound)}, count
            yield "_sum", labels, shown[-2]
            yield "_count", labels, shown[-1]
        elif kind == "summary":
            yield "_count", labels, numbers[0]
            yield "_sum", labels, numbers[1]
        elif kind == "info":
            if numbers[0]:
                yield "_info", family.text.facts(row), numbers[0]
        else:
            yield "", labels, numbers[0]
