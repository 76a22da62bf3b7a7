"""Bring a running stack to a plan, part by part, so that a part that does not take its change keeps what it had."""

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from specwatch.components import BY_NAME
from specwatch.engines import ports
from specwatch.engines.complaints import complaints
from specwatch.engines.errors import StartError
from specwatch.engines.http import ask
from specwatch.engines.native import files, ready, secrets, supervision
from specwatch.engines.native.model import Command, RunFolder, Saved, read
from specwatch.engines.native.parts import PARTS
from specwatch.engines.values import Outcome, Report, Restarted, Started

if TYPE_CHECKING:
    from specwatch.engines.native.plan import Plan

_VERIFY_SECONDS: Final = 30.0
_LOG_SECONDS: Final = 1.0


def converge(folder: RunFolder, plan: "Plan", report: Report) -> tuple[Outcome, ...]:
    """Return what bringing the running stack to the plan did to each part; raises PortError, FolderError or StartError."""
    saved = read(folder.plan, Saved) or Saved(generation=0, commands=(), off=())
    old = {command.name: command for command in saved.commands}
    ports.check((port, c.name) for c in plan.commands for port in c.ports if c.name not in old or port not in old[c.name].ports)
    before = files.current(folder.config)
    touched = files.changed(before, plan.files)
    write(folder, plan)
    outcomes = {name: Outcome(name, "stopped") for name in old if name not in {command.name for command in plan.commands}}
    for command in plan.commands:
        outcomes[command.name] = _prepare(folder, command, old.get(command.name), touched)
    failed = frozenset(name for name, outcome in outcomes.items() if outcome.result == "failed")
    wanted = tuple(old[command.name] if command.name in failed else command for command in plan.commands)
    _apply(folder, plan, wanted, files.mixed(before, plan.files, failed))
    for name in failed:
        if PARTS[name].reload:  # so that it does not go on saying that its last reload failed
            ask(f"{old[name].url}-/reload", method="POST")
    for command in wanted:
        name, result = command.name, outcomes[command.name].result
        if result in {"restarted", "started"}:
            report(Restarted(name, "its configuration changed") if result == "restarted" else Started(name))
            outcomes[name] = _settle(folder, command, outcomes[name], report)
        if outcomes[name].result != "failed":
            outcomes[name] = _verified(folder, command, outcomes[name], plan)
    late = frozenset(name for name, outcome in outcomes.items() if outcome.result == "failed") - failed
    if late:  # what did not come up with the new files, or lost what it had: back to the old ones
        wanted = tuple(old[c.name] if c.name in late and c.name in old else c for c in wanted if c.name not in late or c.name in old)
        _apply(folder, plan, wanted, files.mixed(before, plan.files, failed | late))
    return tuple(outcomes.values())


def _apply(folder: RunFolder, plan: "Plan", commands: tuple[Command, ...], texts: Mapping[str, str]) -> None:
    files.write(folder.config, files.current(folder.config), texts)
    generation = supervision.order(folder, commands, plan.off)
    supervision.hurry(folder)
    supervision.reached(folder, generation)


def _prepare(folder: RunFolder, command: Command, old: Command | None, touched: frozenset[str]) -> Outcome:
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
    said = folder.log(name).stat().st_size
    answer = ask(f"{command.url}-/reload", method="POST")
    if answer.ok:
        return Outcome(name, "reloaded")
    reasons = (answer.text.strip() or f"HTTP status {answer.status}", *_complaints(folder.log(name), said))
    return Outcome(name, "failed", "\n".join((*reasons, "it goes on with its old configuration")))


def _complaints(log: Path, offset: int) -> tuple[str, ...]:
    """Return the errors that a component wrote into its log behind `offset`."""
    limit = time.monotonic() + _LOG_SECONDS  # what it writes comes to us through the supervisor
    while not (found := complaints(_behind(log, offset))) and time.monotonic() < limit:
        time.sleep(_LOG_SECONDS / 20)
    return found


def _behind(log: Path, offset: int) -> str:
    with log.open("rb") as file:
        file.seek(offset)
        return file.read().decode(errors="replace")


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


def _verified(folder: RunFolder, command: Command, outcome: Outcome, plan: "Plan") -> Outcome:
    from specwatch.engines import effective  # noqa: PLC0415  # YAML and PromQL readers, which `up`, `down` and `status` do without

    differences = effective.differences(command.name, command.url, str(folder.config / command.name), plan.files)
    return Outcome(command.name, "failed", "what runs is not what was rendered:\n" + "\n".join(differences)) if differences else outcome


def write(folder: RunFolder, plan: "Plan") -> None:
    """Put the plan's files, links, secrets and data folders in place."""
    secrets.write(plan)
    files.write(folder.config, files.current(folder.config), plan.files)
    for name, target in plan.links.items():
        link = folder.config / name
        if not link.is_symlink():
            link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            link.symlink_to(target)
    for command in plan.commands:
        if command.name in BY_NAME and BY_NAME[command.name].data:
            (folder.data / command.name).mkdir(mode=0o700, exist_ok=True)
