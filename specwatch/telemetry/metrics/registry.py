"""All metrics of an application, each by its name."""

import functools
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, Self, cast

from specwatch.telemetry.metrics.children import NullChild
from specwatch.telemetry.metrics.definition import DEFAULT_BUCKETS, Definition, GaugeMode, Labels, MetricError, MetricType
from specwatch.telemetry.metrics.exposition import Family
from specwatch.telemetry.metrics.foreign import Collector, Foreign, families_for_prometheus_client
from specwatch.telemetry.metrics.forks import follow_forks
from specwatch.telemetry.metrics.guard import ERRORS, OVERFLOWS, Guard
from specwatch.telemetry.metrics.instruments import INSTRUMENTS, Counter, Gauge, Histogram, Info, Instrument, Summary
from specwatch.telemetry.metrics.local import LocalReader
from specwatch.telemetry.metrics.processes import own_process
from specwatch.telemetry.metrics.scrape import Scrape
from specwatch.telemetry.metrics.values import LocalRoom, Store, open_store
from specwatch.telemetry.settings import settings

MAX_SERIES: Final = 2000
"""How many series a metric may have in one process where neither it nor its registry says."""


class Metrics:
    """The metrics of an application: `metrics.orders_total.labels(status="paid").inc()`.

    With `PROMETHEUS_MULTIPROC_DIR` set, or with `directory`, the values live in files that all workers share.

    Args:
        definitions: the metrics; more can be added by `define`.
        strict: whether an undeclared metric, label or label value is raised; else it is counted in
            `specwatch_telemetry_errors_total{kind}`. None takes it from the environment: see `specwatch.telemetry.settings`.
        max_series: how many series a metric may have in one process that does not say so itself. A label set beyond that is counted
            in the metric's overflow series, whose open labels are `__overflow__`, and in
            `specwatch_telemetry_series_overflow_total{metric}`.
        namespace: goes before every name, with an underscore; attributes may leave it out.
        enabled: whether anything is counted; None takes it from METRICS_ENABLED.
        directory: the folder that the workers share; None takes it from `PROMETHEUS_MULTIPROC_DIR`, an empty text means none.
        process: whether `process_cpu_seconds_total`, `process_resident_memory_bytes` and the like of this process are shown too; where
            workers share a folder, those of every worker always are.
        created: whether OpenMetrics has `_created` lines, which say when a series was made; None takes it from METRICS_CREATED. A series
            of several workers was made when the first of them made it.

    Raises:
        MetricError: two definitions have the same name.
    """

    def __init__(
        self,
        definitions: Iterable[Definition] = (),
        *,
        strict: bool | None = None,
        max_series: int = MAX_SERIES,
        namespace: str = "",
        enabled: bool | None = None,
        directory: str | os.PathLike[str] | None = None,
        process: bool = False,
        created: bool | None = None,
    ) -> None:
        switches = settings()
        self._namespace = f"{namespace}_" if namespace else ""
        self._enabled = switches.metrics_enabled if enabled is None else enabled
        self._store: Store = open_store((switches.multiproc_dir if directory is None else directory) if self._enabled else "")
        self._guard = Guard(strict=switches.strict if strict is None else strict, max_series=max_series)
        self._instruments: dict[str, Instrument[Any]] = {}
        self._declared: dict[str, Definition] = {}
        self._adopted: set[str] = set()
        self._readers: dict[str, LocalReader] = {}
        self._others: list[Metrics] = []
        self._foreign = Foreign()
        self._process = process and self._enabled
        self._dated = switches.metrics_created if created is None else created
        self._scrape = Scrape(self)
        if self._enabled:
            self._own()
        for definition in definitions:
            self.define(definition)
        store = self._store
        follow_forks(self, lambda: store.lock)

    def define(self, definition: Definition) -> Any:
        """Return the instrument for a definition, making it where it is not there yet.

        Raises:
            MetricError: another definition has the name.
        """
        definition = self._named(definition)
        if not self._enabled:
            return _NOTHING
        with self._store.lock:
            name, found = definition.name, self._instruments.get(definition.name)
            if found is None:
                return self._made(definition)
            there = self._declared[name]
            if there != definition and not (name in self._adopted and there.shape == definition.shape):
                advice = "; declare yours before the application is instrumented" if name in self._adopted else ""
                raise MetricError(f"metric {name} is declared twice, as {there} and as {definition}{advice}")
            return found

    def adopt(self, definition: Definition) -> Any:
        """Return the instrument that has the definition's name, whatever else was declared for it, or make one of the definition.

        For what a library counts: the application's own declaration, from its spec, goes first. It may restrict the values of a label,
        have other buckets or another help text.

        Raises:
            MetricError: the name is declared for another type, or with other labels.
        """
        definition = self._named(definition)
        if not self._enabled:
            return _NOTHING
        with self._store.lock:
            found = self._instruments.get(definition.name)
            if found is None:
                self._adopted.add(definition.name)
                return self._made(definition)
            there = self._declared[definition.name]
            if there.type != definition.type or set(there.labels) != set(definition.labels):
                raise MetricError(
                    f"metric {definition.name} is declared as {_outline(there)}, expected {_outline(definition)}: "
                    "it is counted by the library; change its declaration, or call yours by another name"
                )
            return found

    def counter(self, name: str, help: str = "", labels: Labels = (), **more: Any) -> Counter:  # noqa: A002 - the field's own word
        """Return a counter; `more` are further fields of `Definition`."""
        return cast(Counter, self._plain("counter", name, help, labels, **more))

    def gauge(self, name: str, help: str = "", labels: Labels = (), *, mode: GaugeMode = "auto", **more: Any) -> Gauge:  # noqa: A002
        """Return a gauge; `more` are further fields of `Definition`."""
        return cast(Gauge, self._plain("gauge", name, help, labels, mode=mode, **more))

    def histogram(
        self,
        name: str,
        help: str = "",  # noqa: A002 - the field's own word
        labels: Labels = (),
        *,
        buckets: Iterable[float] = DEFAULT_BUCKETS,
        **more: Any,
    ) -> Histogram:
        """Return a histogram; `more` are further fields of `Definition`."""
        return cast(Histogram, self._plain("histogram", name, help, labels, buckets=tuple(buckets), **more))

    def summary(self, name: str, help: str = "", labels: Labels = (), **more: Any) -> Summary:  # noqa: A002 - the field's own word
        """Return a summary; `more` are further fields of `Definition`."""
        return cast(Summary, self._plain("summary", name, help, labels, **more))

    def info(self, name: str, help: str = "", labels: Labels = (), **more: Any) -> Info:  # noqa: A002 - the field's own word
        """Return an info; `more` are further fields of `Definition`."""
        return cast(Info, self._plain("info", name, help, labels, **more))

    def include(self, other: "Metrics | Collector") -> Self:
        """Show another registry's metrics too: one of ours, or any collector of prometheus-client, such as its REGISTRY.

        A metric whose name is here already is left out.
        """
        if isinstance(other, Metrics):
            self._others.append(other)
            other.report_to(self._guard)
        else:
            self._foreign.add(other)
        return self

    def report_to(self, guard: Guard) -> None:
        """Count mistakes where `guard` does: only one registry's counters of them can be shown."""
        self._guard.errors, self._guard.overflows = guard.errors, guard.overflows

    @property
    def directory(self) -> str:
        """The folder that the workers share; empty when there is none."""
        return self._store.directory

    @property
    def enabled(self) -> bool:
        """Whether anything is counted."""
        return self._enabled

    def instruments(self) -> Mapping[str, Instrument[Any]]:
        """Return every instrument by its name, included registries' own last."""
        found = dict(self._instruments)
        for other in self._others:
            found = {**other.instruments(), **found}
        return found

    def families(self) -> Iterator[Family]:
        """Yield each metric with its numbers: this process' own, or those of all workers that share a folder."""
        seen: set[str] = set()
        for registry in (self, *self._others):
            for family in registry.own_families():
                if family.definition.name not in seen:
                    seen.add(family.definition.name)
                    yield family

    def own_families(self) -> Iterable[Family]:
        """Return each metric without those of included registries."""
        for instrument in list(self._instruments.values()):
            instrument.refresh()
        if self.directory:
            from specwatch.telemetry.metrics.multiprocess import shared_reader  # noqa: PLC0415 - a program with one process does not need it

            return shared_reader(self.directory).families()
        own = own_process() if self._process else []
        return [*(reader.family() for reader in list(self._readers.values())), *own]

    def foreign(self, *, openmetrics: bool, taken: Collection[str] = ()) -> str:
        """Return the lines of the collectors of prometheus-client that are included, without those whose names are `taken`."""
        known = {*taken, *self.instruments()}
        own = self._foreign.text(openmetrics=openmetrics, taken=known, directory=self.directory)
        return own + "".join(other.foreign(openmetrics=openmetrics, taken=known) for other in self._others)

    def render(self, accept: str = "", *, gzip: bool = False) -> tuple[bytes, str, str]:
        """Return what a scrape gets: body, content type and content encoding (empty, or `gzip`).

        Args:
            accept: the Accept header; decides between Prometheus text and OpenMetrics.
            gzip: whether the client takes gzip.
        """
        return self._scrape.answer(accept, gzip=gzip)

    def collect(self) -> Iterator[Any]:
        """Yield prometheus-client's own metric objects, so that this can be registered in one of its registries."""
        return families_for_prometheus_client(self.families())

    def describe(self) -> Iterator[Any]:
        """Yield metric objects without numbers; prometheus-client asks for them when this is registered."""
        return families_for_prometheus_client(self.families())

    def get_sample_value(self, name: str, labels: Mapping[str, str] | None = None) -> float | None:
        """Return one sample of this process by its name in the exposition, or None; as prometheus-client's registry does."""
        wanted = dict(labels or {})
        for family in self.collect():
            for sample in family.samples:
                if sample.name == name and sample.labels == wanted:
                    return float(sample.value)
        return None

    def forked(self) -> None:
        """Be fit for use in a forked process; called by Python itself after `os.fork`."""
        self._store.forked()
        for instrument in self._instruments.values():
            instrument.forked()

    def __getitem__(self, name: str) -> Any:
        for key in (name, self._namespace + name, f"{name}_total", f"{self._namespace}{name}_total"):
            if key in self._instruments:
                return self._instruments[key]
        if not self._enabled:
            return _NOTHING
        from difflib import get_close_matches  # noqa: PLC0415 - a program that makes no mistakes does not need it

        near = get_close_matches(name, self._instruments, n=1)
        advice = f"; did you mean {near[0]}?" if near else ""
        if self._guard.strict:
            raise UndeclaredMetricError(f"metric {name} is not declared{advice}")
        self._guard.note("undeclared_metric", name, f"metric {name} is not declared, what it counts is lost{advice}")
        return _NOTHING

    def __getattr__(self, name: str) -> Any:
        # Python and other libraries ask for names that begin with _ to see what an object can do.
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __contains__(self, name: str) -> bool:
        return name in self._instruments

    def _own(self) -> None:
        errors, overflows = self._made(ERRORS), self._made(OVERFLOWS)
        for kind in ERRORS.labels["kind"] or ():
            errors.labels(kind)
        self._guard.errors, self._guard.overflows = errors, overflows

    def _named(self, definition: Definition) -> Definition:
        """Return the definition with the namespace before its name."""
        if definition.name.startswith(self._namespace):
            return definition
        return replace(definition, name=self._namespace + definition.name)

    def _plain(self, kind: MetricType, name: str, text: str, labels: Labels, **more: Any) -> Any:
        return self.define(Definition(name, kind, text, labels=labels, **more))  # type: ignore[arg-type] # names become a mapping there

    def _made(self, definition: Definition) -> Instrument[Any]:
        name = definition.name
        instrument = INSTRUMENTS[definition.type](definition, self._store, self._guard, dated=self._dated)
        self._instruments[name] = instrument
        self._declared[name] = definition
        if isinstance(instrument.room, LocalRoom):
            self._readers[name] = LocalReader(instrument.room)
        for attribute in {name, name.removeprefix(self._namespace)}:
            # An attribute is quicker than __getattr__; a metric named like a method is found as metrics["name"].
            if not hasattr(type(self), attribute):
                self.__dict__[attribute] = instrument
        return instrument


class UndeclaredMetricError(MetricError, AttributeError, KeyError):
    """A metric was asked for that nobody declared."""

    __str__ = Exception.__str__


_NOTHING: Final = NullChild()


@functools.cache
def default_metrics() -> Metrics:
    """Return the registry of the metrics that are made without one; it shows this process' CPU and memory too."""
    return Metrics(process=True)


def _outline(definition: Definition) -> str:
    labels = ", ".join(definition.labels)
    return f"a {definition.type} with the labels {labels}" if labels else f"a {definition.type} without labels"
