"""What counting, scraping and importing cost: ours against prometheus-client, in turns.

Counting and scraping are measured in processor time, so that what else the machine does hardly matters; of 10,000 series 5,800 are
counters and the rest are the lines of 300 histograms. The last row is wall-clock time at a client: the 99th percentile of requests to a
gunicorn with one gthread worker, while another client scrapes 4 x 10,000 series each second (ours from the port beside the worker, as
`specwatch.telemetry.gunicorn` serves it, prometheus-client's from the worker, as its documentation has it).

    python benchmarks/telemetry_metrics.py [--rounds 21] [--seconds 5] [--phases 5]
"""

import argparse
import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from specwatch.telemetry.metrics import Metrics, render
from specwatch.telemetry.metrics.exposition import text_of
from specwatch.telemetry.metrics.multiprocess import SharedReader

_ROOT = Path(__file__).resolve().parents[1]
_COUNTERS, _HISTOGRAMS, _WORKERS, _CALLS = 5_800, 300, 4, 20_000
_SHARED = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_OPENMETRICS = "application/openmetrics-text; version=1.0.0"

_APP = """
import os
if {rival}:
    import prometheus_client
    from prometheus_client import multiprocess
    requests = prometheus_client.Counter("http_requests_total", "Requests.", ["method", "endpoint", "status"])
    seconds = prometheus_client.Histogram("http_request_duration_seconds", "Seconds.", ["method", "endpoint"])
    wsgi = prometheus_client.make_wsgi_app
else:
    from specwatch.telemetry.metrics import counter, histogram
    requests = counter("http_requests_total", "Requests.", ["method", "endpoint", "status"])
    seconds = histogram("http_request_duration_seconds", "Seconds.", ["method", "endpoint"])

def application(environ, start_response):
    if {rival} and environ["PATH_INFO"] == "/metrics":
        registry = prometheus_client.CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return wsgi(registry)(environ, start_response)
    requests.labels("GET", "/", "200").inc()
    seconds.labels("GET", "/").observe(0.01)
    sum(range(2000))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""
_CONFIG = """
{hooks}
bind = "127.0.0.1:{port}"
workers = 1
worker_class = "gthread"
threads = 4
keepalive = 30
control_socket_disable = True
errorlog = "/dev/null"
"""


def fill(counter: Any, histogram: Any) -> None:
    """Make 10,000 series, with numbers as they come in practice."""
    for index in range(_COUNTERS):
        counter.labels("GET", f"/api/v1/resources/{index}", "200").inc(index * 7)
    for index in range(_HISTOGRAMS):
        for number in range(20):
            histogram.labels(f"/api/v1/resources/{index}").observe(number * 0.0371 + index / 1000)


def our_metrics(directory: str = "") -> Metrics:
    """Return a registry with the two metrics."""
    metrics = Metrics(directory=directory, max_series=20_000)
    metrics.counter("filled_total", "Requests.", ["method", "endpoint", "status"])
    metrics.histogram("filled_seconds", "Seconds.", ["endpoint"], buckets=_BUCKETS)
    return metrics


def their_metrics(registry: Any) -> tuple[Any, Any]:
    """Return the two metrics of prometheus-client."""
    return (
        Counter("filled", "Requests.", ["method", "endpoint", "status"], registry=registry),
        Histogram("filled_seconds", "Seconds.", ["endpoint"], buckets=_BUCKETS, registry=registry),
    )


def in_turns(sides: Mapping[str, Callable[[], object]], rounds: int, calls: int = 1) -> dict[str, list[float]]:
    """Return the seconds of CPU time of one call, for each side and round."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, call in sides.items():
            begun = time.process_time()
            for _ in range(calls):
                call()
            if turn:  # the first is for caches
                taken[name].append((time.process_time() - begun) / calls)
    return taken


def counting(rounds: int) -> dict[str, list[float]]:
    """Measure a counter with three labels, in the mode that the environment asks for."""
    ours = our_metrics(os.environ.get(_SHARED, "")).filled_total
    theirs = Counter("theirs", "Requests.", ["method", "endpoint", "status"], registry=CollectorRegistry())
    child = ours.labels("GET", "/", "200")
    return in_turns(
        {
            "ours": lambda: ours.labels("GET", "/", "200").inc(),
            "ours by name": lambda: ours.labels(method="GET", endpoint="/", status="200").inc(),
            "ours in one call": lambda: ours.inc(method="GET", endpoint="/", status="200"),
            "ours, series kept": child.inc,
            "prometheus-client": lambda: theirs.labels("GET", "/", "200").inc(),
            "prometheus-client by name": lambda: theirs.labels(method="GET", endpoint="/", status="200").inc(),
        },
        rounds,
        _CALLS,
    )


