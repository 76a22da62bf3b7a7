"""Metrics on a port of their own, in a thread of a program. In a process of its own: `specwatch.telemetry.metrics_server`."""

from typing import Final

from specwatch.telemetry.endpoints.core import Endpoints
from specwatch.telemetry.endpoints.server import LOOPBACK, EndpointServer, serve_endpoints
from specwatch.telemetry.metrics.registry import Metrics

FRESH_SECONDS: Final = 0.25
"""How old an answer may be that is given to the next scraper at once."""


def metrics_endpoints(source: Metrics | str | None = None) -> Endpoints:
    """Return `/metrics` and, as JSON, `/api/metrics` of a registry (the default one by None) or of a folder that workers share."""
    return Endpoints(registry=source, health_path="", fresh_seconds=FRESH_SECONDS)


def serve_metrics(port: int = 0, metrics: Metrics | None = None, *, host: str = LOOPBACK) -> EndpointServer:
    """Return a running server for this program's metrics, in a thread of its own.

    Args:
        port: where to listen; 0 takes any free port, which the server's `port` says.
        metrics: the registry; the default one when left out.
        host: the address to listen on.

    Raises:
        OSError: the port is taken.
    """
    return serve_endpoints(metrics_endpoints(metrics), port, host=host)
