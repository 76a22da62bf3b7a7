# ruff: noqa: S106 - a token is a currency here, and no secret
"""Document 003: the AutoTrader scanner's logging and metrics, snippet by snippet."""

import json
import logging
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families as parse_text

from specwatch.telemetry import (
    LogContext,
    add_span_attributes,
    current,
    default_metrics,
    generate_latest,
    get_logger,
    record_confidence_score,
    record_gem_score,
    record_scan_duration,
    record_scan_error,
    record_scan_request,
    trace_operation,
)
from specwatch.telemetry.settings import settings, variables
from tests.telemetry.documents.snippets import Written, python
from tests.telemetry.tracing.spans import Exported, attributes
from tests.tools import free_port, wait_for

_CONFIG: Final = """
observability:
  service_name: "autotrader"
  environment: "production"

  logging:
    level: "INFO"
    format: "json"

  metrics:
    enabled: true
    port: 9090

  tracing:
    enabled: true
    sampling:
      strategy: "probability"
      probability: 0.1  # 10% sampling
"""
_PROGRAM: Final = """
import time
from specwatch.telemetry import configure_logging, get_logger, record_scan_duration, record_scan_request, trace_operation

configure_logging("autotrader", preset="event")
logger = get_logger(__name__)

def scan_token(token: str):
    start = time.time()
    logger.info("scan_started", token=token)
    with trace_operation("scan", attributes={"token": token}):
        score = 85.5
        duration = time.time() - start
        record_scan_request(token, "success")
        record_scan_duration(token, duration, "success")
        logger.info("scan_completed", token=token, score=score)
        return score

scan_token("BTC")
"""
_HEX_32: Final = re.compile(r"[0-9a-f]{32}")


@pytest.fixture
def written() -> Written:
    return Written("autotrader", preset="event")


def value(name: str, **labels: str) -> float:
    """Return a sample of the default registry, on which the document's functions count."""
    return default_metrics().get_sample_value(name, labels) or 0.0


def test_structured_logging(written: Written) -> None:
    """The documented output: event, the context's fields, the trace and the service, in this order, and nothing else."""
    logger = get_logger("scanner")
    with trace_operation("scan"), LogContext(logger, token="BTC", operation="scan") as log:
        seen = current()
        log.info("scan_started")
        log.info("scan_completed", score=85.5)
    assert seen is not None
    first = written.text.splitlines()[0]
    assert list(json.loads(first)) == ["timestamp", "level", "event", "token", "operation", "trace_id", "service"]
    started, completed = written.lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", started.pop("timestamp"))
    assert started == {
        "level": "INFO",
        "event": "scan_started",
        "token": "BTC",
        "operation": "scan",
        "trace_id": seen.trace_id,
        "service": "autotrader",
    }
    del completed["timestamp"]
    assert completed == {**started, "event": "scan_completed", "score": 85.5}


def test_prometheus_metrics() -> None:
    """Each function counts on its documented series."""
    record_scan_request("BTC", "success")
    record_scan_duration("BTC", 2.34, "success")
    record_gem_score("BTC", 85.5)
    record_confidence_score("BTC", 0.83)
    shown = {
        (sample.name, sample.labels.get("le", "")): (set(sample.labels) - {"le"}, sample.value)
        for family in parse_text(generate_latest().decode())
        for sample in family.samples
        if sample.labels.get("token_symbol") == "BTC"
    }
    assert shown["scan_requests_total", ""] == ({"token_symbol", "status"}, 1)
    assert shown["scan_duration_seconds_sum", ""] == ({"token_symbol", "status"}, 2.34)
    assert shown["scan_duration_seconds_count", ""] == ({"token_symbol", "status"}, 1)
    scores = {float(le): number for (name, le), (_, number) in shown.items() if name == "gem_score_distribution_bucket"}
    assert (scores[50], scores[80], scores[90], scores[100]) == (0, 0, 1, 1)
    assert shown["confidence_score_distribution_sum", ""] == ({"token_symbol"}, 0.83)
    assert shown["confidence_score_distribution_count", ""] == ({"token_symbol"}, 1)


def test_distributed_tracing(exported: Exported) -> None:
    """Attributes at the start as a mapping, and later by name on whichever span is open."""
    with trace_operation("token_scan", attributes={"token": "BTC"}):
        result = SimpleNamespace(score=85.5)
        add_span_attributes(score=result.score)
    assert attributes(exported.spans()["token_scan"]) == {"token": "BTC", "score": 85.5}


