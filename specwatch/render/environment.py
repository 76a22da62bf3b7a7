"""The environment in which a component, or a service of the user's, runs: the same under every runtime."""

import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

from specwatch.render import grafana, jaeger, loki, otelcol
from specwatch.stack import Service, Stack
from specwatch.stack.traces import kept
from specwatch.topology import Topology

_COMPONENTS: Final[Mapping[str, Callable[[Stack, Topology], Mapping[str, str]]]] = {
    "grafana": grafana.environment,
    "jaeger": lambda _stack, _topology: jaeger.environment(),
    "loki": lambda _stack, _topology: loki.environment(),
    "otelcol": lambda _stack, _topology: otelcol.environment(),
}


def component_environment(stack: Stack, topology: Topology, name: str) -> dict[str, str]:
    """Return the variables that the component `name` starts with."""
    return dict(_COMPONENTS[name](stack, topology)) if name in _COMPONENTS else {}


def service_environment(stack: Stack, topology: Topology, service: Service) -> dict[str, str]:
    """Return the variables that `service` starts with; what the spec gives it itself wins.

    `HOST` and `PORT` say where to listen, `LOG_FORMAT` how to log, `<NAME>_URL` where each service is (without a final slash),
    `FLUENTD_HOST` and `FLUENTD_PORT` where the forward intake is, and OpenTelemetry's own variables where spans go.
    """
    variables = {"HOST": "0.0.0.0" if topology.runtime == "compose" else "127.0.0.1"}  # noqa: S104  # the container's own network
    if service.port:
        variables["PORT"] = str(service.port)
    if service.logs:
        variables["LOG_FORMAT"] = service.logs.format
        if service.logs.source == "fluentd" and stack.has("fluentd"):
            variables["FLUENTD_HOST"], _, variables["FLUENTD_PORT"] = topology.address("fluentd").rpartition(":")
    if "otlp-http" in topology.addresses:
        variables |= _opentelemetry(stack, topology, service)
    variables |= {_url_name(other.name): topology.url(other.name).removesuffix("/") for other in stack.services if other.port}
    return variables | (dict(service.run.environment) if service.run else {})


def _opentelemetry(stack: Stack, topology: Topology, service: Service) -> dict[str, str]:
    sent = {
        "traces": service.traces and kept(stack.traces, stack.components),
        # Metrics are scraped and most logs are shipped: an SDK that also pushed them would count them twice.
        "metrics": False,
        "logs": service.logs is not None and service.logs.source == "otlp",
    }
    if not any(sent.values()):
        return {}
    return {
        "OTEL_SERVICE_NAME": service.name,
        # The specification of this variable asks for percent-encoded values.
        "OTEL_RESOURCE_ATTRIBUTES": f"deployment.environment.name={quote(stack.environment, safe='')}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": topology.url("otlp-http").removesuffix("/"),
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        **{f"OTEL_{signal.upper()}_EXPORTER": "otlp" if sends else "none" for signal, sends in sent.items()},
    }


def _url_name(service: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", service).upper() + "_URL"
