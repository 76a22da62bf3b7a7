"""Ask the kernel about processes, through /proc."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from specwatch.engines.native.model import MARK

_PROC: Final = Path("/proc")
_STATE_FIELD: Final = 0  # of what follows the name in /proc/PID/stat
_START_FIELD: Final = 19


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


def kill(pids: Iterable[int], number: int) -> None:
    """Send a signal to each process that is still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
