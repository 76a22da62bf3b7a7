"""What a check says, and what all of them together mean."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, cast

from specwatch.telemetry._text import described

Status = Literal["healthy", "degraded", "unhealthy"]

Check = Callable[[], object]
"""Returns when what it looks at is fine and raises when it is not; plain or async.

It may also return False (unhealthy), a status, or a mapping with a `status` and whatever else belongs into the report.
"""

_WORSE: Final = ("healthy", "degraded", "unhealthy")
STATUS_VALUES: Final = {"healthy": 1.0, "degraded": 0.5, "unhealthy": 0.0}
"""What the gauge `health_check_status` shows for each status."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A check and how it is to be run.

    Attributes:
        probe: the check itself.
        timeout_seconds: how long it may take before it counts as unhealthy; None takes the default of the `Health` it is in.
        cache_seconds: how long its verdict is shown again; None takes the default of the `Health` it is in.
        critical: false for something the service can do without: its failure makes the service degraded, not unhealthy.
        slow_ms: an answer that takes longer than this makes the check degraded; None for any time.
        ready: whether `/health/ready` looks at it.
        live: whether `/health/live` looks at it; a failure there is what gets a process killed and started anew.
    """

    probe: Check
    timeout_seconds: float | None = None
    cache_seconds: float | None = None
    critical: bool = True
    slow_ms: float | None = None
    ready: bool = True
    live: bool = False

    def __call__(self) -> object:
        """Return what the probe returns."""
        return self.probe()


Checks = Mapping[str, Check | Mapping[str, Check]]
"""Checks by name; a mapping in place of a check is a group, which the report shows as one (004's `external`)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check said: its status, how long it took in milliseconds, the error if there was one, and its further details."""

    status: Status
    latency_ms: float
    error: str = ""
    details: Mapping[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return the verdict as 004 shows it: `status`, `latency_ms`, then `error` and details where there are any."""
        error = {"error": self.error} if self.error else {}
        return {"status": self.status, "latency_ms": self.latency_ms, **error, **self.details}


@dataclass(frozen=True, slots=True)
class Report:
    """What all checks said.

    Attributes:
        status: the worst of them; a check that is not critical counts as degraded at most.
        checks: verdicts by name, in groups where the checks were.
        time: when they were asked.
    """

    status: Status
    checks: Mapping[str, Verdict | Mapping[str, Verdict]]
    time: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def http_status(self) -> int:
        """503 when unhealthy, else 200: a degraded service still serves."""
        return 503 if self.status == "unhealthy" else 200

    def as_json(self) -> dict[str, object]:
        """Return the report as 004 shows it: `status`, `timestamp` and `checks`."""
        checks = {
            name: verdict.as_json() if isinstance(verdict, Verdict) else {inner: each.as_json() for inner, each in verdict.items()}
            for name, verdict in self.checks.items()
        }
        return {
            "status": self.status,
            "timestamp": self.time.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "checks": checks,
        }


def worst(statuses: Iterable[Status]) -> Status:
    """Return the worst of the statuses; healthy when there are none."""
    return max(statuses, key=_WORSE.index, default="healthy")


def judge(check: HealthCheck, result: object, error: BaseException | None, seconds: float) -> Verdict:
    """Return what a run that ended means."""
    latency_ms = round(seconds * 1000, 2)
    if error is not None:
        return Verdict("unhealthy", latency_ms, described(error))
    status: Status = "healthy"
    details: dict[str, object] = {}
    if isinstance(result, Mapping):
        details = {str(key): value for key, value in result.items()}
        result = details.pop("status", "healthy")
    if result is False:
        return Verdict("unhealthy", latency_ms, str(details.pop("error", "returned False")), details)
    if isinstance(result, str) and result in _WORSE:
        status = cast(Status, result)
    found = str(details.pop("error", ""))
    details.pop("latency_ms", None)
    if status == "healthy" and check.slow_ms is not None and latency_ms > check.slow_ms:
        return Verdict("degraded", latency_ms, f"slower than {check.slow_ms:g} ms", details)
    return Verdict(status, latency_ms, found, details)
