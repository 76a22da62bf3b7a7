from collections.abc import Iterator

import pytest

from specwatch.telemetry.context import attach
from specwatch.telemetry.tracing import shutdown_tracing
from tests.telemetry.requests.servers import Seen
from tests.telemetry.tracing.spans import Exported, exported_spans


@pytest.fixture(autouse=True)
def no_request() -> Iterator[None]:
    """Each test ends outside of any request, with no tracing set up."""
    yield
    shutdown_tracing(0)
    attach(None)


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Exported:
    """Every trace is exported to memory."""
    return exported_spans(monkeypatch)
