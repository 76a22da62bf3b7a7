"""Operations of an application: how many succeed, how many fail, how long they take."""

import sys
import time
from typing import Final

from specwatch.telemetry.metrics.children import NullChild
from specwatch.telemetry.metrics.definition import Definition
from specwatch.telemetry.metrics.instruments import Counter, Histogram
from specwatch.telemetry.metrics.registry import Metrics, default_metrics
from specwatch.telemetry.metrics.timing import Around

OPERATIONS: Final = Definition(
    "operations_total",
    "counter",
    "Operations that ended, by how they ended.",
    labels={"component": None, "operation": None, "status": ("success", "error", "cancelled")},
)
OPERATION_SECONDS: Final = Definition(
    "operation_duration_seconds",
    "histogram",
    "How long an operation takes, in seconds.",
    "seconds",
    {"component": None, "operation": None},
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
STATUSES: Final = ("success", "error", "cancelled")


def track_operation(component: str, operation: str, *, metrics: Metrics | None = None) -> "TrackedOperation":
    """Return a decorator and context manager that counts and times an operation.

        @track_operation("bundle", "export")
        def export_bundle(bundle_id: str) -> None: ...

        with track_operation("bundle", "import"):
            ...

    Functions, coroutine functions and generators are decorated alike, and `async with` works too. What is counted is
    `operations_total{component, operation, status}`, status being success, error or cancelled, and
    `operation_duration_seconds{component, operation}`.

    Args:
        component: the part of the application, such as `bundle`.
        operation: what it does, such as `export`.
        metrics: the registry; the default one when left out.
    """
    return TrackedOperation(component, operation, metrics)


class TrackedOperation(Around):
    """Counts and times an operation; see `track_operation`."""

    def __init__(self, component: str, operation: str, metrics: Metrics | None = None) -> None:
        self._component = component
        self._operation = operation
        self._metrics = metrics
        self._counter: Counter | NullChild | None = None
        self._seconds: Histogram | NullChild | None = None

    def enter(self) -> float:
        """Return the moment the operation began."""
        if self._counter is None:
            # Not earlier: a module's decorators run before its application has chosen its settings.
            metrics = self._metrics or default_metrics()
            self._seconds = metrics.adopt(OPERATION_SECONDS)
            counter = metrics.adopt(OPERATIONS)
            # rate() needs the series before its first increase.
            for status in STATUSES:
                counter.labels(component=self._component, operation=self._operation, status=status)
            self._counter = counter
        return time.perf_counter()

    def leave(self, begun: float, error: BaseException | None) -> None:
        """Count the operation and how long it took."""
        seconds = time.perf_counter() - begun
        status = "success" if error is None else "cancelled" if _is_cancelled(error) else "error"
        if self._counter is not None and self._seconds is not None:
            self._counter.labels(component=self._component, operation=self._operation, status=status).inc()
            self._seconds.labels(component=self._component, operation=self._operation).observe(seconds)


def _is_cancelled(error: BaseException) -> bool:
    # Who raises its exception has imported asyncio; who does not use it is spared the import.
    asyncio = sys.modules.get("asyncio")
    return isinstance(error, GeneratorExit) or (asyncio is not None and isinstance(error, asyncio.CancelledError))
