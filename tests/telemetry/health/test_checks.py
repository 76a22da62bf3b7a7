"""The usual checks, against the real things."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from specwatch.telemetry.health import (
    Health,
    HealthCheck,
    HealthChecker,
    Report,
    Verdict,
    database_check,
    disk_check,
    http_check,
    redis_check,
)
from specwatch.telemetry.metrics import Metrics
from tests.tools import free_port


def ask(check: HealthCheck) -> Verdict:
    """Return the check's verdict, asked from an event loop."""
    return only(asyncio.run(Health({"it": check}, registry=Metrics()).report_async()))


def only(report: Report) -> Verdict:
    """Return the verdict of the one check."""
    found = report.checks["it"]
    assert isinstance(found, Verdict)
    return found


@pytest.mark.parametrize("kind", ["engine", "session", "scoped", "factory", "connection", "raw", "function", "own function"])
def test_every_way_to_a_database_is_asked(kind: str, database_file: Path) -> None:
    """Ensure engines, sessions, factories, connections and functions that make one are all taken, and closed again."""
    engine = create_engine(f"sqlite:///{database_file}")
    opened: list[sqlite3.Connection] = []

    def connect() -> sqlite3.Connection:
        opened.append(sqlite3.connect(database_file))
        return opened[-1]

    with Session(engine) as session, engine.connect() as connection, sqlite3.connect(database_file, check_same_thread=False) as raw:
        ways: dict[str, Any] = {
            "engine": engine,
            "session": session,
            "scoped": scoped_session(sessionmaker(engine)),
            "factory": sessionmaker(engine),
            "connection": connection,
            "raw": raw,
            "function": engine.connect,
            "own function": connect,
        }
        assert only(Health({"it": database_check(ways[kind])}, registry=Metrics()).report()).status == "healthy"
        assert ask(database_check(ways[kind])).status == "healthy"
        for each in opened:
            with pytest.raises(sqlite3.ProgrammingError):
                each.execute("SELECT 1")
    raw.close()
    engine.dispose()


@pytest.mark.parametrize("kind", ["engine", "session", "factory", "connection"])
def test_every_async_way_to_a_database_is_asked(kind: str, database_file: Path) -> None:
    """Ensure async engines, sessions, factories and connections are awaited on the event loop that they live on."""

    async def run() -> Verdict:
        engine = create_async_engine(f"sqlite+aiosqlite:///{database_file}")
        async with AsyncSession(engine) as session, engine.connect() as connection:
            ways: dict[str, Any] = {"engine": engine, "session": session, "factory": async_sessionmaker(engine), "connection": connection}
            report = await Health({"it": database_check(ways[kind])}, registry=Metrics()).report_async()
        await engine.dispose()
        return only(report)

    assert asyncio.run(run()).status == "healthy"


def test_a_check_leaves_a_sessions_transaction_alone(database_file: Path) -> None:
    """Ensure the request's session neither sees the check nor loses what it has not committed."""
    engine = create_engine(f"sqlite:///{database_file}")
    with Session(engine) as session:
        session.execute(text("CREATE TABLE orders (id INTEGER)"))
        session.execute(text("INSERT INTO orders VALUES (1)"))
        assert only(Health({"it": database_check(session)}, registry=Metrics()).report()).status == "healthy"
        assert session.in_transaction()
        assert session.execute(text("SELECT count(*) FROM orders")).scalar_one() == 1
    engine.dispose()


def test_a_database_that_is_not_there_is_unhealthy(tmp_path: Path) -> None:
    """Ensure the report has the error's kind, and that nothing is raised."""
    engine = create_engine(f"sqlite:///{tmp_path}/none/shop.db")
    found = ask(database_check(engine))
    assert found.status == "unhealthy"
    assert found.error.startswith("OperationalError")


@pytest.mark.parametrize("asynchronous", [False, True])
def test_redis_is_pinged(redis_port: int, asynchronous: bool) -> None:
    """Ensure both of redis-py's clients are taken."""

    async def run() -> Verdict:
        if not asynchronous:
            with redis.Redis(port=redis_port) as client:
                return only(await Health({"it": redis_check(client)}, registry=Metrics()).report_async())
        async with redis.asyncio.Redis(port=redis_port) as client_async:
            return only(await Health({"it": redis_check(client_async)}, registry=Metrics()).report_async())

    assert asyncio.run(run()).status == "healthy"


