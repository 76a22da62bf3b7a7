"""The folder that workers share is on a disk that is full: counting goes on, and says so."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.telemetry.metrics.processes import ROOT, Process, files, sample
from tests.tools import program

LIMITED = """
import resource, sys
from specwatch.telemetry.metrics import Metrics
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
metrics = Metrics(directory=sys.argv[1], strict=True)
for number in range(100):
    metrics.counter(f"c{number}").inc()
    metrics.gauge(f"g{number}").set(number)
    metrics.histogram(f"h{number}").observe(1, {"trace_id": "a"})
print(metrics.c99_total.get(), metrics.g99.get(), metrics.h99.get(), metrics.specwatch_telemetry_errors_total.labels("storage").get())
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of one MiB."""
    if os.geteuid():
        pytest.skip("only root can mount a file system")
    subprocess.run([program("mount"), "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], check=True)
    yield tmp_path
    subprocess.run([program("umount"), "--lazy", tmp_path], check=True)


def fill(folder: Path) -> Path:
    """Return the file that takes all the room that was left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    assert not os.statvfs(folder).f_bavail
    return filler


def test_a_disk_that_fills_up_stops_nobody(small_disk: Path) -> None:
    """What had a place goes on to be counted for all; what has none is counted in memory, and as a storage error, and raises nothing."""
    process = Process(small_disk)
    try:
        process.run("known = metrics.counter('known', '', ['n'])", "known.inc(n=0)")
        filler = fill(small_disk)
        process.run("many = [metrics.counter(f'many{name}', '', ['n']) for name in range(20)]")
        process.run("[(each.inc(n=number), known.inc(n=0)) for each in many for number in range(500)]")
        process.run("assert many[-1].labels(499).get() == 1")
        errors = sample(small_disk, "specwatch_telemetry_errors_total", kind="storage") or 0
        assert errors > 1000
        assert sample(small_disk, "known_total", n="0") == 10_001
        second = Process(small_disk)
        try:
            second.run("metrics.counter('known', '', ['n']).inc(n=0)", "assert metrics.known_total.labels(0).get() == 1")
        finally:
            second.kill()
        filler.unlink()
        process.run("metrics.counter('after').inc()")
        assert sample(small_disk, "after_total") == 1
        assert files(small_disk)["live"] == 1
    finally:
        process.kill()


@pytest.mark.parametrize("limit_bytes", [0, 4096, 10_000_000])
def test_a_limit_on_files_stops_nobody(tmp_path: Path, limit_bytes: int) -> None:
    """A process that may not write such a file at all counts in memory; each series that is not shared is counted."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LIMITED, tmp_path, str(limit_bytes)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:3] == ["1.0", "99.0", "1.0"]
    assert float(done.stdout.split()[3]) >= 300
    assert done.stderr.count("values are not shared") <= 200
