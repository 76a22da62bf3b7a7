"""The running stack's parts, and how each is asked: at its address on this host, or through a container that reaches it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from specwatch.components import BY_NAME
from specwatch.engines import compose, http, runtime
from specwatch.engines.errors import NotRunningError
from specwatch.engines.http import Answer
from specwatch.engines.native import control
from specwatch.stack import Stack

LIMIT_SECONDS: Final = 30.0
_ASKED: Final = ("loki", "tempo", "jaeger", "prometheus", "grafana")


Ask = Callable[[str], Answer]


class Parts(Struct, frozen=True):
    """The parts that run, each with a function from a path (no leading slash) to the answer; for each that does not, the reason."""

    running: Mapping[str, Ask]
    absent: Mapping[str, str]


def parts(stack: Stack, project: Path) -> Parts:
    """Return the parts of the running stack that know something of requests; raises NotRunningError or DockerError."""
    under = runtime.running(project)
    if under is None:
        raise NotRunningError("trace", "the stack is not up", "start it with `specwatch up`")
    found = compose.status(stack, project) if under == "compose" else control.status(project)
    running: dict[str, Ask] = {}
    absent = dict.fromkeys(_ASKED, "is not part of the stack")
    for part in found:
        if part.name not in _ASKED:
            continue
        if part.state in {"off", "stopped", "ended"}:
            absent[part.name] = f"is {part.state}{f': {part.reason}' if part.reason else ''}"
        elif part.url:
            running[part.name] = _at(part.url)
        else:
            # Compose publishes no port of it on the host.
            inside = f"http://{part.name}:{BY_NAME[part.name].port}/"
            running[part.name] = _inside(project, inside)
    return Parts(running, {name: why for name, why in absent.items() if name not in running})


def _inside(project: Path, url: str) -> Ask:
    return lambda path: compose.fetch(project, f"{url}{path}")


def _at(url: str) -> Ask:
    headers = {"Accept": "application/json", "X-Loki-Response-Encoding-Flags": "categorize-labels"}
    return lambda path: http.ask(f"{url}{path}", headers=headers, limit_seconds=LIMIT_SECONDS)
