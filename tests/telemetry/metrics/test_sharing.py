"""Several processes, one folder: numbers add up, files stay few, nothing is lost however a process ends."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from specwatch.telemetry.metrics import Definition, Metrics, render
from specwatch.telemetry.metrics.multiprocess import SharedReader
from specwatch.telemetry.metrics.slotfile import CELLS_END, FILE_BYTES
from specwatch.telemetry.request_metrics import RequestMetrics
from tests.telemetry.metrics.processes import Process, files, sample
from tests.tools import wait_for


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Process]]:
    started: list[Process] = []

    def one() -> Process:
        started.append(Process(tmp_path))
        return started[-1]

    yield one
    for process in started:
        process.kill()


def test_counters_and_histograms_add_up(tmp_path: Path, start: Callable[[], Process]) -> None:
    """Series that only some processes have count too, and buckets are cumulated once, after adding."""
    for index in range(3):
        start().run(
            f"metrics.counter('orders', '', ['status']).inc({index + 1}, status='paid')",
            f"metrics.orders_total.inc(status='only-{index}')",
            f"metrics.histogram('seconds', buckets=(1, 2)).observe({index + 0.5})",
            f"metrics.summary('size').observe({index})",
        )
    assert sample(tmp_path, "orders_total", status="paid") == 6
    assert [sample(tmp_path, "orders_total", status=f"only-{index}") for index in range(3)] == [1, 1, 1]
    assert [sample(tmp_path, "seconds_bucket", le=bound) for bound in ("1.0", "2.0", "+Inf")] == [1, 2, 3]
    assert (sample(tmp_path, "seconds_sum"), sample(tmp_path, "seconds_count")) == (4.5, 3)
    assert (sample(tmp_path, "size_sum"), sample(tmp_path, "size_count")) == (3, 3)
    assert files(tmp_path) == {"live": 3}


def test_a_killed_process_leaves_its_counts(tmp_path: Path, start: Callable[[], Process]) -> None:
    """After SIGKILL its numbers stand; the next process goes on with them in the same file, so files stay as few as processes."""
    count = "metrics.counter('orders').inc()"
    for round_ in range(1, 6):
        process = start().run(count)
        assert sample(tmp_path, "orders_total") == round_
        process.kill()
        assert sample(tmp_path, "orders_total") == round_
        assert len(list(tmp_path.glob("slot-*"))) == 1


def test_a_killed_process_leaves_no_gauges(tmp_path: Path, start: Callable[[], Process]) -> None:
    """What says how things are now counts living processes alone; what was set last, or was highest, stands."""
    lines = (
        "metrics.gauge('in_flight').inc()",
        "metrics.gauge('queue', mode='livemax').set(os.getpid())",
        "metrics.gauge('peak', mode='max').set(os.getpid())",
    )
    first, second = start().run(*lines), start().run(*lines)
    second.run("metrics.gauge('users').set(1)")
    first.run("metrics.gauge('users').set(2)")
    assert sample(tmp_path, "in_flight") == 2
    assert sample(tmp_path, "users") == 2
    peak = sample(tmp_path, "peak")
    first.kill()
    assert sample(tmp_path, "in_flight") == 1
    assert sample(tmp_path, "users") == 2
    second.kill()
    assert sample(tmp_path, "in_flight") == 0
    assert sample(tmp_path, "peak") == peak
    third = start().run(*lines[:1])
    assert sample(tmp_path, "in_flight") == 1
    third.run("metrics.gauge('users').set(7)")
    assert sample(tmp_path, "users") == 7


@pytest.mark.parametrize(
    ("mode", "together", "after_a_kill"),
    [
        *(("sum", 5, 5), ("livesum", 5, 2), ("max", 3, 3), ("livemax", 3, 2), ("min", 2, 2), ("livemin", 2, 2)),
        *(("mostrecent", 2, 2), ("livemostrecent", 2, 2), ("auto", 2, 2)),
    ],
)
def test_a_gauges_mode_says_how_processes_become_one(
    tmp_path: Path, start: Callable[[], Process], mode: str, together: float, after_a_kill: float
) -> None:
    """Each mode of prometheus-client, and auto."""
    first = start().run(f"metrics.gauge('g', mode={mode!r}).set(3)")
    start().run(f"metrics.gauge('g', mode={mode!r}).set(2)")
    assert sample(tmp_path, "g") == together
    first.kill()
    assert sample(tmp_path, "g") == after_a_kill


def test_a_gauge_can_keep_processes_apart(tmp_path: Path, start: Callable[[], Process]) -> None:
    """Mode `all`: one series for each worker, by the number of its slot, so that new workers make no new series."""
    first = start().run("metrics.gauge('g', mode='liveall').set(3)")
    start().run("metrics.gauge('g', mode='liveall').set(2)")
    assert [sample(tmp_path, "g", worker=worker) for worker in ("0", "1")] == [3, 2]
    first.kill()
    start().run("metrics.gauge('g', mode='liveall').set(4)")
    assert [sample(tmp_path, "g", worker=worker) for worker in ("0", "1")] == [4, 2]


def test_exemplars_and_infos_are_shared(tmp_path: Path, start: Callable[[], Process]) -> None:
    """The newest exemplar of a bucket is shown, and the facts that living processes state."""
    start().run("metrics.histogram('h', buckets=(1,)).observe(0.5, {'trace_id': 'first'})", "metrics.info('build').info(version='1')")
    second = start().run(
        "metrics.histogram('h', buckets=(1,)).observe(0.7, {'trace_id': 'second'})", "metrics.info('build').info(version='2')"
    )
    text = render(tmp_path, "application/openmetrics-text")[0].decode()
    samples = [found for family in parse_openmetrics(text) for found in family.samples]  # type: ignore[no-untyped-call] # untyped there
    assert [found.exemplar.labels for found in samples if found.exemplar] == [{"trace_id": "second"}]
    assert {found.labels["version"] for found in samples if found.name == "build_info"} == {"1", "2"}
    second.kill()
    assert sample(tmp_path, "build_info", version="2") is None


def test_a_series_was_made_when_its_first_process_made_it(tmp_path: Path, start: Callable[[], Process]) -> None:
    """`_created` lines are those of the earliest, also of one that is gone, and say nothing of processes that keep none."""
    wanted = "from specwatch.telemetry.metrics import Metrics; metrics = Metrics(directory=sys.argv[1], created=True)"
    created: set[float] = set()
    for first in (True, False):
        process = start().run(wanted, "metrics.counter('c').inc()", "metrics.gauge('g').set(1)")
        start().run("metrics.counter('c').inc()", "metrics.counter('undated').inc()")
        families = parse_openmetrics(render(tmp_path, "application/openmetrics-text")[0].decode())  # type: ignore[no-untyped-call] # untyped there
        found = {sample.name: sample.value for family in families for sample in family.samples if sample.labels == {}}
        created.add(found["c_created"])
        assert found["c_total"] == (2 if first else 4)
        assert not found.keys() & {"undated_created", "g_created"}
        process.kill()
    assert len(created) == 1


def test_a_function_is_asked_for_all_processes(tmp_path: Path, start: Callable[[], Process]) -> None:
    """The process that has it keeps the shared value fresh, for whoever reads the folder; a forked one leaves that to it."""
    metrics = Metrics(directory=tmp_path, strict=True)
    level = [1.0]
    metrics.gauge("level").set_function(lambda: level[0])
    start().run("metrics.counter('c').inc()")
    assert sample(tmp_path, "level") == 1
    level[0] = 2.0
    child = os.fork()
    if not child:
        metrics.render()
        os._exit(0)
    os.waitpid(child, 0)
    assert sample(tmp_path, "level") == 1
    wait_for("the thread", lambda: sample(tmp_path, "level") == 2)


def test_a_forked_process_counts_for_itself(tmp_path: Path) -> None:
    """Children of a process that has counted take files of their own; nothing of before the fork counts twice, nor is lost."""
    metrics = Metrics(directory=tmp_path, strict=True)
    before, seconds = metrics.counter("before", "", ["a"]), metrics.histogram("seconds", buckets=(1,))
    bound = before.labels("x").inc
    bound(5)
    seconds.observe(0.5)
    children = []
    for index in range(3):
        child = os.fork()
        if child == 0:
            # Through a series, through a method that was bound before the fork, and in a thread.
            before.labels("x").inc(index)
            bound()
            thread = threading.Thread(target=seconds.observe, args=(2,))
            thread.start()
            thread.join()
            os.kill(os.getpid(), signal.SIGKILL)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    bound()
    assert sample(tmp_path, "before_total", a="x") == 5 + (0 + 1 + 2) + 3 + 1
    assert (sample(tmp_path, "seconds_count"), sample(tmp_path, "seconds_sum")) == (4, 6.5)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # what newer Pythons say of just this
def test_what_is_counted_together_is_whole_after_a_fork(tmp_path: Path) -> None:
    """A request's metrics are of one piece in the parent and in its children, and what is in flight in neither stays."""
    requests = RequestMetrics(Metrics(directory=tmp_path, strict=True))
    requests.begin()
    requests.observe("GET", "/", "200", 0.1, 5, 7)
    children = []
    for _ in range(3):
        child = os.fork()
        if not child:
            for _ in range(10):
                requests.begin()
                requests.observe("GET", "/", "200", 0.1, 5, 7)
            os._exit(0)
        children.append(child)
    requests.begin()
    requests.observe("GET", "/", "200", 0.1, 5, 7)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    route = {"method": "GET", "endpoint": "/"}
    assert sample(tmp_path, "http_requests_total", **route, status="200") == 32
    assert sample(tmp_path, "http_request_duration_seconds_bucket", **route, le="0.1") == 32
    assert [sample(tmp_path, f"http_{kind}_size_bytes_sum", **route) for kind in ("request", "response")] == [160, 224]
    assert sample(tmp_path, "http_requests_in_flight") == 0


