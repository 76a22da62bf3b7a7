"""Document 000's statistics."""

import subprocess
import sys
import threading

import pytest

from specwatch.telemetry.discovery_metrics import DiscoveryMetrics
from specwatch.telemetry.metrics import Metrics


def test_the_answer_has_the_documents_fields() -> None:
    """Ensure every field of 000's response, with its meaning."""
    discovery = DiscoveryMetrics(Metrics())
    assert discovery.get_stats()["last_scan"] is None
    assert discovery.get_stats()["cache_hit_rate"] == 0.0
    discovery.record_scan(7, 100.0)
    discovery.record_scan(8, 234.56)
    discovery.record_import(3, 1)
    for hit in (True, True, True, False):
        discovery.record_metadata_fetch(cache_hit=hit)
    discovery.record_error("PermissionError")
    stats = discovery.get_stats()
    last = stats.pop("last_scan")
    assert isinstance(last, dict)
    assert str(last.pop("timestamp")).endswith("Z")
    assert last == {"duration_ms": 234.56, "artifact_count": 8}
    assert stats == {
        "total_scans": 2,
        "total_artifacts_discovered": 15,
        "total_imports": 1,
        "total_metadata_fetches": 4,
        "cache_hits": 3,
        "cache_misses": 1,
        "cache_hit_rate": 0.75,
        "errors": 1,
        "last_scan_artifact_count": 8,
    }


def test_the_documents_prometheus_metrics_follow() -> None:
    """Ensure each of 000's metrics has its labels and its figures."""
    registry = Metrics()
    discovery = DiscoveryMetrics(registry)
    discovery.record_scan(15, 200.0)
    discovery.record_import(10, 2, duration_ms=1500)
    discovery.record_error("PermissionError")
    value = registry.get_sample_value
    assert value("discovery_scans_total", {"status": "success"}) == 1
    assert value("discovery_artifacts_found") == 15
    assert value("discovery_scan_duration_seconds_sum") == 0.2
    assert value("discovery_errors_total", {"error_type": "PermissionError"}) == 1
    assert value("bulk_import_requests_total", {"status": "partial_success"}) == 1
    assert value("bulk_import_artifacts_total", {"result": "success"}) == 10
    assert value("bulk_import_artifacts_total", {"result": "failed"}) == 2
    assert value("bulk_import_duration_seconds_sum", {"batch_size_range": "11-50"}) == 1.5


@pytest.mark.parametrize(("imported", "failed", "status"), [(5, 0, "success"), (0, 5, "failed"), (0, 0, "success")])
def test_an_import_is_judged_by_what_failed(imported: int, failed: int, status: str) -> None:
    """Ensure the outcome of an import is in its counter's label."""
    registry = Metrics()
    DiscoveryMetrics(registry).record_import(imported, failed)
    assert registry.get_sample_value("bulk_import_requests_total", {"status": status}) == 1


def test_threads_lose_nothing() -> None:
    """Ensure records of many threads are all counted."""
    discovery = DiscoveryMetrics(Metrics())

    def scan() -> None:
        for _ in range(500):
            discovery.record_scan(1, 1.0)

    threads = [threading.Thread(target=scan) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert discovery.get_stats()["total_artifacts_discovered"] == 4000


def test_importing_registers_nothing() -> None:
    """Ensure the metrics appear when they are first asked for, not where the module is imported."""
    program = (
        "import specwatch.telemetry.discovery_metrics as d, sys; assert 'specwatch.telemetry.metrics' not in sys.modules;"
        "d.discovery_metrics; from specwatch.telemetry.metrics import default_metrics; assert 'discovery_scans_total' in default_metrics()"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
