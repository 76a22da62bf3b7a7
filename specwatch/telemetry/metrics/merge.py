"""One metric of several workers as one: which file has which series where, and how their numbers become one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import add, itemgetter
from typing import Final

from specwatch.telemetry.metrics.definition import Definition
from specwatch.telemetry.metrics.text import FamilyText
from specwatch.telemetry.metrics.values import Exemplar, LabelValues

_ZERO, _LOWEST, _HIGHEST = 0, 1, 2
WORKER_LABEL: Final = "worker"
"""The label that tells workers apart where a gauge keeps one series for each: the number of the slot."""


class MergedFamily:
    """One metric in any number of slots.

    Args:
        definition: what it is in all of them.

    Attributes:
        text: writes it.
        created: when a row's series was first made, in seconds since 1970, for those of which a slot says so.
    """

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self._apart = definition.type == "gauge" and definition.mode in {"all", "liveall"}
        self.text = FamilyText(definition, (WORKER_LABEL,) if self._apart else ())
        self._row_of: dict[LabelValues, int] = {}
        self._starts: dict[int, list[int]] = {}
        self._getters: dict[tuple[int, int, int], Callable[[Sequence[float]], Sequence[float]]] = {}
        self._exemplars: dict[int, list[tuple[int, int, int]]] = {}
        self.created: dict[int, float] = {}

    def add(self, slot: int, values: LabelValues, start: int, created: float | None = None) -> int:
        """Note where a slot has a series, and when that was made, if it says so; returns its row."""
        if self._apart:
            values = (*values, str(slot))
        row = self._row_of.get(values)
        if row is None:
            row = self._row_of[values] = len(self._row_of)
            self.text.add(values)
        if created is not None:
            self.created[row] = min(created, self.created.get(row, created))
        starts = self._starts.setdefault(slot, [])
        starts.extend([-1] * (row + 1 - len(starts)))
        starts[row] = start
        self._getters.clear()
        return row

    def add_exemplar(self, slot: int, row: int, bucket: int, start: int) -> None:
        """Note where a slot has an exemplar of a row's bucket."""
        self._exemplars.setdefault(slot, []).append((row, bucket, start))

    def values(self, cells: Mapping[int, Sequence[float]], live: Sequence[int]) -> Sequence[float]:
        """Return the numbers of all rows, one after the other; see `FamilyText.body`.

        Args:
            cells: the numbers of each slot.
            live: the slots whose worker lives.
        """
        slots = [slot for slot in self._starts if slot in cells]
        living = [slot for slot in slots if slot in live]
        if self.definition.type == "info":
            return [float(value > 0) for value in self._column(cells, living, 0, max, _ZERO)]
        if self.definition.type == "gauge":
            return self._gauge(cells, slots, living)
        width = self.definition.width
        return _added([self._numbers(cells[slot], slot, width) for slot in slots], width * len(self._row_of))

    def exemplars(self, read: Callable[[int, int], Exemplar | None]) -> dict[tuple[int, int], Exemplar]:
        """Return the newest exemplar of each bucket; `read` gives the one of a slot that begins at a cell."""
        newest: dict[tuple[int, int], Exemplar] = {}
        for slot, places in self._exemplars.items():
            for row, bucket, start in places:
                exemplar = read(slot, start)
                if exemplar is not None and exemplar.moment > newest.get((row, bucket), exemplar._replace(moment=0.0)).moment:
                    newest[row, bucket] = exemplar
        return newest

    @property
    def has_exemplars(self) -> bool:
        """Whether any slot has one."""
        return bool(self._exemplars)

    def _gauge(self, cells: Mapping[int, Sequence[float]], slots: list[int], living: list[int]) -> Sequence[float]:
        mode = self.definition.mode
        if mode.startswith("live"):
            slots, mode = living, mode.removeprefix("live")  # type: ignore[assignment] # what remains is a mode
        if mode in {"sum", "all"}:
            return self._column(cells, slots, 0, None, _ZERO)
        if mode == "max":
            return self._column(cells, slots, 0, max, _LOWEST)
        if mode == "min":
            return self._column(cells, slots, 0, min, _HIGHEST)
        newest = self._newest(cells, slots)
        if mode == "mostrecent":
            return [value for _, value in newest]
        counted = self._column(cells, living, 0, None, _ZERO)
        return [value if moment > 0 else total for (moment, value), total in zip(newest, counted, strict=True)]

    def _newest(self, cells: Mapping[int, Sequence[float]], slots: list[int]) -> list[tuple[float, float]]:
        """Return when each row was set last, and to what; 0 for both where it never was."""
        pairs = [zip(self._numbers(cells[slot], slot, 1, 1), self._numbers(cells[slot], slot, 1), strict=True) for slot in slots]
        return list(map(max, *pairs)) if len(pairs) > 1 else list(pairs[0]) if pairs else [(0.0, 0.0)] * len(self._row_of)

    def _column(
        self,
        cells: Mapping[int, Sequence[float]],
        slots: list[int],
        offset: int,
        pick: Callable[..., float] | None,
        missing: int,
    ) -> Sequence[float]:
        columns = [self._numbers(cells[slot], slot, 1, offset, missing) for slot in slots]
        if pick is None or not columns:
            return _added(columns, len(self._row_of))
        return columns[0] if len(columns) == 1 else list(map(pick, *columns))

    def _numbers(self, cells: Sequence[float], slot: int, width: int, offset: int = 0, missing: int = _ZERO) -> Sequence[float]:
        """Return a slot's numbers in the order of the rows; a constant cell stands in for what the slot has not."""
        key = (slot, offset, missing)
        getter = self._getters.get(key)
        if getter is None:
            starts = self._starts[slot]
            starts = [*starts, *[-1] * (len(self._row_of) - len(starts))]
            places = chain.from_iterable(
                range(start + offset, start + offset + width) if start >= 0 else [missing] * width for start in starts
            )
            getter = self._getters[key] = _getter(list(places))
        return getter(cells)


def _getter(places: list[int]) -> Callable[[Sequence[float]], Sequence[float]]:
    if len(places) == 1:
        [place] = places
        return lambda cells: (cells[place],)
    return itemgetter(*places)


def _added(columns: Iterable[Sequence[float]], length: int) -> Sequence[float]:
    total: Sequence[float] | None = None
    for column in columns:
        total = column if total is None else list(map(add, total, column))
    return [0.0] * length if total is None else total
