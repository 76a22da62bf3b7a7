"""Counting, setting and observing in one process."""

import asyncio
import math
import signal
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from specwatch.telemetry.metrics import Definition, MetricError, Metrics, default_metrics
from specwatch.telemetry.metrics import counter as plain_counter


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(strict=True)


def test_a_counter_adds_up(metrics: Metrics) -> None:
    """By position, by name, in any order and in one call, a label set is one series."""
    orders = metrics.counter("orders_total", "Orders.", ["status", "country"])
    orders.labels("paid", "de").inc()
    orders.labels(status="paid", country="de").inc(2)
    orders.labels(country="de", status="paid").inc(0.5)
    orders.inc(status="paid", country="de")
    orders.inc(10, status="failed", country="de")
    assert metrics.get_sample_value("orders_total", {"status": "paid", "country": "de"}) == 4.5
    assert metrics.get_sample_value("orders_total", {"status": "failed", "country": "de"}) == 10


def test_a_gauge_can_ask_a_function(metrics: Metrics) -> None:
    """At each scrape, for the bare gauge and for a series; a function that fails leaves the last value and is counted, never raised."""
    waiting, broken = [1, 2], [False]

    def length() -> int:
        if broken[0]:
            raise LookupError
        return len(waiting)

    metrics.gauge("queue_length").set_function(length)
    metrics.gauge("queues", "", ["name"]).set_function(lambda: 2 * len(waiting), name="mail")
    metrics.gauge("odd").set_function(lambda: "many")  # type: ignore[arg-type, return-value] # that is what is tested
    value = metrics.get_sample_value
    waiting.append(3)
    assert (value("queue_length"), value("queues", {"name": "mail"}), value("odd")) == (3, 6, 0)
    broken[0] = True
    waiting.clear()
    assert (value("queue_length"), value("queues", {"name": "mail"})) == (3, 0)
    assert (value("specwatch_telemetry_errors_total", {"kind": "bad_value"}) or 0) >= 4
    metrics["queues"].remove("mail")
    assert value("queues", {"name": "mail"}) is None


def test_a_series_is_made_once(metrics: Metrics) -> None:
    """The same labels give the same object, also when a value is no text."""
    requests = metrics.counter("requests_total", "", ["method", "status"])
    assert requests.labels("GET", 200) is requests.labels(method="GET", status="200")


def test_a_metric_without_labels_stands_at_zero(metrics: Metrics) -> None:
    """It is shown before it is first counted, and needs no call of labels()."""
    jobs = metrics.counter("jobs_total")
    assert metrics.get_sample_value("jobs_total") == 0
    jobs.inc()
    assert metrics.get_sample_value("jobs_total") == 1


def test_a_counter_is_named_with_total(metrics: Metrics) -> None:
    """As with prometheus-client, `_total` is appended, and both names find it."""
    jobs = metrics.counter("jobs", "Jobs.")
    assert metrics.jobs_total is jobs is metrics["jobs"]


def test_a_gauge_goes_up_and_down(metrics: Metrics) -> None:
    """set, inc and dec, with and without labels."""
    queue = metrics.gauge("queue_length", "", ["name"])
    queue.labels("a").set(5)
    queue.labels("a").inc(2)
    queue.dec(4, name="a")
    assert queue.labels("a").get() == 3
    plain = metrics.gauge("now")
    plain.set_to_current_time()
    assert plain.get() > 1e9


def test_a_histogram_sorts_into_buckets(metrics: Metrics) -> None:
    """A value on a bound belongs to its bucket; sum and count go along."""
    seconds = metrics.histogram("seconds", "", ["route"], buckets=(0.1, 1))
    for value in (0.05, 0.1, 0.5, 7):
        seconds.observe(value, route="/")
    found = {bound: metrics.get_sample_value("seconds_bucket", {"route": "/", "le": bound}) for bound in ("0.1", "1.0", "+Inf")}
    assert found == {"0.1": 2, "1.0": 3, "+Inf": 4}
    assert metrics.get_sample_value("seconds_sum", {"route": "/"}) == pytest.approx(7.65)
    assert metrics.get_sample_value("seconds_count", {"route": "/"}) == 4


def test_a_summary_has_count_and_sum(metrics: Metrics) -> None:
    """As with prometheus-client, there are no quantiles."""
    size = metrics.summary("size_bytes")
    size.observe(10)
    size.observe(5)
    assert (metrics.get_sample_value("size_bytes_count"), metrics.get_sample_value("size_bytes_sum")) == (2, 15)


def test_an_info_says_what_was_said_last(metrics: Metrics) -> None:
    """New facts replace the old ones."""
    build = metrics.info("build", "The build.")
    build.info({"version": "1"}, commit="abc")
    build.info(version="2", commit="def")
    assert metrics.get_sample_value("build_info", {"version": "2", "commit": "def"}) == 1
    assert metrics.get_sample_value("build_info", {"version": "1", "commit": "abc"}) is None


@pytest.mark.parametrize("amount", [1, 1.0, True, Decimal(1), Fraction(1, 1)])
def test_any_number_counts(metrics: Metrics, amount: Any) -> None:
    """Whatever has a float value is an amount."""
    metrics.counter("c").inc(amount)
    metrics.gauge("g").inc(amount)
    metrics.gauge("s").set(amount)
    metrics.histogram("h").observe(amount)
    assert metrics.c_total.get() == metrics.g.get() == metrics.s.get() == metrics.h.get() == 1


