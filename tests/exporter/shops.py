"""The real shop under gunicorn, for tests."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Answer:
    """What the shop answered."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Shop:
    """A gunicorn with two workers, run as in production."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path
    output: Path

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Send one request over a connection of its own, so that any worker may get it."""
        with contextlib.closing(HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    def buy(self) -> Answer:
        """Put a mug into a cart, check out and return that answer."""
        cart = self.ask("POST", "/cart", {"product": "mug"}).json["cart"]
        return self.ask("POST", "/checkout", {"cart": cart})

    def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Return every sample of /metrics."""
        text = self.ask("GET", "/metrics").body.decode()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def sample(self, name: str, **labels: str) -> float:
        """Return one sample of /metrics; KeyError when there is no such series."""
        return self.samples()[name, frozenset(labels.items())]

    def lines(self) -> list[dict[str, Any]]:
        """Return every line of its standard output, each of which must be JSON."""
        return [json.loads(line) for line in self.output.read_text().splitlines()]

    def workers(self) -> list[int]:
        """Return the process ids of its workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]


def wait_until(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Return when the condition holds; fail when it does not within the time."""
    limit = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < limit, f"waited {seconds} s for {what}"
        pause.wait(0.02)


@contextlib.contextmanager
def running_shop(folder: Path) -> Iterator[Shop]:
    """Start the shop on a free port, wait until it is healthy, and end it afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    output = folder / "output.log"
    state = folder / "state"
    dropped = {"PROMETHEUS_MULTIPROC_DIR", "LOG_LEVEL", "LOG_FORMAT", "HOST"}
    environment = {key: value for key, value in os.environ.items() if key not in dropped}
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", "exporter/gunicorn.conf.py"],
            cwd=ROOT,
            env={**environment, "PORT": str(port), "SHOP_STATE_DIR": str(state)},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    shop = Shop(process, port, state, output)

    def healthy() -> bool:
        assert process.poll() is None, output.read_text()
        try:
            return shop.ask("GET", "/health").status == 200 and len(shop.workers()) == 2
        except OSError:
            return False

    try:
        wait_until(healthy, "the shop to be healthy")
        yield shop
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