def scraping(rounds: int) -> dict[str, list[float]]:
    """Measure a scrape of this process' 10,000 series."""
    metrics, registry = our_metrics(), CollectorRegistry()
    fill(metrics.filled_total, metrics.filled_seconds)
    fill(*their_metrics(registry))
    return in_turns(
        {
            "ours": metrics.render,
            "ours, OpenMetrics": lambda: metrics.render(_OPENMETRICS),
            "ours, gzip": lambda: metrics.render(gzip=True),
            "prometheus-client": lambda: generate_latest(registry),
        },
        rounds,
    )


def scraping_workers(rounds: int) -> dict[str, list[float]]:
    """Measure a scrape of what four other processes keep in the folder, 10,000 series each."""
    directory = os.environ[_SHARED]

    def theirs() -> bytes:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, directory)  # type: ignore[no-untyped-call] # untyped there
        return generate_latest(registry)

    own = f"{directory}/ours"
    with filled(own, rival=False), filled(directory, rival=True):
        taken = in_turns({"ours": lambda: render(own), "prometheus-client": theirs}, rounds)
        first = in_turns({"ours, first scrape": lambda: text_of(SharedReader(own), openmetrics=False)}, 5)
    return taken | first


@contextlib.contextmanager
def filled(directory: str, *, rival: bool) -> Iterator[None]:
    """Have four workers that have made their series and do nothing more."""
    children = []
    for _ in range(_WORKERS):
        ready, tell = os.pipe()
        child = os.fork()
        if child == 0:
            if rival:
                fill(*their_metrics(CollectorRegistry()))
            else:
                metrics = our_metrics(directory)
                fill(metrics.filled_total, metrics.filled_seconds)
            os.write(tell, b".")
            signal.pause()
        os.close(tell)
        os.read(ready, 1)
        os.close(ready)
        children.append(child)
    try:
        yield
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def importing(rounds: int) -> dict[str, list[float]]:
    """Measure what an import costs over prometheus-client's: seconds of CPU time, and MiB of memory."""
    programs = {
        "prometheus-client": "import prometheus_client",
        "and ours": "import prometheus_client, specwatch.telemetry",
        "and ours with metrics": "import prometheus_client, specwatch.telemetry, specwatch.telemetry.metrics",
        "ours with metrics, alone": "import specwatch.telemetry.metrics",
    }
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, program in programs.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            memory = "\nprint(open('/proc/self/statm').read().split()[1])"
            pages = subprocess.run([sys.executable, "-c", program + memory], capture_output=True, check=True, cwd=_ROOT).stdout
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            taken.setdefault(name, []).append(cpu)
            taken.setdefault(f"{name}, MiB", []).append(int(pages) * resource.getpagesize() / 2**20)
    return taken


def requests_while_scraped(seconds: float, phases: int) -> dict[str, list[float]]:
    """Measure the 99th percentile of requests, in seconds, with and without scrapes, on both sides in turns."""
    taken: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        servers = {side: stack.enter_context(_server(rival=side == "prometheus-client")) for side in ("ours", "prometheus-client")}
        for _ in range(phases):
            for side, (port, metrics_port) in servers.items():
                for scraped in (False, True):
                    name = f"{side}, {'scraped' if scraped else 'not scraped'}"
                    with _scraper(metrics_port) if scraped else contextlib.nullcontext():
                        times = _latencies(port, seconds)
                    taken.setdefault(name, []).append(statistics.quantiles(times, n=100)[98])
                    taken.setdefault(f"{name}, median", []).append(statistics.median(times))
    return taken


@contextlib.contextmanager
def _server(*, rival: bool) -> Iterator[tuple[int, int]]:
    port, metrics_port = _free_port(), _free_port()
    with tempfile.TemporaryDirectory() as folder, filled_by_process(f"{folder}/metrics", rival=rival):
        Path(folder, "app.py").write_text(_APP.format(rival=rival), encoding="utf-8")
        hooks = "" if rival else "from specwatch.telemetry.gunicorn import *"
        Path(folder, "config.py").write_text(_CONFIG.format(hooks=hooks, port=port), encoding="utf-8")
        environment = {**os.environ, _SHARED: f"{folder}/metrics", "PYTHONPATH": f"{folder}:{_ROOT}"}
        if not rival:
            environment["METRICS_PORT"] = str(metrics_port)
        command = [sys.executable, "-m", "gunicorn", "-c", f"{folder}/config.py", "app:application"]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        metrics_port = port if rival else metrics_port
        try:
            for each in (port, metrics_port):
                while not _answers(each):
                    time.sleep(0.1)
            yield port, metrics_port
        finally:
            process.terminate()
            process.wait()


@contextlib.contextmanager
def filled_by_process(directory: str, *, rival: bool) -> Iterator[None]:
    """Fill a folder from a process of its own, for prometheus-client looks at the environment when it is imported."""
    Path(directory).mkdir()
    program = f"import sys; sys.path.insert(0, {str(_ROOT / 'benchmarks')!r}); import telemetry_metrics as b\n"
    program += f"with b.filled({directory!r}, rival={rival}): print('ready', flush=True); sys.stdin.read()"
    environment = {**os.environ, _SHARED: directory, "PYTHONPATH": str(_ROOT)}
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None  # noqa: S101 - it was asked for
    process.stdout.readline()
    try:
        yield
    finally:
        process.communicate()


