"""What the system says of a process: CPU, memory, files, threads. From /proc (proc(5)); elsewhere there is nothing."""

import contextlib
import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from specwatch.telemetry.metrics.definition import Definition
from specwatch.telemetry.metrics.exposition import Family
from specwatch.telemetry.metrics.merge import WORKER_LABEL
from specwatch.telemetry.metrics.text import FamilyText

_DEFINITIONS: Final = (
    ("process_cpu_seconds_total", "counter", "User and system CPU time, in seconds.", "seconds"),
    ("process_resident_memory_bytes", "gauge", "Resident memory, in bytes.", "bytes"),
    ("process_virtual_memory_bytes", "gauge", "Virtual memory, in bytes.", "bytes"),
    ("process_start_time_seconds", "gauge", "When the process started, in seconds since 1970.", "seconds"),
    ("process_threads", "gauge", "Threads.", ""),
    ("process_open_fds", "gauge", "Open files.", ""),
)
_PROC: Final = Path("/proc")
# Where the fields stand in /proc/<pid>/stat, counted from behind the command's closing parenthesis.
_UTIME, _STIME, _THREADS, _STARTED, _VIRTUAL, _RESIDENT = 11, 12, 17, 19, 20, 21


def process_families(workers: Mapping[str, int]) -> list[Family]:
    """Return the metrics of each worker's process, with the label `worker`; one that is gone is left out.

    Args:
        workers: process ids by the label's value; a single one named by an empty text has no label.
    """
    found = {}
    for name, pid in workers.items():
        with contextlib.suppress(OSError, ValueError, IndexError):
            found[name] = _numbers(pid)
    labels = () if list(workers) == [""] else (WORKER_LABEL,)
    families = []
    for column, (name, kind, text, unit) in enumerate(_DEFINITIONS) if found else ():
        writer = FamilyText(Definition(name, kind, text, unit, dict.fromkeys(labels)))  # type: ignore[arg-type] # one of the types
        for worker in found:
            writer.add((worker,) if labels else ())
        families.append(Family(writer, [numbers[column] for numbers in found.values()]))
    return families


def own_process() -> list[Family]:
    """Return the metrics of this process."""
    return process_families({"": os.getpid()})


def _numbers(pid: int) -> tuple[float, ...]:
    stat = (_PROC / str(pid) / "stat").read_text()
    fields = stat[stat.rindex(")") + 2 :].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return (
        (int(fields[_UTIME]) + int(fields[_STIME])) / ticks,
        float(int(fields[_RESIDENT]) * os.sysconf("SC_PAGE_SIZE")),
        float(fields[_VIRTUAL]),
        _boot_seconds() + int(fields[_STARTED]) / ticks,
        float(fields[_THREADS]),
        float(sum(1 for _ in (_PROC / str(pid) / "fd").iterdir())),
    )


@functools.cache
def _boot_seconds() -> float:
    for line in (_PROC / "stat").read_text().splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return 0.0
