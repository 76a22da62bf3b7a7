"""Collectors beside requests and scrapes: periodic, with time-outs, and none in the way of another."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from prometheus_client import CollectorRegistry
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import QueuePool

from specwatch.telemetry.business import MetricsCollector
from specwatch.telemetry.collectors import PeriodicCollectors
from specwatch.telemetry.metrics import Metrics
from specwatch.telemetry.settings import Settings
from tests.telemetry.metrics.processes import files
from tests.tools import wait_for


def failures(registry: Metrics, collector: str) -> float:
    """Return how often the collector has failed."""
    return registry.get_sample_value("business_collector_failures_total", {"collector": collector}) or 0.0


def run_threads(collectors: PeriodicCollectors, until: Callable[[], bool]) -> None:
    """Run the collectors in threads until the condition holds."""
    with collectors:
        wait_for("the collectors", until)


def run_tasks(collectors: PeriodicCollectors, until: Callable[[], bool]) -> None:
    """Run the collectors in an event loop until the condition holds."""

    async def run() -> None:
        async with collectors:
            await asyncio.to_thread(wait_for, "the collectors", until)

    asyncio.run(run())


@pytest.mark.parametrize("run", [run_threads, run_tasks])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_broken_and_hanging_collectors_are_counted_and_disturb_nobody(
    run: Callable[[PeriodicCollectors, Callable[[], bool]], None], asynchronous: bool
) -> None:
    """Ensure one raises, one hangs, the third goes on; a hanging run in a thread is never started twice."""
    registry, release = Metrics(), threading.Event()
    runs = {"good": 0, "hanging": 0}

    def good() -> None:
        runs["good"] += 1

    def broken() -> None:
        raise ZeroDivisionError

    def hanging() -> None:
        runs["hanging"] += 1
        release.wait(30)

    async def good_async() -> None:
        good()

    async def broken_async() -> None:
        broken()

    async def hanging_async() -> None:
        runs["hanging"] += 1
        await asyncio.sleep(30)

    chosen = (good_async, broken_async, hanging_async) if asynchronous else (good, broken, hanging)
    # Only what hangs has little time: on a busy machine anything may take a while.
    collectors = PeriodicCollectors(registry, zip(("good", "broken"), chosen[:2], strict=True), every_seconds=0.01, timeout_seconds=20)
    collectors.add("hanging", chosen[2], timeout_seconds=0.05)
    assert registry.get_sample_value("business_collector_failures_total", {"collector": "good"}) == 0
    try:
        run(collectors, lambda: failures(registry, "broken") >= 3 and failures(registry, "hanging") >= 3 and runs["good"] >= 3)
        if not (asynchronous and run is run_tasks):  # a task that hangs is cancelled, so that the next run may try again
            assert runs["hanging"] == 1
        assert failures(registry, "good") == 0
        assert registry.get_sample_value("business_collector_last_success_timestamp_seconds", {"collector": "good"})
    finally:
        release.set()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_end_of_a_run_does_not_hide_the_end_of_the_program(asynchronous: bool) -> None:
    """Ensure that leaving the block ends it at whatever step of the event loop a run comes back."""

    def quick() -> None:
        """Come back at once."""

    async def quick_async() -> None:
        quick()

    async def run(steps: int) -> None:
        async with PeriodicCollectors(Metrics(), [("quick", quick_async if asynchronous else quick)]):
            for _ in range(steps):
                await asyncio.sleep(0)

    async def run_all() -> None:
        async with asyncio.timeout(20):
            for steps in range(50):
                await run(steps)

    asyncio.run(run_all())


def test_stopping_ends_it() -> None:
    """Ensure the threads end after `stop`, and that the collectors can be started again."""
    registry, runs = Metrics(), []
    collectors = PeriodicCollectors(registry, every_seconds=0.005)

    @collectors.every(0.005)
    def count() -> None:
        runs.append(1)

    for _ in range(2):
        begun = len(runs)
        run_threads(collectors, lambda begun=begun: len(runs) > begun + 1)  # type: ignore[misc]  # mypy cannot infer a default's type
        wait_for("the threads' end", lambda: not any(thread.name.startswith("collect-count") for thread in threading.enumerate()))


def test_a_scrape_is_never_held_up() -> None:
    """Ensure a collector that hangs leaves the registry free to be read."""
    registry, entered, release = Metrics(), threading.Event(), threading.Event()
    registry.gauge("stock_items", "Items.").set(3)

    def hanging() -> None:
        entered.set()
        release.wait(30)

    with PeriodicCollectors(registry, [("hanging", hanging)]):
        assert entered.wait(10)
        assert registry.get_sample_value("stock_items") == 3
        release.set()


def test_with_metrics_off_nothing_runs() -> None:
    """Ensure METRICS_ENABLED=false starts no thread and registers nothing."""
    registry, runs = Metrics(), []
    with PeriodicCollectors(registry, [("it", lambda: runs.append(1))], switches=Settings(metrics_enabled=False)):
        assert not any(thread.name == "collect-it" for thread in threading.enumerate())
    assert not runs
    assert "business_collector_failures_total" not in registry


@pytest.mark.parametrize(("names", "seconds"), [(["one", "one"], 1.0), (["one"], -1.0)])
def test_wrong_settings_are_told_at_once(names: list[str], seconds: float) -> None:
    """Ensure two collectors of one name, and a time that cannot be, are errors where they are made."""
    with pytest.raises(ValueError, match="collector one"):
        PeriodicCollectors(Metrics(), [(name, dict) for name in names], every_seconds=seconds)


def test_a_registry_of_prometheus_client_will_do() -> None:
    """Ensure a program whose metrics are prometheus-client's can use the collectors, several of them beside each other."""
    registry = CollectorRegistry()
    for name in ("one", "two"):
        PeriodicCollectors(registry, [(name, dict)])
    assert registry.get_sample_value("business_collector_failures_total", {"collector": "two"}) == 0


