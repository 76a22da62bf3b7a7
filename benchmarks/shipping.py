"""From a file through a shipper into Loki: how fast, how soon, and whether anything is lost, with the files that `generate` makes."""

import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from benchmarks.figures import load, say, summary
from specwatch import topology
from specwatch.engines import programs
from specwatch.engines.programs import Found
from specwatch.render import alloy, fluentd, loki, otelcol, promtail
from specwatch.resolve import understand
from tests.tools import free_port, write

_LINES: Final = 100_000
_RATE: Final = 5_000
_LEVELS: Final = ("INFO", "INFO", "INFO", "INFO", "WARNING", "ERROR", "DEBUG")
_SHIPPERS: Final = {"otelcol": otelcol, "promtail": promtail, "alloy": alloy, "fluentd": fluentd}
_LIMIT_SECONDS: Final = 240.0
_QUIET_SECONDS: Final = 20.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def throughput(runs: int) -> dict[str, Any]:
    """Measure lines a second from a file to where a query finds them, for each shipper that is here."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in _here()}
    for run in range(runs):
        for name, taken in found.items():
            taken.append(_throughput(name))
            say(f"  {run + 1}/{runs} {name}: {taken[-1]['lines_per_second']:,.0f} lines/s")
    return {
        "how": f"{_LINES:,} lines of about 215 B (JSON: parsed, labelled, timed) appended to a file at once, until a query counts them all",
        "target": {"otelcol": 35_000, "fluentd": 12_000},
        **{name: {key: summary([each[key] for each in taken], 1) for key in taken[0]} for name, taken in found.items()},
    }


def latency(runs: int) -> dict[str, Any]:
    """Measure the time from appending one line to finding it by a query."""
    seconds = []
    with _pipeline("otelcol") as pipe:
        for run in range(runs + 3):
            begun = time.monotonic()
            pipe.append([_line(run, time.time())])
            _wait(lambda number=run + 1: pipe.count() >= number, 0.005)
            if run >= 3:  # noqa: PLR2004 - the first ones find caches and connections cold
                seconds.append(time.monotonic() - begun)
            time.sleep(random.uniform(0, 0.4))  # noqa: S311 - a random part of the shipper's poll
    return {"how": "one line at a time, at random moments, otelcol", "target": {"seconds.p95": 1}, "seconds": summary(seconds, 3)}


def loss(runs: int) -> dict[str, Any]:
    """Count the lines that are lost or doubled while things break, by sequence numbers read back from Loki."""
    rows = {}
    for name, disaster in _DISASTERS.items():
        for run in range(runs):
            found = _loss(disaster)
            rows[f"{name} {run + 1}" if runs > 1 else name] = found
            say(f"  {name}: {found}")
    return {
        "how": f"{_RATE:,} numbered lines a second while it happens, otelcol; all of them read back afterwards",
        "target": {"lost": 0},
        **rows,
    }


def log_bomb(runs: int) -> dict[str, Any]:
    """Measure how soon a quiet service's line is found while another one writes as many lines as this program can."""
    seconds, rates = [], []
    for _ in range(runs):
        with _pipeline("otelcol", services=("app", "quiet")) as pipe:
            begun_bomb = time.monotonic()
            bomb = _Writer(pipe, 50_000)
            bomb.start()
            for number in range(10):
                time.sleep(1)
                begun = time.monotonic()
                pipe.append([_line(number, time.time())], "quiet")
                _wait(lambda number=number: pipe.count("quiet") > number, 0.05)
                seconds.append(time.monotonic() - begun)
            bomb.stop()
            rates.append(bomb.written / (time.monotonic() - begun_bomb))
    return {
        "how": "10 lines of the quiet service, one a second, beside as many as the writer can make (see written_lines_per_second), otelcol",
        "target": {"seconds.max": 5},
        "seconds": summary(seconds, 2),
        "written_lines_per_second": summary(rates, 0),
    }


