"""Log files: written with a bound on their size, and read from their end."""

import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

KEEP: Final = 3
LIMIT_BYTES: Final = 10 * 1024 * 1024
_NEWLINE: Final = ord("\n")
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
            while self._size + len(chunk) > self._limit and self._size:
                end = chunk.rfind(b"\n", 0, max(0, self._limit - self._size)) + 1
                if not end and not self._whole:  # the line that is begun ends in the same file
                    end = chunk.find(b"\n") + 1
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
        self._whole = True

    def _write(self, chunk: bytes) -> None:
        while chunk:
            written = os.write(self._handle, chunk)
            self._size += written
            self._whole = chunk[written - 1] == _NEWLINE
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
    last: deque[bytes] = deque(maxlen=lines)
    for part in (_rotated(path), path):
        with suppress(FileNotFoundError):
            last.extend(part.read_bytes().splitlines())
    return [line.decode(errors="replace") for line in last]


def follow(path: Path, lines: int) -> Iterator[str]:
    """Yield the last lines and then each new one, for ever, through rotations and a file that is not there yet."""
    file = _opened(path)
    last: deque[bytes] = deque(maxlen=lines)
    with suppress(FileNotFoundError):
        last.extend(_rotated(path).read_bytes().splitlines())
    # Read by the handle that is followed, so that nothing is written unseen in between.
    *whole, rest = (file.read() if file else b"").split(b"\n")
    last.extend(whole)
    yield from (line.decode(errors="replace") for line in last)
    try:
        while True:
            # Asked before reading: what the old file got until it was renamed is read before the new one is opened.
            newer = _newer(path, file)
            *whole, rest = (rest + (file.read() if file else b"")).split(b"\n")
            if newer and file:
                file.close()
            file = newer or file
            yield from (line.decode(errors="replace") for line in whole)
            if not whole and not newer:
                time.sleep(_POLL_SECONDS)
    finally:
        if file:
            file.close()


def _rotated(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")


def _opened(path: Path) -> IO[bytes] | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _newer(path: Path, file: IO[bytes] | None) -> IO[bytes] | None:
    """Return the file that is at `path` by now when it is another than `file`."""
    newer = _opened(path)
    if newer and file and os.fstat(newer.fileno()).st_ino == os.fstat(file.fileno()).st_ino:
        newer.close()
        return None
    return newer
