"""The request hook under a gunicorn whose workers come and go: clients, metrics and log lines count the same."""

import itertools
import json
import os
import signal
from pathlib import Path

import pytest

from tests.telemetry.metrics.servers import Server, serving
from tests.tools import wait_for

pytestmark = pytest.mark.engine
APP = {"wsgi_app": "tests.telemetry.requests.gunicorn_app:application"}
THREADS = {**APP, "worker_class": "gthread", "threads": 4, "keepalive": 0}
ITEM, TEMPLATE = "/items/7", "/items/<int:item>"


def counted(server: Server, status: str = "200") -> float:
    """Return http_requests_total of the route over all workers, those that are gone included."""
    return server.sample("http_requests_total", method="GET", endpoint=TEMPLATE, status=status) or 0.0


def logged(server: Server) -> int:
    """Return how many access log lines the route has; each line of the log is whole."""
    lines = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
    return sum(line["message"] == "Request completed" and line["endpoint"] == TEMPLATE for line in lines)


def answered(server: Server) -> int:
    """Return how many requests got their answer."""
    return server.sent[ITEM] - server.lost.get(ITEM, 0)


def agreed(server: Server) -> None:
    """All three say the same; the metrics port may give an answer that is a moment old."""
    wait_for("the total", lambda: counted(server) >= answered(server))
    assert counted(server) == logged(server) == answered(server) >= 60
    assert server.sample("http_request_duration_seconds_count", method="GET", endpoint=TEMPLATE) == answered(server)
    wait_for("nothing in flight", lambda: server.sample("http_requests_in_flight") == 0)


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_that_are_killed_lose_nothing(tmp_path: Path, workers: int) -> None:
    """SIGKILL in the middle of requests: those get no answer and are in neither; all others are in all three, exactly."""
    with serving(tmp_path, {**APP, "workers": workers, "worker_class": "sync"}) as server:
        with server.load(path=ITEM):
            for death in range(1, 6):
                wait_for("more answers", lambda death=death: answered(server) >= 15 * death)  # type: ignore[misc] # a default has no type
                server.ask("/die")
        assert server.lost == {"/die": 5}
        agreed(server)


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_that_are_reloaded_and_recycled_lose_nothing(tmp_path: Path, workers: int) -> None:
    """HUP under load, while max_requests replaces workers all the time: no request is lost, and none counted twice."""
    with serving(tmp_path, {**THREADS, "workers": workers, "max_requests": 40, "max_requests_jitter": 10}) as server:
        with server.load(path=ITEM):
            for reload in (1, 2):
                server.process.send_signal(signal.SIGHUP)
                wait_for("the reload", lambda reload=reload: server.sample("gunicorn_reloads_total") == reload)  # type: ignore[misc] # as above
            wait_for("six ends", lambda: (server.sample("gunicorn_worker_exits_total") or 0) >= 6 and answered(server) > 60, 40)
        assert server.lost == {}
        agreed(server)


def test_workers_that_are_killed_from_outside_count_what_they_began_to_answer(tmp_path: Path) -> None:
    """At any moment, in any of four threads: what a client has got was counted and logged before, and no total ever falls."""
    with serving(tmp_path, {**THREADS, "workers": 2}) as server:
        totals = [0.0]
        with server.load(path=ITEM):
            for _ in range(5):
                alive = server.workers()
                os.kill(alive[0], signal.SIGKILL)
                wait_for("another worker", lambda alive=alive: len(now := server.workers()) == 2 and alive[0] not in now)  # type: ignore[misc] # as above
                totals.append(counted(server))
        wait_for("the total", lambda: counted(server) >= answered(server))
        totals.append(counted(server))
        assert all(before <= after for before, after in itertools.pairwise(totals))
        assert answered(server) <= logged(server) <= counted(server) <= server.sent[ITEM]
        wait_for("nothing in flight", lambda: server.sample("http_requests_in_flight") == 0)
