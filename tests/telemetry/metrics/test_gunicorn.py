"""A real gunicorn: the totals are what clients counted, whatever becomes of the workers."""

import os
import signal
from pathlib import Path

import pytest

from specwatch.telemetry.metrics import render
from tests.telemetry.metrics.servers import Server, serving
from tests.tools import wait_for

SYNC = {"workers": 4, "worker_class": "sync"}
THREADS = {"workers": 2, "worker_class": "gthread", "threads": 4, "keepalive": 0}


def total(server: Server, path: str = "/") -> float | None:
    return server.sample("app_requests_total", path=path)


def settled(server: Server, path: str = "/") -> None:
    """The metrics port may give an answer that is a moment old; after that the total is exact and stays so."""
    expected = server.sent[path]
    wait_for(f"{expected} requests in the metrics", lambda: (total(server, path) or 0) >= expected)
    assert total(server, path) == expected
    for name in ("app_seconds_count", "app_seconds_bucket"):
        labels = {"path": path} | ({"le": "1.0"} if name.endswith("bucket") else {})
        assert server.sample(name, **labels) == expected


def test_workers_that_are_killed_lose_nothing(tmp_path: Path) -> None:
    """Workers end by SIGKILL in the middle of requests, under load: every request is counted once, and files stay few."""
    with serving(tmp_path, SYNC) as server:
        with server.load():
            for _ in range(12):
                # It counts, then dies: the one request that gets no answer.
                server.ask("/die")
        assert server.lost == {"/die": 12}
        assert server.sent["/"] > 50
        settled(server)
        settled(server, "/die")
        wait_for("in flight to fall", lambda: server.sample("app_in_flight") == 0)
        # Four workers, the master, and those that started before the one they replace was quite gone.
        assert server.slots() <= 7
        wait_for("twelve ends", lambda: server.sample("gunicorn_worker_exits_total") == 12)
        wait_for("sixteen starts", lambda: server.sample("gunicorn_worker_starts_total") == 16)


def reload_workers(server: Server, times: int) -> None:
    before = set(server.workers())
    server.process.send_signal(signal.SIGHUP)
    wait_for("new workers", lambda: len(new := set(server.workers())) == 2 and not new & before)
    wait_for("the reload counted", lambda: server.sample("gunicorn_reloads_total") == times)


def test_a_reload_under_load_loses_nothing(tmp_path: Path) -> None:
    """HUP replaces all workers, three times: each answer that a client got is counted once, and no total ever falls."""
    with serving(tmp_path, THREADS) as server:
        totals: list[float] = []
        with server.load():
            for reload in range(1, 4):
                reload_workers(server, reload)
                totals.append(total(server) or 0)
        assert totals == sorted(totals)
        assert server.lost == {}
        settled(server)
        assert server.slots() <= 5
        assert server.sample("app_info", version="1") == 1


def test_workers_that_are_recycled_lose_nothing(tmp_path: Path) -> None:
    """max_requests replaces workers all the time: the totals are exact, and the files as many as workers at one time."""
    with serving(tmp_path, {**SYNC, "workers": 2, "max_requests": 20, "max_requests_jitter": 5}) as server:
        with server.load():
            wait_for("ten replaced workers", lambda: (server.sample("gunicorn_worker_exits_total") or 0) >= 10, limit_seconds=40)
        assert server.lost == {}
        settled(server)
        assert server.slots() <= 5


def test_saturation_is_shown(tmp_path: Path) -> None:
    """Busy workers, requests at work, room for requests, waiting connections."""
    with serving(tmp_path, {**SYNC, "workers": 2}) as server:
        assert server.sample("gunicorn_workers") == 2
        assert server.sample("gunicorn_request_slots") == 2
        with server.load(6, "/slow"):
            wait_for("both workers busy", lambda: server.sample("gunicorn_workers_busy") == server.sample("gunicorn_requests_active") == 2)
            wait_for("connections that wait", lambda: (server.sample("gunicorn_backlog") or 0) > 0)
        wait_for("idle workers", lambda: server.sample("gunicorn_workers_busy") == server.sample("gunicorn_requests_active") == 0)
        wait_for("an empty backlog", lambda: server.sample("gunicorn_backlog") == 0)


def test_a_worker_that_hangs_is_counted(tmp_path: Path) -> None:
    """Its time-out is in the metrics, and its requests are no longer in flight."""
    with serving(tmp_path, {**SYNC, "workers": 2, "timeout": 1}) as server:
        server.ask("/hang")
        wait_for("the time-out", lambda: server.sample("gunicorn_worker_timeouts_total") == 1)
        settled(server, "/hang")
        wait_for("nothing in flight", lambda: server.sample("app_in_flight") == server.sample("gunicorn_requests_active") == 0)


def test_each_workers_process_is_shown(tmp_path: Path) -> None:
    """CPU and memory of the master and of every worker."""
    with serving(tmp_path, {**SYNC, "workers": 2}) as server:
        shown = [labels for name, labels in server.scrape() if name == "process_resident_memory_bytes"]
        assert len(shown) == 3
        assert server.sample("specwatch_telemetry_files", state="live") == 3


def test_the_metrics_server_comes_back(tmp_path: Path) -> None:
    """Killed, it is started anew; the counters are in the files, not in it."""
    with serving(tmp_path, {**SYNC, "workers": 2}) as server:
        server.ask()
        first = server.metrics_process()
        os.kill(first, signal.SIGKILL)
        wait_for("another process", lambda: server.metrics_process() not in {0, first})
        wait_for("its answer", lambda: total(server) == 1)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_metrics_server_ends_with_the_master(tmp_path: Path, how: signal.Signals) -> None:
    """Also when the master is killed: no process is left, and the port is free."""
    with serving(tmp_path, {**SYNC, "workers": 2, "timeout": 2}) as server:
        beside, workers = server.metrics_process(), server.workers()
        server.process.send_signal(how)
        server.process.wait(20)
        wait_for("its end", lambda: not Path(f"/proc/{beside}").exists())
        wait_for("the workers' end", lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


def test_a_preloaded_application_counts_once(tmp_path: Path) -> None:
    """preload_app: what the master counted while loading is there once, and workers count for themselves."""
    with serving(tmp_path, {**SYNC, "preload_app": True}) as server:
        with server.load():
            wait_for("a hundred requests", lambda: server.sent["/"] >= 100)
        settled(server)
        assert server.sample("app_info", version="1") == 1


def test_a_worker_shows_all_workers(tmp_path: Path) -> None:
    """What a registry renders in any process is the sum of all, for applications that serve /metrics themselves."""
    with serving(tmp_path, SYNC) as server:
        for _ in range(40):
            server.ask()
        assert b'app_requests_total{path="/"} 40\n' in render(server.folder)[0]


def test_without_metrics_nothing_is_done(tmp_path: Path) -> None:
    """METRICS_ENABLED=false: no files, no port, the application answers."""
    server = Server(tmp_path, {**SYNC, "workers": 1}, {"METRICS_ENABLED": "false"})
    try:
        wait_for("an answer", lambda: server.ask("/"))
        assert server.slots() == 0
        assert server.metrics_process() == 0
    finally:
        server.stop()