class _Pipe:
    """A Loki and a shipper that run, and the files that the shipper reads."""

    def __init__(self, folder: Path, shipper: str, services: tuple[str, ...]) -> None:
        self.folder = folder
        self.files = {name: folder / "app" / f"{name}.log" for name in services}
        logs = {name: {"logs": {"format": "json", "files": [str(path)]}} for name, path in self.files.items()}
        spec = {"version": 1, "stack": {"shipper": shipper, "ports": {name: free_port() for name in _PORTS}}, "services": logs}
        write(folder, {"spec.yaml": json.dumps(spec), **{f"app/{name}.log": "" for name in services}})
        stack, _ = understand(folder / "spec.yaml")
        self._stack = stack
        self.topology = topology.native(stack, str(folder))
        write(folder / "config", loki.render(stack, self.topology) | _SHIPPERS[shipper].render(stack, self.topology))
        self._parts = {"loki": loki, shipper: _SHIPPERS[shipper]}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start a program and return at once."""
        module = self._parts[name]
        environment = getattr(module, "environment", dict)()
        (self.folder / "data" / name).mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{name}.out").open("ab") as out:
            self.processes[name] = subprocess.Popen(
                [_program(name), *module.arguments(self._stack, self.topology)],
                cwd=self.folder,
                env={**os.environ, **environment},
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def end(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """End a program and wait until it is gone."""
        process = self.processes[name]
        process.send_signal(how)
        process.wait(60)

    def ready(self) -> bool:
        """Return whether Loki answers."""
        try:
            with urlopen(self.topology.url("loki", "ready"), timeout=5) as answer:  # noqa: S310 - our own Loki
                return bool(answer.status == 200)  # noqa: PLR2004 - OK
        except (URLError, OSError):
            return False

    def ask(self, path: str, **query: object) -> Any:
        """Return what Loki answers."""
        with urlopen(f"{self.topology.url('loki', path)}?{urlencode(query)}", timeout=120) as answer:  # noqa: S310 - as above
            return json.load(answer)["data"]["result"]

    def count(self, service: str = "app") -> int:
        """Return how many lines of the service a query finds."""
        found = self.ask("loki/api/v1/query", query=f'sum(count_over_time({{service="{service}"}}[2h]))', time=f"{time.time() + 60:.0f}")
        return int(found[0]["value"][1]) if found else 0

    def received(self) -> float:
        """Return how many lines Loki says it has received."""
        with urlopen(self.topology.url("loki", "metrics"), timeout=30) as answer:  # noqa: S310 - as above
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("loki_distributor_lines_received_total"))

    def numbers(self, begun: float) -> Counter[int]:
        """Return how often each sequence number is there, read in slices that Loki's limits allow."""
        found: Counter[int] = Counter()
        at, end = int(begun * 1e9) - 10**9, int((time.time() + 5) * 1e9)
        while at < end:
            upto = min(at + 10**9 // 2, end)
            streams = self.ask("loki/api/v1/query_range", query='{service="app"}', start=at, end=upto, limit=5000, direction="forward")
            found.update(json.loads(value[1])["seq"] for stream in streams for value in stream["values"])
            at = upto
        return found

    def append(self, lines: list[str], service: str = "app") -> None:
        """Append lines to a service's file."""
        with self.files[service].open("ab", buffering=0) as file:
            file.write("".join(lines).encode())

    def processor_seconds(self, name: str) -> float:
        """Return the processor time that a program has used."""
        fields = Path(f"/proc/{self.processes[name].pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


_PORTS: Final = ("loki", "loki-grpc", "otelcol-health", "otelcol-metrics", "promtail", "alloy", "fluentd", "fluentd-metrics")


@contextmanager
def _pipeline(shipper: str, services: tuple[str, ...] = ("app",)) -> Iterator[_Pipe]:
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="specwatch-shipping-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        pipe = _Pipe(folder, shipper, services)
        stack.callback(lambda: [process.kill() for process in pipe.processes.values()])
        pipe.start("loki")
        _wait(pipe.ready, 0.05)
        pipe.start(shipper)
        yield pipe


def _throughput(shipper: str) -> dict[str, float]:
    with _pipeline(shipper) as pipe:
        pipe.append([_line(0, time.time() - 601)])
        _wait(lambda: pipe.count() == 1, 0.05)
        first = time.time() - 600
        lines = [_line(number, first + number / 1000) for number in range(1, _LINES + 1)]
        before = {name: pipe.processor_seconds(name) for name in pipe.processes}
        begun = time.monotonic()
        pipe.append(lines)
        # A query costs Loki a part of its time: its counter says when asking is worth it.
        _wait(lambda: pipe.received() > _LINES, 0.05)
        _wait(lambda: pipe.count() > _LINES, 0.02)
        seconds = time.monotonic() - begun
        used = {f"{name}_processor_seconds": pipe.processor_seconds(name) - before[name] for name in pipe.processes}
        return {
            "lines_per_second": _LINES / seconds,
            **{"shipper_processor_seconds" if "loki" not in key else key: value for key, value in used.items()},
        }


class _Writer(threading.Thread):
    """Writes numbered lines at a rate until it is stopped; files are moved between two lines, as careful programs do it."""

    def __init__(self, pipe: _Pipe, rate: int) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self._rate = rate
        self._going = True
        self.lock = threading.Lock()
        self.begun = time.time()
        self.written = 0

    def run(self) -> None:
        """Write."""
        begun = time.monotonic()
        while self._going:
            due = min(int((time.monotonic() - begun) * self._rate), self.written + self._rate)
            with self.lock:
                now = time.time()
                self._pipe.append([_line(number, now + (number - self.written) * 1e-6) for number in range(self.written, due)])
                self.written = due
            time.sleep(0.01)

    def stop(self) -> None:
        """Write no more."""
        self._going = False
        self.join()


def _loss(disaster: Callable[[_Pipe, _Writer], None]) -> dict[str, int]:
    with _pipeline("otelcol") as pipe:
        writer = _Writer(pipe, _RATE)
        writer.start()
        time.sleep(2)
        disaster(pipe, writer)
        time.sleep(2)
        writer.stop()
        _wait(pipe.ready, 0.1)
        _settled(pipe, writer.written)
        found = pipe.numbers(writer.begun)
        lost = set(range(writer.written)) - found.keys()
        return {"written": writer.written, "lost": len(lost), "duplicates": found.total() - len(found)}


def _settled(pipe: _Pipe, wanted: int) -> None:
    """Return when all lines are there, or none has come for a while."""
    last, since, end = -1, time.monotonic(), time.monotonic() + _LIMIT_SECONDS
    while time.monotonic() < end:
        now = pipe.count()
        if now != last:
            last, since = now, time.monotonic()
        if time.monotonic() - since > (3 if now >= wanted else _QUIET_SECONDS):
            return
        time.sleep(0.5)


def _loki_stopped(pipe: _Pipe, _: _Writer) -> None:
    pipe.end("loki", signal.SIGTERM)
    time.sleep(60)
    pipe.start("loki")


def _loki_killed(pipe: _Pipe, _: _Writer) -> None:
    for _turn in range(5):
        pipe.end("loki")
        pipe.start("loki")
        _wait(pipe.ready, 0.05)
        time.sleep(1)


def _shipper_killed(pipe: _Pipe, _: _Writer) -> None:
    for _turn in range(10):
        time.sleep(random.uniform(0.3, 1.5))  # noqa: S311 - at any moment
        pipe.end("otelcol")
        pipe.start("otelcol")


def _rotated(pipe: _Pipe, writer: _Writer) -> None:
    _moved(pipe, writer, lambda file, first: file.rename(first))


def _truncated(pipe: _Pipe, writer: _Writer) -> None:
    def copied(file: Path, first: Path) -> None:
        shutil.copyfile(file, first)
        os.truncate(file, 0)

    _moved(pipe, writer, copied)


def _moved(pipe: _Pipe, writer: _Writer, move: Callable[[Path, Path], object]) -> None:
    file = pipe.files["app"]
    for _turn in range(6):
        time.sleep(1.5)
        with writer.lock:
            for number in range(8, 0, -1):
                old = file.with_name(f"{file.name}.{number}")
                if old.exists():
                    old.rename(file.with_name(f"{file.name}.{number + 1}"))
            move(file, file.with_name(f"{file.name}.1"))


_DISASTERS: Final[Mapping[str, Callable[[_Pipe, _Writer], None]]] = {
    "Loki stopped for 60 s": _loki_stopped,
    "Loki killed with -9, 5 times": _loki_killed,
    "shipper killed with -9, 10 times": _shipper_killed,
    "file rotated, 6 times": _rotated,
    "file copied and truncated, 6 times": _truncated,
}


def _line(number: int, at: float) -> str:
    digits = random.Random(number)  # noqa: S311 - ids that differ
    fields = {
        "timestamp": f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}Z",
        "level": _LEVELS[number % len(_LEVELS)],
        "logger": "shop.api",
        "message": f"order {number:07d} ok",
        "trace_id": f"{digits.getrandbits(128):032x}",
        "request_id": f"{digits.getrandbits(64):016x}",
        "service": "shop",
        "seq": number,
    }
    return json.dumps(fields, separators=(",", ":")) + "\n"


def _here() -> tuple[str, ...]:
    found = {name: programs.find(name) for name in _SHIPPERS}
    for name, each in found.items():
        if not isinstance(each, Found):
            say(f"  without {name}: {each.reason}")
    return tuple(name for name, each in found.items() if isinstance(each, Found))


def _program(name: str) -> str:
    found = programs.find(name)
    if not isinstance(found, Found):
        raise SystemExit(f"{name}: {found.reason}; {found.cure}")
    return found.path


def _wait(condition: Callable[[], object], pause: float) -> None:
    end = time.monotonic() + _LIMIT_SECONDS
    while True:
        try:
            if condition():
                return
        except OSError:  # Loki is not there at the moment
            pass
        if time.monotonic() > end:
            raise TimeoutError(f"waited {_LIMIT_SECONDS:.0f} s; load {load()}")
        time.sleep(pause)
