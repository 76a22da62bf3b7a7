"""Where the numbers of a process' series live: in its own memory, or in a file that all workers of a service share."""

import os
import threading
import time
from array import array
from typing import NamedTuple, Protocol, TypeAlias

from specwatch.telemetry.metrics.definition import Definition

LabelValues: TypeAlias = tuple[str, ...]
Cells: TypeAlias = "array[float] | memoryview[float] | Unbound"


class Exemplar(NamedTuple):
    """One case of what a counter or a bucket counts, by its labels, its value and the Unix time."""

    labels: dict[str, str]
    value: float
    moment: float


class Bindable(Protocol):
    """A series that can be given other cells."""

    cells: Cells
    start: int

    def bind(self) -> None:
        """Point `cells` and `start` at a place of this process' own."""


class Unbound:
    """Stands for a series' cells in a forked process until it is first written.

    The parent's cells must not be touched: they are in its file and count for it.
    """

    __slots__ = ("_child", "_first")

    def __init__(self, child: Bindable) -> None:
        self._child = child
        self._first = child.start

    def __getitem__(self, index: int) -> float:
        if self._child.cells is self:
            self._child.bind()
        return self._child.cells[self._child.start + index - self._first]

    def __setitem__(self, index: int, value: float) -> None:
        if self._child.cells is self:
            self._child.bind()
        self._child.cells[self._child.start + index - self._first] = value


class Room(Protocol):
    """The place for one metric's series.

    Attributes:
        lock: held while a number is changed; a signal handler may count in the middle of that, so it can be taken again.
    """

    lock: threading.RLock

    def place(self, values: LabelValues) -> tuple[Cells, int]:
        """Return the cells for a new series and the index of its first."""

    def known(self) -> int:
        """Return how many series the place holds, those of earlier processes included."""

    def note_exemplar(self, values: LabelValues, bucket: int, exemplar: Exemplar) -> None:
        """Keep an exemplar of one bucket (0 for a counter) in place of the one before."""


class LocalRoom:
    """Room in this process' memory.

    Attributes:
        cells: the numbers of all series, one after the other.
        rows: the series' label values, each with the index of its first number.
        exemplars: label values and bucket, each with what was kept last.
        removals: how many series were removed.
        created: when each series was made, in seconds since 1970; empty where that is not wanted.
        lock: held while a number is changed.
    """

    def __init__(self, definition: Definition, lock: "threading.RLock | None" = None, *, dated: bool = False) -> None:
        self.lock = lock or threading.RLock()
        self.dated = dated
        self.created: dict[LabelValues, float] = {}
        self.definition = definition
        self.cells = array("d")
        self.rows: dict[LabelValues, int] = {}
        self.exemplars: dict[tuple[LabelValues, int], Exemplar] = {}
        self.removals = 0

    def place(self, values: LabelValues) -> tuple[Cells, int]:
        """Return the cells for a new series and the index of its first."""
        start = len(self.cells)
        self.cells.extend([0.0] * self.definition.width)
        if self.dated:
            self.created[values] = time.time()
        self.rows[values] = start
        return self.cells, start

    def known(self) -> int:
        """Return how many series there are."""
        return len(self.rows)

    def note_exemplar(self, values: LabelValues, bucket: int, exemplar: Exemplar) -> None:
        """Keep an exemplar of one bucket (0 for a counter) in place of the one before."""
        self.exemplars[values, bucket] = exemplar

    def removed(self, values: LabelValues) -> None:
        """Forget a series; its place stays empty."""
        del self.rows[values]
        self.created.pop(values, None)
        self.removals += 1
        self.exemplars = {key: kept for key, kept in self.exemplars.items() if key[0] != values}


class Store(Protocol):
    """Makes room for metrics.

    Attributes:
        lock: held while series are made.
        directory: the folder that the workers share, empty when values stay in this process.
    """

    lock: threading.RLock
    directory: str

    def room(self, definition: Definition, *, dated: bool = False) -> Room:
        """Return the place for one metric's series; `dated` keeps when each was made."""

    def forked(self) -> None:
        """Forget what belongs to the parent; called in a forked process."""


class LocalStore:
    """Values in this process' memory; a forked process goes on with a copy of them."""

    directory = ""

    def __init__(self) -> None:
        self.lock = threading.RLock()

    def room(self, definition: Definition, *, dated: bool = False) -> Room:
        """Return the place for one metric's series; `dated` keeps when each was made."""
        # One lock for everything: what happens together is counted under it together.
        return LocalRoom(definition, self.lock, dated=dated)

    def forked(self) -> None:
        """Have a lock that no lost thread holds."""
        self.lock = threading.RLock()


def open_store(directory: str | os.PathLike[str] | None) -> Store:
    """Return the store for values shared in `directory`, or a store in memory when there is none."""
    if not directory:
        return LocalStore()
    from specwatch.telemetry.metrics.slots import shared_store  # noqa: PLC0415 - a program with one process does not need it

    return shared_store(os.fspath(directory))
