"""Runs the checks: all at once, each with its own time-out, and shows the verdicts as metrics too."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeVar

from specwatch.telemetry._meters import Meters
from specwatch.telemetry._runs import Call, Run, in_thread, is_async, on_loop
from specwatch.telemetry.collectors import PeriodicCollectors
from specwatch.telemetry.health.verdict import STATUS_VALUES, Check, Checks, HealthCheck, Report, Status, Verdict, judge, worst
from specwatch.telemetry.settings import Settings, settings

Aspect = Literal["all", "live", "ready"]

_CheckFunction = TypeVar("_CheckFunction", bound=Check)
_TIMEOUT_SECONDS: Final = 5.0
_CACHE_SECONDS: Final = 0.0
_MOST_STUCK: Final = 3


class Health:
    """The checks of one service.

    All checks of a report run at the same time, so that a report takes as long as the slowest of them, and never longer than the longest
    time-out. However many ask at once, a check runs once. One that does not come back in time is unhealthy and left behind; after three
    such runs it is not tried again before one of them has ended.

    `health_check_status{check}` is 1 for healthy, 0.5 for degraded and 0 for unhealthy, beside `health_check_duration_seconds{check}` and
    `health_check_failures_total{check}`; they show the last run, so where nobody asks regularly, `watch` does.

    Args:
        checks: what to look at; see `Checks`.
        registry: where the metrics are registered; the default registry when left out.
        timeout_seconds: for each check that says nothing else.
        cache_seconds: for each check that says nothing else; 0 asks anew each time.
        switches: `settings()` when left out; with metrics off there are verdicts and no metrics.
    """

    def __init__(
        self,
        checks: Checks | None = None,
        *,
        registry: object | None = None,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        cache_seconds: float = _CACHE_SECONDS,
        switches: Settings | None = None,
    ) -> None:
        self._registry = registry
        self._switches = switches or settings()
        self._timeout_seconds = timeout_seconds
        self._cache_seconds = cache_seconds
        self._meters: _HealthMeters | None = None
        self._watched: dict[tuple[str, str], _Watched] = {}
        self.add_all(checks or {})

    def add_all(self, checks: Checks) -> None:
        """Add checks and groups of them by name."""
        for name, check in checks.items():
            if isinstance(check, Mapping):
                for inner, each in check.items():
                    self.add(inner, each, group=name)
            else:
                self.add(name, check)

    def add(self, name: str, check: Check, *, group: str = "") -> None:
        """Add a check under its name, in a group or by itself; one of that name before is replaced."""
        chosen = check if isinstance(check, HealthCheck) else HealthCheck(check)
        if self._meters is None and self._switches.metrics_enabled:
            # Not earlier: what has no checks has no metrics of them, and takes no slot among the workers that share a folder.
            self._meters = _HealthMeters(Meters(self._registry))
        self._watched[group, name] = _Watched(
            f"{group}.{name}" if group else name,
            chosen,
            self._timeout_seconds if chosen.timeout_seconds is None else chosen.timeout_seconds,
            self._cache_seconds if chosen.cache_seconds is None else chosen.cache_seconds,
            self._meters,
        )

    def check(self, name: str) -> Callable[[_CheckFunction], _CheckFunction]:
        """Return a decorator that adds the function as a check."""

        def decorate(check: _CheckFunction) -> _CheckFunction:
            self.add(name, check)
            return check

        return decorate

    def report(self, aspect: Aspect = "all") -> Report:
        """Return what every check of the aspect says; blocks this thread until the last verdict."""
        chosen = self._of(aspect)
        begun = [(key, watched, watched.begin(in_thread)) for key, watched in chosen.items()]
        return self._summed({key: watched.verdict(run) if isinstance(run, Run) else run for key, watched, run in begun})

    async def report_async(self, aspect: Aspect = "all", *, group: str | None = None) -> Report:
        """Return what every check of the aspect says; async checks run as tasks of this event loop, the others in threads.

        With `group`, only the checks of that group are asked.
        """
        chosen = {key: watched for key, watched in self._of(aspect).items() if group in {None, key[0]}}
        verdicts = await asyncio.gather(*(watched.verdict_async() for watched in chosen.values()))
        return self._summed(dict(zip(chosen, verdicts, strict=True)))

    async def one_async(self, name: str, *, group: str = "") -> Verdict:
        """Return what one check says; a check that there is none of is unhealthy."""
        watched = self._watched.get((group, name))
        return await watched.verdict_async() if watched else Verdict("unhealthy", 0.0, f"there is no check called {name}")

    def watch(self, every_seconds: float = 15.0) -> PeriodicCollectors:
        """Return collectors that ask every check regularly, for the metrics' sake; `start` them, or enter them with `async with`."""
        longest = max((watched.timeout_seconds for watched in self._watched.values()), default=_TIMEOUT_SECONDS)
        collectors = PeriodicCollectors(self._registry, one_worker=False, switches=self._switches)
        collectors.add("health", self.report, every_seconds=every_seconds, timeout_seconds=longest + 1)
        return collectors

    def _of(self, aspect: Aspect) -> "dict[tuple[str, str], _Watched]":
        return {key: watched for key, watched in self._watched.items() if aspect == "all" or getattr(watched.check, aspect)}

    def _summed(self, verdicts: Mapping[tuple[str, str], Verdict]) -> Report:
        checks: dict[str, Verdict | dict[str, Verdict]] = {}
        for (group, name), verdict in verdicts.items():
            if not group:
                checks[name] = verdict
                continue
            members = checks.setdefault(group, {})
            if isinstance(members, dict):
                members[name] = verdict
        return Report(worst(_weighed(self._watched[key].check, verdict) for key, verdict in verdicts.items()), checks)


