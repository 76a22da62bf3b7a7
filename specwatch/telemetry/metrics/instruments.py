"""Metrics by type, each with its series; the series of a label set is made once and found again by one lookup."""

import contextlib
import json
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from operator import itemgetter
from typing import Any, ClassVar, Final, Generic, TypeVar

from specwatch.telemetry.metrics.children import (
    Child,
    CounterChild,
    ExceptionCount,
    ExemplarLabels,
    GaugeChild,
    HistogramChild,
    InProgress,
    SummaryChild,
    Timer,
    number_of,
)
from specwatch.telemetry.metrics.definition import FACTS, Definition, is_label
from specwatch.telemetry.metrics.guard import OVERFLOW, UNDECLARED, Guard, closed, declared
from specwatch.telemetry.metrics.values import Cells, Exemplar, LabelValues, LocalRoom, Store

AnyChild = TypeVar("AnyChild", bound=Child)

_ASK_SECONDS: Final = 5.0
_DATED: Final = frozenset({"counter", "histogram", "summary"})
"""Types of which OpenMetrics can say when a series was made."""


class Instrument(Generic[AnyChild]):
    """A metric: `labels` gives one of its series.

    Attributes:
        definition: what was declared.
    """

    child_type: ClassVar[type[Child]] = Child

    def __init__(self, definition: Definition, store: Store, guard: Guard, *, dated: bool = False) -> None:
        self.definition = definition
        self._store = store
        self._guard = guard
        self._dated = dated and definition.type in _DATED
        self.room = store.room(definition, dated=self._dated)
        self._names = definition.label_names
        self._count = len(self._names)
        self._pick = _picker(self._names)
        self._children: dict[tuple[object, ...], AnyChild] = {}
        self._limit = definition.max_series or guard.max_series
        self._only: AnyChild | None = None
        self._functions: dict[GaugeChild, Callable[[], float]] = {}
        self._asking = 0
        if not self._names and definition.type != "info":
            self._only = self.labels()

    def labels(self, *values: object, **named: object) -> AnyChild:
        """Return the series of a label set, by position or by name; the same set gives the same object.

        Raises:
            MetricError: in development, when the labels or their values are not the declared ones.
        """
        try:
            if named:
                if values or len(named) != self._count:
                    return self._find(values, named)
                return self._children[self._pick(named)]
            return self._children[values]
        except (KeyError, TypeError):
            return self._find(values, named)

    def remove(self, *values: object) -> None:
        """Show a series no longer; with several workers its numbers go to 0 instead, for other workers may have it too."""
        with self._store.lock, self.room.lock:
            key = tuple(map(label_text, values))
            child = self._children.get(key)
            if child is None:
                return
            self._functions.pop(child, None)  # type: ignore[call-overload] # only gauges have any
            for offset in range(self.definition.width):
                child.cells[child.start + offset] = 0.0
            if isinstance(self.room, LocalRoom) and self._only is not child:
                del self._children[key]
                self.room.removed(key)

    def clear(self) -> None:
        """Remove every series that has labels."""
        for values in list(self._children):
            self.remove(*values)

    def get(self) -> float:
        """Return what this process has, without labels (a histogram's or summary's count)."""
        return self._bare().get()

    def place(self, values: LabelValues) -> tuple[Cells, int]:
        """Return cells for a new series; in memory where the shared file cannot take it, which is counted."""
        try:
            return self.room.place(values)
        except (OSError, ValueError) as error:
            self._guard.note("storage", self.definition.name, f"metric {self.definition.name}: values are not shared: {error}")
            return LocalRoom(self.definition).place(values)

    def note_exemplar(self, values: LabelValues, bucket: int, labels: dict[str, str], value: float) -> None:
        """Keep an exemplar of a bucket, the newest in place of the one before."""
        with contextlib.suppress(OSError, ValueError):
            self.room.note_exemplar(values, bucket, Exemplar(labels, float(value), time.time()))

    def bad_value(self, found: str) -> None:
        """Report a call that holds no usable number."""
        self._guard.mistake("bad_value", self.definition.name, f"metric {self.definition.name}: {found}")

    def forked(self) -> None:
        """Be fit for use in a forked process."""
        if self._asking:
            # The parent's thread goes on asking; a worker that asked as well would show a copy of what the parent knows.
            self._functions = {}
        shared = not isinstance(self.room, LocalRoom)
        if isinstance(self.room, LocalRoom):
            self.room.lock = self._store.lock
        else:
            self.room = self._store.room(self.definition, dated=self._dated)
        for child in self._children.values():
            child.forked(self.room.lock, shared=shared)

    def ask(self, child: GaugeChild, function: Callable[[], float]) -> None:
        """Set a series of a gauge to what the function returns, now and at each `refresh`."""
        with self._store.lock:
            self._functions[child] = function
        self._refresh_one(child, function)
        if not isinstance(self.room, LocalRoom) and self._asking != os.getpid():
            self._asking = os.getpid()
            threading.Thread(target=_keep_fresh, args=(weakref.ref(self),), name=f"gauge {self.definition.name}", daemon=True).start()

    def refresh(self) -> None:
        """Set the series that functions give to what these return now. Never raises."""
        for child, function in list(self._functions.items()):
            self._refresh_one(child, function)

    def _refresh_one(self, child: GaugeChild, function: Callable[[], float]) -> None:
        try:
            number = number_of(function())
        except Exception as error:  # noqa: BLE001 - a function of the application's own may raise anything
            number, found = None, type(error).__name__
        else:
            found = "no number"
        if number is None:
            self._guard.note(
                "bad_value", self.definition.name, f"metric {self.definition.name}: its function gave {found}, expected a number"
            )
        else:
            child.set(number)

    def _of(self, labels: dict[str, object]) -> AnyChild:
        """Return the series of labels by name, as `labels` does."""
        try:
            if len(labels) == self._count:
                return self._children[self._pick(labels)]
        except (KeyError, TypeError):
            pass
        return self._find((), labels)

    def _bare(self) -> AnyChild:
        return self._find((), {}) if self._only is None else self._only

    def _find(self, values: tuple[object, ...], named: dict[str, object]) -> AnyChild:
        key = self._key(values, named)
        with self._store.lock:
            child = self._children.get(key)
            if child is not None:
                return child
            wrong = declared(self.definition, key)
            if wrong:
                self._guard.mistake("undeclared_value", self.definition.name, wrong)
                key = closed(self.definition, key, {False: UNDECLARED})
            if self._names and self._known() >= self._limit and key not in self._children:
                self._guard.overflow(self.definition, self._limit)
                key = closed(self.definition, key, {True: OVERFLOW, False: UNDECLARED})
            if key not in self._children:
                self._children[key] = self.child_type(self, key, self.room.lock)  # type: ignore[assignment] # each class names its own
            return self._children[key]

    def _known(self) -> int:
        # What the slot could not take is here alone, and has to be limited too.
        with contextlib.suppress(OSError):
            return max(self.room.known(), len(self._children))
        return len(self._children)

    def _key(self, values: tuple[object, ...], named: dict[str, object]) -> LabelValues:
        given = dict(zip(self._names, values, strict=False)) | named
        if len(values) > self._count or given.keys() != set(self._names) or (values and named):
            found = ", ".join([*(repr(value) for value in values), *named]) or "none"
            self._guard.mistake(
                "undeclared_label",
                self.definition.name,
                f"metric {self.definition.name}: labels {found:.200}, expected {', '.join(self._names) or 'none'}",
            )
        return tuple(label_text(given.get(name, "")) for name in self._names)