_WORKER = """
import sys, threading
from pathlib import Path
from specwatch.telemetry.collectors import PeriodicCollectors
from specwatch.telemetry.metrics import Metrics
told = Path(sys.argv[1])
collectors = PeriodicCollectors(Metrics(directory=""), [("stock", lambda: told.touch())], every_seconds=0.02)
collectors.start()
print("started", flush=True)
sys.stdin.read()
"""


def test_of_several_workers_one_collects_and_another_takes_over(tmp_path: Path) -> None:
    """Ensure the database is asked by one worker alone, and by the other as soon as that one is killed."""
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}
    told = [tmp_path / "first", tmp_path / "second"]
    workers = []
    try:
        for file in told:
            worker = subprocess.Popen(
                [sys.executable, "-c", _WORKER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
            )
            workers.append(worker)
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"started\n"
            if file is told[0]:
                wait_for("the first worker's collector", told[0].exists)
        told[0].unlink()
        wait_for("another run of the first worker's", told[0].exists)
        assert not told[1].exists()
        workers[0].kill()
        wait_for("the second worker's collector", told[1].exists)
        assert "foreign" not in files(tmp_path / "metrics")
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def test_the_documents_collector_shows_pool_and_cache(redis_port: int, tmp_path: Path) -> None:
    """Ensure 004's two steps, and that a subclass adds its own figures."""
    registry = Metrics()
    users = registry.gauge("analytics_active_users", "Active users.", ["workspace_id"])
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db", poolclass=QueuePool)

    class Analytics(MetricsCollector):
        async def collect_business_metrics(self) -> dict[str, object]:
            return await super().collect_business_metrics() | {"active_users": {"w1": 7}}

        async def export_to_prometheus(self, metrics: dict[str, object]) -> None:
            await super().export_to_prometheus(metrics)
            assert isinstance(metrics["active_users"], dict)
            for workspace, count in metrics["active_users"].items():
                users.labels(workspace_id=workspace).set(count)

    with redis.Redis(port=redis_port) as client, engine.connect():
        client.set("key", "value")
        client.get("key")
        collector = Analytics(redis_client=client, db_session=engine, registry=registry)
        run_threads(
            PeriodicCollectors(registry, [("business", collector)], every_seconds=0.01),
            lambda: registry.get_sample_value("analytics_active_users", {"workspace_id": "w1"}) == 7,
        )
    assert registry.get_sample_value("database_connections", {"state": "active"}) == 1
    assert registry.get_sample_value("database_connections", {"state": "total"}) == 1
    assert 0 < (registry.get_sample_value("cache_hit_ratio") or 0) <= 1
    assert failures(registry, "business") == 0
    engine.dispose()


def test_an_async_engines_pool_is_read(tmp_path: Path) -> None:
    """Ensure the plain engine behind an async one is found."""

    async def run() -> dict[str, int]:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/shop.db")
        async with engine.connect():
            found = await MetricsCollector(db_session=engine).get_database_metrics()
        await engine.dispose()
        return found

    assert asyncio.run(run())["active_connections"] == 1