def run_checks(checks: Checks, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> tuple[dict[str, object], bool]:
    """Run every check once and return (report, healthy); nothing is kept between two calls.

    The report is `{"status": …, "timestamp": …, "checks": {name: {"status": …, "latency_ms": …}}}`, with an `error` for a check that
    raised. A service without checks is healthy: it answers.
    """
    report = Health(checks, timeout_seconds=timeout_seconds, cache_seconds=0, switches=Settings(metrics_enabled=False)).report()
    return report.as_json(), report.status != "unhealthy"


def _weighed(check: HealthCheck, verdict: Verdict) -> Status:
    return "degraded" if verdict.status == "unhealthy" and not check.critical else verdict.status


class _HealthMeters:
    def __init__(self, meters: Meters) -> None:
        self.status = meters.gauge("health_check_status", "What a health check says: 1 healthy, 0.5 degraded, 0 unhealthy.", "check")
        self.duration = meters.gauge("health_check_duration_seconds", "How long the last run of a health check took.", "check")
        self.failures = meters.counter("health_check_failures_total", "Runs of a health check that found it unhealthy.", "check")


class _Watched:
    """One check, its run on the way and its last verdict."""

    def __init__(self, name: str, check: HealthCheck, timeout_seconds: float, cache_seconds: float, meters: _HealthMeters | None) -> None:
        self.check = check
        self.timeout_seconds = timeout_seconds
        self._name = name
        self._cache_seconds = cache_seconds
        self._meters = meters
        self._lock = threading.Lock()
        self._run: Run | None = None
        self._stuck: list[Run] = []
        self._verdict: Verdict | None = None
        self._until = 0.0
        if meters:
            meters.failures.at(name)

    def begin(self, start: Callable[[Call, str], Run]) -> Run | Verdict:
        """Return the last verdict while it is fresh, else the run on the way, which is started when there is none."""
        with self._lock:
            if self._verdict is not None and time.monotonic() < self._until:
                return self._verdict
            # One that has just ended is about to become the verdict, by whoever has waited for it.
            if self._run is not None and (self._run.running() or self._run.just_ended()):
                return self._run
            self._stuck = [run for run in self._stuck if run.running()]
            if len(self._stuck) >= _MOST_STUCK:
                oldest = self._stuck[0].seconds
                return Verdict("unhealthy", round(oldest * 1000, 2), f"{_MOST_STUCK} runs hang, the oldest for {oldest:.0f} s")
            self._run = start(self.check.probe, f"health-{self._name}")
            return self._run

    def verdict(self, run: Run) -> Verdict:
        """Return what the run says, within its time-out."""
        return self._settle(run, ended=run.wait(self.timeout_seconds - run.seconds))

    async def verdict_async(self) -> Verdict:
        """Return what the check says; the event loop goes on meanwhile."""
        run = self.begin(on_loop if is_async(self.check.probe) else in_thread)
        if isinstance(run, Verdict):
            return run
        return self._settle(run, ended=await run.wait_async(self.timeout_seconds - run.seconds))

    def _settle(self, run: Run, *, ended: bool) -> Verdict:
        if ended:
            error = run.future.exception()
            verdict = judge(self.check, None if error else run.future.result(), error, run.seconds)
        else:
            verdict = Verdict("unhealthy", round(run.seconds * 1000, 2), f"no answer within {self.timeout_seconds:g} s")
        with self._lock:
            if self._run is not run:  # somebody else who waited for the same run has seen to the rest
                return verdict
            self._run = None
            before, self._verdict = self._verdict, verdict
            self._until = time.monotonic() + self._cache_seconds
            if not ended:
                self._stuck.append(run)
        if not ended:
            run.cancel()
        self._tell(before, verdict)
        return verdict

    def _tell(self, before: Verdict | None, verdict: Verdict) -> None:
        if self._meters:
            self._meters.status.at(self._name).set(STATUS_VALUES[verdict.status])
            self._meters.duration.at(self._name).set(verdict.latency_ms / 1000)
            if verdict.status == "unhealthy":
                self._meters.failures.at(self._name).inc()
        # Only what changes: an orchestrator asks every few seconds, and one line each time says nothing new.
        was = before.status if before else "healthy"
        if verdict.status != was:
            facts = {"check": self._name, "status": verdict.status, "error": verdict.error}
            level = logging.INFO if verdict.status == "healthy" else logging.WARNING
            message = "Health check recovered" if verdict.status == "healthy" else "Health check failed"
            logging.getLogger(__name__).log(level, message, extra=facts)
