"""What all workers of a service have counted, read from the folder they share.

A reader never stops a writer. What it has parsed it keeps: a scrape reads the new lines of keys, copies the numbers and adds them up.
"""

import contextlib
import functools
import os
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from specwatch.telemetry.metrics.definition import Definition
from specwatch.telemetry.metrics.exposition import Family
from specwatch.telemetry.metrics.forks import follow_forks
from specwatch.telemetry.metrics.merge import MergedFamily
from specwatch.telemetry.metrics.processes import process_families
from specwatch.telemetry.metrics.slotfile import EXEMPLAR_CELLS, FIRST_CELL, NotASlotFile, SlotFile, definition_of
from specwatch.telemetry.metrics.slots import COLLECTORS_NAME, LOCK_NAME, is_free, slot_name, slot_number, slots_locked
from specwatch.telemetry.metrics.text import FamilyText
from specwatch.telemetry.metrics.values import Exemplar

FILES: Final = Definition(
    "specwatch_telemetry_files",
    "gauge",
    "Files in the folder that the workers share: those of workers that live or are gone, and those that could not be read.",
    labels={"state": ("live", "gone", "empty", "torn", "foreign", "unreadable")},
)


class _Slot:
    """One slot file, open for reading, and how much of it is known."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(self._descriptor)
            self.identity = (found.st_dev, found.st_ino)
            self.file = SlotFile(self._descriptor, write=False)
        except BaseException:
            os.close(self._descriptor)
            raise
        self.definitions: list[Definition] = []
        self.series: dict[int, tuple[MergedFamily, int]] = {}
        self.end = FIRST_CELL
        self.live = True

    def is_same(self, path: Path) -> bool:
        """Return whether the path still names this file, whole."""
        found = path.stat()
        return (found.st_dev, found.st_ino) == self.identity and os.fstat(self._descriptor).st_size == found.st_size

    def look(self) -> None:
        """See whether its worker lives; the folder's lock must be held."""
        self.live = not is_free(self._descriptor)

    def numbers(self) -> Sequence[float]:
        """Return all its numbers. Each is read by one load of eight bytes, so none is half written."""
        return self.file.cells[: self.end].tolist()

    def close(self) -> None:
        self.file.close()
        os.close(self._descriptor)