@pytest.mark.parametrize("amount", [-1, math.nan, "1", b"1", None, 1j, 10**400, object()])
def test_what_is_no_amount_is_refused_in_development(metrics: Metrics, amount: Any) -> None:
    """A counter never falls and never becomes NaN."""
    counter = metrics.counter("c")
    with pytest.raises(MetricError, match="expected a number"):
        counter.inc(amount)
    assert counter.get() == 0


@pytest.mark.parametrize("amount", [math.nan, "1", None, 1j, 10**400, object()])
def test_what_is_no_amount_is_counted_in_production(amount: Any) -> None:
    """Nothing is raised into the caller, and nothing but the mistake is counted."""
    metrics = Metrics(strict=False)
    metrics.counter("c").inc(amount)
    metrics.histogram("h").observe(amount)
    metrics.summary("s").observe(amount)
    assert metrics.c_total.get() == metrics.h.get() == metrics.s.get() == 0
    assert metrics.get_sample_value("specwatch_telemetry_errors_total", {"kind": "bad_value"}) >= 3  # type: ignore[operator] # it is there


def test_threads_lose_nothing() -> None:
    """Counters and histograms are exact however many threads count."""
    metrics = Metrics(strict=True)
    counter, seconds = metrics.counter("c", "", ["a"]), metrics.histogram("h")
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def count() -> None:
        for index in range(5000):
            counter.labels(str(index % 7)).inc()
            seconds.observe(0.5)

    threads = [threading.Thread(target=count) for _ in range(4)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switch)
    assert sum(counter.labels(str(index)).get() for index in range(7)) == 20_000
    assert (seconds.get(), metrics.get_sample_value("h_sum")) == (20_000, 10_000)


@pytest.mark.parametrize("shared", [False, True])
def test_a_signal_handler_may_count(tmp_path: Path, shared: bool) -> None:
    """It may come while the same counter is being written: nothing waits for ever, nothing is lost."""
    metrics = Metrics(directory=tmp_path if shared else "", strict=True)
    counter, seconds = metrics.counter("c"), metrics.histogram("h")
    handled = [0]

    def handle(*_: object) -> None:
        counter.inc()
        seconds.observe(0.1)
        handled[0] += 1

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    counted = 0
    try:
        while handled[0] < 300:
            counter.inc()
            seconds.observe(0.1)
            counted += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert counter.get() == seconds.get() == counted + handled[0]


def test_time_is_taken_of_blocks_and_functions(metrics: Metrics) -> None:
    """time() is a context manager and a decorator, of functions, coroutine functions and generators, whole runs of them."""
    seconds = metrics.histogram("seconds")

    @seconds.time()
    def plain(value: int) -> int:
        return value

    @seconds.time()
    async def later() -> str:
        await asyncio.sleep(0)
        return "done"

    @seconds.time()
    def several() -> Iterator[int]:
        yield 1
        assert seconds.get() == 3
        yield 2

    with seconds.time():
        assert plain(7) == 7
    assert asyncio.run(later()) == "done"
    assert list(several()) == [1, 2]
    assert seconds.get() == 4


def test_what_runs_is_counted_up_and_down(metrics: Metrics) -> None:
    """track_inprogress counts down when the block raises, too; count_exceptions counts those of its kind."""
    running, failures = metrics.gauge("running"), metrics.counter("failures")

    def fail() -> None:
        with running.track_inprogress(), failures.count_exceptions(ValueError):
            assert running.get() == 1
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert (running.get(), failures.get()) == (0, 1)


def test_plain_constructors_give_the_same_metric_again() -> None:
    """A module that is imported twice finds its counter; another declaration under its name is refused."""
    first = plain_counter("test_counting_total", "About.", ["a"])
    assert plain_counter("test_counting_total", "About.", ["a"]) is first
    assert default_metrics().test_counting_total is first
    with pytest.raises(MetricError, match="declared twice"):
        plain_counter("test_counting_total", "About.", ["b"])


def test_a_namespace_goes_before_every_name() -> None:
    """Attributes may leave it out, and a name that has it already does not get it twice."""
    metrics = Metrics([Definition("cache_hits_total", "counter"), Definition("skillmeat_cache_size", "gauge")], namespace="skillmeat")
    assert metrics.cache_hits_total is metrics.skillmeat_cache_hits_total
    metrics.cache_size.set(3)
    assert metrics.get_sample_value("skillmeat_cache_size") == 3


def test_a_removed_series_is_shown_no_longer(metrics: Metrics) -> None:
    """The others keep their numbers, and it begins at 0 when it comes back."""
    users = metrics.gauge("users", "", ["workspace"])
    for index in range(4):
        users.set(index, workspace=index)
    users.remove("1")
    assert metrics.get_sample_value("users", {"workspace": "1"}) is None
    assert [metrics.get_sample_value("users", {"workspace": each}) for each in ("0", "2", "3")] == [0, 2, 3]
    users.inc(workspace=1)
    assert metrics.get_sample_value("users", {"workspace": "1"}) == 1
    users.clear()
    assert metrics.get_sample_value("users", {"workspace": "0"}) is None


def test_switched_off_means_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """METRICS_ENABLED=false: every call is accepted, nothing is kept, nothing is shown."""
    monkeypatch.setenv("METRICS_ENABLED", "false")
    metrics = Metrics([Definition("a_total", "counter", labels={"b": None})], strict=True)
    metrics.a_total.labels(b="x").inc()
    metrics.a_total.inc(b="x")
    metrics.anything.labels("x").observe(1)
    with metrics.histogram("h").time(), metrics.gauge("g").track_inprogress():
        pass
    assert metrics.render()[0] == b""
