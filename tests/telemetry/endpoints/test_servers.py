"""Servers for programs that have none."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from specwatch.telemetry.endpoints import Endpoints
from specwatch.telemetry.endpoints.server import serve_endpoints
from specwatch.telemetry.metrics import Metrics
from tests.tools import free_port, wait_for

_SCAN = """
from specwatch.telemetry.metrics import counter
counter("scan_requests_total", "Scans.", ["token_symbol", "status"]).labels(token_symbol="BTC", status="success").inc(15)
"""


def environment(folder: Path | None) -> dict[str, str]:
    """Return this process' environment with the shared folder, or without one."""
    kept = {name: value for name, value in os.environ.items() if name not in {"PROMETHEUS_MULTIPROC_DIR", "METRICS_PORT"}}
    return kept | ({"PROMETHEUS_MULTIPROC_DIR": str(folder)} if folder else {})


@contextmanager
def metrics_server(folder: Path, arguments: Sequence[str] = (), **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the metrics server as a process."""
    server = subprocess.Popen(
        [sys.executable, "-m", "specwatch.telemetry.metrics_server", *arguments],
        env=environment(folder) | variables,
        stderr=subprocess.PIPE,
    )
    try:
        yield server
    finally:
        server.kill()
        server.communicate()


def shown(port: int, path: str) -> str | None:
    """Return what the server shows, or None while it does not answer."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}").text
    except httpx.ConnectError:
        return None


@pytest.mark.parametrize("by_variable", [False, True])
def test_the_documents_server_shows_what_a_script_has_counted(tmp_path: Path, by_variable: bool) -> None:
    """Ensure 003's command beside a script that has ended already, with its port from the command line or from METRICS_PORT."""
    subprocess.run([sys.executable, "-c", _SCAN], env=environment(tmp_path), check=True, timeout=30)
    port = free_port()
    arguments, variables = ([], {"METRICS_PORT": str(port)}) if by_variable else (["--port", str(port)], {})
    with metrics_server(tmp_path, arguments, **variables) as server:
        text = wait_for("the metrics server", lambda: shown(port, "/metrics"))
        assert 'scan_requests_total{token_symbol="BTC",status="success"} 15' in text
        assert "scan_requests_total" in str(shown(port, "/api/metrics"))
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--port", "x"], 2, "invalid int value"),
        ([], 2, "set PROMETHEUS_MULTIPROC_DIR"),
        (["--dir", "/nowhere/at/all"], 2, "found no folder there"),
    ],
)
def test_a_wrong_command_line_says_what_to_do(arguments: list[str], code: int, said: str) -> None:
    """Ensure the exit code is 2 and the message has the remedy."""
    command = [sys.executable, "-m", "specwatch.telemetry.metrics_server", *arguments]
    done = subprocess.run(command, env=environment(None), capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == code
    assert said in done.stderr


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    """Ensure the exit code is 3, without a traceback."""
    with serve_endpoints(Endpoints(registry=Metrics())) as taken:
        command = [sys.executable, "-m", "specwatch.telemetry.metrics_server", "--port", str(taken.port)]
        done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, check=False, timeout=30)
        taken.stop()
    assert done.returncode == 3
    assert "choose another --port" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_without_http_shows_metrics_and_health() -> None:
    """Ensure a program that serves nothing can be scraped and asked, and that its port is free again afterwards."""
    metrics = Metrics()
    metrics.gauge("queue_length", "Jobs that wait.").set(42)
    server = serve_endpoints(Endpoints(registry=metrics, health={"queue": lambda: True}))
    assert "queue_length 42" in str(shown(server.port, "/metrics"))
    assert '"status":"healthy"' in str(shown(server.port, "/health"))
    server.stop()
    assert shown(server.port, "/metrics") is None


def test_a_folder_is_shown_by_its_path(tmp_path: Path) -> None:
    """Ensure endpoints can show a folder that others write to."""
    subprocess.run([sys.executable, "-c", _SCAN], env=environment(tmp_path), check=True, timeout=30)
    answer = Endpoints(registry=str(tmp_path)).answer("GET", "/metrics", {})
    assert answer is not None
    assert b"scan_requests_total" in answer.body
