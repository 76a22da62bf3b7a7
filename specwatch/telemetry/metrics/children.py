"""One series of each type: what an application counts, sets and observes with."""

import math
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from specwatch.telemetry.metrics.timing import Around
from specwatch.telemetry.metrics.values import Cells, LabelValues, Unbound

if TYPE_CHECKING:
    from specwatch.telemetry.metrics.instruments import Instrument

ExemplarLabels = Mapping[str, str]
_EXEMPLAR_CHARACTERS = 128


class Child:
    """One series.

    Attributes:
        values: its label values.
        cells: where its numbers are, from `start` on.
        lock: held while they are changed.
    """

    __slots__ = ("_family", "cells", "lock", "start", "values")

    def __init__(self, family: "Instrument[Any]", values: LabelValues, lock: threading.RLock) -> None:
        self._family = family
        self.lock = lock
        self.values = values
        self.cells: Cells
        self.start: int
        self.bind()

    def bind(self) -> None:
        """Point `cells` and `start` at a place of this process' own."""
        cells, self.start = self._family.place(self.values)
        # Last: a thread that finds these cells relies on `start`.
        self.cells = cells

    def forked(self, lock: threading.RLock, *, shared: bool) -> None:
        """Use a lock that no lost thread holds, and leave shared cells to the parent."""
        self.lock = lock
        if shared:
            self.cells = Unbound(self)

    def get(self) -> float:
        """Return the value that this process has (a histogram's or summary's count)."""
        return self.cells[self.start]

    def _exemplar(self, bucket: int, labels: ExemplarLabels, value: float) -> None:
        kept = {str(name): str(text) for name, text in labels.items()}
        if sum(len(name) + len(text) for name, text in kept.items()) > _EXEMPLAR_CHARACTERS:
            self._family.bad_value(f"an exemplar of more than {_EXEMPLAR_CHARACTERS} characters")
        else:
            self._family.note_exemplar(self.values, bucket, kept, value)


class CounterChild(Child):
    """A number that only rises."""

    __slots__ = ()

    def inc(self, amount: float = 1.0, exemplar: ExemplarLabels | None = None) -> None:
        """Add `amount`, which is never negative.

        Args:
            amount: how much.
            exemplar: labels that name one case of it, such as `{"trace_id": …}`, 128 characters at most.
        """
        try:
            if not amount >= 0:
                raise ValueError  # noqa: TRY301 - one handler for all that is no amount
            with self.lock:
                self.cells[self.start] += amount
        except (TypeError, ValueError, OverflowError):
            self._odd(amount)
        if exemplar is not None:
            self._exemplar(0, exemplar, amount)

    def count_exceptions(self, exception: type[BaseException] | tuple[type[BaseException], ...] = Exception) -> "ExceptionCount":
        """Return a context manager and decorator that adds one for each exception that passes."""
        return ExceptionCount(self, exception)

    def _odd(self, amount: object) -> None:
        number = number_of(amount)
        if number is None or not number >= 0:
            self._family.bad_value(f"inc({amount!r:.80}), expected a number that is not negative")
            return
        with self.lock:
            self.cells[self.start] += number


class GaugeChild(Child):
    """A number that rises and falls."""

    __slots__ = ()

    def set(self, value: float) -> None:
        """Make it `value`."""
        number = number_of(value)
        if number is None:
            self._family.bad_value(f"set({value!r:.80}), expected a number")
            return
        with self.lock:
            self.cells[self.start] = number
            # With several workers, the newest of their values may be the one that counts.
            self.cells[self.start + 1] = time.time()

    def inc(self, amount: float = 1.0) -> None:
        """Add `amount`."""
        try:
            with self.lock:
                self.cells[self.start] += amount
        except (TypeError, ValueError, OverflowError):
            number = number_of(amount)
            if number is None:
                self._family.bad_value(f"inc({amount!r:.80}), expected a number")
                return
            with self.lock:
                self.cells[self.start] += number

    def dec(self, amount: float = 1.0) -> None:
        """Take `amount` away."""
        number = number_of(amount)
        if number is None:
            self._family.bad_value(f"dec({amount!r:.80}), expected a number")
            return
        with self.lock:
            self.cells[self.start] -= number

    def set_to_current_time(self) -> None:
        """Make it the Unix time, in seconds."""
        self.set(time.time())

    def set_function(self, function: Callable[[], float]) -> None:
        """Make it what `function` returns, asked at each scrape of this process.

        Where workers share a folder, which others read, a thread of the process that called this asks every few seconds as well; a worker
        that is forked afterwards does not. A function that raises, or returns no number, is counted as a mistake and leaves the last value.
        """
        self._family.ask(self, function)

    def track_inprogress(self) -> "InProgress":
        """Return a context manager and decorator that counts what is running at the moment."""
        return InProgress(self)

    def time(self) -> "Timer":
        """Return a context manager and decorator that sets the seconds its block took."""
        return Timer(self.set)


