"""Document 001: SkillMeat's observability guide, snippet by snippet."""

import asyncio
import json
import logging
import random
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.trace import StatusCode
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from specwatch.telemetry import (
    Endpoints,
    LogContext,
    Metrics,
    ObservabilityMiddleware,
    current,
    get_logger_with_context,
    load_catalog,
    outgoing_headers,
    telemetry_router,
    trace_async_function,
    trace_function,
    trace_operation,
    track_operation,
)
from tests.telemetry.documents.snippets import Written, generated, own, python
from tests.telemetry.requests.servers import uvicorn_serving
from tests.telemetry.tracing.spans import Exported, attributes, ids

_SPEC: Final = """
version: 1
stack: {name: skillmeat, environment: demo}
services:
  skillmeat: {team: platform, metrics: {port: 8000}}
metrics:
  skillmeat_marketplace_installs_total: {type: counter, help: Installs., labels: {broker: null, listing_id: null, status: [success, error]}}
  skillmeat_marketplace_publishes_total: {type: counter, help: Publishes., labels: {status: [success, error]}}
  skillmeat_marketplace_operation_duration_seconds: {type: histogram, help: Time., unit: seconds, labels: {operation: null}}
  skillmeat_bundle_exports_total: {type: counter, help: Exports.}
  skillmeat_bundle_imports_total: {type: counter, help: Imports.}
  skillmeat_bundle_size_bytes: {type: histogram, help: Sizes., unit: bytes, buckets: [1000, 1000000]}
  skillmeat_bundle_artifacts_count: {type: histogram, help: Artifacts in a bundle., buckets: [1, 10, 100]}
  skillmeat_bundle_operation_duration_seconds: {type: histogram, help: Time., unit: seconds, labels: {operation: null}}
  skillmeat_mcp_servers_total: {type: gauge, help: Servers., labels: {status: [healthy, unhealthy]}}
  skillmeat_mcp_health_checks_total: {type: counter, help: Checks., labels: {status: [success, error]}}
  skillmeat_mcp_deployments_total: {type: counter, help: Deployments.}
  skillmeat_github_rate_limit_remaining: {type: gauge, help: Requests that are left.}
  skillmeat_github_clone_duration_seconds: {type: histogram, help: Time., unit: seconds}
  skillmeat_github_requests_total: {type: counter, help: Requests., labels: {status: [success, error]}}
  skillmeat_cache_hits_total: {type: counter, help: Hits.}
  skillmeat_cache_misses_total: {type: counter, help: Misses.}
  skillmeat_cache_size_bytes: {type: gauge, help: Size., unit: bytes}
  skillmeat_cache_entries_total: {type: gauge, help: Entries.}
  skillmeat_artifact_operations_total: {type: counter, help: Operations., labels: {operation: null, type: null, status: [success, error]}}
  skillmeat_artifact_operation_duration_seconds: {type: histogram, help: Time., unit: seconds, labels: {operation: null, type: null}}
"""
_QUERIED: Final = """
skillmeat_api_requests_total skillmeat_api_request_duration_seconds_bucket skillmeat_api_request_size_bytes_bucket
skillmeat_marketplace_installs_total skillmeat_marketplace_publishes_total skillmeat_marketplace_operation_duration_seconds_bucket
skillmeat_bundle_exports_total skillmeat_bundle_imports_total skillmeat_bundle_size_bytes_bucket skillmeat_bundle_artifacts_count_bucket
skillmeat_mcp_servers_total skillmeat_mcp_health_checks_total skillmeat_mcp_deployments_total
skillmeat_github_rate_limit_remaining skillmeat_github_clone_duration_seconds_bucket skillmeat_github_requests_total
skillmeat_cache_hits_total skillmeat_cache_misses_total skillmeat_cache_size_bytes skillmeat_cache_entries_total
"""
_HEX_32: Final = re.compile(r"[0-9a-f]{32}")

