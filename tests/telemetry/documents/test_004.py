"""Document 004: an analytics service's monitoring and logging, snippet by snippet."""

import asyncio
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis.asyncio
from fastapi import FastAPI, HTTPException, Response
from flask import Flask, g
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from prometheus_client.parser import text_string_to_metric_families as parse_text
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from werkzeug.exceptions import NotFound

from specwatch.telemetry import (
    CONTENT_TYPE_LATEST,
    CustomJsonFormatter,
    HealthChecker,
    LineHandler,
    LoggingMiddleware,
    Metrics,
    MetricsCollector,
    MetricsMiddleware,
    filter_errors,
    generate_latest,
    setup_logging,
    setup_tracing,
    trace_operation,
)
from specwatch.telemetry.metrics.client import Counter, Gauge, Histogram
from tests.telemetry.documents.snippets import Written, python
from tests.telemetry.requests.servers import uvicorn_serving
from tests.telemetry.tracing.spans import Exported, attributes, ids
from tests.tools import free_port

_UUID_OR_HEX = re.compile(r"[0-9a-f-]{32,36}")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    monkeypatch.setenv("APP_VERSION", "1.2.3")
    return Written("analytics-backend", setup_logging)


@pytest.fixture
def registry() -> Metrics:
    return Metrics(strict=True, directory="", enabled=True)


def own(line: dict[str, Any]) -> dict[str, Any]:
    """Return a line without what is the same in all of them, which is checked."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("timestamp"))
    common = {name: line.pop(name) for name in ("service", "environment", "version")}
    assert common == {"service": "analytics-backend", "environment": "development", "version": "1.2.3"}
    return line


def test_structured_logging_setup(written: Written) -> None:
    """The documented fields, and the request's where they are known; uvicorn and SQLAlchemy are heard from WARNING on."""
    assert written.root is logging.getLogger()
    extra = {"request_id": "r-1", "user_id": "u-7", "workspace_id": "w-3"}
    logging.getLogger("backend.api").info("Processing", extra=extra)
    logging.getLogger("backend.api").info("Processing")
    logging.getLogger("uvicorn").info("quiet")
    logging.getLogger("sqlalchemy").info("quiet")
    with_request, without = map(own, written.lines())
    assert without == {"level": "INFO", "name": "backend.api", "message": "Processing"}
    assert with_request == {**without, **extra}
    assert (written.root.level, logging.getLogger("uvicorn").level, logging.getLogger("sqlalchemy").level) == (20, 30, 30)


