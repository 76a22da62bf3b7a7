"""Start, change and stop the native stack: what the commands call."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace as changed_to

from specwatch.components import BY_NAME
from specwatch.engines import effective
from specwatch.engines.errors import BusyError, FolderError, NotRunningError, PortError, StartError, StopError
from specwatch.engines.http import ask
from specwatch.engines.native import files, processes, ready, secrets
from specwatch.engines.native.logfile import tail
from specwatch.engines.native.model import Command, Plan, RunFolder, Saved, State, read, replace, run_folder
from specwatch.engines.native.parts import PARTS
from specwatch.engines.values import AlreadyRunning, ComponentStatus, Outcome, Report, Restarted, Started, Stopped, Waiting, ignore

_BUSY_SECONDS: Final = 120.0
_BEGIN_SECONDS: Final = 15.0
_VERIFY_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 75.0
_POLL_SECONDS: Final = 0.05


def up(plan: Plan, report: Report = ignore, *, attached: bool = False) -> tuple[ComponentStatus, ...]:
    """Start what the plan says, wait until all of it is ready, and return how each part is doing.

    What is up already stays up; what differs from the plan is brought to it. With `attached` the stack ends when this process does: call
    `hold` next. A stack that this call started is stopped again when something in it does not become ready. Raises PortError,
    StartError, FolderError or BusyError.
    """
    folder = RunFolder(Path(plan.folder))
    for event in (*plan.substituted, *plan.off):
        report(event)
    with _changing(folder):
        if supervisor(folder):
            report(AlreadyRunning(tuple(command.name for command in plan.commands if command.name in ready.children(folder))))
            failed = [outcome for outcome in _converge(folder, plan, report) if outcome.result == "failed"]
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
        while supervisor(folder):
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
        names = tuple(name for name, child in ready.children(folder).items() if child.pid) if supervisor(folder) else ()
        _stop(folder, report)
        for name in names:
            report(Stopped(name))
        if volumes:
            shutil.rmtree(folder.data)
    return names


def reload(plan: Plan, report: Report = ignore) -> tuple[Outcome, ...]:
    """Bring the running stack to the plan and return what that did to each part.

    Configurations are read again where the program can do so, and checked to be in force; the rest starts anew, only where something changed
    for it. A part that does not take its new configuration keeps the old one, running and on the disk. Raises NotRunningError.
    """
    folder = RunFolder(Path(plan.folder))
    if not supervisor(folder):
        raise NotRunningError("reload", "the native stack is not up", "start it with `specwatch up`")
    with _changing(folder):
        return _converge(folder, plan, report)


def status(project: Path) -> tuple[ComponentStatus, ...]:
    """Return how each part of the stack is doing, in the order of the plan; nothing when it was never up."""
    folder = run_folder(project)
    saved = read(folder.plan, Saved)
    if saved is None:
        return ()
    children = ready.children(folder) if supervisor(folder) else {}
    found = []
    for command in saved.commands:
        child = children.get(command.name)
        if child is None:
            found.append(ComponentStatus(name=command.name, state="stopped", url=command.url))
            continue
        running = processes.alive(child.pid, child.start)
        state = child.state if child.state != "running" else "starting" if not running or not ready.answers(command) else "running"
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


def supervisor(folder: RunFolder) -> int:
    """Return the pid of the supervisor that holds the run folder, or 0; its lock says so, which no other process can be taken for."""
    try:
        with folder.lock.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return 0
    except BlockingIOError:
        return int(folder.lock.read_text() or 0) or -1
    return 0


def _start(folder: RunFolder, plan: Plan, report: Report, *, attached: bool) -> None:
    _sweep(folder)
    _check_ports(plan.commands)
    _write(folder, plan)
    folder.state.unlink(missing_ok=True)
    generation = _save(folder, plan, plan.commands)
    try:
        _spawn(folder, attached=attached)
        _await(folder, generation)
        for command in sorted(plan.commands, key=lambda command: command.wave):
            report(Started(command.name))
        ready.wait(folder, plan.commands, report)
    except BaseException:
        _stop(folder, ignore)
        raise


def _converge(folder: RunFolder, plan: Plan, report: Report) -> tuple[Outcome, ...]:
    saved = read(folder.plan, Saved) or Saved(generation=0, commands=(), off=())
    old = {command.name: command for command in saved.commands}
    _check_ports(tuple(c for c in plan.commands if c.name not in old or set(c.ports) - set(old[c.name].ports)))
    before = files.current(folder.config)
    touched = files.changed(before, plan.files)
    _write(folder, plan)
    outcomes = {name: Outcome(name, "stopped") for name in old if name not in {command.name for command in plan.commands}}
    for command in plan.commands:
        outcomes[command.name] = _prepare(command, old.get(command.name), touched)
    failed = frozenset(name for name, outcome in outcomes.items() if outcome.result == "failed")
    wanted = tuple(old[command.name] if command.name in failed else command for command in plan.commands)
    _apply(folder, plan, wanted, files.mixed(before, plan.files, failed))
    for command in wanted:
        name, result = command.name, outcomes[command.name].result
        if result in {"restarted", "started"}:
            report(Restarted(name, "its configuration changed") if result == "restarted" else Started(name))
            outcomes[name] = _settle(folder, command, outcomes[name], report)
        elif result in {"unchanged", "reloaded"}:
            outcomes[name] = _verified(folder, command, outcomes[name], plan)
    late = frozenset(name for name, outcome in outcomes.items() if outcome.result == "failed") - failed
    if late:  # what did not come up with the new files, or lost what it had: back to the old ones
        wanted = tuple(old[c.name] if c.name in late and c.name in old else c for c in wanted if c.name not in late or c.name in old)
        _apply(folder, plan, wanted, files.mixed(before, plan.files, failed | late))
    return tuple(outcomes.values())


def _apply(folder: RunFolder, plan: Plan, commands: tuple[Command, ...], texts: dict[str, str]) -> None:
    files.write(folder.config, files.current(folder.config), texts)
    generation = _save(folder, plan, commands)
    os.kill(supervisor(folder), signal.SIGHUP)
    _await(folder, generation)


def _prepare(command: Command, old: Command | None, touched: frozenset[str]) -> Outcome:
    """Return what is to become of the part; one that reads its files again does so now, one that starts anew checks them first."""
    name = command.name
    if old is None:
        return Outcome(name, "started")
    part = PARTS.get(name)
    if not old.same_process(command):
        detail = _checked(command) if name in touched else ""
        return Outcome(name, "failed", f"{detail}\nthe running one was left as it is") if detail else Outcome(name, "restarted")
    if name not in touched:
        return Outcome(name, "unchanged")
    if part is None or not part.reload:
        return Outcome(name, "reloaded", "it reads these files again by itself")
    answer = ask(f"{command.url}-/reload", method="POST")
    if answer.ok:
        return Outcome(name, "reloaded")
    return Outcome(name, "failed", f"{answer.text.strip() or f'HTTP status {answer.status}'}\nit goes on with its old configuration")


def _checked(command: Command) -> str:
    """Return what the program says against its new configuration, or nothing."""
    if not command.verify:
        return ""
    try:
        done = subprocess.run(
            command.verify, cwd=command.cwd, stdin=subprocess.DEVNULL, capture_output=True, timeout=_VERIFY_SECONDS, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return "\n".join(said[-ready.LOG_LINES :]) or f"exit code {done.returncode}" if done.returncode else ""


def _settle(folder: RunFolder, command: Command, outcome: Outcome, report: Report) -> Outcome:
    try:
        ready.wait(folder, (command,), report)
    except StartError as error:
        return Outcome(command.name, "failed", f"{error.why}\n{error.remedy}\nthe old configuration is back in force")
    return outcome


def _verified(folder: RunFolder, command: Command, outcome: Outcome, plan: Plan) -> Outcome:
    compare: dict[str, Callable[[], tuple[str, ...]]] = {
        "prometheus": lambda: effective.prometheus(command.url, str(folder.config / "prometheus"), plan.files),
        "alertmanager": lambda: effective.alertmanager(command.url, plan.files["alertmanager/alertmanager.yml"]),
    }
    differences = compare[command.name]() if command.name in compare else ()
    if differences:
        return Outcome(command.name, "failed", "what runs is not what was rendered:\n" + "\n".join(differences))
    return outcome


def _write(folder: RunFolder, plan: Plan) -> None:
    """Put the plan's files, links, secrets and data folders in place."""
    files.write(folder.config, files.current(folder.config), plan.files)
    for name, target in plan.links.items():
        link = folder.config / name
        if not link.is_symlink():
            link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            link.symlink_to(target)
    secrets.write(plan)
    for command in plan.commands:
        if command.name in BY_NAME and BY_NAME[command.name].data:
            (folder.data / command.name).mkdir(mode=0o700, exist_ok=True)


