"""Document 003's scanner metrics: scans by outcome, how long they took, and the scores that they gave.

The functions count on the default registry. `token_symbol` is an open label, which a scanner of every token would fill without end: the
metrics' own limit of series holds for it (see `specwatch.telemetry.metrics.Metrics`).
"""

import functools
from typing import Final

from specwatch.telemetry._meters import Meters
from specwatch.telemetry.metrics import Metrics, default_metrics

_DURATION_BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_SCORE_BUCKETS: Final = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0)
_CONFIDENCE_BUCKETS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def record_scan_request(token_symbol: str, status: str) -> None:
    """Count a scan by its outcome, such as success or failure: `scan_requests_total{token_symbol, status}`."""
    _scanner(default_metrics()).requests.at(token_symbol, status).inc()


def record_scan_duration(token_symbol: str, duration_seconds: float, status: str) -> None:
    """Count how long a scan took: the histogram `scan_duration_seconds{token_symbol, status}`."""
    _scanner(default_metrics()).duration.at(token_symbol, status).observe(duration_seconds)


def record_scan_error(token_symbol: str, error_type: str) -> None:
    """Count a scan's error by its type, such as an exception's name: `scan_errors_total{token_symbol, error_type}`."""
    _scanner(default_metrics()).errors.at(token_symbol, error_type).inc()


def record_gem_score(token_symbol: str, score: float) -> None:
    """Count a score from 0 to 100: the histogram `gem_score_distribution{token_symbol}`."""
    _scanner(default_metrics()).gem_score.at(token_symbol).observe(score)


def record_confidence_score(token_symbol: str, score: float) -> None:
    """Count a confidence from 0 to 1: the histogram `confidence_score_distribution{token_symbol}`."""
    _scanner(default_metrics()).confidence.at(token_symbol).observe(score)


class _Scanner:
    def __init__(self, meters: Meters) -> None:
        self.requests = meters.counter("scan_requests_total", "Scans by outcome.", "token_symbol", "status")
        self.duration = meters.histogram(
            "scan_duration_seconds", "How long a scan takes.", "token_symbol", "status", buckets=_DURATION_BUCKETS
        )
        self.errors = meters.counter("scan_errors_total", "Errors of scans by type.", "token_symbol", "error_type")
        self.gem_score = meters.histogram(
            "gem_score_distribution", "Scores that scans gave, from 0 to 100.", "token_symbol", buckets=_SCORE_BUCKETS
        )
        self.confidence = meters.histogram(
            "confidence_score_distribution", "How sure scans were, from 0 to 1.", "token_symbol", buckets=_CONFIDENCE_BUCKETS
        )


@functools.cache
def _scanner(registry: Metrics) -> _Scanner:
    return _Scanner(Meters(registry))
