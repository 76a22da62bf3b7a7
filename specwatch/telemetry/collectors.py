"""Business figures that are looked up every few seconds, away from requests and scrapes (documents 000 and 004)."""

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeVar

from specwatch.telemetry._meters import Meters
from specwatch.telemetry._runs import Call, Run, in_thread, is_async, on_loop
from specwatch.telemetry._text import described
from specwatch.telemetry.settings import Settings, settings

_Collect = TypeVar("_Collect", bound=Call)
_EVERY_SECONDS: Final = 15.0
_TIMEOUT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Schedule:
    name: str
    collect: Call
    every_seconds: float
    timeout_seconds: float


class PeriodicCollectors:
    """Runs collectors beside the program, so that a slow or broken one stalls neither a request, nor a scrape, nor the others.

    `business_collector_failures_total{collector}` counts each run that raised or did not end in time. A run that hangs is left behind
    and counted once a period until it ends; there is never a second one of it. `business_collector_last_success_timestamp_seconds`
    and `business_collector_duration_seconds` say how fresh a figure is and what it cost.

    `start` and `stop` (or `with`) run each collector in a thread of its own; `async with` runs async collectors as tasks of the event loop,
    where their clients live, and the others in threads. Where several workers share `PROMETHEUS_MULTIPROC_DIR`, only one of them runs
    a collector at a time, and another takes over when that one ends, so that the database is asked once and not once for each worker.

    Args:
        registry: where the metrics about the collectors are registered; the default registry when left out.
        collectors: names and functions, plain or async; a function sets the gauges that it is about.
        every_seconds: time from the end of a run to the next one.
        timeout_seconds: how long a run may take before it counts as failed.
        one_worker: false runs every collector in every worker.
        switches: `settings()` when left out; with metrics off nothing is ever started.

    Raises:
        ValueError: two collectors have one name, or a time is not above 0.
    """

    def __init__(
        self,
        registry: object | None = None,
        collectors: Iterable[tuple[str, Call]] = (),
        *,
        every_seconds: float = _EVERY_SECONDS,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        one_worker: bool = True,
        switches: Settings | None = None,
    ) -> None:
        switches = switches or settings()
        self._enabled = switches.metrics_enabled
        self._folder = Path(switches.multiproc_dir) if one_worker and switches.multiproc_dir else None
        self._every_seconds = every_seconds
        self._timeout_seconds = timeout_seconds
        self._schedules: dict[str, _Schedule] = {}
        self._stopped = threading.Event()
        self._started_in = 0
        self._tasks: list[asyncio.Task[None]] = []
        if self._enabled:
            meters = Meters(registry)
            self._failures = meters.counter(
                "business_collector_failures_total", "Runs of a business collector that raised or took too long.", "collector"
            )
            self._fresh = meters.gauge(
                "business_collector_last_success_timestamp_seconds", "When a business collector last succeeded.", "collector"
            )
            self._duration = meters.gauge(
                "business_collector_duration_seconds", "How long the last successful run of a business collector took.", "collector"
            )
        for name, collect in collectors:
            self.add(name, collect)

    def add(self, name: str, collect: Call, *, every_seconds: float | None = None, timeout_seconds: float | None = None) -> None:
        """Add a collector, with times of its own where they are given; before `start`."""
        schedule = _Schedule(name, collect, every_seconds or self._every_seconds, timeout_seconds or self._timeout_seconds)
        if min(schedule.every_seconds, schedule.timeout_seconds) <= 0:
            raise ValueError(f"collector {name}: its times must be above 0 seconds")
        if name in self._schedules:
            raise ValueError(f"collector {name}: there is one of this name already")
        self._schedules[name] = schedule
        if self._enabled:
            self._failures.at(name)

    def every(self, seconds: float, *, name: str = "", timeout_seconds: float | None = None) -> Callable[[_Collect], _Collect]:
        """Return a decorator that adds the function as a collector, under its own name when none is given."""

        def decorate(collect: _Collect) -> _Collect:
            self.add(
                name or getattr(collect, "__name__", type(collect).__name__),
                collect,
                every_seconds=seconds,
                timeout_seconds=timeout_seconds,
            )
            return collect

        return decorate

    def start(self) -> None:
        """Run every collector now and then every period, until `stop` or the end of the process.

        A second call does nothing, except in a process that was forked after the first: threads stay behind in a fork. A server that
        loads the application before it forks its workers calls this in each of them (gunicorn: `post_fork`).
        """
        if not self._enabled or self._started_in == os.getpid():
            return
        self._started_in = os.getpid()
        self._stopped = threading.Event()
        for schedule in self._schedules.values():
            threading.Thread(target=self._repeat, args=(schedule, self._stopped), name=f"collect-{schedule.name}", daemon=True).start()

    def stop(self) -> None:
        """Start no further run."""
        self._stopped.set()
        self._started_in = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        if self._enabled and not self._tasks:
            self._tasks = [asyncio.create_task(self._repeat_async(each), name=f"collect-{each.name}") for each in self._schedules.values()]
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _repeat(self, schedule: _Schedule, stopped: threading.Event) -> None:
        run: Run | None = None
        with _Turn(self._folder, schedule.name) as turn:
            while not stopped.is_set():
                if turn.mine():
                    if run is None or not run.running():
                        run = in_thread(schedule.collect, f"collect-{schedule.name}-run")
                    self._settle(schedule, run, ended=run.wait(schedule.timeout_seconds))
                stopped.wait(schedule.every_seconds)

    async def _repeat_async(self, schedule: _Schedule) -> None:
        start = on_loop if is_async(schedule.collect) else in_thread
        run: Run | None = None
        with _Turn(self._folder, schedule.name) as turn:
            try:
                while True:
                    if turn.mine():
                        if run is None or not run.running():
                            run = start(schedule.collect, f"collect-{schedule.name}-run")
                        self._settle(schedule, run, ended=await run.wait_async(schedule.timeout_seconds))
                    await asyncio.sleep(schedule.every_seconds)
            finally:
                if run is not None:
                    run.cancel()

    def _settle(self, schedule: _Schedule, run: Run, *, ended: bool) -> None:
        if not ended:
            run.cancel()
            self._failed(schedule.name, f"did not end within {schedule.timeout_seconds:g} s")
        elif error := run.future.exception():
            self._failed(schedule.name, described(error))
        else:
            self._fresh.at(schedule.name).set(time.time())
            self._duration.at(schedule.name).set(run.seconds)

    def _failed(self, name: str, error: str) -> None:
        self._failures.at(name).inc()
        logging.getLogger(__name__).warning("Business collector failed", extra={"collector": name, "error": error})


class _Turn:
    """Whose turn a collector is: of all workers that share the folder, the one that holds the lock on the collector's file.

    The kernel lets go of the lock when its process ends, however that happens. It is a lock of the process, which a fork does not inherit.
    """

    def __init__(self, folder: Path | None, name: str) -> None:
        self._file: Path | None = None
        self._descriptor = -1
        if folder is not None:
            from specwatch.telemetry.metrics.slots import COLLECTORS_NAME  # noqa: PLC0415  # a gunicorn config says first where the folder is

            self._file = folder / COLLECTORS_NAME / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.lock"

    def mine(self) -> bool:
        """Return whether this worker may run the collector now; without a folder to share, or where it cannot be written, always."""
        if self._file is None or self._descriptor >= 0:
            return True
        descriptor = -1
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:
            if descriptor >= 0:
                os.close(descriptor)
            return True
        self._descriptor = descriptor
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1
