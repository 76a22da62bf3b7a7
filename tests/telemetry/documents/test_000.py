"""Document 000: logging and metrics of a discovery and import service, snippet by snippet."""

import logging
import re
import time
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families as parse_text

from specwatch.telemetry import DiscoveryMetrics, Endpoints, Metrics, generate_latest, telemetry_router
from tests.telemetry.documents.snippets import Written, own
from tests.telemetry.requests.servers import uvicorn_serving

logger = logging.getLogger("skillmeat.core.discovery")


@pytest.fixture
def written() -> Written:
    return Written("skillmeat")


def expected(level: str, message: str, **fields: Any) -> dict[str, Any]:
    """Return a line with what every line has and with its own fields."""
    return {"level": level, "logger": "skillmeat.core.discovery", "message": message, "service": "skillmeat", **fields}


def test_discovery_service_logging(written: Written) -> None:
    """A scan's start and end: every field of `extra` beside the message, numbers as numbers."""
    start_time = time.perf_counter()
    logger.info("Starting artifact discovery", extra={"path": "/a", "scan_mode": "auto", "artifacts_base": "/a/artifacts"})
    assert own(written.line()) == expected(
        "INFO", "Starting artifact discovery", path="/a", scan_mode="auto", artifacts_base="/a/artifacts"
    )
    scan_duration_ms = (time.perf_counter() - start_time) * 1000
    counts = {"discovered_count": 3, "importable_count": 2, "skipped_count": 1, "error_count": 0}
    logger.info("Discovery scan completed: 3 artifacts", extra={**counts, "duration_ms": round(scan_duration_ms, 2)})
    line = written.line()
    assert own(line) == expected("INFO", "Discovery scan completed: 3 artifacts", **counts, duration_ms=round(scan_duration_ms, 2))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["timestamp"])


def test_import_service_logging(written: Written) -> None:
    """A bulk import's start and end: booleans stay booleans, and the status is a field to search by."""
    logger.info("Starting bulk import", extra={"artifact_count": 5, "collection": "default", "auto_resolve_conflicts": True})
    logger.info(
        "Bulk import completed: 4 of 5", extra={"imported_count": 4, "failed_count": 1, "duration_ms": 12.34, "status": "partial_success"}
    )
    started, completed = map(own, written.lines())
    assert started == expected("INFO", "Starting bulk import", artifact_count=5, collection="default", auto_resolve_conflicts=True)
    assert completed == expected(
        "INFO", "Bulk import completed: 4 of 5", imported_count=4, failed_count=1, duration_ms=12.34, status="partial_success"
    )


def test_error_handling(written: Written) -> None:
    """A warning is one line without further fields; an error with exc_info has the full traceback, still on one line."""
    logger.warning("Artifacts directory not found")
    assert own(written.line()) == expected("WARNING", "Artifacts directory not found")
    try:
        raise PermissionError("no")  # noqa: TRY301 - what a scan of a folder raises
    except PermissionError as e:
        logger.error("Error scanning type directory", exc_info=True)  # noqa: G201 - as the document writes it
        logger.error("Operation failed", extra={"error": str(e), "error_type": type(e).__name__}, exc_info=True)  # noqa: G201 - as above
    scanning, failed = map(own, written.lines())
    trace = scanning.pop("exception")
    assert trace.startswith("Traceback (most recent call last):")
    assert trace.endswith("PermissionError: no")
    assert scanning == expected("ERROR", "Error scanning type directory")
    assert (failed["error"], failed["error_type"], failed["exception"]) == ("no", "PermissionError", trace)


def test_debug_is_for_details(monkeypatch: pytest.MonkeyPatch) -> None:
    """The four levels of the table: DEBUG is heard only where LOG_LEVEL says so."""
    for level, heard in (("", ["INFO", "WARNING", "ERROR"]), ("DEBUG", ["DEBUG", "INFO", "WARNING", "ERROR"])):
        monkeypatch.setenv("LOG_LEVEL", level)
        written = Written("skillmeat")
        for method in (logger.debug, logger.info, logger.warning, logger.error):
            method("processing")
        assert [line["level"] for line in written.lines()] == heard


def test_queries_find_what_was_logged(written: Written) -> None:
    """The queries ask for `operation`, `status` and `duration_ms` at the top of a line, and for the time in `timestamp`."""
    logger.info("Operation completed", extra={"operation": "discovery_scan", "status": "success", "duration_ms": 234.56})
    line = written.line()
    assert {"operation": "discovery_scan", "status": "success", "duration_ms": 234.56}.items() <= line.items()


def test_recorded_metrics_are_those_of_the_document() -> None:
    """Each metric of the list is there with its type and its labels."""
    registry = Metrics(directory="", enabled=True)
    discovery_metrics = DiscoveryMetrics(registry)
    discovery_metrics.record_scan(15, 234.56)
    discovery_metrics.record_import(3, 1, 1500.0)
    discovery_metrics.record_error("PermissionError")
    shown = {
        family.name: (family.type, {name: value for name, value in family.samples[0].labels.items() if name != "le"})
        for family in parse_text(generate_latest(registry).decode())
        if family.name.startswith(("discovery", "bulk"))
    }
    assert shown == {
        "discovery_scans": ("counter", {"status": "success"}),
        "discovery_artifacts_found": ("gauge", {}),
        "discovery_scan_duration_seconds": ("histogram", {}),
        "discovery_errors": ("counter", {"error_type": "PermissionError"}),
        "bulk_import_requests": ("counter", {"status": "partial_success"}),
        "bulk_import_artifacts": ("counter", {"result": "success"}),
        "bulk_import_duration_seconds": ("histogram", {"batch_size_range": "1-10"}),
    }
    assert registry.get_sample_value("bulk_import_artifacts_total", {"result": "failed"}) == 1


def test_get_metrics_answers_in_the_documents_format() -> None:
    """`GET /api/v1/artifacts/health/discovery` has exactly the documented fields, and the one more that the document's tests read."""
    discovery_metrics = DiscoveryMetrics(Metrics(directory="", enabled=True))
    discovery_metrics.record_scan(15, 234.56)
    discovery_metrics.record_import(2, 0)
    for hit in (True, True, True, False):
        discovery_metrics.record_metadata_fetch(cache_hit=hit)
    path = "/api/v1/artifacts/health/discovery"
    app = FastAPI()
    app.include_router(telemetry_router(Endpoints(registry=Metrics(), stats={path: discovery_metrics.get_stats})))
    with uvicorn_serving(app) as url:
        answer = httpx.get(f"{url}{path}")
    stats = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", stats["last_scan"].pop("timestamp"))
    assert stats == {
        "total_scans": 1,
        "total_artifacts_discovered": 15,
        "total_imports": 1,
        "total_metadata_fetches": 4,
        "cache_hits": 3,
        "cache_misses": 1,
        "cache_hit_rate": 0.75,
        "errors": 0,
        "last_scan": {"duration_ms": 234.56, "artifact_count": 15},
        "last_scan_artifact_count": 15,
    }


def test_testing_metrics() -> None:
    """The document's own test, with another import."""
    from specwatch.telemetry.discovery_metrics import discovery_metrics  # noqa: PLC0415 - as the document writes it

    # Clear metrics
    discovery_metrics.total_scans = 0
    discovery_metrics.total_artifacts_discovered = 0

    # Record test data
    discovery_metrics.record_scan(10, 123.45)

    # Verify
    stats = discovery_metrics.get_stats()
    assert stats["total_scans"] == 1
    assert stats["last_scan_artifact_count"] == 10