bundle = SimpleNamespace(id="b-1")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalog that `specwatch codegen` makes of a spec with the document's metrics."""
    path: Path = generated(tmp_path_factory.mktemp("spec"), _SPEC).CATALOG
    return path


@pytest.fixture
def metrics(catalog: Path) -> Metrics:
    return Metrics(load_catalog(catalog), namespace="skillmeat", strict=True, directory="", enabled=True)


@pytest.fixture
def written() -> Written:
    return Written(preset="nested", prefix="SKILLMEAT_")


def test_log_format(written: Written) -> None:
    """A line has exactly the documented fields, in the documented order, its own below `extra`."""
    LogContext.set_trace_id("abc123-def456")
    LogContext.set_request_id("req-789")
    LogContext.set_user_id("user-123")
    fields = {"method": "GET", "path": "/api/v1/collections", "status_code": 200, "duration_ms": 45.67}
    logging.getLogger("skillmeat.api.server").info("Request completed", extra=fields)
    line = written.line()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["timestamp"])
    assert (line["module"], line["function"], type(line["line"])) == ("test_001", "test_log_format", int)
    documented = ["timestamp", "level", "logger", "message", "module", "function", "line", "trace_id", "request_id", "user_id", "extra"]
    assert list(line) == documented
    assert own(line) == {
        "level": "INFO",
        "logger": "skillmeat.api.server",
        "message": "Request completed",
        "trace_id": "abc123-def456",
        "request_id": "req-789",
        "user_id": "user-123",
        "extra": fields,
    }


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
def test_log_levels(level: str) -> None:
    """`SKILLMEAT_LOG_LEVEL` chooses, also where LOG_LEVEL says otherwise; standard output has one JSON object a line."""
    program = """
import logging
from specwatch.telemetry import configure_logging
configure_logging(prefix="SKILLMEAT_", preset="nested")
for level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
    logging.getLogger("skillmeat.api.server").log(getattr(logging, level), level)
"""
    levels = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
    lines = [json.loads(line) for line in python(program, SKILLMEAT_LOG_LEVEL=level, LOG_LEVEL="INFO").stdout.splitlines()]
    assert [line["level"] for line in lines] == levels[levels.index(level) :]


def test_using_traces_in_code(exported: Exported) -> None:
    """A span has what it was given at the start and on the way, its events, and the exception that ended it, which goes on."""

    def export_bundle(_artifacts: list[str]) -> None:
        raise OSError("disk full")

    def export() -> None:
        with trace_operation("bundle.export", bundle_id=bundle.id) as span:
            artifacts = ["a", "b"]
            span.set_attribute("artifact_count", len(artifacts))
            span.add_event("validation_complete")
            export_bundle(artifacts)

    with pytest.raises(OSError, match="disk full"):
        export()
    found = exported.spans()["bundle.export"]
    assert attributes(found) == {"bundle_id": "b-1", "artifact_count": 2}
    assert [event.name for event in found.events] == ["validation_complete", "exception"]
    assert found.status.status_code is StatusCode.ERROR


def api(metrics: Metrics, **urls: str) -> FastAPI:
    """Return the document's API, with the route of its example trace."""
    app = FastAPI(telemetry={"operation_spans": False})  # FastAPI's own spans inside the request's are not in the document's tree
    app.add_middleware(ObservabilityMiddleware, registry=metrics, metrics_prefix="skillmeat_api_")
    app.include_router(telemetry_router(Endpoints(registry=metrics)))

    @app.post("/api/v1/bundles/export")
    async def export() -> dict[str, Any]:
        for name in ("bundle.load", "bundle.validate", "bundle.serialize"):
            with trace_operation(name):
                await asyncio.sleep(0)
        async with httpx.AsyncClient() as client:
            published = await client.post(f"{urls['marketplace']}/publish", headers=outgoing_headers())
        seen = current()
        assert seen is not None
        return {"trace_id": seen.trace_id, "request_id": seen.request_id, "published": published.json()}

    @app.post("/publish")
    async def publish() -> dict[str, str]:
        with trace_operation("github.upload"), trace_operation("index.update"):
            seen = current()
            assert seen is not None
            return {"trace_id": seen.trace_id, "request_id": seen.request_id}

    return app


