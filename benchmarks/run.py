"""Measure what docs/performance.md states: one JSON object on standard output, progress on standard error.

python benchmarks/run.py [--only NAME …] [--runs N] [--quick]
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from benchmarks import generating, running, shipping, telemetry
from benchmarks.figures import load, machine, say

# Each benchmark with its number of runs, whole and quick.
_BENCHMARKS: Final[Mapping[str, tuple[Callable[[int], dict[str, Any]], int, int]]] = {
    "generate_default": (generating.generate_default, 21, 5),
    "generate_large": (generating.generate_large, 7, 1),
    "dump_rules": (generating.dump_rules, 7, 3),
    "telemetry_requests": (telemetry.requests, 120, 20),
    "telemetry_logs": (telemetry.log_records, 31, 5),
    "telemetry_metrics": (telemetry.metrics, 21, 3),
    "shipping": (shipping.throughput, 5, 1),
    "shipping_latency": (shipping.latency, 50, 10),
    "shipping_loss": (shipping.loss, 1, 1),
    "log_bomb": (shipping.log_bomb, 1, 1),
    "up": (running.up, 7, 2),
    "fault_to_message": (running.fault_to_message, 20, 1),
}


def main() -> int:
    """Run the benchmarks that were asked for and print their figures; returns 0."""
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description="Measure what docs/performance.md states.")
    parser.add_argument(
        "--only", action="append", choices=_BENCHMARKS, metavar="NAME", help=f"one of {', '.join(_BENCHMARKS)}; several times"
    )
    parser.add_argument("--runs", type=int, help="how often each is run, instead of its own number")
    parser.add_argument("--quick", action="store_true", help="a few runs of each: a look, not a figure to quote")
    chosen = parser.parse_args()
    figures: dict[str, Any] = {"machine": machine()}
    for name in chosen.only or _BENCHMARKS:
        benchmark, whole, quick = _BENCHMARKS[name]
        runs = chosen.runs or (quick if chosen.quick else whole)
        say(f"{name}: {runs} run{'s' if runs > 1 else ''}")
        begun = time.monotonic()
        figures[name] = benchmark(runs) | {"load_after": load(), "took_seconds": round(time.monotonic() - begun)}
    json.dump(figures, sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
