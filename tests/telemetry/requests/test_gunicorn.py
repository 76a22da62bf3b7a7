"""A Flask application under a real gunicorn, with spans going to a real collector."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.telemetry.requests.servers import SPAN, TRACE
from tests.telemetry.tracing.collector import ROOT, Collector, running_collector
from tests.tools import free_port, wait_for

pytestmark = pytest.mark.engine
SAMPLE = 'http_requests_total{method="GET",endpoint="%s",status="%s"} '


class Shop:
    """The application under gunicorn."""

    def __init__(self, folder: Path, collector: Collector) -> None:
        self.collector = collector
        self.folder = folder
        (folder / "file").write_bytes(b"x" * 300_000)
        (folder / "metrics").mkdir()
        port = free_port()
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "FILE": str(folder / "file"),
            "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http,
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        arguments = ["-b", f"127.0.0.1:{port}", "-w", "2", "-k", "gthread", "--threads", "4", "--preload", "--no-control-socket"]
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", *arguments, "tests.telemetry.requests.gunicorn_app"],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.port = port
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20)
        wait_for("gunicorn", self._answers, 60)

    def _answers(self) -> bool:
        try:
            return self.client.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def lines(self, message: str) -> list[dict[str, Any]]:
        """Return the JSON log lines whose message begins so."""
        text = (self.folder / "log").read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [line for line in lines if line["message"].startswith(message)]

    def count(self, endpoint: str, status: str) -> float:
        """Return http_requests_total over all workers."""
        prefix = SAMPLE % (endpoint, status)
        return sum(float(line.removeprefix(prefix)) for line in self.client.get("/metrics").text.splitlines() if line.startswith(prefix))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    with running_collector(folder) as collector:
        shop = Shop(folder, collector)
        yield shop
        shop.client.close()
        shop.process.terminate()
        assert shop.process.wait(20) == 0


def test_every_request_is_counted_once_over_all_workers(shop: Shop) -> None:
    """Three hundred requests from eight clients are three hundred in the metrics and in the log, each with its own ids."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: shop.client.get(f"/items/{number}"), range(300)))
    assert shop.count("/items/<int:item>", "200") == 300
    done = {line["path"]: line["request_id"] for line in shop.lines("Request completed") if line["endpoint"] == "/items/<int:item>"}
    assert done == {f"/items/{number}": answer.headers["X-Request-ID"] for number, answer in enumerate(answers)}
    inside = {line["item"]: line["request_id"] for line in shop.lines("looking")}
    assert inside == {number: answer.headers["X-Request-ID"] for number, answer in enumerate(answers)}


def test_a_trace_arrives_at_the_collector(shop: Shop) -> None:
    """The caller's sampled trace goes on, though no trace of our own is sampled."""
    shop.client.get("/items/1001", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    request = wait_for("the span", lambda: next((span for span in shop.collector.spans() if span.get("url.path") == "/items/1001"), None))
    load = wait_for("the operation", lambda: next((span for span in shop.collector.spans() if span.get("item") == "1001"), None))
    assert (request["Name"], request["Kind"], request["Trace ID"], request["Parent ID"]) == ("GET /items/<int:item>", "Server", TRACE, SPAN)
    assert (load["Name"], load["Parent ID"]) == ("load", request["ID"])


def test_a_failed_request_is_kept(shop: Shop) -> None:
    """Its trace arrives although the share is 0; it is logged once with its traceback."""
    answer = shop.client.get("/broken")
    assert answer.status_code == 500
    span = shop.collector.wait_for_span("GET /broken")
    assert (span["Status code"], span["Trace ID"]) == ("Error", answer.headers["X-Trace-ID"])
    assert span["error.type"] == "RuntimeError"
    errors = [line for line in shop.lines("") if line["level"] == "ERROR" and line.get("trace_id") == answer.headers["X-Trace-ID"]]
    assert len(errors) == 1
    assert "RuntimeError: no" in errors[0]["exception"]


def test_a_file_is_sent_whole_and_counted(shop: Shop) -> None:
    """Through gunicorn's own sendfile, with its size in the log."""
    assert len(shop.client.get("/file").content) == 300_000
    line = wait_for("the log line", lambda: [line for line in shop.lines("Request completed") if line["endpoint"] == "/file"])[0]
    assert (line["status_code"], line["response_bytes"]) == (200, 300_000)


def test_a_client_that_leaves_a_stream_is_counted(shop: Shop) -> None:
    """Gunicorn closes the answer: the request ends, with what had been handed over by then."""
    with socket.create_connection(("127.0.0.1", shop.port), 20) as connection:
        connection.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(1000)
    line = wait_for("the log line", lambda: [line for line in shop.lines("Request completed") if line["endpoint"] == "/stream"])[0]
    assert line["client_left"] is True
    assert line["response_bytes"] < 10_000_000
    assert shop.count("/stream", "200") == 1


def test_the_end_is_prompt_without_a_collector(shop: Shop, tmp_path: Path) -> None:
    """A worker whose collector is gone answers as before, and the server ends in its usual time."""
    with running_collector(tmp_path) as collector:
        (own := tmp_path / "own").mkdir()
        other = Shop(own, collector)
    assert other.client.get("/items/1", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"}).status_code == 200
    began = time.monotonic()
    other.client.close()
    other.process.send_signal(signal.SIGTERM)
    assert other.process.wait(30) == 0
    assert time.monotonic() - began < 15
    assert shop.process.poll() is None
