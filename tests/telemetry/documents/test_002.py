"""Document 002: MangaMotion's structured logging and metrics, snippet by snippet, as its Python workers have them."""

import json
import re
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from specwatch.telemetry import Endpoints, Metrics, logger, serve_metrics
from tests.telemetry.documents.snippets import Written, generated, python

_SPEC: Final = """
version: 1
stack: {name: mangamotion, environment: demo}
services:
  worker: {team: media, metrics: {port: 3000}, uses: [jobs]}
metrics:
  job_attempts: {type: histogram, help: Attempts of a job., buckets: [1, 2, 3, 5]}
  scan_clean_total: {type: counter, help: Clean scans.}
  scan_infected_total: {type: counter, help: Infected files.}
"""
_BUCKETS: Final = {0.1: 0, 0.5: 45, 1: 120, 2: 250, 5: 450, 10: 650, 30: 900, 60: 1200, float("inf"): 1250}

job_id = "job-123"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    monkeypatch.setenv("LOG_LEVEL", "INFO")
    monkeypatch.setenv("LOG_FORMAT", "json")
    return Written(preset="jobs")


def own(line: dict[str, Any]) -> dict[str, Any]:
    """Return a line without its time, which has milliseconds."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("timestamp"))
    return line


def test_basic_logging(written: Written) -> None:
    """Keyword arguments are fields; `warn` is a method and a level."""
    logger.info("Operation started", user_id="user123")
    logger.warn("Unusual condition", job_id="job456")
    logger.error("Operation failed", error="Connection timeout")
    assert [own(line) for line in written.lines()] == [
        {"level": "info", "message": "Operation started", "user_id": "user123"},
        {"level": "warn", "message": "Unusual condition", "job_id": "job456"},
        {"level": "error", "message": "Operation failed", "error": "Connection timeout"},
    ]


def test_log_output_as_json(written: Written) -> None:
    """The documented line, with its fields in the documented order."""
    logger.log_job("created", job_id, user_id="user-456", file_count=5, total_size_mb="125.50")
    [text] = written.text.splitlines()
    assert list(json.loads(text)) == ["timestamp", "level", "message", "job_id", "user_id", "file_count", "total_size_mb"]
    assert own(written.line()) == {
        "level": "info",
        "message": "Job created",
        "job_id": "job-123",
        "user_id": "user-456",
        "file_count": 5,
        "total_size_mb": "125.50",
    }


def test_log_output_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """LOG_FORMAT=text gives the documented line."""
    monkeypatch.setenv("LOG_FORMAT", "text")
    written = Written(preset="jobs")
    logger.log_job("created", job_id, user_id="user-456", file_count=5, total_size_mb="125.50")
    documented = "[INFO] Job created job_id=job-123 user_id=user-456 file_count=5 total_size_mb=125.50"
    assert re.fullmatch(r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] " + re.escape(documented) + "\n", written.text)


def test_job_specific_logging_and_operation_timing(written: Written) -> None:
    """A job's start, end and failure, and an operation's time, each in its documented call."""
    logger.log_job("started", job_id, file_count=5, object_key="s3://bucket/file.mp4")
    logger.log_job_complete(job_id, duration_ms=5000, status="success")
    logger.log_job_failed(job_id, "Connection timeout", attempts=2, file_count=5)
    logger.log_operation("thumbnail_generation", duration_ms=2500, success=True, object_key="s3://bucket/thumb.jpg")
    started, completed, failed, operated = map(own, written.lines())
    assert started == {
        "level": "info",
        "message": "Job started",
        "job_id": "job-123",
        "file_count": 5,
        "object_key": "s3://bucket/file.mp4",
    }
    assert completed == {"level": "info", "message": "Job completed", "job_id": "job-123", "duration_ms": 5000, "status": "success"}
    assert failed == {
        "level": "error",
        "message": "Job failed",
        "job_id": "job-123",
        "error": "Connection timeout",
        "attempts": 2,
        "file_count": 5,
    }
    assert operated == {
        "level": "info",
        "message": "Operation completed",
        "operation": "thumbnail_generation",
        "duration_ms": 2500,
        "success": True,
        "object_key": "s3://bucket/thumb.jpg",
    }


def test_error_related_fields(written: Written) -> None:
    """An exception gives its message, its stack, and its code where it has one."""
    try:
        raise ConnectionRefusedError(111, "Connection refused")  # noqa: TRY301 - what a job's client raises
    except ConnectionRefusedError as error:
        logger.log_job_failed(job_id, error, attempts=2)
    line = own(written.line())
    assert line.pop("error_stack").startswith("Traceback (most recent call last):")
    assert line == {
        "level": "error",
        "message": "Job failed",
        "job_id": "job-123",
        "error": "[Errno 111] Connection refused",
        "error_code": 111,
        "attempts": 2,
    }


def test_complete_job_lifecycle_logging(written: Written) -> None:
    """Created, started, completed: one job id in all."""
    logger.log_job("created", job_id, user_id="u-1", file_count=5, total_size_mb=125.5)
    logger.log_job("processing_started", job_id, user_id="u-1", worker="ai-worker-1")
    logger.log_job_complete(job_id, 5000, user_id="u-1", output_key="s3://bucket/output.mp4")
    lines = written.lines()
    assert [line["message"] for line in lines] == ["Job created", "Job processing_started", "Job completed"]
    assert {(line["job_id"], line["user_id"]) for line in lines} == {("job-123", "u-1")}


@pytest.mark.parametrize(("level", "heard"), [("info", 3), ("INFO", 3), ("debug", 4), ("warn", 2), ("WARNING", 2), ("error", 1), ("", 3)])
def test_log_level(level: str, heard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """LOG_LEVEL in the spelling of Node and in that of Python; info where it is not set."""
    monkeypatch.setenv("LOG_LEVEL", level)
    written = Written(preset="jobs")
    for method in (logger.debug, logger.info, logger.warn, logger.error):
        method("x")
    assert [line["level"] for line in written.lines()] == ["debug", "info", "warn", "error"][-heard:]


def test_metrics_endpoints(tmp_path: Path) -> None:
    """`/metrics` and `/api/metrics` show the documented metrics, types, buckets and JSON."""
    metrics = generated(tmp_path, _SPEC).WorkerMetrics(strict=True, directory="", enabled=True)
    metrics.job_processed_total.inc(1250)
    metrics.job_failed_total.inc(15)
    metrics.job_skipped_total.inc(2)
    metrics.scan_clean_total.inc(1200)
    metrics.scan_infected_total.inc(3)
    metrics.queue_length.set(42)
    metrics.active_jobs.set(5)
    metrics.failed_jobs_dlq.set(8)
    metrics.job_attempts.observe(1)
    before = 0
    for bound, count in _BUCKETS.items():
        for _ in range(count - before):
            metrics.job_processing_seconds.observe(min(bound, 90))
        before = count
    server = serve_metrics(0, metrics.registry)
    try:
        text = httpx.get(f"http://127.0.0.1:{server.port}/metrics").text
        shown = httpx.get(f"http://127.0.0.1:{server.port}/api/metrics").json()
    finally:
        server.stop()
    assert "# TYPE job_processed_total counter\njob_processed_total 1250\n" in text
    assert "# TYPE queue_length gauge\nqueue_length 42\n" in text
    families = {family.name: family for family in parse_text(text)}
    buckets = {float(s.labels["le"]): s.value for s in families["job_processing_seconds"].samples if s.name.endswith("_bucket")}
    assert buckets == _BUCKETS
    assert [float(s.labels["le"]) for s in families["job_attempts"].samples if "le" in s.labels] == [1, 2, 3, 5, float("inf")]
    assert shown["counters"] == {
        "job_processed_total": 1250,
        "job_failed_total": 15,
        "job_skipped_total": 2,
        "scan_clean_total": 1200,
        "scan_infected_total": 3,
    }
    assert shown["gauges"] == {"queue_length": 42, "active_jobs": 5, "failed_jobs_dlq": 8}
    assert shown.keys() == {"counters", "gauges", "histograms"}
    assert shown["histograms"].keys() == {"job_processing_seconds", "job_attempts"}
    spread = shown["histograms"]["job_processing_seconds"]
    assert list(spread) == ["count", "sum", "avg", "p50", "p95", "p99"]
    assert (spread["count"], spread["avg"]) == (1250, round(spread["sum"] / 1250, 6))
    assert 5 <= spread["p50"] <= 10 <= spread["p95"] <= spread["p99"] <= 60


def test_metrics_enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    """METRICS_ENABLED=false: nothing is counted, and the endpoints are not there."""
    for enabled, status in (("true", 200), ("false", 404)):
        monkeypatch.setenv("METRICS_ENABLED", enabled)
        registry = Metrics()
        registry.counter("job_processed_total", "Jobs processed.").inc()
        endpoints = Endpoints(registry=registry)
        for path in ("/metrics", "/api/metrics"):
            answer = endpoints.answer("GET", path, {})
            assert answer is not None
            assert (answer.status, b"job_processed_total" in answer.body) == (status, status == 200)


def test_logs_are_streamed_to_standard_output() -> None:
    """Each line is there when the call returns: a program that dies at once has written it."""
    program = """
import os
from specwatch.telemetry import configure_logging, logger
configure_logging(preset="jobs")
logger.log_job("created", "job-123")
os._exit(0)
"""
    assert own(json.loads(python(program, LOG_LEVEL="info").stdout)) == {"level": "info", "message": "Job created", "job_id": "job-123"}
