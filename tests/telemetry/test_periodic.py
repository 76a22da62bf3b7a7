"""Collectors away from requests and scrapes."""

import threading
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from specwatch.telemetry.periodic import PeriodicCollectors


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return when the condition holds; fail when it does not within the time."""
    limit = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < limit, "the condition did not come true"
        pause.wait(0.01)


def test_broken_and_hanging_collectors_are_counted_and_disturb_nobody() -> None:
    """One raises, one hangs, the third goes on; a hanging run is never started twice."""
    registry = CollectorRegistry()
    release = threading.Event()
    runs = {"good": 0, "hanging": 0}

    def good() -> None:
        runs["good"] += 1

    def broken() -> None:
        raise ZeroDivisionError

    def hanging() -> None:
        runs["hanging"] += 1
        release.wait(30)

    def failures(collector: str) -> float:
        return registry.get_sample_value("business_collector_failures_total", {"collector": collector}) or 0.0

    collectors = PeriodicCollectors(
        registry,
        (("good", good), ("broken", broken), ("hanging", hanging)),
        every_seconds=0.01,
        timeout_seconds=0.05,
    )
    assert registry.get_sample_value("business_collector_failures_total", {"collector": "good"}) == 0
    collectors.start()
    try:
        wait_until(lambda: failures("broken") >= 3 and failures("hanging") >= 3 and runs["good"] >= 3)
        assert runs["hanging"] == 1
        assert failures("good") == 0
    finally:
        collectors.stop()
        release.set()
