"""A real gunicorn on a free port, with its metrics on another, for tests."""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.tools import free_port, wait_for

ROOT = Path(__file__).resolve().parents[3]
_CONFIG = """
from specwatch.telemetry.gunicorn import *
bind = "127.0.0.1:{port}"
wsgi_app = "tests.telemetry.metrics.counting_app:application"
control_socket_disable = True
graceful_timeout = 20
"""


class Server:
    """A gunicorn; `sent` counts the requests by path, `lost` those that got no answer."""

    def __init__(self, folder: Path, settings: Mapping[str, object], environment: Mapping[str, str]) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self.folder = folder / "metrics"
        self.sent: dict[str, int] = {}
        self.lost: dict[str, int] = {}
        self._lock = threading.Lock()
        config = folder / "gunicorn.conf.py"
        lines = [f"{name} = {value!r}" for name, value in settings.items()]
        config.write_text(_CONFIG.format(port=self.port) + "\n".join(lines) + "\n", encoding="utf-8")
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", str(config)],
            cwd=ROOT,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "METRICS_PORT": str(self.metrics_port),
                "PROMETHEUS_MULTIPROC_DIR": str(self.folder),
                **environment,
            },
        )

    def get(self, path: str, port: int = 0) -> tuple[int, str]:
        """Return status and body; raises OSError or HTTPException where there is no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def ask(self, path: str = "/") -> str:
        """Send a request and note what became of it; returns the body, empty where there was no answer."""
        with self._lock:
            self.sent[path] = self.sent.get(path, 0) + 1
        try:
            status, body = self.get(path)
        except (OSError, http.client.HTTPException):
            status, body = 0, ""
        if status != 200:
            with self._lock:
                self.lost[path] = self.lost.get(path, 0) + 1
        return body

    @contextlib.contextmanager
    def load(self, clients: int = 4, path: str = "/") -> Iterator[None]:
        """Have clients send requests as fast as they can inside the block; all are answered when it ends."""
        stop = threading.Event()

        def one() -> None:
            while not stop.is_set():
                self.ask(path)

        with ThreadPoolExecutor(clients) as pool:
            done = [pool.submit(one) for _ in range(clients)]
            try:
                yield
            finally:
                stop.set()
            for each in done:
                each.result()

    def scrape(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Return every sample of the metrics port."""
        _, body = self.get("/metrics", self.metrics_port)
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(body)
            for sample in family.samples
        }

    def sample(self, name: str, **labels: str) -> float | None:
        """Return one sample of the metrics port, None also where nobody answers there."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.scrape().get((name, frozenset(labels.items())))
        return None

    def workers(self) -> list[int]:
        """Return the process ids of the workers: the master's children that serve no metrics."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii").split()
        return [int(child) for child in children if b"specwatch.telemetry.metrics" not in _command(child)]

    def metrics_process(self) -> int:
        """Return the process id of the one that serves the metrics."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii").split()
        return next((int(child) for child in children if b"specwatch.telemetry.metrics" in _command(child)), 0)

    def slots(self) -> int:
        """Return how many slot files there are."""
        return len(list(self.folder.glob("slot-*.values")))

    def log(self) -> str:
        """Return what the server wrote."""
        return Path(self._log.name).read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """End the server and its workers."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self._log.close()


def _command(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@contextlib.contextmanager
def serving(folder: Path, settings: Mapping[str, object], **environment: str) -> Iterator[Server]:
    """Run a gunicorn whose workers and metrics port both answer."""
    server = Server(folder, settings, environment)
    try:
        wait_for("the workers", lambda: _answers(server) and server.sample("gunicorn_workers") == settings["workers"])
        yield server
    except BaseException:
        print(server.log())  # noqa: T201 - pytest shows it where the test fails
        raise
    finally:
        server.stop()


def _answers(server: Server) -> bool:
    assert server.process.poll() is None, server.log()
    with contextlib.suppress(OSError, http.client.HTTPException):
        return server.get("/ready")[0] == 200
    return False
