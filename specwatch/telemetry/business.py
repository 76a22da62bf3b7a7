"""Document 004's `MetricsCollector`: figures that are looked up, and the gauges that show them."""

import inspect
from dataclasses import dataclass
from typing import Any, Final

from specwatch.telemetry._meters import Meters

_STATES: Final = {"active": "active_connections", "idle": "idle_connections", "total": "total_connections"}


@dataclass
class MetricsCollector:
    """Looks up how many database connections are in use and how well the cache does, and shows both.

    A subclass adds the figures of its own business in `collect_business_metrics` and shows them in `export_to_prometheus`, as 004 does;
    `PeriodicCollectors.add("business", collector)` runs the two regularly.

    Attributes:
        redis_client: a `redis.Redis` or `redis.asyncio.Redis`; None when there is none.
        db_session: an SQLAlchemy engine or session, plain or async; None when there is none.
        registry: where `database_connections{state}` and `cache_hit_ratio` are registered; the default registry when None.
    """

    redis_client: Any = None
    db_session: Any = None
    registry: object | None = None

    async def collect_business_metrics(self) -> dict[str, Any]:
        """Return the figures by name: `database` and `cache`, of those there are."""
        found: dict[str, Any] = {}
        if self.db_session is not None:
            found["database"] = await self.get_database_metrics()
        if self.redis_client is not None:
            found["cache"] = await self.get_cache_metrics()
        return found

    async def export_to_prometheus(self, metrics: dict[str, Any]) -> None:
        """Show the figures that `collect_business_metrics` returned; what is missing keeps its last value."""
        meters = Meters(self.registry)
        connections = meters.gauge("database_connections", "Connections of the database pool by state.", "state")
        for state, key in _STATES.items():
            if key in metrics.get("database", {}):
                connections.at(state).set(metrics["database"][key])
        ratio = metrics.get("cache", {}).get("hit_rate")
        if ratio is not None:
            meters.gauge("cache_hit_ratio", "Share of look-ups that the cache answered.").at().set(ratio)

    async def get_database_metrics(self) -> dict[str, int]:
        """Return `active_connections`, `idle_connections` and `total_connections` of the engine's pool; empty where it keeps none."""
        pool: Any = getattr(_engine(self.db_session), "pool", None)
        if not hasattr(pool, "checkedout"):
            return {}
        active, idle = pool.checkedout(), pool.checkedin()
        return {"active_connections": active, "idle_connections": idle, "total_connections": active + idle}

    async def get_cache_metrics(self) -> dict[str, Any]:
        """Return Redis' own `hits` and `misses`, and the `hit_rate` from 0 to 1 (None before the first look-up)."""
        answer = self.redis_client.info("stats")
        stats = await answer if inspect.isawaitable(answer) else answer
        hits, misses = int(stats["keyspace_hits"]), int(stats["keyspace_misses"])
        return {"hits": hits, "misses": misses, "hit_rate": hits / (hits + misses) if hits + misses else None}

    async def __call__(self) -> None:
        """Look everything up and show it."""
        await self.export_to_prometheus(await self.collect_business_metrics())


def _engine(database: Any) -> Any:
    """Return the plain SQLAlchemy engine behind an engine or session, plain or async."""
    if hasattr(database, "sync_session"):
        database = database.sync_session
    if hasattr(database, "get_bind"):
        database = database.get_bind()
    return getattr(database, "sync_engine", getattr(database, "engine", database))
