"""Start, change and stop the native stack: what the commands call."""

import fcntl
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from specwatch.engines import ports
from specwatch.engines.errors import BusyError, FolderError, NotRunningError, StartError
from specwatch.engines.native import converge, processes, ready, supervision
from specwatch.engines.native.model import RunFolder, Saved, read, run_folder
from specwatch.engines.values import AlreadyRunning, ComponentState, ComponentStatus, Outcome, Report, Started, Stopped, ignore

if TYPE_CHECKING:
    from specwatch.engines.native.plan import Plan

_BUSY_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.05


def up(plan: "Plan", report: Report = ignore, *, attached: bool = False) -> tuple[ComponentStatus, ...]:
    """Start what the plan says, wait until all of it is ready, and return how each part is doing.

    What is up already stays up; what differs from the plan is brought to it. With `attached` the stack ends when this process does: call
    `hold` next. A stack that this call started is stopped again when something in it does not become ready. Raises PortError,
    StartError, FolderError or BusyError.
    """
    folder = RunFolder(Path(plan.folder))
    for each in plan.substituted:
        report(each)
    for off in plan.off:
        report(off)
    with _changing(folder):
        if supervision.pid_of(folder):
            report(AlreadyRunning(tuple(command.name for command in plan.commands if command.name in ready.children(folder))))
            failed = [outcome for outcome in converge.converge(folder, plan, report) if outcome.result == "failed"]
            if failed:
                raise StartError(failed[0].name, failed[0].detail, "what ran before still runs")
        else:
            _start(folder, plan, report, attached=attached)
    return status(Path(plan.project))


def hold(project: Path, report: Report = ignore) -> None:
    """Wait until the attached stack ends, by Ctrl-C or SIGTERM to this process or on its own; then all of it is stopped.

    Raises StopError when something is left.
    """
    folder = run_folder(project)

    def leave(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, leave)
    try:
        while supervision.pid_of(folder):
            time.sleep(_POLL_SECONDS * 4)
    except KeyboardInterrupt:
        pass  # that is how it ends
    finally:
        signal.signal(signal.SIGTERM, before)
        down(project, report)


def down(project: Path, report: Report = ignore, *, volumes: bool = False) -> tuple[str, ...]:
    """Stop everything, in the opposite order of its start, and return the names of what ran; no process is left.

    With `volumes` the data goes, too. Raises StopError when something does not end.
    """
    folder = run_folder(project)
    if not folder.root.exists():
        return ()
    with _changing(folder):
        names = tuple(name for name, child in ready.children(folder).items() if child.pid) if supervision.pid_of(folder) else ()
        supervision.end(folder, report)
        for name in names:
            report(Stopped(name))
        if volumes:
            shutil.rmtree(folder.data)
    return names


def reload(plan: "Plan", report: Report = ignore) -> tuple[Outcome, ...]:
    """Bring the running stack to the plan and return what that did to each part.

    Configurations are read again where the program can do so, and checked to be in force; the rest starts anew, where something
    changed for it. A part that does not take its new configuration keeps the old one, running and on the disk. Raises NotRunningError.
    """
    folder = RunFolder(Path(plan.folder))
    if not supervision.pid_of(folder):
        raise NotRunningError("reload", "the native stack is not up", "start it with `specwatch up`")
    with _changing(folder):
        return converge.converge(folder, plan, report)


def status(project: Path) -> tuple[ComponentStatus, ...]:
    """Return how each part of the stack is doing, in the order of the plan; nothing when it was never up."""
    folder = run_folder(project)
    saved = read(folder.plan, Saved)
    if saved is None:
        return ()
    children = ready.children(folder) if supervision.pid_of(folder) else {}
    found = []
    for command in saved.commands:
        child = children.get(command.name)
        if child is None:
            found.append(ComponentStatus(name=command.name, state="stopped", url=command.url))
            continue
        running = processes.alive(child.pid, child.start)
        state: ComponentState = child.state
        if state == "running" and not (running and ready.answers(command)):
            state = "starting"
        elif state == "stopped" and ready.ended_well(command, child):
            state = "ended"
        found.append(
            ComponentStatus(
                name=child.name,
                state=state,
                pid=child.pid,
                uptime_seconds=time.monotonic() - child.since if running else 0.0,
                restarts=child.restarts,
                url=command.url,
                reason=child.reason,
            )
        )
    return (*found, *(ComponentStatus(name=off.name, state="off", reason=f"{off.reason}: {off.cure}") for off in saved.off))


def _start(folder: RunFolder, plan: "Plan", report: Report, *, attached: bool) -> None:
    supervision.sweep(folder)
    ports.check((port, command.name) for command in plan.commands for port in command.ports)
    converge.write(folder, plan)
    folder.state.unlink(missing_ok=True)
    generation = supervision.order(folder, plan.commands, plan.off)
    try:
        supervision.begin(folder, attached=attached)
        supervision.reached(folder, generation)
        for command in sorted(plan.commands, key=lambda command: command.wave):
            report(Started(command.name))
        ready.wait(folder, plan.commands, report)
    except BaseException:
        supervision.end(folder, ignore)
        raise


@contextmanager
def _changing(folder: RunFolder) -> Iterator[None]:
    """Hold the stack for this command, and turn what the disk refuses into one clear error."""
    try:
        folder.make()
        with folder.command_lock.open("w") as lock:
            limit = time.monotonic() + _BUSY_SECONDS
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > limit:
                        raise BusyError("specwatch", f"another command is at work on {folder.root}", "wait for it to end") from None
                    time.sleep(_POLL_SECONDS)
            yield
    except OSError as error:
        raise FolderError(
            str(error.filename or folder.root), error.strerror or str(error), "free space or rights are missing there"
        ) from error
