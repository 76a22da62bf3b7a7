"""A real Loki with the rendered configuration, real shippers in front of it, and what lines of each kind must become."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import msgspec
import yaml

from specwatch import topology
from specwatch.render import loki
from specwatch.render._logs import DOCKER_FILES
from specwatch.stack import Logs, Stack
from specwatch.textio import dump_yaml
from specwatch.topology import Topology
from tests import stacks
from tests.tools import free_port, program, wait_for, write

FORMATS: Final = ("json", "logfmt", "text")
_PORTS: Final = ("loki", "loki-grpc", "otelcol", "otelcol-health", "otelcol-metrics", "promtail", "alertmanager", "prometheus", "grafana")


@dataclass(frozen=True)
class Line:
    """One line of a program, and what Loki must hold of it; without `time` it has the time at which it was read."""

    format: str
    text: str
    level: str = "unknown"
    time: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


def corpus(now: datetime) -> tuple[Line, ...]:
    """Return lines of each format, good and bad, with times before `now`."""
    at = [now.replace(microsecond=0) - timedelta(seconds=seconds) for seconds in range(60)]
    half = timedelta(milliseconds=500)
    traced = {"trace_id": "4bf92f3577b34da6", "request_id": "r-1"}
    return (
        Line(
            "json", json.dumps({"timestamp": at[1].isoformat(), "level": "ERROR", "message": "naïve 🛒", **traced}), "error", at[1], traced
        ),
        Line("json", json.dumps({"time": f"{at[2]:%Y-%m-%dT%H:%M:%S}Z", "severity": "Warning"}), "warn", at[2]),
        Line("json", json.dumps({"ts": at[3].timestamp() + 0.5, "level": 30}), "info", at[3] + half),
        Line("json", json.dumps({"ts": int(at[4].timestamp() * 1000), "level": "fatal"}), "critical", at[4]),
        Line("json", json.dumps({"timestamp": f"{at[5]:%Y-%m-%d %H:%M:%S},500", "lvl": "dbg"}), "debug", at[5] + half),
        Line("json", json.dumps({"timestamp": f"{at[6] + timedelta(hours=2):%Y-%m-%d %H:%M:%S}+0200", "level": "info"}), "info", at[6]),
        Line("json", json.dumps({"timestamp": "1970-01-01T00:00:00Z", "level": "info", "why": "a clock that was never set"}), "info"),
        Line("json", json.dumps({"timestamp": 12345, "level": None, "trace_id": None})),
        Line("json", json.dumps({"timestamp": {"a": 1}, "level": ["x"], "message": '{{ .Entry }} ${HOME} EXPR(body) "'})),
        Line("json", "Traceback (most recent call last):"),
        Line("json", '{"level": "error", "cut off'),
        Line(
            "logfmt",
            f'time="{at[7]:%Y-%m-%d %H:%M:%S}" level=warn msg="says level=error trace_id=no" trace_id=t9',
            "warn",
            at[7],
            {"trace_id": "t9"},
        ),
        Line("logfmt", f"ts={at[8]:%Y-%m-%dT%H:%M:%S}.5Z lvl=err caller=a.go request_id=q7", "error", at[8] + half, {"request_id": "q7"}),
        Line("logfmt", 'msg="no level here: level=error"'),
        Line("logfmt", "it's = broken level"),
        Line("text", f"{at[9]:%Y-%m-%d %H:%M:%S},500 ERROR app: no trace_id=tt1 there", "error", at[9] + half, {"trace_id": "tt1"}),
        Line("text", f"[{at[10]:%Y-%m-%dT%H:%M:%S}Z] [WARNING] low on disk", "warn", at[10]),
        Line("text", "plain words, an error among them, and <b>EMERGENCY</b>"),
    )


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
        with urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def ready(self) -> bool:
        """Return whether Loki says that it is ready."""
        try:
            with urlopen(self.topology.url("loki", "ready"), timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, ConnectionError, TimeoutError):
            return False

    def lines(self, query: str) -> list[tuple[dict[str, str], int, str, dict[str, str]]]:
        """Return (labels, nanoseconds, text, structured metadata) of each line that the LogQL query selects, of the last day."""
        now = int(datetime.now(UTC).timestamp())
        answer = self.get("loki/api/v1/query_range", query=query, limit=4000, start=now - 86_400, end=now + 3600)
        return [
            (stream["stream"], int(value[0]), value[1], value[2].get("structuredMetadata", {}))
            for stream in answer["data"]["result"]
            for value in stream["values"]
        ]


@contextmanager
def running_loki(folder: Path, **changes: Any) -> Iterator[RealLoki]:
    """Start Loki in `folder` and stop it at the end; skips the test where there is none."""
    stack = stacks.demo_stack(ports=stacks.ports() | {name: free_port() for name in _PORTS}, **changes)
    real = RealLoki(stack, folder)
    write(folder / "config", loki.render(stack, real.topology))
    with running("loki", loki.arguments(stack, real.topology), folder):
        wait_for("Loki is ready", real.ready)
        yield real


@contextmanager
def running(name: str, arguments: tuple[str, ...], folder: Path) -> Iterator[None]:
    """Run a program of the stack; what it prints goes to `folder`/NAME.out and into the failure when it ends by itself."""
    (folder / "data" / name).mkdir(parents=True, exist_ok=True)
    path = program(name)
    with (folder / f"{name}.out").open("wb") as out, subprocess.Popen([path, *arguments], stdout=out, stderr=subprocess.STDOUT) as process:
        try:
            yield
            assert process.poll() is None, f"{name} ended by itself:\n{(folder / f'{name}.out').read_text(errors='replace')}"
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def services(prefix: str) -> tuple[Any, ...]:
    """Return one service for each format of line, `prefix`-json and so on, that writes to its standard output."""
    return tuple(stacks.service(f"{prefix}-{name}", logs=Logs(format=name, source="container")) for name in FORMATS)


def arrive(real: RealLoki, prefix: str, lines: tuple[Line, ...], began: datetime) -> None:
    """Wait until the lines are in Loki, and compare each with what it must have become."""
    query = f'{{service=~"{prefix}-.*"}}'
    found = wait_for(f"{len(lines)} lines in Loki", lambda: (have := real.lines(query)) and len(have) >= len(lines) and have)
    by_text = {text: (labels, nanoseconds, metadata) for labels, nanoseconds, text, metadata in found}
    assert len(found) == len(lines)
    for line in lines:
        labels, nanoseconds, metadata = by_text[line.text]
        assert labels == {"service": f"{prefix}-{line.format}", "level": line.level}, line.text
        assert metadata == line.metadata, line.text
        if line.time:
            assert abs(nanoseconds / 1e9 - line.time.timestamp()) < 1e-3, line.text
        else:
            assert nanoseconds / 1e9 >= int(began.timestamp()), line.text


def as_docker(prefix: str, lines: tuple[Line, ...], when: datetime) -> str:
    """Return the lines as Docker's json-file driver writes them, among lines of a container that nobody chose."""
    stamp = when.isoformat().replace("+00:00", "123Z")
    written = [
        {"log": f"{line.text}\n", "stream": "stdout", "attrs": {"specwatch.service": f"{prefix}-{line.format}"}, "time": stamp}
        for line in lines
    ]
    stranger = {"log": "not for anybody's eyes\n", "stream": "stdout", "time": stamp}
    other = {**stranger, "attrs": {"com.example": "x"}}
    return "".join(json.dumps(record) + "\n" for record in (stranger, *written, other)) + '{"log": "cut'


def with_docker_files(text: str, folder: Path, ports: Mapping[str, int]) -> str:
    """Return a configuration that was rendered for compose, changed to read Docker's files below `folder` and to listen on free ports."""
    root = os.path.commonpath([DOCKER_FILES, "/var/lib/docker/containers/x"])

    def moved(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace(root, str(folder)).replace("0.0.0.0", "127.0.0.1")  # noqa: S104  # it is what is replaced
        if isinstance(value, dict):
            return {key: ports.get(key, moved(item)) if isinstance(item, int) else moved(item) for key, item in value.items()}
        return [moved(item) for item in value] if isinstance(value, list) else value

    return dump_yaml(moved(yaml.safe_load(text)))


def compose_like(real: RealLoki, stack: Stack) -> Topology:
    """Return the native topology of the real Loki, but with the containers' files as the source of logs."""
    return msgspec.structs.replace(topology.native(stack, str(real.folder)), runtime="compose", logs={})
