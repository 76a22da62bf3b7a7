"""The class of document 004, by its names."""

from collections.abc import Mapping
from typing import Any, Final

from specwatch.telemetry.health.checks import database_check, http_check, redis_check
from specwatch.telemetry.health.service import Health
from specwatch.telemetry.health.verdict import Checks, HealthCheck, Verdict
from specwatch.telemetry.settings import Settings

_DATABASE: Final = "database"
_REDIS: Final = "redis"
_EXTERNAL: Final = "external"


class HealthChecker(Health):
    """A database, Redis and the services beside ours, each asked with a time-out.

    An external service that does not answer makes ours degraded, not unhealthy: taking our own replicas out of service would not bring
    it back. `external` may hold a `HealthCheck` (from `http_check(url, critical=True)`) where ours is of no use without it.

    Args:
        db_session: see `database_check`; None when there is none.
        redis_client: see `redis_check`; None when there is none.
        external: the services beside ours, by name: the URL of each one's health endpoint, or a check.
        checks: further checks, by name.
        registry: see `Health`, as for the others.
        timeout_seconds: see `Health`.
        cache_seconds: see `Health`.
        switches: see `Health`.
    """

    def __init__(
        self,
        db_session: Any = None,
        redis_client: Any = None,
        *,
        external: Mapping[str, str | HealthCheck] | None = None,
        checks: Checks | None = None,
        registry: object | None = None,
        timeout_seconds: float = 5.0,
        cache_seconds: float = 0.0,
        switches: Settings | None = None,
    ) -> None:
        super().__init__(registry=registry, timeout_seconds=timeout_seconds, cache_seconds=cache_seconds, switches=switches)
        self.db = db_session
        self.redis = redis_client
        if db_session is not None:
            self.add(_DATABASE, database_check(db_session))
        if redis_client is not None:
            self.add(_REDIS, redis_check(redis_client))
        for name, service in (external or {}).items():
            check = http_check(service, timeout_seconds=timeout_seconds, critical=False) if isinstance(service, str) else service
            self.add(name, check, group=_EXTERNAL)
        self.add_all(checks or {})

    async def check_database(self) -> dict[str, object]:
        """Return `{"status", "latency_ms"}` of the database, with an `error` when it is unhealthy."""
        return (await self.one_async(_DATABASE)).as_json()

    async def check_redis(self) -> dict[str, object]:
        """Return `{"status", "latency_ms"}` of Redis, with an `error` when it is unhealthy."""
        return (await self.one_async(_REDIS)).as_json()

    async def check_external_services(self) -> dict[str, dict[str, object]]:
        """Return `{"status", "latency_ms"}` of each external service by name."""
        verdicts = (await self.report_async(group=_EXTERNAL)).checks.get(_EXTERNAL, {})
        return {} if isinstance(verdicts, Verdict) else {name: verdict.as_json() for name, verdict in verdicts.items()}

    async def comprehensive_health_check(self) -> dict[str, object]:
        """Return `{"status", "timestamp", "checks": {"database", "redis", "external", …}}`, all asked at the same time."""
        return (await self.report_async()).as_json()
