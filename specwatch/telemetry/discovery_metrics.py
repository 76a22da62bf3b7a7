"""Document 000's `discovery_metrics`: what discovery and import have done, as Prometheus metrics and as one JSON object.

The numbers are this process's own; the Prometheus metrics are those of all workers.
"""

import threading
from datetime import UTC, datetime
from typing import Final

from specwatch.telemetry._meters import Meters
from specwatch.telemetry.settings import settings

_DURATION_BUCKETS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_BATCH_SIZES: Final = ((10, "1-10"), (50, "11-50"), (100, "51-100"))
_LARGEST_BATCH: Final = "over-100"


class DiscoveryMetrics:
    """Counts scans, imports and metadata look-ups.

    Each total is an attribute that can be read and set, as 000's tests do to begin at 0; setting one leaves the Prometheus counters alone,
    which never go back. Every method may be called from any thread.

    Args:
        registry: where the Prometheus metrics are registered; the default registry when left out.
    """

    def __init__(self, registry: object | None = None) -> None:
        self.total_scans = 0
        self.total_artifacts_discovered = 0
        self.total_imports = 0
        self.total_metadata_fetches = 0
        self.cache_hits = 0
        self.cache_misses = 0
        self.errors = 0
        self.last_scan: dict[str, object] | None = None
        self._lock = threading.Lock()
        self._meters = _Discovery(Meters(registry)) if settings().metrics_enabled else None

    def record_scan(self, artifact_count: int, duration_ms: float, *, status: str = "success") -> None:
        """Count a scan that found `artifact_count` artifacts within `duration_ms`."""
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        with self._lock:
            self.total_scans += 1
            self.total_artifacts_discovered += artifact_count
            self.last_scan = {"timestamp": now, "duration_ms": duration_ms, "artifact_count": artifact_count}
        if self._meters:
            self._meters.scans.at(status).inc()
            self._meters.found.at().set(artifact_count)
            self._meters.scan_duration.at().observe(duration_ms / 1000)

    def record_import(self, success_count: int, failed_count: int, duration_ms: float | None = None) -> None:
        """Count a bulk import by its outcome: success, partial_success or failed."""
        with self._lock:
            self.total_imports += 1
        if self._meters:
            status = "success" if not failed_count else "partial_success" if success_count else "failed"
            self._meters.imports.at(status).inc()
            self._meters.imported.at("success").inc(success_count)
            self._meters.imported.at("failed").inc(failed_count)
            if duration_ms is not None:
                self._meters.import_duration.at(_batch_size(success_count + failed_count)).observe(duration_ms / 1000)

    def record_metadata_fetch(self, *, cache_hit: bool) -> None:
        """Count a metadata look-up that the cache answered, or did not."""
        with self._lock:
            self.total_metadata_fetches += 1
            self.cache_hits += cache_hit
            self.cache_misses += not cache_hit

    def record_error(self, error_type: str) -> None:
        """Count an error by its type, such as an exception's name."""
        with self._lock:
            self.errors += 1
        if self._meters:
            self._meters.errors.at(error_type).inc()

    def get_stats(self) -> dict[str, object]:
        """Return everything as 000 shows it; durations are milliseconds, the hit rate is a share from 0 to 1."""
        with self._lock:
            looked_up = self.cache_hits + self.cache_misses
            return {
                "total_scans": self.total_scans,
                "total_artifacts_discovered": self.total_artifacts_discovered,
                "total_imports": self.total_imports,
                "total_metadata_fetches": self.total_metadata_fetches,
                "cache_hits": self.cache_hits,
                "cache_misses": self.cache_misses,
                "cache_hit_rate": round(self.cache_hits / looked_up, 3) if looked_up else 0.0,
                "errors": self.errors,
                "last_scan": dict(self.last_scan) if self.last_scan else None,
                # 000's answer has it inside last_scan, its tests read it here.
                "last_scan_artifact_count": self.last_scan["artifact_count"] if self.last_scan else None,
            }


class _Discovery:
    def __init__(self, meters: Meters) -> None:
        self.scans = meters.counter("discovery_scans_total", "Discovery scans by outcome.", "status")
        self.found = meters.gauge("discovery_artifacts_found", "Artifacts that the last scan found.")
        self.scan_duration = meters.histogram("discovery_scan_duration_seconds", "How long a scan takes.", buckets=_DURATION_BUCKETS)
        self.errors = meters.counter("discovery_errors_total", "Errors of discovery and import by type.", "error_type")
        self.imports = meters.counter("bulk_import_requests_total", "Bulk imports by outcome.", "status")
        self.imported = meters.counter("bulk_import_artifacts_total", "Artifacts of bulk imports by result.", "result")
        self.import_duration = meters.histogram(
            "bulk_import_duration_seconds", "How long a bulk import takes.", "batch_size_range", buckets=_DURATION_BUCKETS
        )


def _batch_size(count: int) -> str:
    return next((name for most, name in _BATCH_SIZES if count <= most), _LARGEST_BATCH)


def __getattr__(name: str) -> DiscoveryMetrics:
    """Make `discovery_metrics` when it is first asked for, so that importing this module registers nothing."""
    if name != "discovery_metrics":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = globals()[name] = DiscoveryMetrics()
    return made
