"""Is the service able to work: named checks, each with its own verdict and latency."""

import logging
import time
from collections.abc import Callable, Mapping

Check = Callable[[], object]
"""Returns when what it looks at is fine, and raises when it is not."""


def run_checks(checks: Mapping[str, Check]) -> tuple[dict[str, object], bool]:
    """Run every check and return (report, healthy).

    The report is `{"status": "healthy"|"unhealthy", "checks": {name: {"status": …, "latency_ms": …}}}`, with an
    `error` for a check that raised. A service without checks is healthy: it answers.
    """
    verdicts = {name: _verdict(name, check) for name, check in checks.items()}
    healthy = all(verdict["status"] == "healthy" for verdict in verdicts.values())
    return {"status": "healthy" if healthy else "unhealthy", "checks": verdicts}, healthy


def _verdict(name: str, check: Check) -> dict[str, object]:
    started = time.perf_counter()
    error = None
    try:
        check()
    except Exception as failure:  # noqa: BLE001 - whatever a check raises is its verdict
        error = f"{type(failure).__name__}: {failure}"
        logging.getLogger(__name__).warning("Health check failed", extra={"check": name, "error": error})
    latency_ms = round((time.perf_counter() - started) * 1000, 2)
    if error is None:
        return {"status": "healthy", "latency_ms": latency_ms}
    return {"status": "unhealthy", "latency_ms": latency_ms, "error": error}
