"""What a scrape gets."""

import gzip
import math
import threading
import time
from collections.abc import Iterable

import prometheus_client
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from specwatch.telemetry.metrics import Definition, Metrics, render, render_json
from specwatch.telemetry.metrics.exposition import Family
from specwatch.telemetry.metrics.scrape import Scrape

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
JOBS = Definition(
    "job_processing_seconds", "histogram", "Job processing duration in seconds", "seconds", {}, (0.1, 0.5, 1, 2, 5, 10, 30, 60)
)


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics(strict=True)
    metrics.counter("orders_total", 'Orders, "all" of\nthem.', ["status"]).inc(status='a"b\\c\nd%')
    metrics.gauge("temperature").set(-3.5)
    metrics.define(JOBS).observe(3, {"trace_id": "abc"})
    metrics.summary("size_bytes", unit="bytes").observe(12)
    metrics.info("build").info(version="1.0")
    return metrics


def body_of(metrics: Metrics, accept: str = "") -> str:
    return render(metrics, accept)[0].decode()


def test_both_formats_parse_to_the_same_samples(metrics: Metrics) -> None:
    """prometheus-client's parsers read from either what was counted."""
    openmetrics = {sample.name: sample for family in parse_openmetrics(body_of(metrics, OPENMETRICS)) for sample in family.samples}  # type: ignore[no-untyped-call] # untyped there
    text = {sample.name: sample for family in parse_text(body_of(metrics)) for sample in family.samples}
    assert openmetrics.keys() == text.keys()
    for samples in (openmetrics, text):
        assert samples["orders_total"].labels == {"status": 'a"b\\c\nd%'}
        assert samples["temperature"].value == -3.5
        assert samples["job_processing_seconds_sum"].value == 3
        assert samples["size_bytes_count"].value == 1
        assert samples["build_info"].labels == {"version": "1.0"}


def test_created_lines_are_there_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """In OpenMetrics alone, one for each series of a counter, histogram or summary, beside its other lines; METRICS_CREATED asks too."""
    began = time.time()
    metrics = Metrics(created=True)
    orders = metrics.counter("orders_total", "", ["status"])
    orders.inc(status="paid")
    orders.inc(exemplar={"trace_id": "abc"}, status="lost")
    orders.inc(status="gone")
    orders.remove("gone")
    metrics.define(JOBS).observe(3, {"trace_id": "abc"})
    metrics.summary("sizes").observe(1)
    metrics.gauge("temperature").set(1)
    families = {family.name: family for family in parse_openmetrics(body_of(metrics, OPENMETRICS))}  # type: ignore[no-untyped-call] # untyped there
    created = {
        (name, *sample.labels.values()): sample.value
        for name in ("orders", "job_processing_seconds", "sizes", "temperature")
        for sample in families[name].samples
        if sample.name.endswith("_created")
    }
    assert created.keys() == {("orders", "paid"), ("orders", "lost"), ("job_processing_seconds",), ("sizes",)}
    assert all(began <= moment <= time.time() for moment in created.values())
    assert "_created" not in body_of(metrics)
    assert "_created" not in body_of(Metrics([JOBS]), OPENMETRICS)
    monkeypatch.setenv("METRICS_CREATED", "true")
    assert "job_processing_seconds_created " in body_of(Metrics([JOBS]), OPENMETRICS)


def test_text_is_what_document_002_shows() -> None:
    """Whole numbers have no fraction, buckets come before sum and count."""
    metrics = Metrics([Definition("job_processed_total", "counter", "Total number of jobs processed"), JOBS])
    metrics.job_processed_total.inc(1250)
    metrics.job_processing_seconds.observe(3.25)
    shown = body_of(metrics)
    assert (
        "# HELP job_processed_total Total number of jobs processed\n# TYPE job_processed_total counter\njob_processed_total 1250\n" in shown
    )
    assert 'job_processing_seconds_bucket{le="60.0"} 1\njob_processing_seconds_bucket{le="+Inf"} 1\n' in shown
    assert "job_processing_seconds_sum 3.25\njob_processing_seconds_count 1\n" in shown
    assert "_created" not in shown


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("text/plain;version=0.0.4", False),
        (OPENMETRICS, True),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2", True),
        ("application/openmetrics-text;q=0.2,text/plain;q=0.9", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=nonsense", False),
    ],
)
def test_the_accept_header_decides(metrics: Metrics, accept: str, openmetrics: bool) -> None:
    """OpenMetrics for those who prefer it, Prometheus text for everybody else."""
    body, content_type, encoding = render(metrics, accept)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0" if openmetrics else "text/plain; version=0.0.4")
    assert body.endswith(b"# EOF\n") is openmetrics
    assert encoding == ""


def test_gzip_when_asked(metrics: Metrics) -> None:
    """The same body, smaller."""
    body, _, encoding = render(metrics, gzip=True)
    assert encoding == "gzip"
    assert gzip.decompress(body) == render(metrics)[0]


def test_exemplars_are_openmetrics_alone(metrics: Metrics) -> None:
    """A bucket and a counter carry the trace that was seen last; Prometheus text has no place for it."""
    metrics.orders_total.labels(status="x").inc(2, {"trace_id": "def"})
    found = {
        (sample.name, sample.exemplar.labels["trace_id"], sample.exemplar.value)
        for family in parse_openmetrics(body_of(metrics, OPENMETRICS))  # type: ignore[no-untyped-call] # untyped there
        for sample in family.samples
        if sample.exemplar
    }
    assert found == {("job_processing_seconds_bucket", "abc", 3.0), ("orders_total", "def", 2.0)}
    assert "trace_id" not in body_of(metrics)