def test_custom_json_formatter() -> None:
    """A subclass in python-json-logger's way: a format as its argument, `add_fields` on top of ours."""

    class OwnFormatter(CustomJsonFormatter):
        def add_fields(self, log_record: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
            super().add_fields(log_record, record, message_dict)
            log_record["service"] = "analytics-backend"
            log_record["environment"] = "development"
            log_record["version"] = "1.2.3"
            if hasattr(record, "workspace_id"):
                log_record["workspace"] = record.workspace_id

    written = Written()
    [console_handler] = [handler for handler in written.root.handlers if isinstance(handler, LineHandler)]
    formatter = OwnFormatter("%(timestamp)s %(level)s %(name)s %(message)s")
    console_handler.setFormatter(formatter)
    logging.getLogger("backend").info("Processing", extra={"workspace_id": "w-3"})
    assert own(written.line()) == {
        "level": "INFO",
        "name": "backend",
        "message": "Processing",
        "workspace_id": "w-3",
        "workspace": "w-3",
    }


def test_application_logging(written: Written) -> None:
    """Each request has its start and its end or failure, with the documented fields and one request id, which the answer carries."""
    app = FastAPI()
    app.add_middleware(LoggingMiddleware)

    @app.get("/reports/{report}")
    async def report(report: int) -> int:
        return report

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError("no data")

    with uvicorn_serving(app) as url:
        answer = httpx.get(f"{url}/reports/7", headers={"User-Agent": "curl/8"})
        failed = httpx.get(f"{url}/broken")
    assert (answer.status_code, failed.status_code) == (200, 500)
    lines = [line for line in written.lines() if line["message"].startswith("Request")]
    started, completed, started_too, broken_line = [line for line in lines if line["message"] != "Request completed" or "7" in line["path"]]
    assert {key: started[key] for key in ("message", "request_id", "method", "path", "client_ip", "user_agent")} == {
        "message": "Request started",
        "request_id": answer.headers["X-Request-ID"],
        "method": "GET",
        "path": "/reports/7",
        "client_ip": "127.0.0.1",
        "user_agent": "curl/8",
    }
    assert completed.items() >= {"message": "Request completed", "request_id": started["request_id"], "status_code": 200}.items()
    assert isinstance(completed["duration_ms"], float)
    assert broken_line.items() >= {"message": "Request failed", "level": "ERROR", "error": "no data"}.items()
    assert broken_line["request_id"] == started_too["request_id"] == failed.headers["X-Request-ID"]
    assert broken_line["exception"].endswith("ValueError: no data")
    assert isinstance(broken_line["duration_ms"], float)
    assert _UUID_OR_HEX.fullmatch(started["request_id"])


def test_prometheus_metrics(registry: Metrics) -> None:
    """The documented definitions with another import, the middleware, and the documented endpoint."""
    active_users_gauge = Gauge("analytics_active_users", "Current active users", ["workspace_id"], registry=registry)
    credits_consumed_total = Counter(
        "analytics_credits_consumed_total", "Total credits consumed", ["workspace_id", "agent_id"], registry=registry
    )
    database_connections_gauge = Gauge("database_connections", "Database connection pool status", ["state"], registry=registry)
    cache_operations_total = Counter("cache_operations_total", "Cache operations", ["operation", "result"], registry=registry)
    background_jobs_total = Counter("background_jobs_total", "Background job executions", ["job_type", "status"], registry=registry)
    report_seconds = Histogram("report_seconds", "Report latency", ["kind"], registry=registry)

    app = FastAPI()
    app.middleware("http")(MetricsMiddleware(registry=registry))

    @app.get("/reports/{report}")
    async def report(report: int) -> int:
        active_users_gauge.labels(workspace_id="w-3").set(12)
        credits_consumed_total.labels(workspace_id="w-3", agent_id="a-1").inc(5)
        database_connections_gauge.labels(state="idle").set(4)
        cache_operations_total.labels(operation="get", result="hit").inc()
        background_jobs_total.labels(job_type="export", status="success").inc()
        with report_seconds.labels(kind="daily").time():
            return report

    @app.get("/metrics")
    async def metrics() -> Response:
        """Prometheus metrics endpoint"""  # noqa: D415 - as the document writes it
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    with uvicorn_serving(app) as url:
        httpx.get(f"{url}/reports/7")
        answer = httpx.get(f"{url}/metrics")
    assert answer.headers["content-type"] == CONTENT_TYPE_LATEST
    shown = {(sample.name, *sorted(sample.labels.items())): sample.value for family in parse_text(answer.text) for sample in family.samples}
    assert shown["http_requests_total", ("endpoint", "/reports/{report}"), ("method", "GET"), ("status", "200")] == 1
    assert shown["http_request_duration_seconds_count", ("endpoint", "/reports/{report}"), ("method", "GET")] == 1
    assert shown["analytics_active_users", ("workspace_id", "w-3")] == 12
    assert shown["analytics_credits_consumed_total", ("agent_id", "a-1"), ("workspace_id", "w-3")] == 5
    assert shown["database_connections", ("state", "idle")] == 4
    assert shown["cache_operations_total", ("operation", "get"), ("result", "hit")] == 1
    assert shown["background_jobs_total", ("job_type", "export"), ("status", "success")] == 1
    assert shown["report_seconds_count", ("kind", "daily")] == 1


@dataclass
class BusinessMetrics(MetricsCollector):
    """The document's own collector, on top of ours."""

    active_users: Any = None

    async def collect_business_metrics(self) -> dict[str, Any]:
        """Collect business metrics for monitoring."""
        metrics = await super().collect_business_metrics()
        metrics["active_users"] = await self.get_active_users_count()
        return metrics

    async def get_active_users_count(self) -> dict[str, int]:
        """Return users by workspace."""
        async with self.db_session.connect() as connection:
            rows = await connection.execute(text("SELECT 'w-3', 12 UNION SELECT 'w-4', 0"))
            return {row[0]: row[1] for row in rows}

    async def export_to_prometheus(self, metrics: dict[str, Any]) -> None:
        """Export metrics to Prometheus."""
        await super().export_to_prometheus(metrics)
        for workspace_id, count in metrics["active_users"].items():
            self.active_users.labels(workspace_id=workspace_id).set(count)


def test_custom_application_metrics(registry: Metrics, database_file: Path, redis_port: int) -> None:
    """Users, the pool's connections and the cache, looked up in a real database and a real Redis, and shown."""
    gauge = registry.gauge("analytics_active_users", "Current active users", ["workspace_id"])

    async def run() -> dict[str, Any]:
        engine = create_async_engine(f"sqlite+aiosqlite:///{database_file}")
        async with redis.asyncio.Redis(port=redis_port) as client, engine.connect() as busy:
            await busy.execute(text("SELECT 1"))
            collector = BusinessMetrics(redis_client=client, db_session=engine, registry=registry, active_users=gauge)
            found = await collector.collect_business_metrics()
            await collector.export_to_prometheus(found)
        await engine.dispose()
        return found

    found = asyncio.run(run())
    assert found.keys() == {"database", "cache", "active_users"}
    assert {"active_connections", "idle_connections"} <= found["database"].keys()
    assert registry.get_sample_value("analytics_active_users", {"workspace_id": "w-3"}) == 12
    assert registry.get_sample_value("database_connections", {"state": "active"}) == found["database"]["active_connections"] >= 1
    assert registry.get_sample_value("database_connections", {"state": "idle"}) == found["database"]["idle_connections"]


def test_opentelemetry_configuration(exported: Exported, monkeypatch: pytest.MonkeyPatch, written: Written) -> None:
    """`setup_tracing(app)` returns a tracer, the resource says which service this is, and logs have the trace of the request's span."""
    monkeypatch.setenv("ENVIRONMENT", "staging")
    app = FastAPI(telemetry={"operation_spans": False})
    app.add_middleware(LoggingMiddleware)
    tracer = setup_tracing(app)
    assert tracer is not None

    @app.get("/reports/{report}")
    async def report(report: int) -> int:
        with tracer.start_as_current_span("inside"):
            return report

    with uvicorn_serving(app) as url:
        answer = httpx.get(f"{url}/reports/7")
    spans = exported.spans()
    server = spans["GET /reports/{report}"]
    assert server.kind is SpanKind.SERVER
    assert ids(spans["inside"])[2] == ids(server)[1]
    [line] = [line for line in written.lines() if line["message"] == "Request completed"]
    assert line["trace_id"] == answer.headers["X-Trace-ID"] == ids(server)[0]
    resource = server.resource.attributes
    assert resource["service.name"] == "shop"  # as the fixture says
    assert {"service.version", "deployment.environment"} <= resource.keys()


def test_custom_span_creation(exported: Exported) -> None:
    """The decorator: function and module, the body's own attributes, OK at the end, or the exception and ERROR."""

    @trace_operation("calculate_analytics")
    async def calculate_analytics(workspace_id: str) -> list[int]:
        span = trace.get_current_span()
        span.set_attribute("workspace_id", workspace_id)
        results = await perform_calculations(workspace_id)
        span.set_attribute("result_count", len(results))
        return results

    @trace_operation("perform_calculations")
    async def perform_calculations(workspace_id: str) -> list[int]:
        await asyncio.sleep(0)
        if not workspace_id:
            raise ValueError("no workspace")
        return [1, 2, 3]

    assert asyncio.run(calculate_analytics("w-3")) == [1, 2, 3]
    span = exported.spans()["calculate_analytics"]
    assert span.status.status_code is StatusCode.OK
    assert attributes(span) == {
        "function": "calculate_analytics",
        "module": __name__,
        "workspace_id": "w-3",
        "result_count": 3,
    }


def test_a_traced_function_that_fails(exported: Exported) -> None:
    """The exception is an event of the span, whose status is ERROR, and goes on; what the function says itself stays."""

    @trace_operation("broken")
    async def broken() -> None:
        await asyncio.sleep(0)
        raise ValueError("no workspace")

    @trace_operation("refused")
    def refused() -> None:
        trace.get_current_span().set_status(Status(StatusCode.ERROR, "no credits"))

    with pytest.raises(ValueError, match="no workspace"):
        asyncio.run(broken())
    refused()
    spans = exported.spans()
    assert spans["broken"].status.status_code is spans["refused"].status.status_code is StatusCode.ERROR
    assert [event.name for event in spans["broken"].events] == ["exception"]
    assert spans["refused"].status.description == "no credits"


def test_sentry_integration() -> None:
    """The documented options reach the SDK; a port where nobody listens keeps nothing waiting."""
    program = """
import sentry_sdk
from specwatch.telemetry import setup_sentry
assert setup_sentry()
options = sentry_sdk.get_client().options
shown = {name: options[name] for name in (
    "environment", "release", "traces_sample_rate", "profiles_sample_rate", "attach_stacktrace", "send_default_pii", "max_breadcrumbs")}
assert shown == {
    "environment": "development", "release": "unknown", "traces_sample_rate": 0.1, "profiles_sample_rate": 0.1,
    "attach_stacktrace": True, "send_default_pii": False, "max_breadcrumbs": 50}, shown
names = set(sentry_sdk.get_client().integrations)
assert {"fastapi", "sqlalchemy", "redis"} <= names, names
assert sentry_sdk.get_client().integrations["fastapi"].transaction_style == "endpoint"
"""
    python(program, SENTRY_DSN=f"http://key@127.0.0.1:{free_port()}/1")


def test_filter_errors() -> None:
    """A 404 is not sent; what is sent has the user and the workspace that Flask's `g` knows."""
    for error in (HTTPException(status_code=404), NotFound()):
        assert filter_errors({}, {"exc_info": (type(error), error, None)}) is None
    with Flask("analytics").app_context():
        g.user_id, g.workspace_id = "u-7", "w-3"
        error = RuntimeError("no")
        assert filter_errors({"tags": {}}, {"exc_info": (RuntimeError, error, None)}) == {
            "user": {"id": "u-7"},
            "tags": {"workspace_id": "w-3"},
        }
    assert filter_errors({"tags": {}}, {}) == {"tags": {}}


def checked(engine: AsyncEngine, redis_port: int, main_app: str) -> dict[str, Any]:
    """Return all that the document's HealthChecker says of a database, a Redis and a service beside ours."""

    async def run() -> dict[str, Any]:
        async with AsyncSession(engine) as session, redis.asyncio.Redis(port=redis_port) as client:
            checker = HealthChecker(session, client, external={"main_app": main_app}, registry=Metrics())
            found = {
                "database": await checker.check_database(),
                "redis": await checker.check_redis(),
                "external": await checker.check_external_services(),
                "all": await checker.comprehensive_health_check(),
            }
        await engine.dispose()
        return found

    return asyncio.run(run())


@pytest.mark.parametrize(("path", "external", "overall"), [("/200", "healthy", "healthy"), ("/500", "degraded", "degraded")])
def test_health_checks(path: str, external: str, overall: str, database_file: Path, redis_port: int, neighbour: str) -> None:
    """Database, Redis and the main application with their latencies; a service that answers with an error degrades ours."""
    found = checked(create_async_engine(f"sqlite+aiosqlite:///{database_file}"), redis_port, f"{neighbour}{path}")
    for name in ("database", "redis"):
        assert found[name].keys() == {"status", "latency_ms"}
        assert found[name]["status"] == "healthy"
        assert isinstance(found[name]["latency_ms"], float)
    assert found["external"]["main_app"]["status"] == external
    report = found["all"]
    assert list(report) == ["status", "timestamp", "checks"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", report["timestamp"])
    assert list(report["checks"]) == ["database", "redis", "external"]
    assert (report["status"], report["checks"]["external"]["main_app"]["status"]) == (overall, external)


def test_health_checks_of_what_is_down(redis_port: int) -> None:
    """What does not answer is unhealthy with its error, and so is the service."""
    engine = create_async_engine("sqlite+aiosqlite:////nowhere/at/all.db")
    found = checked(engine, redis_port, f"http://127.0.0.1:{free_port()}")
    assert found["database"]["status"] == found["all"]["status"] == "unhealthy"
    assert "unable to open database file" in found["database"]["error"]
    assert found["external"]["main_app"]["status"] == "unhealthy"
    assert found["redis"]["status"] == "healthy"
    assert found["all"]["checks"]["database"]["status"] == "unhealthy"
