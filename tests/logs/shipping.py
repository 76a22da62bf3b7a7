"""A real Loki with the rendered configuration, real shippers in front of it, and whether it holds what the interpreter says."""

import importlib
import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL
from time import monotonic, sleep
from types import ModuleType
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import msgspec
import pytest
import yaml

from specwatch import topology
from specwatch.components import BY_NAME
from specwatch.engines import programs
from specwatch.engines.values import Off
from specwatch.logs.interpreter import Dropped, Entry, assembled, interpret
from specwatch.render import loki
from specwatch.render._logs import DOCKER_FILES
from specwatch.resolve import understand
from specwatch.stack import Service, Stack
from specwatch.stack.logs import Parse, Stage
from specwatch.textio import dump_yaml
from specwatch.topology import Topology
from tests import stacks
from tests.tools import free_port, program, wait_for, write

WAIT_SECONDS: Final = 30
_PORTS: Final = (
    *("loki", "loki-grpc", "otelcol", "otelcol-health", "otelcol-metrics", "promtail", "alloy"),
    *("alertmanager", "prometheus", "grafana", "otlp-grpc", "otlp-http"),
)


@dataclass(frozen=True)
class Arrived:
    """A line as Loki holds it, or must hold it: `time` is in nanoseconds since 1970, 0 for the time at which it was seen."""

    text: str
    labels: Mapping[str, str]
    metadata: Mapping[str, str]
    time: int = 0

    @property
    def key(self) -> tuple[str, tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
        """All but the time."""
        return self.text, tuple(sorted(self.labels.items())), tuple(sorted(self.metadata.items()))


@dataclass(frozen=True)
class Expected:
    """What must arrive of a service's lines, and how many are dropped for each reason."""

    lines: tuple[Arrived, ...]
    dropped: Counter[str] = field(default_factory=Counter)


class RealLoki:
    """A Loki that runs in `folder` with what `loki.render` gives for `stack`."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self.topology = topology.native(stack, str(folder))

    def get(self, path: str, **query: object) -> Any:
        """Return what Loki answers, structured metadata apart from the labels."""
        request = Request(
            f"{self.topology.url('loki', path)}?{urlencode(query)}", headers={"X-Loki-Response-Encoding-Flags": "categorize-labels"}
        )
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def ready(self) -> bool:
        """Return whether Loki says that it is ready."""
        try:
            with urlopen(self.topology.url("loki", "ready"), timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, ConnectionError, TimeoutError):
            return False

    def lines(self, query: str) -> list[Arrived]:
        """Return the lines that the LogQL query selects, of the last day."""
        now = int(datetime.now(UTC).timestamp())
        answer = self.get("loki/api/v1/query_range", query=query, limit=5000, start=now - 86_400, end=now + 3600)
        return [
            Arrived(text=value[1], labels=stream["stream"], metadata=value[2].get("structuredMetadata", {}), time=int(value[0]))
            for stream in answer["data"]["result"]
            for value in stream["values"]
        ]

    def count(self, selector: str) -> int:
        """Return how many lines of the last day the selector selects."""
        answer = self.get("loki/api/v1/query", query=f"sum(count_over_time({selector}[1d]))", time=int(datetime.now(UTC).timestamp()) + 60)
        found = answer["data"]["result"]
        return int(found[0]["value"][1]) if found else 0

    def holding(self, service: str, expected: Expected) -> list[Arrived]:
        """Wait until there are as many lines of the service as must arrive, and return those that there are."""
        selector, end = f'{{service="{service}"}}', monotonic() + WAIT_SECONDS
        while self.count(selector) < len(expected.lines) and monotonic() < end:
            sleep(0.05)  # between two polls of a condition
        return self.lines(selector)


@contextmanager
def running_loki(folder: Path, **changes: Any) -> Iterator[RealLoki]:
    """Start Loki in `folder` and stop it at the end; skips the test where there is none."""
    stack = stacks.demo_stack(ports=stacks.ports() | {name: free_port() for name in _PORTS}, **changes)
    real = RealLoki(stack, folder)
    write(folder / "config", loki.render(stack, real.topology))
    with running("loki", loki.arguments(stack, real.topology), folder):
        wait_for("Loki is ready", real.ready, WAIT_SECONDS)
        yield real


@contextmanager
def running(name: str, arguments: tuple[str, ...], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of the stack; what it prints goes to `folder`/NAME.out and into the failure when it ends and nobody killed it."""
    (folder / "data" / name).mkdir(parents=True, exist_ok=True)
    path = found_program(name)
    with (folder / f"{name}.out").open("wb") as out, subprocess.Popen([path, *arguments], stdout=out, stderr=subprocess.STDOUT) as process:
        try:
            yield process
            assert process.poll() in {None, -SIGKILL}, f"{name} ended by itself:\n{(folder / f'{name}.out').read_text(errors='replace')}"
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def found_program(name: str) -> str:
    """Return the path of a component's program, be it one that scripts/engines builds for tests alone, or skip the test with the reason."""
    found = programs.find(name)
    return program(BY_NAME[name].program) if isinstance(found, Off) else found.path


def renderer(shipper: str) -> ModuleType:
    """Return the module that renders the shipper, or skip the test where there is none or no program for it."""
    if importlib.util.find_spec(f"specwatch.render.{shipper}") is None:
        pytest.skip(f"specwatch renders no {shipper}")
    found_program(shipper)
    return importlib.import_module(f"specwatch.render.{shipper}")


def understood(logs: Mapping[str, Mapping[str, Any]], folder: Path, shipper: str) -> dict[str, Any]:
    """Return what is to change in a stack so that it has services with these `logs:`, as a spec with that shipper means them."""
    services = {name: {"logs": dict(spec)} for name, spec in logs.items()}
    write(folder, {"spec.yaml": json.dumps({"version": 1, "stack": {"shipper": shipper}, "services": services})})
    stack, _ = understand(folder / "spec.yaml")
    return {"services": stack.services, "traces": stack.traces, "shipper": shipper, "components": ("loki", shipper), "log_alerts": ()}


def expected(service: Service, lines: Iterable[bytes], now: datetime, source: tuple[Stage, ...] = ()) -> Expected:
    """Return what the interpreter says of a service's lines; `source` are the stages that its source stands for."""
    assert service.logs
    texts = (line.decode("utf-8", "replace") for line in lines)
    start = Entry(text="", labels={"service": service.name})
    at = int(now.timestamp()) * 10**9
    arrived: list[Arrived] = []
    dropped: Counter[str] = Counter()
    for entry in assembled((*source, *service.logs.stages), texts, start):
        kept = msgspec.structs.replace(entry, fields={}) if source and isinstance(entry, Entry) else entry
        end = kept if isinstance(kept, Dropped) else interpret(service.logs.stages, kept, at)
        if isinstance(end, Dropped):
            dropped[end.reason] += 1
        else:
            arrived.append(Arrived(end.text, end.labels, end.metadata, end.time or 0))
    return Expected(tuple(arrived), dropped)


def start_shipper(real: RealLoki, shipper: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Write what is rendered for the real Loki's stack, and return the shipper that runs with it."""
    module = renderer(shipper)
    write(real.folder / "config", module.render(real.stack, real.topology))
    return running(shipper, module.arguments(real.stack, real.topology), real.folder)


def check(found: list[Arrived], wanted: Expected, began: datetime) -> None:
    """Fail unless the lines found are those wanted: streams, metadata, text and time."""
    have, want = Counter(line.key for line in found), Counter(line.key for line in wanted.lines)
    assert have == want, _difference(have, want)
    times: dict[Any, list[int]] = {}
    for line in wanted.lines:
        times.setdefault(line.key, []).append(line.time)
    seen_from = int(began.timestamp()) * 10**9
    for line in found:
        candidates = times[line.key]
        exact = next((time for time in candidates if time == line.time), None)
        if exact is None:
            assert 0 in candidates, f"{_short(line.key)} arrived at {line.time}, expected {candidates}"
            assert line.time >= seen_from, f"{_short(line.key)} arrived at {line.time}, expected the time at which it was seen"
            exact = 0
        candidates.remove(exact)


def _difference(have: Counter[Any], want: Counter[Any]) -> str:
    """Return what arrived and must not have, and what must have arrived and has not."""
    wrong = [f"  arrived:  {_short(key)}" for key in sorted((have - want).elements())]
    missing = [f"  expected: {_short(key)}" for key in sorted((want - have).elements())]
    return "\n".join(["", *sorted([*wrong, *missing], key=lambda line: line.partition(": ")[2])])


def _short(key: object) -> str:
    shown = repr(key)
    return shown if len(shown) < 600 else f"{shown[:300]} … {shown[-200:]} ({len(shown)} characters)"


def with_docker_files(text: str, folder: Path, ports: Mapping[str, int]) -> str:
    """Return a configuration that was rendered for compose, changed to read Docker's files below `folder` and to listen on free ports."""
    root = os.path.commonpath([DOCKER_FILES, "/var/lib/docker/containers/x"])
    if not isinstance(parsed := yaml.safe_load(text) if ports else text, dict):
        return text.replace(root, str(folder))

    def moved(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace(root, str(folder)).replace("0.0.0.0", "127.0.0.1")  # noqa: S104  # it is what is replaced
        if isinstance(value, dict):
            return {key: ports.get(key, moved(item)) if isinstance(item, int) else moved(item) for key, item in value.items()}
        return [moved(item) for item in value] if isinstance(value, list) else value

    return dump_yaml(moved(parsed))


def compose_like(real: RealLoki, stack: Stack) -> Topology:
    """Return the native topology of the real Loki, but with the containers' files as the source of logs."""
    return msgspec.structs.replace(topology.native(stack, str(real.folder)), runtime="compose", logs={})


DOCKER: Final = (Parse(format="docker"),)
"""What the output of a container passes before its service's stages."""