def test_trace_propagation(exported: Exported, metrics: Metrics, written: Written) -> None:
    """One trace through two services: by the headers, the context, and parents and children as in the document's tree."""
    marketplace = api(Metrics(directory="", enabled=True))
    with uvicorn_serving(marketplace) as other, uvicorn_serving(api(metrics, marketplace=other)) as url:
        answer = httpx.post(f"{url}/api/v1/bundles/export", headers={"X-Trace-ID": "0af7651916cd43dd8448eb211c80319c"})
    assert answer.headers["X-Trace-ID"] == "0af7651916cd43dd8448eb211c80319c"
    served = answer.json()
    assert served["trace_id"] == served["published"]["trace_id"] == answer.headers["X-Trace-ID"]
    assert served["request_id"] == served["published"]["request_id"] == answer.headers["X-Request-ID"]
    spans = exported.spans()
    assert {ids(span)[0] for span in spans.values()} == {answer.headers["X-Trace-ID"]}
    parents = {name: next((other for other, s in spans.items() if ids(s)[1] == ids(span)[2]), "") for name, span in spans.items()}
    assert parents == {
        "POST /api/v1/bundles/export": "",
        "bundle.load": "POST /api/v1/bundles/export",
        "bundle.validate": "POST /api/v1/bundles/export",
        "bundle.serialize": "POST /api/v1/bundles/export",
        "POST /publish": "POST /api/v1/bundles/export",
        "github.upload": "POST /publish",
        "index.update": "github.upload",
    }
    completed = [line for line in written.lines() if line["message"] == "Request completed"]
    assert [line["extra"]["path"] for line in completed] == ["/publish", "/api/v1/bundles/export"]
    assert all(line["trace_id"] == answer.headers["X-Trace-ID"] for line in completed)
    assert {"method", "path", "status_code", "duration_ms"} <= completed[0]["extra"].keys()


def test_headers_are_set(metrics: Metrics) -> None:
    """`curl -v …/health | grep -i x-trace` finds the header, as the middleware is configured by one line."""
    with uvicorn_serving(api(metrics)) as url:
        answer = httpx.get(f"{url}/health")
    assert answer.status_code == 200
    assert _HEX_32.fullmatch(answer.headers["x-trace-id"])
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
def test_available_metrics(metrics: Metrics, accept: str) -> None:
    """`curl …/metrics` shows every series that the document's queries select, in both formats."""
    for instrument in metrics.instruments().values():
        instrument.labels(**{name: values[0] if values else "x" for name, values in instrument.definition.labels.items()})
    metrics.mcp_servers_total.labels(status="healthy").set(3)
    with uvicorn_serving(api(metrics)) as url:
        httpx.get(f"{url}/nothing")
        text = httpx.get(f"{url}/metrics", headers={"Accept": accept}).text
    parse = parse_text if accept == "text/plain" else parse_openmetrics
    samples = [sample for family in parse(text) for sample in family.samples]
    assert set(_QUERIED.split()) - {sample.name for sample in samples} == set()
    [healthy] = [sample for sample in samples if sample.labels == {"status": "healthy"}]
    assert (healthy.name, healthy.value) == ("skillmeat_mcp_servers_total", 3)
    [failed] = [sample for sample in samples if sample.name == "skillmeat_api_requests_total" and sample.labels["status"] == "404"]
    assert failed.labels["endpoint"] == "unmatched"


