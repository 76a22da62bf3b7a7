"""Wait until processes answer."""

import socket
import time
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from specwatch.engines.errors import StartError
from specwatch.engines.http import ask
from specwatch.engines.native.logfile import tail
from specwatch.engines.native.model import ChildState, Command, RunFolder, State, read
from specwatch.engines.values import Ready, Report, Restarted, Waiting

LIMIT_SECONDS: Final = 60.0
LOG_LINES: Final = 10
# Who dies this often before it was ever ready (after some six seconds) has a reason that waiting does not mend.
_RESTARTS: Final = 5
_POLL_SECONDS: Final = 0.1
_ASK_SECONDS: Final = 2.0
TELL_SECONDS: Final = 2.0


def answers(command: Command) -> bool:
    """Return whether the process does its work; one without a check is ready as soon as it runs."""
    parts = urlsplit(command.ready)
    if parts.scheme == "http":
        return ask(command.ready, limit_seconds=_ASK_SECONDS).ok
    if parts.scheme == "tcp":
        try:
            socket.create_connection((parts.hostname or "", parts.port or 0), timeout=_ASK_SECONDS).close()
        except OSError:
            return False
    return True


def wait(folder: RunFolder, commands: Iterable[Command], report: Report, limit_seconds: float = LIMIT_SECONDS) -> None:
    """Return once all commands are ready; raises StartError with the log's last lines for one that is not in time or keeps dying."""
    pending = {command.name: command for command in commands}
    began = told = time.monotonic()
    before = {child.name: child.restarts for child in children(folder).values()}
    seen = dict(before)
    while pending:
        now = children(folder)
        seconds = time.monotonic() - began
        for name, command in list(pending.items()):
            child = now.get(name)
            if child and child.restarts > seen.get(name, 0):
                seen[name] = child.restarts
                report(Restarted(name, child.reason))
            if child and child.state == "running" and answers(command):
                del pending[name]
                report(Ready(name, time.monotonic() - began))
            elif child and ended_well(command, child):
                del pending[name]  # a task that has done its work
            elif child and (child.state == "stopped" or child.restarts - before.get(name, 0) >= _RESTARTS):
                raise failure(folder, name, child.reason)
            elif seconds > limit_seconds:
                raise failure(folder, name, f"not ready after {limit_seconds:.0f} s" + (f" ({command.ready})" if command.ready else ""))
        if pending:
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                report(Waiting(tuple(pending), seconds))
            time.sleep(_POLL_SECONDS)


def ended_well(command: Command, child: ChildState) -> bool:
    """Return whether the part had an end of its own and came to it without a failure."""
    return child.state == "stopped" and command.restart != "always" and child.reason.endswith("code 0")


def children(folder: RunFolder) -> dict[str, ChildState]:
    """Return the children by name, as the supervisor last noted them."""
    state = read(folder.state, State)
    return {child.name: child for child in state.children} if state else {}


def failure(folder: RunFolder, name: str, reason: str) -> StartError:
    """Return the error for a process that does not come up, with what it said last."""
    path = folder.log(name)
    last = "\n".join(f"    {line}" for line in tail(path, LOG_LINES))
    return StartError(name, reason, f"its last lines, from {path}:\n{last}" if last else f"it said nothing ({path} is empty)")
