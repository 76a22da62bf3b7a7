"""The environment in which a service of the user's runs, the same under every runtime."""

import re
from urllib.parse import quote

from specwatch.stack import Service, Stack
from specwatch.topology import Topology


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
    if service.traces and "otlp-http" in topology.addresses:
        variables |= _tracing(stack, topology, service)
    variables |= {_url_name(other.name): topology.url(other.name).removesuffix("/") for other in stack.services if other.port}
    return variables | (dict(service.run.environment) if service.run else {})


def _tracing(stack: Stack, topology: Topology, service: Service) -> dict[str, str]:
    return {
        "OTEL_SERVICE_NAME": service.name,
        # The specification of this variable asks for percent-encoded values.
        "OTEL_RESOURCE_ATTRIBUTES": f"deployment.environment.name={quote(stack.environment, safe='')}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": topology.url("otlp-http").removesuffix("/"),
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_EXPORTER": "otlp",
        # Metrics are scraped and logs are shipped: an SDK that also pushed them would count them twice.
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }


def _url_name(service: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", service).upper() + "_URL"
