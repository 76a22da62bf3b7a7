"""What the tests of the request hook share: what was counted and logged, and a real uvicorn."""

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from specwatch.telemetry.logs import configure_logging
from specwatch.telemetry.metrics import Metrics
from tests.tools import wait_for

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


class Seen:
    """A registry and a log stream of a test's own.

    Attributes:
        registry: what is counted.
    """

    def __init__(self) -> None:
        self.registry = Metrics(strict=True, directory="", enabled=True)
        self._stream = io.StringIO()
        configure_logging("app", stream=self._stream)

    def count(self, method: str, endpoint: str, status: str) -> float | None:
        """Return http_requests_total, None when there is no such series."""
        return self.value("http_requests_total", method=method, endpoint=endpoint, status=status)

    def value(self, name: str, **labels: str) -> float | None:
        """Return one sample."""
        return self.registry.get_sample_value(name, labels)

    def series(self, name: str = "http_requests_total") -> dict[tuple[str, ...], float]:
        """Return the samples of a metric that are not 0, by their label values."""
        samples = [sample for family in self.registry.collect() for sample in family.samples if sample.name == name]
        return {tuple(sample.labels.values()): sample.value for sample in samples if sample.value}

    def lines(self, message: str = "") -> list[dict[str, Any]]:
        """Return the log lines whose message begins so."""
        lines = [json.loads(line) for line in self._stream.getvalue().splitlines()]
        return [line for line in lines if line["message"].startswith(message)]

    def line(self, message: str) -> dict[str, Any]:
        """Return the only line whose message begins so, once it is there."""
        found = wait_for(message, lambda: self.lines(message))
        assert len(found) == 1, found
        return found[0]


@contextmanager
def uvicorn_serving(app: Any) -> Iterator[str]:
    """The URL of a real uvicorn that serves `app` from a thread."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, lifespan="on", ws="websockets-sansio", timeout_graceful_shutdown=5
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_for("uvicorn", lambda: server.started or not thread.is_alive())
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
