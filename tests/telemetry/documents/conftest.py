import logging
from collections.abc import Iterator

import pytest

from specwatch.telemetry.context import attach
from specwatch.telemetry.logs import LogContext
from specwatch.telemetry.metrics import default_metrics
from specwatch.telemetry.tracing import shutdown_tracing
from tests.telemetry.services import database_file, neighbour, redis_port
from tests.telemetry.tracing.spans import Exported, exported_spans

__all__ = ["database_file", "neighbour", "redis_port"]


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test starts with a default registry of its own, without the machine's settings, and leaves no context behind."""
    default_metrics.cache_clear()
    for name in ("SERVICE_NAME", "OTEL_SERVICE_NAME", "ENVIRONMENT", "APP_VERSION", "METRICS_ENABLED", "PROMETHEUS_MULTIPROC_DIR"):
        monkeypatch.delenv(name, raising=False)
    levels = {name: logging.getLogger(name).level for name in ("uvicorn", "sqlalchemy")}
    yield
    default_metrics.cache_clear()
    shutdown_tracing(0)
    attach(None)
    LogContext.clear()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Exported:
    """Every trace is exported to memory."""
    return exported_spans(monkeypatch)
