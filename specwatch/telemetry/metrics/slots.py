"""The shared folder as a worker sees it: it takes a free slot, goes on with that slot's numbers, and leaves them to the next worker.

There are as many slot files as there ever were workers at one time, however often workers are replaced. A slot belongs to the process
that holds the lock on its file; the system drops the lock when the process ends, whichever way it ends.
"""

import contextlib
import fcntl
import functools
import itertools
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from specwatch.telemetry.metrics.definition import Definition, Shape
from specwatch.telemetry.metrics.slotfile import (
    EXEMPLAR_CELLS,
    FIRST_CELL,
    NotASlotFile,
    SlotFile,
    definition_entry,
    definition_of,
)
from specwatch.telemetry.metrics.values import Cells, Exemplar, LabelValues

LOCK_NAME: Final = "slots.lock"
COLLECTORS_NAME: Final = ".collectors"
"""The folder in which the workers say which of them runs a periodic collector."""

_PREFIX: Final = "slot-"
_SUFFIX: Final = ".values"
_MOST_SLOTS: Final = 4096
_EXEMPLAR_SECONDS: Final = 1.0


def slot_name(number: int) -> str:
    """Return the file name of a slot."""
    return f"{_PREFIX}{number}{_SUFFIX}"


def slot_number(name: str) -> int | None:
    """Return which slot a file is, or None where its name is no slot's."""
    digits = name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    return int(digits) if digits.isdecimal() and name == slot_name(int(digits)) else None


