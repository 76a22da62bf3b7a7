import contextvars
import logging
from collections.abc import Iterator

import pytest

from specwatch.telemetry.context import attach
from specwatch.telemetry.logs import LogContext


@pytest.fixture(autouse=True)
def no_context(monkeypatch: pytest.MonkeyPatch) -> Iterator[contextvars.Context]:
    """Each test starts outside of any request, without context fields and without the settings of the machine."""
    for name in ("SERVICE_NAME", "OTEL_SERVICE_NAME", "ENVIRONMENT", "APP_VERSION"):
        monkeypatch.delenv(name, raising=False)
    levels = {name: logging.getLogger(name).level for name in ("uvicorn", "sqlalchemy")}
    yield contextvars.copy_context()
    attach(None)
    LogContext.clear()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