def test_batch_processing(written: Written) -> None:
    """Examples 1 and 2: each scan has its lines and its counts, a failed one an error, and the batch goes on."""
    logger = get_logger("scanner")

    def perform_scan(token: str) -> Any:
        if token == "ETH":  # noqa: S105 - a currency's name
            raise TimeoutError("no answer")
        return SimpleNamespace(score=85.5)

    def scan_token(token: str) -> Any:
        start = time.time()
        logger.info("scan_started", token=token)
        with trace_operation("scan", attributes={"token": token}):
            result = perform_scan(token)
            duration = time.time() - start
            record_scan_request(token, "success")
            record_scan_duration(token, duration, "success")
            logger.info("scan_completed", token=token, score=result.score)
            return result

    def process_batch(tokens: list[str]) -> None:
        logger.info("batch_started", count=len(tokens))
        for token in tokens:
            try:
                scan_token(token)
            except Exception as e:  # noqa: BLE001 - as the document writes it
                logger.error("scan_failed", token=token, error=str(e))  # noqa: TRY400 - as above
                record_scan_error(token, type(e).__name__)
        logger.info("batch_completed")

    process_batch(["ADA", "ETH"])
    lines = written.lines()
    assert [(line["event"], line.get("token"), line.get("error"), line.get("score")) for line in lines] == [
        ("batch_started", None, None, None),
        ("scan_started", "ADA", None, None),
        ("scan_completed", "ADA", None, 85.5),
        ("scan_started", "ETH", None, None),
        ("scan_failed", "ETH", "no answer", None),
        ("batch_completed", None, None, None),
    ]
    assert lines[0]["count"] == 2
    assert _HEX_32.fullmatch(lines[2]["trace_id"])
    assert value("scan_requests_total", token_symbol="ADA", status="success") == 1
    assert value("scan_duration_seconds_count", token_symbol="ADA", status="success") == 1
    assert value("scan_errors_total", token_symbol="ETH", error_type="TimeoutError") == 1


def test_metrics_server(tmp_path: Path) -> None:
    """The documented command beside a script that has ended already: `curl …/metrics | grep scan_requests`."""
    python(_PROGRAM, PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "specwatch.telemetry.metrics_server", "--port", str(port)],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        stderr=subprocess.DEVNULL,
    )
    try:
        text = wait_for("the metrics server", lambda: _get(f"http://127.0.0.1:{port}/metrics"))
    finally:
        server.terminate()
        server.wait(10)
    assert 'scan_requests_total{token_symbol="BTC",status="success"} 1\n' in text
    assert 'scan_duration_seconds_count{token_symbol="BTC",status="success"} 1\n' in text


def _get(url: str) -> str | None:
    try:
        return httpx.get(url).text
    except httpx.ConnectError:
        return None


def test_log_analysis() -> None:
    """`python script.py 2>&1 | jq` can select by event: everything that is written is a JSON object."""
    done = python(_PROGRAM)
    lines = [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]
    assert [line["score"] for line in lines if line["event"] == "scan_completed"] == [85.5]


def test_graceful_fallbacks() -> None:
    """Without OpenTelemetry and Sentry the same program works, and says nothing about them."""
    absent = "import sys\nfor name in ('opentelemetry', 'sentry_sdk'): sys.modules[name] = None\n"
    done = python(absent + _PROGRAM)
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == ["scan_started", "scan_completed"]
    assert done.stderr == ""


def test_configure_observability() -> None:
    """The configuration file's keys are the environment's switches."""
    found = settings(environ=variables(yaml.safe_load(_CONFIG)))
    assert (found.service, found.environment, found.log_level, found.log_format) == ("autotrader", "production", "INFO", "json")
    assert (found.metrics_enabled, found.metrics_port, found.trace_sample_ratio) == (True, 9090, 0.1)
    off = variables({"metrics": {"enabled": False}, "tracing": {"enabled": False, "sampling": None}})
    assert off == {"METRICS_ENABLED": "false", "OTEL_SDK_DISABLED": "true"}


def test_set_environment_variables(caplog: pytest.LogCaptureFixture) -> None:
    """Three of the four are read; for JAEGER_ENDPOINT, whose protocol Jaeger itself has given up, the remedy is told once."""
    environ = {"LOG_LEVEL": "INFO", "ENVIRONMENT": "production", "METRICS_PORT": "9090"}
    found = settings(environ=environ)
    assert (found.log_level, found.environment, found.metrics_port) == ("INFO", "production", 9090)
    assert caplog.messages == []
    jaeger = {**environ, "JAEGER_ENDPOINT": "http://jaeger:14268/api/traces"}
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert not settings(environ=jaeger).tracing_enabled
    [message] = caplog.messages
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in message
    assert settings(environ={**jaeger, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://jaeger:4318"}).tracing_enabled
