"""What a benchmark hands back, and what the machine was while it ran."""

import math
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import yaml

from specwatch import __version__
from specwatch.components import COMPONENTS
from specwatch.engines import programs
from specwatch.engines.programs import Found


def summary(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Return minimum, median, 95th percentile (nearest rank), maximum and count."""
    ranked = sorted(values)
    p95 = ranked[math.ceil(0.95 * len(ranked)) - 1]
    figures = {"min": ranked[0], "median": statistics.median(ranked), "p95": p95, "max": ranked[-1]}
    return {name: round(value, digits) for name, value in figures.items()} | {"n": len(ranked)}


def machine() -> dict[str, Any]:
    """Return what the figures depend on: cores, load, memory, versions."""
    found = programs.find_all(component.name for component in COMPONENTS)
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load": load(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "specwatch": __version__,
        "msgspec": msgspec.__version__,
        "pyyaml": yaml.__version__,
        "programs": {name: program.version for name, program in found.items() if isinstance(program, Found)},
    }


def load() -> list[float]:
    """Return the load averages over one, five and fifteen minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def say(text: str) -> None:
    """Show progress."""
    print(text, file=sys.stderr, flush=True)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