class SharedReader:
    """Reads the folder that workers share.

    Args:
        directory: the folder; it may be empty or not there yet.
    """

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        self._lock = threading.Lock()
        self._slots: dict[int, _Slot] = {}
        self._families: dict[str, MergedFamily] = {}
        self._redefined = False
        self._files = FamilyText(FILES)
        for state in FILES.labels["state"] or ():
            self._files.add((state,))
        follow_forks(self)

    def families(self) -> list[Family]:
        """Return every metric with the numbers of all workers added up."""
        with self._lock:
            states = self._refresh()
            cells = {number: slot.numbers() for number, slot in self._slots.items()}
            live = [number for number, slot in self._slots.items() if slot.live]
            shown = [
                Family(
                    family.text,
                    family.values(cells, live),
                    family.exemplars(self._exemplar) if family.has_exemplars else None,
                    family.created or None,
                )
                for family in self._families.values()
            ]
            workers = {str(number): slot.file.pid for number, slot in sorted(self._slots.items()) if slot.live}
        return [
            *shown,
            *process_families(workers),
            Family(self._files, [float(states.get(state, 0)) for state in FILES.labels["state"] or ()]),
        ]

    def foreign(self, *, openmetrics: bool, taken: Collection[str] = ()) -> str:
        """Return the lines of what prometheus-client keeps in the folder, without those whose names are `taken`."""
        from specwatch.telemetry.metrics.foreign import Foreign  # noqa: PLC0415 - most folders have nothing of it

        return Foreign().text(openmetrics=openmetrics, taken={*taken, *self._families}, directory=str(self._directory))

    def forked(self) -> None:
        """Be fit for use in a forked process."""
        self._lock = threading.Lock()

    def _exemplar(self, slot: int, start: int) -> Exemplar | None:
        found = self._slots[slot].file.read_exemplar(start)
        return None if found is None else Exemplar(*found)

    def _refresh(self) -> dict[str, int]:
        """Open what is new, forget what is gone, read the new keys; returns how many files are in which state."""
        states = self._update()
        if self._redefined:
            self._forget()
            states = self._update()
        return states

    def _update(self) -> dict[str, int]:
        states: dict[str, int] = {}
        names = self._names(states)
        if any(number not in names or not self._still(number) for number in self._slots):
            self._forget()
        for number in sorted(names):
            if number not in self._slots:
                self._open(number, states)
        fresh = not self._families
        # The worker that came last knows best how its metrics are declared.
        for number, slot in sorted(self._slots.items(), key=lambda item: -item[1].file.claimed):
            try:
                self._read(number, slot, fresh=fresh)
            except NotASlotFile as error:
                # What was read before stays: a line that is just being written is whole the next time.
                states[error.reason] = states.get(error.reason, 0) + 1
        self._look(states)
        return states

    def _names(self, states: dict[str, int]) -> set[int]:
        try:
            names = [path.name for path in self._directory.iterdir()]
        except FileNotFoundError:
            names = []
        except OSError:
            names = []
            states["unreadable"] = 1
        numbers = {name: slot_number(name) for name in names}
        ours = (".db", ".new")
        known = {LOCK_NAME, COLLECTORS_NAME}
        states["foreign"] = sum(number is None and name not in known and not name.endswith(ours) for name, number in numbers.items())
        return {number for number in numbers.values() if number is not None}

    def _path(self, number: int) -> Path:
        return self._directory / slot_name(number)

    def _still(self, number: int) -> bool:
        try:
            return self._slots[number].is_same(self._path(number))
        except OSError:
            return False

    def _open(self, number: int, states: dict[str, int]) -> None:
        try:
            self._slots[number] = _Slot(self._path(number))
        except NotASlotFile as error:
            states[error.reason] = states.get(error.reason, 0) + 1
        except OSError:
            states["unreadable"] = states.get("unreadable", 0) + 1

    def _forget(self) -> None:
        """Begin anew: a file was replaced, or two workers declare one metric differently."""
        for slot in self._slots.values():
            slot.close()
        self._slots = {}
        self._families = {}
        self._redefined = False

    def _read(self, number: int, slot: _Slot, *, fresh: bool) -> None:
        entries = slot.file.new_entries()
        try:
            known = len(slot.definitions)
            slot.definitions.extend(definition_of(entry) for entry in entries if entry[0] == "m")
            # A name that a file defines twice is what it was defined last.
            for name, definition in {each.name: each for each in slot.definitions[known:]}.items():
                family = self._families.setdefault(name, MergedFamily(definition))
                self._redefined |= not fresh and family.definition.shape != definition.shape
            for entry in entries:
                if entry[0] == "s":
                    self._series(number, slot, *entry[1:])
                elif entry[0] == "x":
                    self._exemplar_place(number, slot, *entry[1:])
        except (ValueError, TypeError, LookupError):
            raise NotASlotFile("foreign") from None

    def _series(self, number: int, slot: _Slot, index: int, values: list[str], start: int, created: float | None = None) -> None:
        definition = slot.definitions[index]
        slot.end = max(slot.end, start + definition.width)
        family = self._families[definition.name]
        # Numbers of another shape cannot be added; they are those of an older program.
        if family.definition.shape == definition.shape:
            slot.series[start] = (family, family.add(number, tuple(values), start, created))

    def _exemplar_place(self, number: int, slot: _Slot, series: int, bucket: int, start: int) -> None:
        slot.end = max(slot.end, start + EXEMPLAR_CELLS)
        if series in slot.series:
            family, row = slot.series[series]
            family.add_exemplar(number, row, bucket, start)

    def _look(self, states: dict[str, int]) -> None:
        # Where the folder is read-only, or a worker is just taking a slot, the last answer stands.
        with contextlib.suppress(OSError), slots_locked(str(self._directory), wait=False) as locked:
            for slot in self._slots.values() if locked else ():
                slot.look()
        states["live"] = sum(slot.live for slot in self._slots.values())
        states["gone"] = len(self._slots) - states["live"]


@functools.cache
def shared_reader(directory: str) -> SharedReader:
    """Return this process' reader of a folder: what one scrape has parsed serves the next."""
    return SharedReader(directory)
