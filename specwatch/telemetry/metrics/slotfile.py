"""The file in which one worker keeps its numbers, so that others can read them and the next worker can go on with them.

The file is sparse and mapped into memory, in the byte order of the machine:

    0      header: see below, one page
    4096   cells: doubles. The first is always 0, the second -Inf, the third +Inf
    …      keys: lines of JSON that say what the cells are, only ever appended

A double is written by one aligned store of eight bytes, so no reader sees half of one. A line of keys is there when the header's commit
word says so: its lower half is the length of all lines, its upper half their CRC-32, and it too is written by one store. A worker that
is killed at any moment leaves a file that is whole.
"""

import json
import math
import mmap
import os
import stat
import struct
import time
import zlib
from typing import Any, Final

from specwatch.telemetry.metrics.definition import Definition

MAGIC: Final = b"SPECWMT1"
HEADER_BYTES: Final = 4096
CELLS: Final = 1 << 20
KEYS_BYTES: Final = 48 << 20
CELLS_END: Final = HEADER_BYTES + CELLS * 8
FILE_BYTES: Final = CELLS_END + KEYS_BYTES
FIRST_CELL: Final = 3
"""Cells 0, 1 and 2 are the constants 0, -Inf and +Inf."""
EXEMPLAR_CELLS: Final = 24
"""How many cells an exemplar takes: Unix time, value, CRC-32, length and the labels as JSON."""

# Words of eight bytes in the header.
_MAGIC, _ENDIAN, _GENERATION, _COMMIT, _PID, _CLAIMED = range(6)
_ORDER: Final = 0x0102030405060708
_CHUNK: Final = 64 * 1024
_EXEMPLAR: Final = struct.Struct("=ddII")
_EXEMPLAR_BYTES: Final = EXEMPLAR_CELLS * 8