class HistogramChild(Child):
    """How values spread over buckets.

    Attributes:
        bounds: the buckets' upper bounds.
    """

    __slots__ = ("bounds",)

    def __init__(self, family: "Instrument[Any]", values: LabelValues, lock: threading.RLock) -> None:
        self.bounds = family.definition.buckets
        super().__init__(family, values, lock)

    def observe(self, value: float, exemplar: ExemplarLabels | None = None) -> None:
        """Count `value` into its bucket.

        Args:
            value: what was measured; a NaN has no bucket and counts as a mistake.
            exemplar: labels that name this case, such as `{"trace_id": …}`, 128 characters at most.
        """
        try:
            bucket = bisect_left(self.bounds, value)
            if value != value:  # noqa: PLR0124 - only NaN differs from itself, and this is quicker than math.isnan
                raise ValueError  # noqa: TRY301 - one handler for all that is no value
            with self.lock:
                # The sum first: a value that cannot be added has not been counted either.
                self.cells[self.start + len(self.bounds) + 1] += value
                self.cells[self.start + bucket] += 1.0
        except (TypeError, ValueError, OverflowError):
            number = number_of(value)
            if number is None or math.isnan(number):
                self._family.bad_value(f"observe({value!r:.80}), expected a number")
                return
            bucket = bisect_left(self.bounds, number)
            with self.lock:
                self.cells[self.start + bucket] += 1.0
                self.cells[self.start + len(self.bounds) + 1] += number
        if exemplar is not None:
            self._exemplar(bucket, exemplar, value)

    def exemplar(self, labels: ExemplarLabels, value: float) -> None:
        """Keep labels, 128 characters at most, that name the case of a `value` which is counted already."""
        self._exemplar(bisect_left(self.bounds, value), labels, value)

    def time(self) -> "Timer":
        """Return a context manager and decorator that observes the seconds its block took."""
        return Timer(self.observe)

    def get(self) -> float:
        """Return how many values this process has observed."""
        return float(sum(self.cells[self.start + bucket] for bucket in range(len(self.bounds) + 1)))


class SummaryChild(Child):
    """How many values there were, and their sum."""

    __slots__ = ()

    def observe(self, value: float, exemplar: ExemplarLabels | None = None) -> None:  # noqa: ARG002 - a summary has no place for one
        """Count `value`."""
        number = number_of(value)
        if number is None or math.isnan(number):
            self._family.bad_value(f"observe({value!r:.80}), expected a number")
            return
        with self.lock:
            self.cells[self.start] += 1.0
            self.cells[self.start + 1] += number

    def time(self) -> "Timer":
        """Return a context manager and decorator that observes the seconds its block took."""
        return Timer(self.observe)


class NullChild:
    """The series of a metric that is switched off or was never declared: takes everything, keeps nothing."""

    __slots__ = ()

    def nothing(self, *_: Any, **__: Any) -> None:
        """Do nothing."""

    inc = dec = set = set_function = observe = info = set_to_current_time = clear = remove = nothing

    def labels(self, *_: object, **__: object) -> "NullChild":
        """Return this."""
        return self

    def get(self) -> float:
        """Return 0."""
        return 0.0

    def time(self, *_: object, **__: object) -> AbstractContextManager[Any]:
        """Return a context manager and decorator that does nothing."""
        return Nothing()

    track_inprogress = count_exceptions = time


class Timer(Around):
    """Hands the seconds that a block took to a function."""

    def __init__(self, report: Any) -> None:
        self._report = report

    def enter(self) -> float:
        """Return the moment the block began."""
        return time.perf_counter()

    def leave(self, begun: float, error: BaseException | None) -> None:  # noqa: ARG002 - a failure takes time as well
        """Report how long it took."""
        self._report(time.perf_counter() - begun)


class InProgress(Around):
    """Counts up where a block begins and down where it ends."""

    def __init__(self, gauge: GaugeChild) -> None:
        self._gauge = gauge

    def enter(self) -> None:
        """Count up."""
        self._gauge.inc()

    def leave(self, begun: None, error: BaseException | None) -> None:  # noqa: ARG002 - it ends either way
        """Count down."""
        self._gauge.dec()


class ExceptionCount(Around):
    """Counts the exceptions that leave a block."""

    def __init__(self, counter: CounterChild, exception: type[BaseException] | tuple[type[BaseException], ...]) -> None:
        self._counter = counter
        self._exception = exception

    def enter(self) -> None:
        """Nothing to remember."""

    def leave(self, begun: None, error: BaseException | None) -> None:  # noqa: ARG002 - nothing was remembered
        """Count the exception, if it is of the kind."""
        if isinstance(error, self._exception):
            self._counter.inc()


class Nothing(Around):
    """Does nothing around a block."""

    def enter(self) -> None:
        """Nothing."""

    def leave(self, begun: None, error: BaseException | None) -> None:
        """Nothing."""


def number_of(value: object) -> float | None:
    """Return `value` as a float, or None where it is no number; text is no number."""
    if type(value) is float:
        return value
    try:
        return None if isinstance(value, str | bytes) else float(value)  # type: ignore[arg-type] # what has no float raises TypeError
    except Exception:  # noqa: BLE001 - a value's own __float__ may raise anything
        return None