def test_a_fork_while_threads_count_stops_nobody(tmp_path: Path) -> None:
    """The child can count at once, whatever the parent's threads were doing; the total is exact."""
    metrics = Metrics(directory=tmp_path, max_series=10_000)
    counter = metrics.counter("c", "", ["a"])
    stop = threading.Event()
    counted = [0, 0]

    def count(thread: int) -> None:
        while not stop.is_set():
            counter.labels(str(counted[thread] % 500)).inc()
            counted[thread] += 1

    threads = [threading.Thread(target=count, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            counter.labels("child").inc()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    stop.set()
    for thread in threads:
        thread.join()
    assert sample(tmp_path, "c_total", a="child") == 10
    assert sum(sample(tmp_path, "c_total", a=str(index)) or 0 for index in range(0, 500, 50)) == sum(
        len(range(index, total, 500)) for index in range(0, 500, 50) for total in counted
    )


def test_registries_of_one_process_share_its_file(tmp_path: Path) -> None:
    """A metric that two of them declare alike is one metric."""
    for _ in range(3):
        Metrics(directory=tmp_path).counter("c").inc()
    assert sample(tmp_path, "c_total") == 3
    assert files(tmp_path) == {"live": 1}


def test_the_limit_holds_over_generations(tmp_path: Path, start: Callable[[], Process]) -> None:
    """However many processes come and go, a file has no more series of a metric than one process may have."""
    for generation in range(4):
        process = start().run(
            "metrics = Metrics(directory=sys.argv[1], max_series=20)",
            f"[metrics.counter('c', '', ['a']).inc(a=f'{generation}-{{n}}') for n in range(15)]",
        )
        process.kill()
    assert sample(tmp_path, "c_total", a="__overflow__") == 40


@pytest.mark.parametrize(
    ("spoil", "state"),
    [
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: os.truncate(path, 5000), "torn"),
        (lambda path: path.write_bytes(os.urandom(10_000)), "torn"),
        (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(FILE_BYTES - 4)), "foreign"),
        (lambda path: _overwrite(path, CELLS_END + 10, b"???"), "torn"),
        (lambda path: _overwrite(path, 24, b"\xff" * 8), "torn"),
    ],
)
def test_a_spoilt_file_spoils_nothing_else(tmp_path: Path, start: Callable[[], Process], spoil: Callable[[Path], Any], state: str) -> None:
    """It is counted by what is wrong with it, the others are shown, and a new process begins it anew."""
    first = start().run("metrics.counter('c').inc()")
    start().run("metrics.counter('c').inc(10)")
    first.kill()
    spoil(tmp_path / "slot-0.values")
    assert sample(tmp_path, "c_total") == 10
    assert sample(tmp_path, "specwatch_telemetry_files", state=state) == 1
    start().run("metrics.counter('c').inc(100)")
    assert sample(tmp_path, "c_total") == 110
    assert sample(tmp_path, "specwatch_telemetry_files", state=state) == 0