def test_recording_custom_metrics(metrics: Metrics) -> None:
    """Counter, histogram and decorator, each in its documented form; the names come without the namespace."""
    marketplace_installs_total = metrics.marketplace_installs_total
    bundle_operation_duration = metrics.bundle_operation_duration_seconds
    marketplace_installs_total.labels(broker="skillmeat", listing_id="l-1", status="success").inc()
    start = time.perf_counter()
    duration = time.perf_counter() - start
    bundle_operation_duration.labels(operation="export").observe(duration)
    labels = {"broker": "skillmeat", "listing_id": "l-1", "status": "success"}
    assert metrics.get_sample_value("skillmeat_marketplace_installs_total", labels) == 1
    assert metrics.get_sample_value("skillmeat_bundle_operation_duration_seconds_sum", {"operation": "export"}) == duration

    @track_operation("bundle", "export", metrics=metrics)
    def export_bundle(bundle_id: str) -> str:
        return bundle_id

    assert export_bundle("b-1") == "b-1"
    counted = {"component": "bundle", "operation": "export"}
    assert metrics.get_sample_value("skillmeat_operations_total", {**counted, "status": "success"}) == 1
    assert metrics.get_sample_value("skillmeat_operation_duration_seconds_count", counted) == 1


def test_recording_metrics(metrics: Metrics) -> None:
    """The artifact metrics of the second half."""
    metrics.artifact_operations_total.labels(operation="deploy", type="skill", status="success").inc()
    metrics.artifact_operation_duration_seconds.labels(operation="deploy", type="skill").observe(0.25)
    labels = {"operation": "deploy", "type": "skill"}
    assert metrics.get_sample_value("skillmeat_artifact_operations_total", {**labels, "status": "success"}) == 1
    assert metrics.get_sample_value("skillmeat_artifact_operation_duration_seconds_sum", labels) == 0.25


def test_structured_logging(written: Written) -> None:
    """The logger adds the ids by itself; an error has its traceback and goes on."""
    logger = get_logger_with_context("skillmeat.core.bundles")
    trace_id = LogContext.set_trace_id()

    def process_bundle(bundle_id: str) -> None:
        raise KeyError(bundle_id)

    def process() -> None:
        logger.info("Processing bundle", extra={"bundle_id": bundle.id, "artifact_count": 2})
        try:
            process_bundle(bundle.id)
        except Exception as e:
            fields = {"bundle_id": bundle.id, "error_type": type(e).__name__}
            logger.error("Bundle processing failed", exc_info=True, extra=fields)  # noqa: G201 - as the document writes it
            raise

    with pytest.raises(KeyError):
        process()
    processing, failed = written.lines()
    assert processing["extra"] == {"bundle_id": "b-1", "artifact_count": 2}
    assert failed["extra"] == {"bundle_id": "b-1", "error_type": "KeyError"}
    assert processing["trace_id"] == failed["trace_id"] == trace_id
    assert failed["exception"].endswith("KeyError: 'b-1'")


def test_tracing_operations(exported: Exported) -> None:
    """Context manager, decorator and async decorator."""
    with trace_operation("artifact.deploy", artifact_id="a-1") as span:
        span.set_attribute("target_scope", "user")
        span.add_event("validation_complete")
        span.set_attribute("deployment_status", "deployed")

    @trace_function("bundle.validate")
    def validate_bundle(bundle_id: str) -> str:
        return bundle_id

    @trace_async_function("marketplace.search")
    async def search_marketplace(query: str) -> str:
        await asyncio.sleep(0)
        return query

    assert (validate_bundle("b-1"), asyncio.run(search_marketplace("q"))) == ("b-1", "q")
    spans = exported.spans()
    assert spans.keys() == {"artifact.deploy", "bundle.validate", "marketplace.search"}
    assert attributes(spans["artifact.deploy"]) == {"artifact_id": "a-1", "target_scope": "user", "deployment_status": "deployed"}


def test_trace_sampling(written: Written) -> None:
    """The document's own way to sample: only what was chosen has a trace id."""
    chances = random.Random(1)  # noqa: S311 - which of them are sampled is no secret
    sampled = 0
    for _ in range(100):
        if chances.random() < 0.1:
            LogContext.set_trace_id()
            sampled += 1
        logging.getLogger("skillmeat").info("done")
        LogContext.clear()
    with_id = {line["trace_id"] for line in written.lines() if "trace_id" in line}
    assert len(with_id) == sampled
    assert all(map(_HEX_32.fullmatch, with_id))
