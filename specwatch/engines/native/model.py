"""What the native runtime is to run, what it is running, and where it keeps that on the disk."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec
from msgspec import Struct

from specwatch.engines.values import Off

# The supervisor puts this into its children's environment, so that what a killed supervisor left behind is found again.
MARK: Final = "SPECWATCH_NATIVE_RUN"

_Value = TypeVar("_Value")


class Command(Struct, frozen=True, kw_only=True):
    """One process of the stack.

    `path` are folders put before the inherited PATH, `ports` what it listens on at 127.0.0.1. `ready` is an http:// URL that answers
    2xx, a tcp://host:port that takes connections, or empty: ready as soon as it runs. Processes start in the order of `wave` and
    stop in the opposite one. `fingerprint` changes when the process must start anew to see its configuration, and `verify`
    are the arguments of a run that only checks that configuration, or empty.
    """

    name: str
    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str] = {}
    path: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    ready: str = ""
    url: str = ""
    wave: int = 0
    restart: Literal["always", "on-failure", "no"] = "always"
    fingerprint: str = ""
    verify: tuple[str, ...] = ()

    def same_process(self, other: "Command") -> bool:
        """Return whether a process started for `self` can serve as one for `other`."""
        return all(getattr(self, name) == getattr(other, name) for name in ("argv", "cwd", "env", "path", "fingerprint"))


class Saved(Struct, frozen=True, kw_only=True):
    """The part of a plan that the supervisor and `status` read; `generation` counts up with every change."""

    generation: int
    commands: tuple[Command, ...]
    off: tuple[Off, ...]


class ChildState(Struct, frozen=True, kw_only=True):
    """One child as the supervisor sees it; `since` is its start on the machine's monotonic clock, in seconds."""

    name: str
    state: Literal["running", "restarting", "stopped"]
    pid: int = 0
    start: int = 0
    since: float = 0.0
    restarts: int = 0
    reason: str = ""


class State(Struct, frozen=True, kw_only=True):
    """What the supervisor is doing: its own pid and start time, the plan's generation that it has reached, its children."""

    pid: int
    start: int
    generation: int
    children: tuple[ChildState, ...] = ()


class RunFolder(Struct, frozen=True):
    """The paths below the run folder."""

    root: Path

    @property
    def config(self) -> Path:
        """The rendered files, a folder for each component."""
        return self.root / "config"

    @property
    def secrets(self) -> Path:
        """The secret files, a folder for each component."""
        return self.root / "secrets"

    @property
    def data(self) -> Path:
        """What the components keep."""
        return self.root / "data"

    @property
    def lock(self) -> Path:
        """The lock that a living supervisor holds."""
        return self.root / "run" / "supervisor.lock"

    @property
    def command_lock(self) -> Path:
        """The lock that a command holds while it changes the stack."""
        return self.root / "run" / "command.lock"

    @property
    def plan(self) -> Path:
        """What is to run (`Saved`)."""
        return self.root / "run" / "plan.json"

    @property
    def state(self) -> Path:
        """What is running (`State`)."""
        return self.root / "run" / "state.json"

    def log(self, name: str) -> Path:
        """Return the file of a process' standard output and error."""
        return self.root / "logs" / f"{name}.log"

    def make(self) -> None:
        """Make the folders, for this user alone; raises OSError."""
        for name in (".", "config", "data", "secrets", "logs", "run"):
            path = self.root / name
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)


def run_folder(project: Path) -> RunFolder:
    """Return the run folder of a project."""
    return RunFolder(project.absolute() / ".specwatch" / "native")


def read(path: Path, kind: type[_Value]) -> _Value | None:
    """Return the value in a JSON file, or None when there is no such file or it is of another version."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None


def replace(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Put `content` at `path`: a reader sees the old file or the new one, never a part; raises OSError."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
