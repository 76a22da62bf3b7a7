"""Whole lines into a stream, whatever it is: a file, a pipe that several processes share, a terminal, an object of the program's own."""

import fcntl
import io
import os
import re
import select
import stat
from contextlib import suppress
from json.encoder import encode_basestring_ascii
from typing import Any, Final

_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_PATIENCE_MILLISECONDS: Final = 1_000


class Lines:
    """Writes lines to a stream; the caller sees to it that one thread writes at a time.

    A text stream over a file descriptor is written to below its buffer: so a line is one system call, is UTF-8 whatever the locale says,
    is not written twice by a process that was forked in between, and is not half written later. What was printed before comes before.

    Args:
        stream: what has `write`, and perhaps `flush`; None when there is none.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._descriptor = _descriptor(stream)
        self._pipe = self._descriptor is not None and _is_pipe(self._descriptor)
        self._torn = False
        self._patient = True

    def write(self, line: str) -> None:
        """Write the line and a line break.

        Raises:
            Exception: the line could not be written, or not to its end.
        """
        if self._descriptor is None:
            self._write_text(line)
            return
        if self._stream.closed:
            raise ValueError("the stream is closed")
        try:
            data = f"{line}\n".encode()
        except UnicodeEncodeError:
            data = f"{line}\n".encode("utf-8", "replace")
        with suppress(OSError, ValueError):  # what was printed before is the printer's; the line may go through all the same
            self._stream.flush()
        if self._torn:
            data = b"\n" + data
        if not self._pipe:
            self._write_bytes(self._descriptor, data)
            return
        # A pipe keeps only up to 4,096 bytes together, and a line with a traceback is longer: without the lock
        # the lines of two workers would run into each other.
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        except OSError:
            self._write_bytes(self._descriptor, data)
            return
        try:
            self._write_bytes(self._descriptor, data)
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _write_bytes(self, descriptor: int, data: bytes) -> None:
        while True:
            try:
                written = os.write(descriptor, data)
            except BlockingIOError:
                # Somebody has made the descriptor non-blocking, and the reader is slow. After one time in vain nobody waits again
                # until a line goes through: an application must not stand still for its logs.
                if self._patient and _writable(descriptor):
                    continue
                self._patient = False
                raise
            data = data[written:]
            if not data:
                break
            # Should the rest not go through, the next line begins with a line break, so that it is not glued to this piece.
            self._torn = True
        self._torn = False
        self._patient = True

    def _write_text(self, line: str) -> None:
        try:
            self._stream.write(f"{line}\n")
        except UnicodeEncodeError:
            # The stream's encoding has no such character, JSON has an escape for each.
            self._stream.write(_NOT_ASCII.sub(lambda match: encode_basestring_ascii(match.group())[1:-1], line) + "\n")
        flush = getattr(self._stream, "flush", None)
        if flush is not None:
            flush()


def _descriptor(stream: Any) -> int | None:
    """The file descriptor below a text stream, None when something between them has to see what is written."""
    if type(stream) is not io.TextIOWrapper:
        return None
    try:
        raw = getattr(stream.buffer, "raw", stream.buffer)
        if type(raw) is io.FileIO and "{é\n".encode(stream.encoding, "replace")[:1] == b"{" and stream.writable():
            return raw.fileno()
    except (OSError, ValueError, AttributeError, LookupError):
        pass
    return None


def _is_pipe(descriptor: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _writable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(_PATIENCE_MILLISECONDS))
