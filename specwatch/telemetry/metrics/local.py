"""The numbers of a process' own series, as a scrape takes them."""

from collections.abc import Sequence
from typing import Any

from specwatch.telemetry.metrics.exposition import Family
from specwatch.telemetry.metrics.text import FamilyText
from specwatch.telemetry.metrics.values import LocalRoom


class LocalReader:
    """Reads one metric whose values are in memory, and keeps the text of its series from one scrape to the next."""

    def __init__(self, room: LocalRoom) -> None:
        self._room = room
        self._text = FamilyText(room.definition)
        self._starts: list[int] = []
        self._removals = 0

    def family(self) -> Family:
        """Return the metric with its numbers now; a histogram's belong together."""
        # The series first, their numbers afterwards: a series is never without numbers.
        self._refresh()
        with self._room.lock:
            numbers = self._room.cells.tolist()
        values = numbers if not self._removals else self._without_holes(numbers)
        if self._room.definition.type in {"gauge", "info"}:
            values = values[::2]
        if len(values) > self._length():
            values = values[: self._length()]
        dated = None
        if self._room.created:
            dated = {row: moment for row, values in enumerate(self._text.rows) if (moment := self._room.created.get(values)) is not None}
        return Family(self._text, values, self._exemplars() if self._room.exemplars else None, dated)

    def _refresh(self) -> None:
        if self._removals != self._room.removals:
            self._removals = self._room.removals
            self._text = FamilyText(self._room.definition)
            self._starts = []
        if len(self._starts) < len(self._room.rows):
            for values, start in list(self._room.rows.items())[len(self._starts) :]:
                self._text.add(values)
                self._starts.append(start)

    def _without_holes(self, numbers: Sequence[float]) -> list[float]:
        width = self._room.definition.width
        return [number for start in self._starts for number in numbers[start : start + width]]

    def _length(self) -> int:
        per_row = 1 if self._room.definition.type in {"gauge", "info"} else self._room.definition.width
        return per_row * len(self._starts)

    def _exemplars(self) -> dict[tuple[int, int], Any]:
        row_of = {values: row for row, values in enumerate(self._text.rows)}
        kept = list(self._room.exemplars.items())
        return {(row_of[values], bucket): exemplar for (values, bucket), exemplar in kept if values in row_of}
