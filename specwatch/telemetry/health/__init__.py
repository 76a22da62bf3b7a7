"""Is the service able to work: named checks, each with a time-out and a verdict of its own (document 004).

A check is any function that returns when what it looks at is fine and raises when it is not, plain or async. `database_check`,
`redis_check`, `http_check` and `disk_check` make the usual ones.
"""

from specwatch.telemetry.health.checker import HealthChecker
from specwatch.telemetry.health.checks import database_check, disk_check, http_check, redis_check
from specwatch.telemetry.health.service import Health, run_checks
from specwatch.telemetry.health.verdict import Check, Checks, HealthCheck, Report, Status, Verdict

__all__ = [
    "Check",
    "Checks",
    "Health",
    "HealthCheck",
    "HealthChecker",
    "Report",
    "Status",
    "Verdict",
    "database_check",
    "disk_check",
    "http_check",
    "redis_check",
    "run_checks",
]
