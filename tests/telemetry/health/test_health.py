"""How checks are run: at the same time, each with its own time-out, once for all who ask."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime

import pytest

from specwatch.telemetry.health import Checks, Health, HealthCheck, Report, Verdict, run_checks
from specwatch.telemetry.metrics import Metrics
from specwatch.telemetry.settings import Settings


def fine() -> None:
    """Find nothing wrong."""


def broken() -> None:
    """Find something wrong."""
    raise ConnectionError("refused by postgresql://user:password@db/shop")


async def fine_async() -> None:
    """Find nothing wrong, in an event loop."""
    await asyncio.sleep(0)


async def broken_async() -> None:
    """Find something wrong, in an event loop."""
    await asyncio.sleep(0)
    raise ConnectionError("refused")


Asked = Callable[[Health], Report]


@pytest.fixture(params=["sync", "async"])
def asked(request: pytest.FixtureRequest) -> Asked:
    """Both ways to ask."""
    if request.param == "sync":
        return lambda health: health.report()
    return lambda health: asyncio.run(health.report_async())


def verdict(report: Report, name: str) -> Verdict:
    """Return one check's verdict."""
    found = report.checks[name]
    assert isinstance(found, Verdict)
    return found


@pytest.mark.parametrize("check", [fine, fine_async, lambda: True, lambda: "healthy", lambda: {"status": "healthy"}, object])
def test_a_check_that_returns_is_healthy(check: Callable[[], object], asked: Asked) -> None:
    """Ensure plain and async checks alike are healthy when they come back, and that the answer is 200."""
    report = asked(Health({"it": check}, registry=Metrics()))
    assert (report.status, report.http_status, verdict(report, "it").status) == ("healthy", 200, "healthy")
    assert verdict(report, "it").latency_ms >= 0


@pytest.mark.parametrize("check", [broken, broken_async, lambda: False, lambda: "unhealthy"])
def test_a_check_that_raises_or_says_so_is_unhealthy(check: Callable[[], object], asked: Asked) -> None:
    """Ensure one failure makes the service unhealthy, with 503, and that a password in a URL is not shown."""
    report = asked(Health({"it": check, "other": fine}, registry=Metrics()))
    assert (report.status, report.http_status, verdict(report, "it").status) == ("unhealthy", 503, "unhealthy")
    assert verdict(report, "other").status == "healthy"
    assert "password" not in verdict(report, "it").error


def test_a_degraded_service_still_serves(asked: Asked) -> None:
    """Ensure a degraded check, a slow one and one that is not critical give degraded, with 200."""

    def slow() -> None:
        threading.Event().wait(0.02)

    for check in (lambda: "degraded", HealthCheck(slow, slow_ms=1), HealthCheck(broken, critical=False)):
        report = asked(Health({"it": check}, registry=Metrics()))
        assert (report.status, report.http_status) == ("degraded", 200)


def test_the_report_reads_as_the_document_shows_it(asked: Asked) -> None:
    """Ensure status, timestamp and checks with latency_ms, errors and details, in groups where the checks are."""
    checks: Checks = {"database": fine, "external": {"main_app": lambda: {"status": "degraded", "queue": 7}, "other": broken}}
    found = asked(Health(checks, registry=Metrics())).as_json()
    assert list(found) == ["status", "timestamp", "checks"]
    assert found["status"] == "unhealthy"
    assert datetime.fromisoformat(str(found["timestamp"])).utcoffset() is not None
    inside = found["checks"]
    assert isinstance(inside, dict)
    assert inside["database"].keys() == {"status", "latency_ms"}
    assert inside["external"]["main_app"].items() >= {"status": "degraded", "queue": 7}.items()
    assert inside["external"]["other"]["error"] == "ConnectionError: refused by postgresql://…@db/shop"


def test_no_checks_are_a_healthy_service(asked: Asked) -> None:
    """Ensure a service without checks is healthy: it answers."""
    assert asked(Health(registry=Metrics())).as_json()["status"] == "healthy"


def test_checks_run_at_the_same_time(asked: Asked) -> None:
    """Ensure two checks that wait for each other both come back."""
    both = threading.Barrier(2)
    report = asked(Health({"one": lambda: both.wait(5), "two": lambda: both.wait(5)}, registry=Metrics()))
    assert report.status == "healthy"


def test_a_check_that_hangs_is_given_up_and_the_others_are_not() -> None:
    """Ensure its verdict comes with its time-out, and that after three runs that hang it is not started again."""
    release, runs = threading.Event(), []

    def hanging() -> None:
        runs.append(1)
        release.wait(30)

    health = Health({"hanging": HealthCheck(hanging, timeout_seconds=0.02), "other": fine}, registry=Metrics(), cache_seconds=0)
    try:
        for _ in range(6):
            report = health.report()
            assert (report.status, verdict(report, "other").status) == ("unhealthy", "healthy")
        assert len(runs) == 3
        assert "3 runs hang" in verdict(report, "hanging").error
    finally:
        release.set()


