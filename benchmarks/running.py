"""How long the native stack takes to be up, and a fault to reach a person."""

import random
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import say, summary
from tests.e2e.project import Project

_SCRAPE_SECONDS: Final = 10.0
# The windows of the rules are one minute: before that is full of good orders, a fault would show sooner than it does in real life.
_WARM_SECONDS: Final = 65.0
_LIMIT_SECONDS: Final = 180.0
_POLL_SECONDS: Final = 0.1
# How many stacks are broken side by side: each mostly waits for its own timers.
_LANES: Final = 4
_BOTH: Final = {"slack", "mail"}


def up(runs: int) -> dict[str, Any]:
    """Measure `specwatch up` with fresh data, from its call to its end, when every part answers."""
    seconds = []
    with _project() as project:
        for run in range(runs):
            project.must("down", "--volumes")
            begun = time.monotonic()
            project.must("up")
            seconds.append(time.monotonic() - begun)
            say(f"  {run + 1}/{runs}: {seconds[-1]:.2f} s")
        parts = sorted(name for name, part in project.status().items() if part["state"] == "running")
    return {
        "how": "wall time of the whole command under the native runtime, fresh data each time, until every part answers",
        "parts": parts,
        "target": {"seconds.max": 10},
        "unit": "s",
        "seconds": summary(seconds, 2),
    }


def fault_to_message(runs: int) -> dict[str, Any]:
    """Measure the time from the fault to its messages, with the spec's own timing."""
    lanes = min(_LANES, runs)
    shares = [len(range(lane, runs, lanes)) for lane in range(lanes)]
    with ThreadPoolExecutor(lanes) as pool:
        found = [arrival for lane in pool.map(_lane, range(lanes), shares) for arrival in lane]
    return {
        "how": (
            "from the moment `break` returns (60 % of the checkouts fail from then on, 8 requests a second) to the message in the inbox: "
            "the first of all, the first in Slack and by e-mail both, and both of the alert PaymentsFailing; "
            f"before each fault fresh data, {_WARM_SECONDS:.0f} s of good orders and a random part of a scrape interval; "
            f"{lanes} stacks side by side"
        ),
        "target": {"first.p95": 45, "both.p95": 45},
        "unit": "s",
        "first": summary([each.first for each in found], 1),
        "both": summary([each.both for each in found], 1),
        "payments_failing": summary([each.payments for each in found], 1),
        "values": [[round(each.first, 1), round(each.both, 1), round(each.payments, 1)] for each in found],
    }


@dataclass(frozen=True)
class _Arrival:
    """Seconds after the fault: the first message, both ways to a person, both ways of the alert on payments."""

    first: float
    both: float
    payments: float


def _lane(lane: int, runs: int) -> list[_Arrival]:
    found = []
    with _project() as project:
        for run in range(runs):
            project.must("down", "--volumes")
            project.must("up")
            time.sleep(_WARM_SECONDS + random.uniform(0, _SCRAPE_SECONDS))  # noqa: S311  # a phase, no secret
            found.append(_fault(project))
            say(f"  lane {lane + 1}, {run + 1}/{runs}: first {found[-1].first:.1f} s, PaymentsFailing {found[-1].payments:.1f} s")
    return found


def _fault(project: Project) -> _Arrival:
    before = len(project.messages())
    project.faults("break")
    begun = time.monotonic()
    first = both = 0.0
    while (passed := time.monotonic() - begun) < _LIMIT_SECONDS:
        arrived = project.messages()[before:]
        first = first or (passed if arrived else 0.0)
        both = both or (passed if _kinds(arrived) == _BOTH else 0.0)
        if _kinds([message for message in arrived if "payments fail" in message["title"]]) == _BOTH:
            return _Arrival(first, both, passed)
        time.sleep(_POLL_SECONDS)
    raise TimeoutError(f"no message after {_LIMIT_SECONDS:.0f} s")


def _kinds(messages: list[dict[str, Any]]) -> set[str]:
    return {message["kind"] for message in messages}


@contextmanager
def _project() -> Iterator[Project]:
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder))
        try:
            project.must("generate")
            yield project
        finally:
            project.remove()
