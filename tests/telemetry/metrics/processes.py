"""Other processes that share a folder of metrics, for tests."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from specwatch.telemetry.metrics import render

ROOT = Path(__file__).resolve().parents[3]
_LOOP = """
import os, sys
from specwatch.telemetry.metrics import Metrics
metrics = Metrics(directory=sys.argv[1], strict=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


class Process:
    """A Python process with a registry `metrics` on the folder; it runs the lines it is told."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LOOP, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def run(self, *lines: str) -> Self:
        """Run the lines, and return when they have run."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for line in lines:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            assert self._process.stdout.readline() == "done\n", line
        return self

    def kill(self) -> None:
        """End it by SIGKILL, and wait until it is gone."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


def sample(folder: Path, name: str, **labels: str) -> float | None:
    """Return one sample of all processes together."""
    for family in text_string_to_metric_families(render(folder)[0].decode()):
        for found in family.samples:
            if found.name == name and found.labels == labels:
                return float(found.value)
    return None


def files(folder: Path) -> dict[str, float]:
    """Return how many files are in which state."""
    states = ("live", "gone", "empty", "torn", "foreign", "unreadable")
    found = {state: sample(folder, "specwatch_telemetry_files", state=state) for state in states}
    return {state: count for state, count in found.items() if count}
