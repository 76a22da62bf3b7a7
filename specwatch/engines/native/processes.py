"""Ask the kernel about processes and ports, through /proc."""

import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from specwatch.engines.native.model import MARK

_PROC: Final = Path("/proc")
_STATE_FIELD: Final = 0  # of what follows the name in /proc/PID/stat
_START_FIELD: Final = 19
_LISTEN: Final = "0A"
_ADDRESS, _SOCKET_STATE, _INODE = 1, 3, 9  # columns of /proc/net/tcp


class Owner(Struct, frozen=True):
    """Who listens on a port: pid 0 and an empty name when this user may not know."""

    pid: int
    name: str


def start_time(pid: int) -> int:
    """Return when the process began, in clock ticks since boot; 0 when there is none or it is a zombie."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[_STATE_FIELD] in "ZX" else int(fields[_START_FIELD])


def alive(pid: int, start: int) -> bool:
    """Return whether the process that had this pid and start time is still there (a pid alone may be another's by now)."""
    return start != 0 and start_time(pid) == start


def marked(folder: Path, run: str = "") -> tuple[int, ...]:
    """Return the pids of the processes that a supervisor of the run folder started, or that their children started in turn.

    `run` narrows it to one supervisor (its `mark`).
    """
    wanted = f"{MARK}={run}\0".encode() if run else f"{MARK}={folder}:".encode()
    found = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if wanted in b"\0" + (entry / "environ").read_bytes() and start_time(int(entry.name)):
                    found.append(int(entry.name))
    return tuple(found)


def mark(folder: Path, pid: int, start: int) -> str:
    """Return what the supervisor with this pid and start time marks its children with."""
    return f"{folder}:{pid}-{start}"


def owner(port: int) -> Owner | None:
    """Return who listens on `port` so that nobody else can at 127.0.0.1, or None when it is free."""
    with socket.socket() as probe:
        # Without it, connections of the last run that are in TIME_WAIT would make the port look taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return _holder(_inodes(port))
    return None


def _inodes(port: int) -> frozenset[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
                columns = line.split()
                if columns[_SOCKET_STATE] == _LISTEN and int(columns[_ADDRESS].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{columns[_INODE]}]")
    return frozenset(found)


def _holder(sockets: frozenset[str]) -> Owner:
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if any(str(handle.readlink()) in sockets for handle in (entry / "fd").iterdir()):
                    return Owner(int(entry.name), (entry / "comm").read_text().strip())
    return Owner(0, "")


def kill(pids: Iterable[int], number: int) -> None:
    """Send a signal to each process that is still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
