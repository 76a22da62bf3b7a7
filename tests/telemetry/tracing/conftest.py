from collections.abc import Iterator

import pytest

from specwatch.telemetry.context import attach
from specwatch.telemetry.tracing import shutdown_tracing
from tests.telemetry.services import redis_port
from tests.telemetry.tracing.spans import Exported, exported_spans

__all__ = ["redis_port"]


@pytest.fixture(autouse=True)
def no_tracing() -> Iterator[None]:
    """Each test ends as it began: outside of any span, with nothing set up."""
    yield
    shutdown_tracing(0)
    attach(None)


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Exported:
    """Every trace is exported to memory."""
    return exported_spans(monkeypatch)
