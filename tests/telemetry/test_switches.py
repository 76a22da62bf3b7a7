"""What is switched off by the environment does no work: nothing is imported, started, written or shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.telemetry.tracing.collector import python

PROGRAM = """
import io, json, logging, sys, threading
from flask import Flask
from specwatch.telemetry import Endpoints, PeriodicCollectors, setup_sentry, trace_operation
from specwatch.telemetry.flask import instrument

app = Flask("shop", static_folder=None)
instrument(app, prefix="SHOP_")
PeriodicCollectors(collectors=[("stock", lambda: None)]).start()
setup_sentry()

@app.get("/items/<int:item>")
def get_item(item):
    with trace_operation("load"):
        logging.getLogger("shop").info("looking", extra={"item": item})
    return "here"

client = app.test_client()
answers = [client.get(path) for path in ("/items/7", "/nothing", "/metrics", "/api/metrics", "/health")]
report = {
    "statuses": [answer.status_code for answer in answers],
    "ids": ["X-Request-ID" in answer.headers for answer in answers[:2]],
    "threads": sorted(thread.name for thread in threading.enumerate()),
    "modules": sorted(sys.modules.keys() & {"specwatch.telemetry.metrics", "prometheus_client", "opentelemetry", "sentry_sdk"}),
}
print("REPORT", json.dumps(report), flush=True)
"""


def run(folder: Path, **variables: str) -> tuple[dict[str, Any], list[str]]:
    """Return what the program says of itself, and the other lines that it wrote."""
    metrics = folder / "metrics"
    metrics.mkdir()
    lines = python(PROGRAM, {"PROMETHEUS_MULTIPROC_DIR": str(metrics), **variables}).stdout.splitlines()
    [said] = [line.removeprefix("REPORT ") for line in lines if line.startswith("REPORT ")]
    found: dict[str, Any] = json.loads(said)
    return found | {"files": sorted(path.name for path in metrics.iterdir())}, [line for line in lines if not line.startswith("REPORT ")]


OFF = {
    "METRICS_ENABLED": "false",
    "OTEL_SDK_DISABLED": "true",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
    "LOG_LEVEL": "warning",
}


@pytest.mark.parametrize("prefix", ["", "SHOP_"])
def test_with_everything_off_there_is_nothing_but_the_answers(tmp_path: Path, prefix: str) -> None:
    """No metrics module, no SDK, no Sentry, no thread, no file, no line; health still answers, and answers have their ids."""
    off = {f"{prefix if name in {'METRICS_ENABLED', 'LOG_LEVEL', 'OTEL_SDK_DISABLED'} else ''}{name}": value for name, value in OFF.items()}
    # Collectors know no prefix: they are the program's own to start.
    report, lines = run(tmp_path, **off, METRICS_ENABLED="false") if prefix else run(tmp_path, **off)
    assert lines == []
    assert report == {"statuses": [200, 404, 404, 404, 200], "ids": [True, True], "threads": ["MainThread"], "modules": [], "files": []}


def test_by_default_metrics_and_logs_are_on_and_nothing_leaves(tmp_path: Path) -> None:
    """Without a variable there are metrics and JSON lines, and neither OpenTelemetry nor Sentry is imported."""
    report, lines = run(tmp_path)
    assert report["statuses"] == [200, 404, 200, 200, 200]
    assert set(report["modules"]) <= {"specwatch.telemetry.metrics", "prometheus_client"}
    assert {".collectors", "slot-0.values"} <= set(report["files"])
    assert [json.loads(line)["message"] for line in lines] == ["looking", "Request completed", "Request completed"]


def test_text_is_for_people(tmp_path: Path) -> None:
    """LOG_FORMAT=text, also for the access log."""
    _, lines = run(tmp_path, LOG_FORMAT="text")
    assert [line.split(" ", 1)[1].strip().split(" ")[0] for line in lines] == ["INFO"] * 3
    assert "endpoint=/items/<int:item>" in lines[1]
    assert "status_code=200" in lines[1]
