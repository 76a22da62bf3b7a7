"""Log files: written with a bound on their size, and read from their end."""

import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

KEEP: Final = 3
LIMIT_BYTES: Final = 10 * 1024 * 1024
_POLL_SECONDS: Final = 0.2


class LogFile:
    """A file that is appended to and, above `limit_bytes`, renamed to NAME.1 (then .2, up to KEEP) and begun anew.

    Whoever tails it by its open handle reads the renamed file to its end, so that no line is lost.
    """

    def __init__(self, path: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self._path = path
        self._limit = limit_bytes
        self._open()

    def write(self, chunk: bytes) -> None:
        """Append the bytes; what a full disk does not take is lost, for the process must not stop over its log."""
        try:
            if self._size + len(chunk) > self._limit:
                end = chunk.rfind(b"\n") + 1
                self._write(chunk[:end])
                self._rotate()
                chunk = chunk[end:]
            self._write(chunk)
        except OSError:
            return

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    def _open(self) -> None:
        self._handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._size = os.fstat(self._handle).st_size

    def _write(self, chunk: bytes) -> None:
        while chunk:
            written = os.write(self._handle, chunk)
            self._size += written
            chunk = chunk[written:]

    def _rotate(self) -> None:
        for number in range(KEEP, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path.with_name(f"{self._path.name}.{number - 1}") if number > 1 else self._path
            if newer.exists():
                newer.replace(older)
        os.close(self._handle)
        self._open()


def tail(path: Path, lines: int) -> list[str]:
    """Return the last lines, reaching back into the rotated file when the current one is short; none when there is no file."""
    last: deque[str] = deque(maxlen=lines)
    for part in (path.with_name(f"{path.name}.1"), path):
        if part.exists():
            with part.open(errors="replace") as file:
                last.extend(line.rstrip("\n") for line in file)
    return list(last)


def follow(path: Path, lines: int) -> Iterator[str]:
    """Yield the last lines and then each new one, for ever, through rotations and a file that is not there yet."""
    yield from tail(path, lines)
    file: IO[bytes] | None = path.open("rb") if path.exists() else None
    rest = b""
    try:
        if file:
            file.seek(0, os.SEEK_END)
        while True:
            # Asked before reading: what the old file got until it was renamed is read before the new one is opened.
            renamed = path.exists() and (file is None or os.fstat(file.fileno()).st_ino != path.stat().st_ino)
            *whole, rest = (rest + (file.read() if file else b"")).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)
            if renamed:
                if file:
                    file.close()
                file = path.open("rb")
            elif not whole:
                time.sleep(_POLL_SECONDS)
    finally:
        if file:
            file.close()
