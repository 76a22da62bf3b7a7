"""Choose between Docker Compose and child processes, and say why."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from msgspec import Struct

from specwatch.engines import compose, docker
from specwatch.engines.errors import BusyError, DockerError
from specwatch.engines.native import supervision
from specwatch.engines.native.model import run_folder
from specwatch.engines.values import Report, Step, ignore

Runtime = Literal["compose", "native"]
Preference = Literal["auto", "compose", "native"]


class Choice(Struct, frozen=True):
    """The runtime that a command is to use, and the reason in words."""

    runtime: Runtime
    reason: str


def choose(preference: Preference, project: Path, report: Report = ignore) -> Choice:
    """Return the runtime of the stack in `project`: what was asked for, what is up already, or the first that works.

    Compose works when an engine answers and every image is here or to be had; a registry is asked for one image at most, with a time
    limit. Raises DockerError when compose was asked for and Docker does not work, BusyError when the native stack is up then.
    """
    if preference == "native":
        return Choice("native", "it was asked for")
    if preference == "compose":
        if supervision.pid_of(run_folder(project)):
            raise BusyError("compose", "the stack is up as child processes, on the same ports", "stop it first with `specwatch down`")
        docker.check()
        return Choice("compose", "it was asked for")
    up = running(project)
    if up:
        return Choice(up, "the stack is up under it already")
    try:
        found = docker.check()
        missing = docker.missing_images(found, project)
        if missing:
            report(Step(f"asking the registry for {missing[0]}"))
            why = docker.pullable(found, missing[0])
            if why:
                return Choice("native", f"Docker {_more(missing)}, which cannot be pulled: {why}")
    except DockerError as error:
        return Choice("native", f"Docker is out: {error.why}")
    return Choice("compose", "Docker answers, and every image is here" if not missing else "Docker answers, and the images can be pulled")


def running(project: Path) -> Runtime | None:
    """Return the runtime under which the stack in `project` is up, or None."""
    asked: tuple[tuple[Runtime, Callable[[], bool]], ...] = (
        ("native", lambda: bool(supervision.pid_of(run_folder(project)))),
        ("compose", lambda: compose.running(project)),
    )
    return next((name for name, is_up in asked if is_up()), None)


def _more(missing: tuple[str, ...]) -> str:
    rest = f" and {len(missing) - 1} more images" if len(missing) > 1 else ""
    return f"lacks {missing[0]}{rest}"