def _save(folder: RunFolder, plan: Plan, commands: tuple[Command, ...]) -> int:
    saved = read(folder.plan, Saved)
    generation = saved.generation + 1 if saved else 1
    replace(folder.plan, msgspec.json.encode(Saved(generation=generation, commands=commands, off=plan.off)))
    return generation


def _spawn(folder: RunFolder, *, attached: bool) -> None:
    log = folder.log("supervisor")
    words = [sys.executable, "-m", "specwatch.engines.native.supervisor", str(folder.root)]
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


def _await(folder: RunFolder, generation: int) -> None:
    """Wait until the supervisor has reached the generation of the plan; stopping what changed takes its time."""
    limit = time.monotonic() + _BEGIN_SECONDS
    while (state := read(folder.state, State)) is None or state.generation < generation:
        if supervisor(folder):
            limit = max(limit, time.monotonic() + _BEGIN_SECONDS)
        elif time.monotonic() > limit:
            last = "\n".join(tail(folder.log("supervisor"), ready.LOG_LINES))
            raise StartError("the supervisor", "it did not begin its work", f"its last lines, from {folder.log('supervisor')}:\n{last}")
        time.sleep(_POLL_SECONDS)


def _stop(folder: RunFolder, report: Report) -> None:
    pid = supervisor(folder)
    if pid > 0:
        processes.kill((pid,), signal.SIGTERM)
    began = told = time.monotonic()
    while supervisor(folder):
        now = time.monotonic()
        if now - began > _STOP_SECONDS:
            processes.kill((pid,), signal.SIGKILL)
            break
        if now - told > ready.TELL_SECONDS:
            told = now
            report(Waiting(tuple(name for name, child in ready.children(folder).items() if child.pid), now - began))
        time.sleep(_POLL_SECONDS)
    _sweep(folder)


def _sweep(folder: RunFolder) -> None:
    """End what a supervisor that was killed left behind."""
    limit = time.monotonic() + _BEGIN_SECONDS
    while left := processes.marked(folder.root):
        if time.monotonic() > limit:
            raise StopError("down", f"the processes {', '.join(map(str, left))} do not end", "look at them with `ps`, and end them by hand")
        processes.kill(left, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def _check_ports(commands: tuple[Command, ...]) -> None:
    taken = [(port, command.name, owner) for command in commands for port in command.ports if (owner := processes.owner(port))]
    if taken:
        lines = [
            f"port {port}, which {name} needs, belongs to "
            + (f"{owner.name} (pid {owner.pid})" if owner.pid else "a process that this user may not see")
            for port, name, owner in taken
        ]
        raise PortError("up", "\n".join(lines), "end that process, or choose another port in the spec (stack.ports)")


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