class Counter(Instrument[CounterChild]):
    """A number that only rises."""

    child_type = CounterChild

    def inc(self, amount: float = 1.0, /, exemplar: ExemplarLabels | None = None, **labels: object) -> None:
        """Add `amount` to the series of these labels."""
        self._of(labels).inc(amount, exemplar)

    def count_exceptions(self, exception: type[BaseException] | tuple[type[BaseException], ...] = Exception) -> ExceptionCount:
        """Return a context manager and decorator that adds one for each exception that passes."""
        return self._bare().count_exceptions(exception)


class Gauge(Instrument[GaugeChild]):
    """A number that rises and falls."""

    child_type = GaugeChild

    def set(self, value: float, /, **labels: object) -> None:
        """Make the series of these labels `value`."""
        self._of(labels).set(value)

    def inc(self, amount: float = 1.0, /, **labels: object) -> None:
        """Add `amount` to the series of these labels."""
        self._of(labels).inc(amount)

    def dec(self, amount: float = 1.0, /, **labels: object) -> None:
        """Take `amount` from the series of these labels."""
        self._of(labels).dec(amount)

    def set_to_current_time(self) -> None:
        """Make it the Unix time, in seconds."""
        self._bare().set_to_current_time()

    def set_function(self, function: Callable[[], float], /, **labels: object) -> None:
        """Make the series of these labels what `function` returns; see `GaugeChild.set_function`."""
        self._of(labels).set_function(function)

    def track_inprogress(self) -> InProgress:
        """Return a context manager and decorator that counts what is running at the moment."""
        return self._bare().track_inprogress()

    def time(self, **labels: object) -> Timer:
        """Return a context manager and decorator that sets the seconds its block took."""
        return self._of(labels).time()


