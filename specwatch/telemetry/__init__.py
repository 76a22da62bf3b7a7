"""What an application imports: metrics, logs, traces, health and the endpoints that show them. See docs/telemetry.md.

    from specwatch.telemetry import LogContext, Metrics, configure_logging, get_logger, trace_operation, track_operation

Each name is imported from its module when it is first asked for. Importing this package alone imports nothing else: prometheus-client
decides when it is imported whether it counts over several processes, and a gunicorn config, which imports this package, says so only
afterwards; and whoever does not use Flask, OpenTelemetry or Sentry need not have them.

The one call that instruments an application is in the module of its kind: `specwatch.telemetry.flask.instrument`, and so for `asgi` and
`wsgi`. Types of metrics are in `specwatch.telemetry.metrics`, as the names `Counter` and `Gauge` are prometheus-client's in
`specwatch.telemetry.metrics.client`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from specwatch.telemetry.asgi import LoggingMiddleware, MetricsMiddleware, ObservabilityMiddleware, TracingMiddleware
    from specwatch.telemetry.business import MetricsCollector
    from specwatch.telemetry.collectors import PeriodicCollectors
    from specwatch.telemetry.context import RequestContext, bind, continue_trace, current, outgoing_headers, set_user
    from specwatch.telemetry.discovery_metrics import DiscoveryMetrics
    from specwatch.telemetry.endpoints import Endpoints, asgi_app, wsgi_app
    from specwatch.telemetry.endpoints.fastapi import telemetry_router
    from specwatch.telemetry.endpoints.flask import telemetry_blueprint
    from specwatch.telemetry.endpoints.server import serve_endpoints
    from specwatch.telemetry.health import (
        Health,
        HealthCheck,
        HealthChecker,
        database_check,
        disk_check,
        http_check,
        redis_check,
        run_checks,
    )
    from specwatch.telemetry.logs import (
        BoundLogger,
        CustomJsonFormatter,
        JsonFormatter,
        Layout,
        LineHandler,
        LogContext,
        RateLimit,
        Redaction,
        Sampling,
        ServiceLogger,
        TextFormatter,
        configure_logging,
        get_logger,
        get_logger_with_context,
        logger,
        setup_logging,
    )
    from specwatch.telemetry.metrics import (
        DEFAULT_BUCKETS,
        Definition,
        MetricError,
        Metrics,
        UndeclaredMetricError,
        batch_job,
        counter,
        default_metrics,
        gauge,
        histogram,
        info,
        load_catalog,
        push,
        serve_metrics,
        summary,
        track_operation,
        write_textfile,
    )
    from specwatch.telemetry.metrics.client import CONTENT_TYPE_LATEST, generate_latest
    from specwatch.telemetry.scan_metrics import (
        record_confidence_score,
        record_gem_score,
        record_scan_duration,
        record_scan_error,
        record_scan_request,
    )
    from specwatch.telemetry.sentry import filter_errors, setup_sentry
    from specwatch.telemetry.settings import Settings
    from specwatch.telemetry.tracing import (
        Sampler,
        Span,
        add_span_attributes,
        flush_spans,
        get_current_span,
        setup_tracing,
        shutdown_tracing,
        start_span,
        trace_async_function,
        trace_function,
        trace_operation,
        use_span,
    )

_HOMES: Final = {
    "asgi": ("LoggingMiddleware", "MetricsMiddleware", "ObservabilityMiddleware", "TracingMiddleware"),
    "business": ("MetricsCollector",),
    "collectors": ("PeriodicCollectors",),
    "context": ("RequestContext", "bind", "continue_trace", "current", "outgoing_headers", "set_user"),
    "discovery_metrics": ("DiscoveryMetrics",),
    "endpoints": ("Endpoints", "asgi_app", "wsgi_app"),
    "endpoints.fastapi": ("telemetry_router",),
    "endpoints.flask": ("telemetry_blueprint",),
    "endpoints.server": ("serve_endpoints",),
    "health": ("Health", "HealthCheck", "HealthChecker", "database_check", "disk_check", "http_check", "redis_check", "run_checks"),
    "logs": (
        *("BoundLogger", "CustomJsonFormatter", "JsonFormatter", "Layout", "LineHandler", "LogContext", "RateLimit", "Redaction"),
        *("Sampling", "ServiceLogger", "TextFormatter", "configure_logging", "get_logger", "get_logger_with_context", "logger"),
        "setup_logging",
    ),
    "metrics": (
        *("DEFAULT_BUCKETS", "Definition", "MetricError", "Metrics", "UndeclaredMetricError", "batch_job", "counter", "default_metrics"),
        *("gauge", "histogram", "info", "load_catalog", "push", "serve_metrics", "summary", "track_operation", "write_textfile"),
    ),
    "metrics.client": ("CONTENT_TYPE_LATEST", "generate_latest"),
    "scan_metrics": (
        *("record_confidence_score", "record_gem_score", "record_scan_duration", "record_scan_error"),
        "record_scan_request",
    ),
    "sentry": ("filter_errors", "setup_sentry"),
    "settings": ("Settings",),
    "tracing": (
        *("Sampler", "Span", "add_span_attributes", "flush_spans", "get_current_span", "setup_tracing", "shutdown_tracing"),
        *("start_span", "trace_async_function", "trace_function", "trace_operation", "use_span"),
    ),
}
_HOME: Final = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "CONTENT_TYPE_LATEST",
    "DEFAULT_BUCKETS",
    "BoundLogger",
    "CustomJsonFormatter",
    "Definition",
    "DiscoveryMetrics",
    "Endpoints",
    "Health",
    "HealthCheck",
    "HealthChecker",
    "JsonFormatter",
    "Layout",
    "LineHandler",
    "LogContext",
    "LoggingMiddleware",
    "MetricError",
    "Metrics",
    "MetricsCollector",
    "MetricsMiddleware",
    "ObservabilityMiddleware",
    "PeriodicCollectors",
    "RateLimit",
    "Redaction",
    "RequestContext",
    "Sampler",
    "Sampling",
    "ServiceLogger",
    "Settings",
    "Span",
    "TextFormatter",
    "TracingMiddleware",
    "UndeclaredMetricError",
    "add_span_attributes",
    "asgi_app",
    "batch_job",
    "bind",
    "configure_logging",
    "continue_trace",
    "counter",
    "current",
    "database_check",
    "default_metrics",
    "disk_check",
    "filter_errors",
    "flush_spans",
    "gauge",
    "generate_latest",
    "get_current_span",
    "get_logger",
    "get_logger_with_context",
    "histogram",
    "http_check",
    "info",
    "load_catalog",
    "logger",
    "outgoing_headers",
    "push",
    "record_confidence_score",
    "record_gem_score",
    "record_scan_duration",
    "record_scan_error",
    "record_scan_request",
    "redis_check",
    "run_checks",
    "serve_endpoints",
    "serve_metrics",
    "set_user",
    "setup_logging",
    "setup_sentry",
    "setup_tracing",
    "shutdown_tracing",
    "start_span",
    "summary",
    "telemetry_blueprint",
    "telemetry_router",
    "trace_async_function",
    "trace_function",
    "trace_operation",
    "track_operation",
    "use_span",
    "write_textfile",
    "wsgi_app",
]

if not TYPE_CHECKING:  # else a type checker would take any name for one of ours

    def __getattr__(name: str) -> Any:
        """Import a name when it is first asked for (PEP 562)."""
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