def _overwrite(path: Path, place: int, what: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(what)


def test_other_files_and_folders_are_counted(tmp_path: Path, start: Callable[[], Process]) -> None:
    """Files that are not ours, and a folder in a slot's place, are left alone."""
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    (tmp_path / "slot-1.values").mkdir()
    for _ in range(2):
        start().run("metrics.counter('c').inc()")
    assert sample(tmp_path, "c_total") == 2
    assert files(tmp_path) == {"live": 2, "foreign": 2}


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    """The first scrape may come before the first worker."""
    assert files(tmp_path / "later") == {}


def test_a_folder_that_cannot_be_written_loses_nothing_but_sharing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Counting goes on in memory, and is told."""
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    metrics = Metrics(directory=tmp_path / "file" / "folder", strict=True)
    metrics.counter("c").inc()
    assert metrics.c_total.get() == 1
    assert "not shared" in caplog.text


def test_a_changed_declaration_wins_with_the_newest_process(tmp_path: Path, start: Callable[[], Process]) -> None:
    """After a reload with other buckets or labels, the new ones are shown; numbers that cannot be added to them are not."""
    old = start().run("metrics.histogram('h', buckets=(1, 2)).observe(1)", "metrics.counter('c', 'Help.').inc()")
    assert sample(tmp_path, "h_bucket", le="2.0") == 1
    start().run("metrics.histogram('h', buckets=(1, 5)).observe(1)", "metrics.counter('c', 'Other help.').inc()")
    assert (sample(tmp_path, "h_bucket", le="5.0"), sample(tmp_path, "h_bucket", le="2.0")) == (1, None)
    assert sample(tmp_path, "c_total") == 2
    old.kill()
    start().run("metrics.histogram('h', buckets=(1, 5)).observe(1)")
    assert sample(tmp_path, "h_count") == 2


def test_a_reader_sees_whole_numbers_while_they_change(tmp_path: Path) -> None:
    """A value flips between two patterns of bytes; no read finds a mixture of both, and none goes back."""
    low, high = float.fromhex("0x1.5555555555555p+100"), -float.fromhex("0x1.aaaaaaaaaaaaap-100")
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        metrics = Metrics(directory=tmp_path)
        gauge, counter = metrics.gauge("g", mode="max"), metrics.counter("c")
        while True:
            gauge.set(low)
            counter.inc()
            gauge.set(high)
    try:
        reader = SharedReader(str(tmp_path))
        last = 0.0
        seen: set[float] = set()
        while len(seen) < 2 or last < 100_000:
            values = {family.definition.name: family.values for family in reader.families()}
            if "g" in values and "c_total" in values:
                [found], [count] = values["g"], values["c_total"]
                assert found in {low, high, 0.0}
                assert count >= last
                last = count
                seen.add(found)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_prometheus_clients_own_files_come_along(tmp_path: Path, start: Callable[[], Process]) -> None:
    """Libraries that count with prometheus-client share the same folder, and one scrape shows both."""
    start().run(
        "os.environ['PROMETHEUS_MULTIPROC_DIR'] = sys.argv[1]",
        "import prometheus_client",
        "prometheus_client.Counter('theirs', 'Theirs.').inc(3)",
        "metrics.counter('ours').inc()",
    )
    assert (sample(tmp_path, "theirs_total"), sample(tmp_path, "ours_total")) == (3, 1)
    assert files(tmp_path) == {"live": 1}
    assert prometheus_client.CollectorRegistry is not None


def test_every_process_shows_its_memory(tmp_path: Path, start: Callable[[], Process]) -> None:
    """process_* of each living worker, by the number of its slot."""
    first, _ = start().run("metrics.counter('c')"), start().run("metrics.counter('c')")
    assert all((sample(tmp_path, "process_resident_memory_bytes", worker=worker) or 0) > 1e6 for worker in ("0", "1"))
    first.kill()
    assert sample(tmp_path, "process_resident_memory_bytes", worker="0") is None


def test_the_definition_travels(tmp_path: Path) -> None:
    """Help, type and unit are shown by a process that never declared the metric."""
    definition = Definition("wait_seconds", "histogram", "How long.\nReally.", "seconds", {"a": ("x", "y")}, (1, 2))
    Metrics([definition], directory=tmp_path).wait_seconds.labels("x")
    text = SharedReader(str(tmp_path)).families()
    assert next(family.definition for family in text if family.definition.name == "wait_seconds") == definition
