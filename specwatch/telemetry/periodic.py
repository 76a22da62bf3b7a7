"""Business figures that are looked up every few seconds, away from requests and scrapes."""

import logging
import threading
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter

from specwatch.telemetry._jsonline import text


class PeriodicCollectors:
    """Runs collectors in threads of their own, so that a slow or broken one stalls neither a scrape nor the others.

    `business_collector_failures_total{collector}` counts each run that raised or did not end in time. A run that
    hangs is left behind and counted once a period until it ends; there is never a second one of it.

    Args:
        registry: where the failure counter is registered.
        collectors: names and functions; a function sets the gauges it is about.
        every_seconds: time between two runs.
        timeout_seconds: how long a run may take before it counts as failed.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        collectors: Sequence[tuple[str, Callable[[], None]]],
        *,
        every_seconds: float = 5.0,
        timeout_seconds: float = 2.0,
    ) -> None:
        self._collectors = tuple(collectors)
        self._every_seconds = every_seconds
        self._timeout_seconds = timeout_seconds
        self._stopped = threading.Event()
        self._failures = Counter(
            "business_collector_failures_total",
            "Runs of a business collector that raised or took too long.",
            ["collector"],
            registry=registry,
        )
        for name, _ in self._collectors:
            self._failures.labels(name)

    def start(self) -> None:
        """Run every collector now and then every period, until `stop` or the end of the process."""
        for name, collect in self._collectors:
            threading.Thread(target=self._repeat, args=(name, collect), name=f"collect-{name}", daemon=True).start()

    def stop(self) -> None:
        """Start no further run."""
        self._stopped.set()

    def _repeat(self, name: str, collect: Callable[[], None]) -> None:
        running: threading.Thread | None = None
        while not self._stopped.is_set():
            if running is None or not running.is_alive():
                running = threading.Thread(target=self._once, args=(name, collect), daemon=True)
                running.start()
            running.join(self._timeout_seconds)
            if running.is_alive():
                self._failed(name, f"did not end within {self._timeout_seconds} s")
            self._stopped.wait(self._every_seconds)

    def _once(self, name: str, collect: Callable[[], None]) -> None:
        try:
            collect()
        except Exception as error:  # noqa: BLE001 - whatever a collector raises must not end its thread
            self._failed(name, f"{type(error).__name__}: {text(error)}")

    def _failed(self, name: str, error: str) -> None:
        self._failures.labels(name).inc()
        logging.getLogger(__name__).warning("Business collector failed", extra={"collector": name, "error": error})