class Histogram(Instrument[HistogramChild]):
    """How values spread over buckets."""

    child_type = HistogramChild

    def observe(self, value: float, /, exemplar: ExemplarLabels | None = None, **labels: object) -> None:
        """Count `value` into its bucket of the series of these labels."""
        self._of(labels).observe(value, exemplar)

    def time(self, **labels: object) -> Timer:
        """Return a context manager and decorator that observes the seconds its block took."""
        return self._of(labels).time()


class Summary(Instrument[SummaryChild]):
    """How many values there were, and their sum."""

    child_type = SummaryChild

    def observe(self, value: float, /, **labels: object) -> None:
        """Count `value` in the series of these labels."""
        self._of(labels).observe(value)

    def time(self, **labels: object) -> Timer:
        """Return a context manager and decorator that observes the seconds its block took."""
        return self._of(labels).time()


class Info(Instrument[GaugeChild]):
    """Facts, shown as the labels of a series that is 1. Where the definition declares labels, those are the facts it may hold."""

    child_type = GaugeChild

    def __init__(self, definition: Definition, store: Store, guard: Guard, *, dated: bool = False) -> None:
        super().__init__(replace(definition, labels={FACTS: None}), store, guard, dated=dated)
        self._facts = definition.labels
        self._said: GaugeChild | None = None

    def info(self, facts: Mapping[str, object] | None = None, /, **named: object) -> None:
        """Say the facts, in place of those said before.

        Raises:
            MetricError: in development, when a fact is not a declared label, or its name cannot be a label.
        """
        texts = {name: label_text(value) for name, value in (dict(facts or {}) | named).items()}
        odd = [name for name in texts if not is_label(name) or (self._facts and name not in self._facts)]
        if odd:
            expected = ", ".join(self._facts) or "letters, digits and _"
            self._guard.mistake("undeclared_label", self.definition.name, f"metric {self.definition.name}: {odd}, expected {expected}")
        with self._store.lock:
            said = self.labels(json.dumps({name: texts[name] for name in sorted(texts) if name not in odd}, ensure_ascii=False))
            if self._said is not None and self._said is not said:
                self._said.set(0.0)
            said.set(1.0)
            self._said = said


def _keep_fresh(reference: "weakref.ref[Instrument[Any]]") -> None:
    while True:
        time.sleep(_ASK_SECONDS)
        gauge = reference()
        if gauge is None:
            return
        gauge.refresh()


def label_text(value: object) -> str:
    """Return a label value as text that can be written as UTF-8, whatever it is."""
    try:
        text = value if type(value) is str else str(value)
        return text if text.isascii() else text.encode("utf-8", "replace").decode()
    except Exception:  # noqa: BLE001 - an object's own __str__ may raise anything
        return f"<unprintable {type(value).__name__}>"


def _picker(names: tuple[str, ...]) -> Callable[[dict[str, object]], tuple[object, ...]]:
    if len(names) > 1:
        return itemgetter(*names)
    if names:
        [name] = names
        return lambda named: (named[name],)
    return lambda _: ()


INSTRUMENTS: dict[str, type[Instrument[Any]]] = {
    "counter": Counter,
    "gauge": Gauge,
    "histogram": Histogram,
    "summary": Summary,
    "info": Info,
}
