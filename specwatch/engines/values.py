"""What the engines tell: events while they work, and the results they return."""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

ComponentState = Literal["running", "starting", "restarting", "off", "stopped", "ended"]


class Off(Struct, frozen=True):
    """A part that does not run: why, and what would change that."""

    name: str
    reason: str
    cure: str


class Substituted(Struct, frozen=True):
    """`new` takes the place of `old`."""

    old: str
    new: str
    reason: str


class AlreadyRunning(Struct, frozen=True):
    """These parts were up before the command came."""

    names: tuple[str, ...]


class Started(Struct, frozen=True):
    """A process, or a container, was started."""

    name: str


class Ready(Struct, frozen=True):
    """A part answers; `seconds` since the command began to wait."""

    name: str
    seconds: float


class Waiting(Struct, frozen=True):
    """These parts do not answer yet; `seconds` since the command began to wait."""

    names: tuple[str, ...]
    seconds: float


class Restarted(Struct, frozen=True):
    """A part was started anew."""

    name: str
    reason: str


class Stopped(Struct, frozen=True):
    """A part has ended."""

    name: str


class Step(Struct, frozen=True):
    """One line of an outside program's own progress, or what takes long just now."""

    text: str


Event = Off | Substituted | AlreadyRunning | Started | Ready | Waiting | Restarted | Stopped | Step
Report = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """Take an event and do nothing: the report of who does not want any."""


class ComponentStatus(Struct, frozen=True, kw_only=True):
    """How one part is doing. `pid` is 0 where there is no process of ours; `url` is where a person opens it, or empty.

    "ended" is what had an end of its own and came to it well. `reason` says why a part is not running, or why it was last restarted.
    """

    name: str
    state: ComponentState
    pid: int = 0
    uptime_seconds: float = 0.0
    restarts: int = 0
    url: str = ""
    reason: str = ""


class Outcome(Struct, frozen=True):
    """What a reload did to one part; `detail` is the reason of a failure, in the program's own words where it gave any."""

    name: str
    result: Literal["unchanged", "reloaded", "restarted", "started", "stopped", "failed"]
    detail: str = ""