@contextlib.contextmanager
def slots_locked(directory: str, *, wait: bool) -> Iterator[bool]:
    """Hold the folder's lock, for taking a slot (`wait`) or for looking which are taken; says whether it was to be had."""
    descriptor = os.open(Path(directory) / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def is_free(descriptor: int) -> bool:
    """Return whether nobody holds a slot; the folder's lock must be held, lest a worker that looks for a slot be sent on."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True


@functools.cache
def shared_store(directory: str) -> "SharedStore":
    """Return this process' store for a folder: a process has one slot, however many registries it has."""
    return SharedStore(directory)


class SharedStore:
    """Values in this process' slot of a folder; the slot is taken when the first series is made."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.lock = threading.RLock()
        self._pid = os.getpid()
        self._slot: _Slot | None = None

    def room(self, definition: Definition, *, dated: bool = False) -> "SharedRoom":
        """Return the place for one metric's series; `dated` keeps when each was made."""
        return SharedRoom(self, definition, dated=dated)

    def slot(self) -> "_Slot":
        """Return this process' slot, taking one where it has none.

        Raises:
            OSError: no slot can be had: the folder cannot be written, or the disk is full.
        """
        if self._slot is None:
            self._slot = _claim(self.directory)
        return self._slot

    def forked(self) -> None:
        """Leave the parent's slot alone; the first series that is written takes one for this process."""
        if self._pid == os.getpid():
            return
        self._pid = os.getpid()
        self.lock = threading.RLock()
        if self._slot is not None:
            self._slot.leave()
            self._slot = None


class SharedRoom:
    """Room for one metric in this process' slot."""

    def __init__(self, store: SharedStore, definition: Definition, *, dated: bool = False) -> None:
        # One lock for everything: a number that is written first after a fork makes its series in the middle of that.
        self.lock = store.lock
        self._store = store
        self._definition = definition
        self._dated = dated
        self._noted: dict[tuple[LabelValues, int], float] = {}

    def place(self, values: LabelValues) -> tuple[Cells, int]:
        """Return the cells of a series: those it has in the slot already, with their numbers, or new ones.

        Raises:
            OSError: there is no slot to be had, or no room in it.
        """
        with self._store.lock:
            slot = self._store.slot()
            return slot.file.cells, slot.series(self._definition, values, dated=self._dated)

    def known(self) -> int:
        """Return how many series of the metric the slot holds, those of earlier workers included."""
        with self._store.lock:
            return self._store.slot().count(self._definition)

    def note_exemplar(self, values: LabelValues, bucket: int, exemplar: Exemplar) -> None:
        """Keep an exemplar, unless the bucket's last one is less than a second old: writing one costs more than counting."""
        key = (values, bucket)
        if exemplar.moment - self._noted.get(key, 0.0) < _EXEMPLAR_SECONDS:
            return
        self._noted[key] = exemplar.moment
        with self._store.lock:
            slot = self._store.slot()
            place = slot.exemplar(slot.series(self._definition, values), bucket)
            slot.file.write_exemplar(place, exemplar.labels, exemplar.value, exemplar.moment)


class _Slot:
    """A slot that is ours, and what its file holds.

    Raises:
        NotASlotFile: the lines of keys are not what was written.
    """

    def __init__(self, file: SlotFile, descriptor: int) -> None:
        self.file = file
        self._descriptor = descriptor
        self._definitions: dict[Shape, int] = {}
        self._defined = 0
        self._series: dict[tuple[int, LabelValues], int] = {}
        self._exemplars: dict[tuple[int, int], int] = {}
        self._counts: Counter[int] = Counter()
        self._next = FIRST_CELL
        self._load()
        self.file.claim()

    def count(self, definition: Definition) -> int:
        return self._counts[self._number(definition)]

    def series(self, definition: Definition, values: LabelValues, *, dated: bool = False) -> int:
        number = self._number(definition)
        key = (number, values)
        if key not in self._series:
            created = [round(time.time(), 3)] if dated else []
            self._series[key] = self._append(definition.width, lambda start: ["s", number, values, start, *created])
            self._counts[number] += 1
        return self._series[key]

    def exemplar(self, series: int, bucket: int) -> int:
        key = (series, bucket)
        if key not in self._exemplars:
            self._exemplars[key] = self._append(EXEMPLAR_CELLS, lambda start: ["x", series, bucket, start])
        return self._exemplars[key]

    def leave(self) -> None:
        """Close our copies in a forked process; the lock stays with the parent."""
        self.file.close()
        os.close(self._descriptor)

    def _number(self, definition: Definition) -> int:
        key = definition.shape
        if key not in self._definitions:
            self.file.append(definition_entry(definition))
            self._definitions[key] = self._defined
            self._defined += 1
        return self._definitions[key]

    def _append(self, width: int, entry: Any) -> int:
        start = self._next
        self.file.reserve_cells(start + width)
        self.file.append(entry(start))
        self._next += width
        return start

    def _load(self) -> None:
        definitions: list[Definition] = []
        try:
            for entry in self.file.new_entries():
                if entry[0] == "m":
                    definitions.append(definition_of(entry))
                    self._definitions[definitions[-1].shape] = len(definitions) - 1
                elif entry[0] == "s":
                    _, number, values, start, *_ = entry
                    self._series[number, tuple(values)] = start
                    self._counts[number] += 1
                    self._next = max(self._next, start + definitions[number].width)
                    self._restart(definitions[number], start)
                else:
                    _, series, bucket, start = entry
                    self._exemplars[series, bucket] = start
                    self._next = max(self._next, start + EXEMPLAR_CELLS)
        except NotASlotFile:
            raise
        except (ValueError, TypeError, LookupError) as error:
            raise NotASlotFile("foreign") from error
        self._defined = len(definitions)

    def _restart(self, definition: Definition, start: int) -> None:
        """A gauge that says what a living worker does begins at 0 with each worker; everything else goes on."""
        cells = self.file.cells
        counted = definition.mode == "auto" and not cells[start + 1] if definition.type == "gauge" else False
        if definition.type == "info" or counted or (definition.type == "gauge" and definition.mode.startswith("live")):
            cells[start] = cells[start + 1] = 0.0


def _claim(directory: str) -> _Slot:
    folder = Path(directory)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with slots_locked(directory, wait=True):
        for number in itertools.count():
            if number >= _MOST_SLOTS:
                raise OSError(f"{directory}: all {_MOST_SLOTS} slots are taken")
            slot = _take(folder / slot_name(number))
            if slot is not None:
                return slot
    raise AssertionError("not reached")


def _take(path: Path) -> _Slot | None:
    """Return the slot of a file, or None where it belongs to a living process or to another user."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return _made(path)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _Slot(SlotFile(descriptor, write=True), descriptor)
    except NotASlotFile:
        # Readers may have it mapped: it is replaced, never cut.
        os.close(descriptor)
        return _made(path)
    except OSError:
        os.close(descriptor)
        return None


def _made(path: Path) -> _Slot:
    """Return the slot of a new file, which appears under its name when it is whole."""
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        slot = _Slot(SlotFile(descriptor, write=True, begin=True), descriptor)
        new.replace(path)
    except OSError:
        os.close(descriptor)
        raise
    return slot