@pytest.mark.parametrize(("value", "text"), [(math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (1e300, "1e+300"), (0.1, "0.1")])
def test_odd_numbers_have_their_names(value: float, text: str) -> None:
    """NaN and the infinities are written as the formats want them, beside others that are not odd."""
    metrics = Metrics()
    metrics.gauge("g", "", ["a"]).set(value, a="odd")
    metrics.g.set(2, a="plain")
    assert f'g{{a="odd"}} {text}\ng{{a="plain"}} 2\n' in body_of(metrics)


def test_json_is_what_document_002_shows() -> None:
    """Counters, gauges, and histograms with count, sum, avg and quantiles that lie in their buckets."""
    metrics = Metrics(
        [
            Definition("job_processed_total", "counter"),
            Definition("queue_length", "gauge"),
            JOBS,
            Definition("job_attempts", "histogram", buckets=(1, 2, 3, 5)),
        ]
    )
    metrics.job_processed_total.inc(1250)
    metrics.queue_length.set(42)
    for value in range(1, 101):
        metrics.job_processing_seconds.observe(value / 10)
    shown = render_json(metrics)
    assert shown["counters"] == {"job_processed_total": 1250}
    assert shown["gauges"] == {"queue_length": 42}
    spread = shown["histograms"]["job_processing_seconds"]
    assert (spread["count"], spread["sum"], spread["avg"]) == (100, 505, 5.05)
    assert spread["p50"] == pytest.approx(5, abs=0.1)
    assert 5 <= spread["p95"] <= spread["p99"] <= 10
    assert shown["histograms"]["job_attempts"] == {"count": 0, "sum": 0, "avg": None, "p50": None, "p95": None, "p99": None}


def test_metrics_of_prometheus_client_come_along() -> None:
    """What other libraries count is shown beside ours; a name that both have is shown once."""
    theirs = prometheus_client.CollectorRegistry()
    prometheus_client.Counter("theirs", "Theirs.", registry=theirs).inc(3)
    prometheus_client.Gauge("both", "Both.", registry=theirs).set(1)
    metrics = Metrics().include(theirs)
    metrics.gauge("both").set(2)
    for accept, parse in (("", parse_text), (OPENMETRICS, parse_openmetrics)):
        samples = {sample.name: sample.value for family in parse(body_of(metrics, accept)) for sample in family.samples}
        assert (samples["theirs_total"], samples["both"]) == (3, 2)


class Broken:
    """Raises when it is collected."""

    def collect(self) -> Iterable[object]:
        """Raise."""
        raise RuntimeError


def test_a_broken_collector_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """The others are shown, and it is told once."""
    metrics = Metrics().include(Broken())
    metrics.counter("c").inc()
    assert "c_total 1\n" in body_of(metrics)
    body_of(metrics)
    assert len(caplog.records) == 1


def test_registries_can_be_joined() -> None:
    """One scrape shows both; mistakes made in either are counted in one place."""
    first, second = Metrics(), Metrics(strict=False)
    first.counter("first").inc()
    second.counter("second").inc()
    first.include(second)
    second.gauge("g").set("x")  # type: ignore[arg-type] # that is the mistake
    shown = body_of(first)
    assert "first_total 1\n" in shown
    assert "second_total 1\n" in shown
    assert shown.count('specwatch_telemetry_errors_total{kind="bad_value"} 1\n') == 1


def test_ours_can_be_registered_with_prometheus_client(metrics: Metrics) -> None:
    """Its own exposition then shows them."""
    registry = prometheus_client.CollectorRegistry()
    registry.register(metrics)
    assert registry.get_sample_value("temperature") == -3.5
    assert b'job_processing_seconds_bucket{le="5.0"} 1.0' in prometheus_client.generate_latest(registry)


def test_a_process_shows_its_memory_when_asked() -> None:
    """process_resident_memory_bytes and its like, without a label."""
    shown = {sample.name: sample for family in parse_text(body_of(Metrics(process=True))) for sample in family.samples}
    assert shown["process_resident_memory_bytes"].value > 1e6
    assert shown["process_cpu_seconds_total"].labels == {}


class SlowSource:
    """Counts how often it is asked, and takes its time."""

    def __init__(self) -> None:
        self.asked = 0
        self.go_on = threading.Event()

    def families(self) -> Iterable[Family]:
        """Return nothing, when told to go on."""
        self.asked += 1
        self.go_on.wait(10)
        return ()

    def foreign(self, *, openmetrics: bool, taken: Iterable[str] = ()) -> str:
        """Return what tells one answer from another."""
        return f"asked {self.asked} {openmetrics} {len(list(taken))}\n"


def test_those_who_ask_together_share_an_answer() -> None:
    """Ten who come while one answer is being made wait for one more, begun after they asked."""
    source = SlowSource()
    scrape = Scrape(source)
    answers: list[bytes] = []
    threads = [threading.Thread(target=lambda: answers.append(scrape.answer()[0])) for _ in range(11)]
    threads[0].start()
    while not source.asked:
        time.sleep(0.001)  # between two polls of a condition
    for thread in threads[1:]:
        thread.start()
    while not all(thread.is_alive() for thread in threads):
        time.sleep(0.001)  # as above
    time.sleep(0.05)  # lets the ten arrive; should they not, they share all the same
    source.go_on.set()
    for thread in threads:
        thread.join()
    assert source.asked <= 3
    assert len(answers) == 11


def test_a_fresh_answer_is_given_again_at_once() -> None:
    """Within fresh_seconds nothing is put together anew."""
    source = SlowSource()
    source.go_on.set()
    scrape = Scrape(source, fresh_seconds=60)
    assert scrape.answer() == scrape.answer()
    assert source.asked == 1