def test_an_async_check_that_hangs_is_cancelled() -> None:
    """Ensure the event loop goes on, and that the check's task is told to end."""
    ended = threading.Event()

    async def hanging() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def ask() -> Report:
        report = await Health({"it": HealthCheck(hanging, timeout_seconds=0.02)}, registry=Metrics()).report_async()
        await asyncio.sleep(0)
        return report

    assert verdict(asyncio.run(ask()), "it").error == "no answer within 0.02 s"
    assert ended.is_set()


def test_however_many_ask_a_check_runs_once() -> None:
    """Ensure concurrent reports wait for the same run, and that the verdict is shown again while it is fresh."""
    entered, release, runs = threading.Event(), threading.Event(), []

    def slow() -> None:
        runs.append(1)
        entered.set()
        release.wait(10)

    health = Health({"it": slow}, registry=Metrics(), cache_seconds=60)
    reports: list[Report] = []
    askers = [threading.Thread(target=lambda: reports.append(health.report())) for _ in range(8)]
    for asker in askers:
        asker.start()
    assert entered.wait(10)
    release.set()
    for asker in askers:
        asker.join(10)
    assert [report.status for report in (*reports, health.report())] == ["healthy"] * 9
    assert len(runs) == 1


def test_without_cache_each_report_asks_anew(asked: Asked) -> None:
    """Ensure a check that has recovered is healthy at once, and that both changes are told in the log, once."""
    verdicts = iter(["unhealthy", "unhealthy", "healthy", "healthy"])
    health = Health({"it": lambda: next(verdicts)}, registry=Metrics(), cache_seconds=0)
    assert [asked(health).status for _ in range(4)] == ["unhealthy", "unhealthy", "healthy", "healthy"]


def test_changes_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Ensure an orchestrator that asks every second does not fill the log."""
    verdicts = iter(["unhealthy", "unhealthy", "healthy", "healthy"])
    health = Health({"it": lambda: next(verdicts)}, registry=Metrics(), cache_seconds=0)
    with caplog.at_level(logging.INFO):
        for _ in range(4):
            health.report()
    assert [record.message for record in caplog.records] == ["Health check failed", "Health check recovered"]


def test_live_and_ready_look_at_their_own_checks(asked: Asked) -> None:
    """Ensure a database that is down takes the service out of turn and does not get the process killed."""
    health = Health({"database": broken, "deadlock": HealthCheck(fine, ready=False, live=True)}, registry=Metrics())
    assert health.report("live").status == "healthy"
    assert list(health.report("live").checks) == ["deadlock"]
    assert health.report("ready").http_status == 503
    assert list(asyncio.run(health.report_async("ready")).checks) == ["database"]
    assert set(asked(health).checks) == {"database", "deadlock"}


def test_verdicts_are_metrics_too(asked: Asked) -> None:
    """Ensure status, duration and failures of each check can be alerted on."""
    registry = Metrics()
    health = Health({"good": fine, "bad": broken, "external": {"so_so": lambda: "degraded"}}, registry=registry, cache_seconds=0)
    assert registry.get_sample_value("health_check_failures_total", {"check": "bad"}) == 0
    asked(health)
    asked(health)
    shown = {name: registry.get_sample_value("health_check_status", {"check": name}) for name in ("good", "bad", "external.so_so")}
    assert shown == {"good": 1, "bad": 0, "external.so_so": 0.5}
    assert registry.get_sample_value("health_check_failures_total", {"check": "bad"}) == 2
    assert registry.get_sample_value("health_check_duration_seconds", {"check": "good"}) is not None


def test_with_metrics_off_there_are_verdicts_and_no_metrics(asked: Asked) -> None:
    """Ensure METRICS_ENABLED=false leaves health alone and registers nothing."""
    registry = Metrics()
    report = asked(Health({"bad": broken}, registry=registry, switches=Settings(metrics_enabled=False)))
    assert report.status == "unhealthy"
    assert "health_check_status" not in registry


def test_watching_keeps_the_metrics_fresh() -> None:
    """Ensure checks are asked regularly where nobody asks for /health."""
    registry, asked_often = Metrics(), threading.Event()
    runs: list[float] = []

    def counting() -> None:
        runs.append(time.monotonic())
        if len(runs) >= 3:
            asked_often.set()

    health = Health({"it": counting}, registry=registry, cache_seconds=0)
    with health.watch(every_seconds=0.01):
        assert asked_often.wait(10)
    assert registry.get_sample_value("health_check_status", {"check": "it"}) == 1


def test_a_decorator_adds_a_check() -> None:
    """Ensure a check can stand where its subject is."""
    health = Health(registry=Metrics())

    @health.check("queue")
    def queue() -> bool:
        return False

    assert health.report().status == "unhealthy"
    assert queue() is False


def test_run_checks_asks_everything_once() -> None:
    """Ensure the plain function returns the report and whether it is fit to serve."""
    report, healthy = run_checks({"database": broken})
    assert not healthy
    assert report["status"] == "unhealthy"
    assert run_checks({})[1]
