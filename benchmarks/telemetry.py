"""The telemetry library beside its rivals: each part is a program of its own, so that no import or registry is shared with another."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]


def metrics(runs: int) -> dict[str, Any]:
    """Measure counting, scrapes, requests while scraped and the import, each against prometheus-client."""
    return _program("telemetry_metrics", "--rounds", str(runs))


def log_records(runs: int) -> dict[str, Any]:
    """Measure a log record of 8 fields against python-json-logger and structlog."""
    return _program("telemetry_logs", "--rounds", str(runs))


def requests(runs: int) -> dict[str, Any]:
    """Measure what instrumenting a Flask application costs a request, against the usual three libraries together."""
    return _program("telemetry_requests", "--rounds", str(runs))


def _program(name: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments], cwd=_ROOT, stdout=subprocess.PIPE, check=True)
    figures = json.loads(done.stdout)
    return figures if isinstance(figures, dict) else {"rows": figures}