class NotASlotFile(ValueError):  # noqa: N818 - it is what the file is
    """The file is empty, torn or somebody else's; `reason` says which."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason} file")
        self.reason = reason


class SlotFile:
    """A mapped slot file.

    Args:
        descriptor: the open file; it stays the caller's, and has to stay open where the file is written.
        write: whether it may be changed.
        begin: whether it is empty and becomes a slot file now.

    Attributes:
        cells: the doubles.

    Raises:
        NotASlotFile: it is not whole.
        OSError: it cannot be mapped, or the disk is full.
    """

    def __init__(self, descriptor: int, *, write: bool, begin: bool = False) -> None:
        self._descriptor = descriptor
        self._reserved = {HEADER_BYTES: 0, CELLS_END: 0}
        if begin:
            os.ftruncate(descriptor, FILE_BYTES)
            _allocate(descriptor, 0, HEADER_BYTES)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotASlotFile("foreign")
        size = os.fstat(descriptor).st_size
        if size != FILE_BYTES:
            raise NotASlotFile("torn" if size else "empty")
        self._map = mmap.mmap(descriptor, FILE_BYTES, access=mmap.ACCESS_WRITE if write else mmap.ACCESS_READ)
        self._bytes = memoryview(self._map)
        self._words = self._bytes[:HEADER_BYTES].cast("Q")
        self.cells = self._bytes[HEADER_BYTES:CELLS_END].cast("d")
        self._read = 0
        self._crc = 0
        if begin:
            self._begin()
        reason = self._wrong()
        if reason:
            self.close()
            raise NotASlotFile(reason)

    @property
    def generation(self) -> int:
        """A number that changes when the file is begun anew."""
        return self._words[_GENERATION]

    @property
    def pid(self) -> int:
        """The process that claimed the file last."""
        return self._words[_PID]

    @property
    def claimed(self) -> float:
        """When that was, in seconds since 1970."""
        return self._words[_CLAIMED] / 1e6

    def claim(self) -> None:
        """Say that the file is this process' now."""
        self._words[_PID] = os.getpid()
        self._words[_CLAIMED] = int(time.time() * 1e6)

    def new_entries(self) -> list[Any]:
        """Return the lines of keys that were added since the last call, parsed.

        Raises:
            NotASlotFile: they are not what was written; nothing of them is returned, now or later, until they are whole.
        """
        commit = self._words[_COMMIT]
        length, crc = commit & 0xFFFFFFFF, commit >> 32
        if length == self._read:
            return []
        if not self._read < length <= KEYS_BYTES:
            raise NotASlotFile("torn")
        lines = self._bytes[CELLS_END + self._read : CELLS_END + length].tobytes()
        if zlib.crc32(lines, self._crc) != crc:
            raise NotASlotFile("torn")
        entries: list[Any] = json.loads(b"[" + lines[:-1].replace(b"\n", b",") + b"]")
        self._read, self._crc = length, crc
        return entries

    def append(self, entry: Any) -> None:
        """Add a line of keys; every line must have been read before.

        Raises:
            OSError: the disk, or the file, is full.
        """
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        start, end = CELLS_END + self._read, CELLS_END + self._read + len(line)
        if end > FILE_BYTES:
            raise OSError("the slot file has no room for more series")
        self._reserve(CELLS_END, end)
        self._bytes[start:end] = line
        self._read += len(line)
        self._crc = zlib.crc32(line, self._crc)
        self._words[_COMMIT] = self._crc << 32 | self._read

    def reserve_cells(self, end: int) -> None:
        """Make sure that the cells before `end` have their place on the disk.

        Raises:
            OSError: the disk, or the file, is full.
        """
        if end > CELLS:
            raise OSError("the slot file has no room for more series")
        self._reserve(HEADER_BYTES, HEADER_BYTES + end * 8)

    def write_exemplar(self, start: int, labels: dict[str, str], value: float, moment: float) -> None:
        """Write an exemplar into its cells; a reader that comes in between finds a wrong CRC.

        Raises:
            ValueError: the labels do not fit.
        """
        text = json.dumps(labels, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
        if len(text) > _EXEMPLAR_BYTES - _EXEMPLAR.size:
            raise ValueError("the exemplar's labels are too long")
        crc = zlib.crc32(text, zlib.crc32(struct.pack("=dd", moment, value)))
        place = HEADER_BYTES + start * 8
        self._bytes[place : place + _EXEMPLAR.size + len(text)] = _EXEMPLAR.pack(moment, value, crc, len(text)) + text

    def read_exemplar(self, start: int) -> tuple[dict[str, str], float, float] | None:
        """Return an exemplar's labels, value and Unix time; None where it was being written."""
        place = HEADER_BYTES + start * 8
        record = self._bytes[place : place + _EXEMPLAR_BYTES].tobytes()
        moment, value, crc, length = _EXEMPLAR.unpack_from(record)
        text = record[_EXEMPLAR.size : _EXEMPLAR.size + length]
        if len(text) != length or not length or zlib.crc32(text, zlib.crc32(struct.pack("=dd", moment, value))) != crc:
            return None
        return json.loads(text), value, moment

    def close(self) -> None:
        """Unmap the file; the cells can no longer be used."""
        for view in (self.cells, self._words, self._bytes):
            view.release()
        self._map.close()

    def _wrong(self) -> str:
        """Return what is wrong with the header, or an empty text."""
        if self._bytes[:8].tobytes() != MAGIC:
            return "foreign" if any(self._bytes[:8]) else "empty"
        return "" if self._words[_ENDIAN] == _ORDER else "foreign"

    def _begin(self) -> None:
        """Write the header, the magic word last."""
        self.reserve_cells(FIRST_CELL)
        self.cells[0], self.cells[1], self.cells[2] = 0.0, -math.inf, math.inf
        self._words[_ENDIAN] = _ORDER
        self._words[_GENERATION] = int.from_bytes(os.urandom(8), "little")
        self._bytes[:8] = MAGIC

    def _reserve(self, region: int, end: int) -> None:
        # Writing to a mapped hole of a full disk ends the process by a signal; asking for the room first is an error one can catch.
        reserved = max(self._reserved[region], region)
        if end > reserved:
            wanted = region + -(-(end - region) // _CHUNK) * _CHUNK
            _allocate(self._descriptor, reserved, wanted - reserved)
            self._reserved[region] = wanted


def _allocate(descriptor: int, start: int, length: int) -> None:
    allocate = getattr(os, "posix_fallocate", None)
    # macOS has none; there a full disk is found when it is too late.
    if allocate is not None:
        allocate(descriptor, start, length)


def definition_entry(definition: Definition) -> list[Any]:
    """Return the line of keys that stands before a metric's first series."""
    return [
        "m",
        definition.name,
        definition.type,
        definition.help,
        definition.unit,
        {name: list(values) if values else None for name, values in definition.labels.items()},
        list(definition.buckets),
        definition.mode,
    ]


def definition_of(entry: list[Any]) -> Definition:
    """Return the metric that a line of keys defines.

    Raises:
        ValueError: it defines none.
    """
    _, name, kind, text, unit, labels, buckets, mode = entry
    return Definition(name, kind, text, unit, labels, tuple(buckets), mode)
