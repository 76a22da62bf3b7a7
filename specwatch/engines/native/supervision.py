"""Begin, steer and end the supervisor, from outside."""

import fcntl
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from specwatch.engines.errors import StartError, StopError
from specwatch.engines.native import processes, ready
from specwatch.engines.native.logfile import tail
from specwatch.engines.native.model import Command, RunFolder, Saved, State, read, replace
from specwatch.engines.values import Off, Report, Waiting

_BEGIN_SECONDS: Final = 15.0
_STOP_SECONDS: Final = 75.0
_POLL_SECONDS: Final = 0.05


def pid_of(folder: RunFolder) -> int:
    """Return the pid of the supervisor that holds the run folder, or 0; its lock says so, which no other process can be taken for."""
    limit = time.monotonic() + _POLL_SECONDS * 40
    while True:
        try:
            with folder.lock.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return 0
        except BlockingIOError:
            words = folder.lock.read_text().split()
            if len(words) == 2 and processes.alive(int(words[0]), int(words[1])):  # noqa: PLR2004  # its pid and its start time
                return int(words[0])
            # Somebody else is only asking, or a supervisor has just begun.
            if time.monotonic() > limit:
                return 0
            time.sleep(_POLL_SECONDS / 5)
        else:
            return 0


def order(folder: RunFolder, commands: tuple[Command, ...], off: tuple[Off, ...]) -> int:
    """Write down what is to run, and return the generation by which `reached` knows that it does."""
    saved = read(folder.plan, Saved)
    generation = saved.generation + 1 if saved else 1
    replace(folder.plan, msgspec.json.encode(Saved(generation=generation, commands=commands, off=off)))
    return generation


def begin(folder: RunFolder, *, attached: bool) -> None:
    """Start a supervisor; `attached`, it ends when this process does."""
    log = folder.log("supervisor")
    words = [sys.executable, "-P", "-m", "specwatch.engines.native.supervisor", str(folder.root)]
    if attached:
        words += ["--attached", str(os.getpid())]
    source = str(Path(__file__).parents[3])
    pid = os.posix_spawn(
        sys.executable,
        words,
        {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    if not attached:
        os.waitpid(pid, 0)  # the supervisor detaches itself, and this process ends at once


def hurry(folder: RunFolder) -> None:
    """Have the supervisor read its orders again; raises StartError when it has ended."""
    pid = pid_of(folder)
    if not pid:
        raise StartError("the supervisor", "it has ended", f"see {folder.log('supervisor')}, then start the stack with `specwatch up`")
    os.kill(pid, signal.SIGHUP)


def reached(folder: RunFolder, generation: int) -> None:
    """Wait until the supervisor has done what the generation asks; raises StartError when it ends instead."""
    limit = time.monotonic() + _BEGIN_SECONDS
    while (state := read(folder.state, State)) is None or state.generation < generation:
        if pid_of(folder):
            limit = max(limit, time.monotonic() + _BEGIN_SECONDS)
        elif time.monotonic() > limit:
            last = "\n".join(tail(folder.log("supervisor"), ready.LOG_LINES))
            raise StartError("the supervisor", "it did not begin its work", f"its last lines, from {folder.log('supervisor')}:\n{last}")
        time.sleep(_POLL_SECONDS)


def end(folder: RunFolder, report: Report) -> None:
    """Stop everything and wait until no process is left; raises StopError when one is."""
    pid = pid_of(folder)
    start = processes.start_time(pid) if pid else 0
    if pid:
        processes.kill((pid,), signal.SIGTERM)
    began = told = time.monotonic()
    while pid_of(folder):
        now = time.monotonic()
        if now - began > _STOP_SECONDS:
            processes.kill((pid,) if pid else (), signal.SIGKILL)
            break
        if now - told > ready.TELL_SECONDS:
            told = now
            report(Waiting(tuple(name for name, child in ready.children(folder).items() if child.pid), now - began))
        time.sleep(_POLL_SECONDS)
    while pid and processes.alive(pid, start) and time.monotonic() - began < _STOP_SECONDS + _BEGIN_SECONDS:
        time.sleep(_POLL_SECONDS)  # it has let go of its lock, and is about to end
    sweep(folder)


def sweep(folder: RunFolder) -> None:
    """End what a supervisor that was killed left behind; raises StopError when that does not end."""
    limit = time.monotonic() + _BEGIN_SECONDS
    while left := processes.marked(folder.root):
        if time.monotonic() > limit:
            raise StopError("down", f"the processes {', '.join(map(str, left))} do not end", "look at them with `ps`, and end them by hand")
        processes.kill(left, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