def test_a_redis_that_is_not_there_is_unhealthy() -> None:
    """Ensure the error is in the report."""
    with redis.Redis(port=free_port(), retry=Retry(NoBackoff(), 0)) as client:
        found = ask(redis_check(client))
    assert (found.status, found.error.split(":")[0]) == ("unhealthy", "ConnectionError")


@pytest.mark.parametrize(("path", "status"), [("/200", "healthy"), ("/204", "healthy"), ("/500", "degraded"), ("/404", "degraded")])
def test_a_service_that_answers_is_healthy_or_degraded(neighbour: str, path: str, status: str) -> None:
    """Ensure the document's rule: any answer but success is degraded."""
    assert ask(http_check(neighbour + path)).status == status


def test_a_service_that_does_not_answer_is_unhealthy(neighbour: str) -> None:
    """Ensure a refused connection and one that hangs are unhealthy."""
    assert ask(http_check(f"http://127.0.0.1:{free_port()}/health")).status == "unhealthy"
    assert ask(http_check(f"{neighbour}/hangs", timeout_seconds=0.05)).status == "unhealthy"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "health", "ftp://127.0.0.1/"])
def test_only_http_is_asked(url: str) -> None:
    """Ensure a slip in a URL is told where it is made."""
    with pytest.raises(ValueError, match="expected http"):
        http_check(url)


@pytest.mark.parametrize(("degraded", "unhealthy", "status"), [(0.0, 0.0, "healthy"), (1.1, 0.0, "degraded"), (1.1, 1.1, "unhealthy")])
def test_a_disk_is_judged_by_its_free_share(tmp_path: Path, degraded: float, unhealthy: float, status: str) -> None:
    """Ensure both bounds hold, and that the report has the figures."""
    found = ask(disk_check(tmp_path, degraded_below=degraded, unhealthy_below=unhealthy))
    assert found.status == status
    assert {"free_bytes", "free_ratio"} <= found.details.keys()


def test_the_documents_class_answers_by_its_names(redis_port: int, neighbour: str, database_file: Path) -> None:
    """Ensure HealthChecker's methods and its comprehensive report have the document's shape."""

    async def run() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{database_file}")
        async with AsyncSession(engine) as session, redis.asyncio.Redis(port=redis_port) as client:
            checker = HealthChecker(session, client, external={"main_app": f"{neighbour}/200"}, registry=Metrics())
            assert (await checker.check_database()).keys() == {"status", "latency_ms"}
            assert (await checker.check_redis())["status"] == "healthy"
            assert (await checker.check_external_services())["main_app"]["status"] == "healthy"
            report = await checker.comprehensive_health_check()
            assert report.keys() == {"status", "timestamp", "checks"}
            assert report["status"] == "healthy"
            assert isinstance(report["checks"], dict)
            assert report["checks"].keys() == {"database", "redis", "external"}
        await engine.dispose()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("external", "status"),
    [
        (lambda url: f"{url}/500", "degraded"),
        (lambda _: f"http://127.0.0.1:{free_port()}/", "degraded"),
        (lambda _: http_check(f"http://127.0.0.1:{free_port()}/"), "unhealthy"),
    ],
)
def test_a_neighbour_that_fails_degrades_us(neighbour: str, external: Callable[[str], Any], status: str) -> None:
    """Ensure our replicas stay in service while another service is down, unless it is said that we cannot do without it."""
    checker = HealthChecker(external={"main_app": external(neighbour)}, registry=Metrics())
    assert asyncio.run(checker.comprehensive_health_check())["status"] == status


def test_a_part_that_was_not_given_is_told() -> None:
    """Ensure asking for a database that the checker has none of says so."""
    found = asyncio.run(HealthChecker(registry=Metrics()).check_database())
    assert found["status"] == "unhealthy"
    assert "no check called database" in str(found["error"])
