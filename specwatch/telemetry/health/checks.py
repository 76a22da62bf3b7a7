"""The usual checks: a database, Redis, another service over HTTP, room on a disk.

None of them imports a client library: they use what the application hands them.
"""

import inspect
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from specwatch.telemetry.health.verdict import HealthCheck

_QUERY: Final = "SELECT 1"
_OK: Final = range(200, 300)


def database_check(
    database: Any,
    *,
    timeout_seconds: float | None = None,
    cache_seconds: float | None = None,
    critical: bool = True,
    slow_ms: float | None = None,
) -> HealthCheck:
    """Return a check that asks the database `SELECT 1`.

    An SQLAlchemy engine or session is asked over a connection of its own from the engine's pool, so that a check neither waits for a
    request's session nor ends its transaction. A DB-API connection is used as it is: prefer a function that opens one.

    Args:
        database: an SQLAlchemy engine, session or session factory, plain or async; a DB-API connection; a pool or client with
            `connection()` or an async `execute()` (psycopg, asyncpg, databases); or a function that returns any of these, which is
            closed after use.
        timeout_seconds: see `HealthCheck`, as for the others.
        cache_seconds: see `HealthCheck`.
        critical: see `HealthCheck`.
        slow_ms: see `HealthCheck`.
    """

    async def ask_async() -> None:
        await _ask_async(database)

    def ask() -> None:
        _ask(database)

    probe = ask_async if _is_async(database) else ask
    return HealthCheck(probe, timeout_seconds=timeout_seconds, cache_seconds=cache_seconds, critical=critical, slow_ms=slow_ms)


def redis_check(
    client: Any,
    *,
    timeout_seconds: float | None = None,
    cache_seconds: float | None = None,
    critical: bool = True,
    slow_ms: float | None = None,
) -> HealthCheck:
    """Return a check that sends PING; `client` is a `redis.Redis` or a `redis.asyncio.Redis`, or anything with such a `ping`."""

    async def ping_async() -> object:
        return _ponged(await client.ping())

    def ping() -> object:
        return _ponged(client.ping())

    asynchronous = any(inspect.iscoroutinefunction(getattr(client, name, None)) for name in ("ping", "execute_command"))
    probe: Callable[[], object] = ping_async if asynchronous else ping
    return HealthCheck(probe, timeout_seconds=timeout_seconds, cache_seconds=cache_seconds, critical=critical, slow_ms=slow_ms)


def http_check(
    url: str, *, timeout_seconds: float = 5.0, cache_seconds: float | None = None, critical: bool = True, slow_ms: float | None = None
) -> HealthCheck:
    """Return a check of another service: healthy when it answers 2xx, degraded with any other answer, unhealthy without one (004).

    Raises ValueError when `url` is not an http or https URL.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no URL that can be asked; expected http:// or https://")

    def ask() -> dict[str, object]:
        # Imported when first asked: an application without such a check does not pay for it.
        from urllib.error import HTTPError  # noqa: PLC0415  # see above
        from urllib.request import Request, urlopen  # noqa: PLC0415  # see above

        try:
            with urlopen(Request(url, headers={"User-Agent": "specwatch-health"}), timeout=timeout_seconds) as answer:  # noqa: S310  # its scheme was looked at above
                code = answer.status
        except HTTPError as error:
            code = error.code
            error.close()
        if code in _OK:
            return {"status": "healthy"}
        return {"status": "degraded", "error": f"answered {code}"}

    return HealthCheck(ask, timeout_seconds=timeout_seconds, cache_seconds=cache_seconds, critical=critical, slow_ms=slow_ms)


def disk_check(
    path: str | Path = "/",
    *,
    degraded_below: float = 0.1,
    unhealthy_below: float = 0.02,
    timeout_seconds: float | None = None,
    cache_seconds: float | None = None,
    critical: bool = True,
) -> HealthCheck:
    """Return a check of the room on the disk that holds `path`, with `free_bytes` and `free_ratio` in its report.

    Args:
        path: a file or folder on the disk.
        degraded_below: the free share, from 0 to 1, below which the check is degraded.
        unhealthy_below: the free share below which it is unhealthy.
        timeout_seconds: see `HealthCheck`.
        cache_seconds: see `HealthCheck`.
        critical: see `HealthCheck`.
    """

    def look() -> dict[str, object]:
        usage = shutil.disk_usage(path)
        ratio = usage.free / usage.total if usage.total else 0.0
        found: dict[str, object] = {"status": "healthy", "free_bytes": usage.free, "free_ratio": round(ratio, 4)}
        if ratio < degraded_below:
            found["status"] = "unhealthy" if ratio < unhealthy_below else "degraded"
            found["error"] = f"{ratio:.1%} of {path} are free"
        return found

    return HealthCheck(look, timeout_seconds=timeout_seconds, cache_seconds=cache_seconds, critical=critical)


def _ponged(answer: object) -> bool:
    return answer not in (False, None)


def _is_async(database: Any) -> bool:
    """Return whether the database, or what a function makes of it, is to be awaited."""
    made = getattr(database, "class_", database)  # an SQLAlchemy session factory says what it makes
    methods = ("execute", "commit", "dispose", "close", "rollback")
    return inspect.iscoroutinefunction(database) or any(inspect.iscoroutinefunction(getattr(made, name, None)) for name in methods)


def _ask(database: Any) -> None:
    if hasattr(database, "get_bind"):  # an SQLAlchemy session, also a scoped one
        database = database.get_bind()
    if hasattr(database, "exec_driver_sql"):  # an SQLAlchemy connection
        database.exec_driver_sql(_QUERY).fetchone()
    elif hasattr(database, "dialect"):  # an SQLAlchemy engine
        with database.connect() as connection:
            connection.exec_driver_sql(_QUERY).fetchone()
    elif hasattr(database, "cursor"):  # a DB-API connection (PEP 249)
        cursor = database.cursor()
        try:
            cursor.execute(_QUERY)
            cursor.fetchone()
        finally:
            cursor.close()
    elif hasattr(database, "connection"):  # a pool such as psycopg's
        with database.connection() as connection:
            _ask(connection)
    elif callable(database):
        made = database()
        try:
            _ask(made)
        finally:
            if hasattr(made, "close"):
                made.close()
    else:
        database.execute(_QUERY)


async def _ask_async(database: Any) -> None:
    if hasattr(database, "sync_session"):  # an SQLAlchemy session
        database = database.bind or database
    if hasattr(database, "exec_driver_sql"):  # an SQLAlchemy connection
        await database.exec_driver_sql(_QUERY)
    elif hasattr(database, "sync_engine"):  # an SQLAlchemy engine
        async with database.connect() as connection:
            await connection.exec_driver_sql(_QUERY)
    elif hasattr(database, "sync_session"):  # a session whose tables have engines of their own
        await (await database.connection()).exec_driver_sql(_QUERY)
    elif hasattr(database, "execute"):
        await database.execute(_QUERY)
    else:
        made = await _awaited(database())
        try:
            await _ask_async(made)
        finally:
            if hasattr(made, "close"):
                await _awaited(made.close())


async def _awaited(value: Any) -> Any:
    return await value if isinstance(value, Awaitable) else value