@contextlib.contextmanager
def _scraper(port: int) -> Iterator[None]:
    # Prometheus is on another machine: its part must not take the processor from the worker.
    program = (
        "import http.client, os, time\n"
        "os.nice(19)\n"
        "while True:\n"
        f"    c = http.client.HTTPConnection('127.0.0.1', {port}); c.request('GET', '/metrics'); c.getresponse().read(); c.close()\n"
        "    print('.', flush=True)\n"
        "    time.sleep(1)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None  # noqa: S101 - it was asked for
    process.stdout.readline()
    try:
        yield
    finally:
        process.kill()
        process.communicate()


def _latencies(port: int, seconds: float) -> list[float]:
    """Send requests on one connection, 500 a second at most; a request that is held up delays those after it, as users see it."""
    times: list[float] = []
    connection = http.client.HTTPConnection("127.0.0.1", port)
    begun = due = time.perf_counter()
    while due < begun + seconds:
        wait = due - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        connection.request("GET", "/")
        connection.getresponse().read()
        times.append(time.perf_counter() - due)
        due += 0.002
    connection.close()
    return times


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/metrics")
        return connection.getresponse().status == 200  # noqa: PLR2004 - OK
    return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def summary(taken: Mapping[str, Sequence[float]], scale: float) -> dict[str, Any]:
    """Return medians with their spread."""
    report = {}
    for name, times in taken.items():
        factor = 1.0 if name.endswith("MiB") else scale
        ordered = sorted(times)
        tenth = len(ordered) // 10
        report[name] = {
            "median": round(statistics.median(ordered) * factor, 3),
            "p10": round(ordered[tenth] * factor, 3),
            "p90": round(ordered[-1 - tenth] * factor, 3),
        }
    return report


def share(taken: Mapping[str, Sequence[float]], ours: str, theirs: str) -> float:
    """Return the median over the rounds of ours by theirs."""
    return round(statistics.median(a / b for a, b in zip(taken[ours], taken[theirs], strict=True)), 3)


def _alone(part: str, rounds: int) -> dict[str, list[float]]:
    """Run a part in a process of its own where workers share a folder."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, _SHARED: folder, "PYTHONPATH": str(_ROOT)}
        command = [sys.executable, __file__, "--part", part, "--rounds", str(rounds)]
        found: dict[str, list[float]] = json.loads(subprocess.run(command, capture_output=True, check=True, env=environment).stdout)
        return found


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=21)
    arguments.add_argument("--seconds", type=float, default=5.0, help="of each phase of requests")
    arguments.add_argument("--phases", type=int, default=5)
    arguments.add_argument("--part", choices=["counting", "scraping_workers"], help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.part:
        print(json.dumps(globals()[given.part](given.rounds)))
        return
    os.environ.pop(_SHARED, None)
    rows: dict[str, Any] = {"python": sys.version.split()[0], "processors": os.cpu_count(), "load before": os.getloadavg()[0]}
    for name, taken in (
        ("counter with 3 labels, inc: ns", counting(given.rounds)),
        ("counter with 3 labels, inc, several workers: ns", _alone("counting", given.rounds)),
    ):
        rows[name] = summary(taken, 1e9) | {"share": share(taken, "ours", "prometheus-client"), "reach": 0.5}
        rows[name]["share by name"] = share(taken, "ours by name", "prometheus-client by name")
        rows[name]["share in one call"] = share(taken, "ours in one call", "prometheus-client by name")
    for name, taken in (
        ("scrape, one process, 10,000 series: ms", scraping(given.rounds)),
        ("scrape, 4 workers x 10,000 series: ms", _alone("scraping_workers", given.rounds)),
    ):
        rows[name] = summary(taken, 1e3) | {"share": share(taken, "ours", "prometheus-client"), "reach": 0.2}
    imports = importing(given.rounds)
    rows["import: ms"] = summary(imports, 1e3) | {
        "over prometheus-client": round(1e3 * statistics.median(_over(imports, "")), 1),
        "reach": 60,
        "MiB over prometheus-client": round(statistics.median(_over(imports, ", MiB")), 2),
        "MiB reach": 3,
    }
    requests = requests_while_scraped(given.seconds, given.phases)
    rows["request p99 at one gthread worker: ms"] = summary(requests, 1e3) | {
        "ours, scraped by not": share(requests, "ours, scraped", "ours, not scraped"),
        "prometheus-client, scraped by not": share(requests, "prometheus-client, scraped", "prometheus-client, not scraped"),
        "reach": 1.2,
    }
    print(json.dumps(rows, indent=2))


def _over(imports: Mapping[str, Sequence[float]], unit: str) -> list[float]:
    return [
        ours - theirs for ours, theirs in zip(imports[f"and ours with metrics{unit}"], imports[f"prometheus-client{unit}"], strict=True)
    ]


if __name__ == "__main__":
    main()
