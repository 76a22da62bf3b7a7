"""What `stack:` means: components, versions, ports, retention, secrets."""

import socket
from collections.abc import Callable, Mapping

from specwatch import components as parts
from specwatch import names
from specwatch.resolve.faults import Faults
from specwatch.resolve.traces import why_collector
from specwatch.spec.model import Spec
from specwatch.spec.model.logs import SinksSpec
from specwatch.spec.model.stack import StackSpec
from specwatch.stack import Grafana, Job, Retention, SecretFile, Traces
from specwatch.stack.traces import intake

_DAY = 86_400
_EXTRA_PORTS: Mapping[str, int] = {
    "inbox-smtp": parts.INBOX_SMTP_PORT,
    "loki-grpc": 9095,
    "otelcol-health": 13133,
    "otelcol-metrics": 8888,
    "fluentd-metrics": 24231,
    "fluentd-monitor": 24220,
    "tempo-grpc": 9096,
    "jaeger-metrics": parts.JAEGER_METRICS_PORT,
    **parts.OTLP_PORTS,
    **parts.BACKEND_OTLP_PORTS,
}
_TRACE_STORES = ("tempo", "jaeger")
_CARRIERS = (*parts.SHIPPERS, "fluentd")
# Where a component's own metrics are, when not at its main port.
_METRICS_ENDPOINTS: Mapping[str, str] = {
    "otelcol": "otelcol-metrics",
    "fluentd": "fluentd-metrics",
    "jaeger": "jaeger-metrics",
}


def components(spec: Spec, faults: Faults) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the components that are on, in the order of `specwatch.components`, and of those the optional ones.

    An optional component that the spec neither switches on nor off waits in a compose profile. Without Loki nothing carries logs. Of what
    can keep traces, that is on which `traces.backend` names.
    """
    chosen: Mapping[str, bool] = {str(name): on for name, on in spec.stack.components.items()}
    wants_fluentd = (
        spec.stack.shipper == "fluentd"
        or spec.logs.sinks != SinksSpec()
        or any(_log_source(service.logs) == "fluentd" for service in spec.services.values())
    )
    on, optional = [], []
    for component in parts.COMPONENTS:
        name = component.name
        if name == "otelcol" and (why := why_collector(spec)):
            if not chosen.get(name, True):
                faults.add(("stack", "components", name), f"cannot be off: it {why}", on_key=True)
            on.append(name)
            continue
        if name in _TRACE_STORES and name != spec.traces.backend:
            if chosen.get(name):
                message = f"nothing is sent here: `traces.backend` is {spec.traces.backend}"
                faults.add(("stack", "components", name), message, on_key=True)
            continue
        if name in _CARRIERS and not chosen.get("loki", True):
            if chosen.get(name):
                message = "carries logs to loki, which is off; switch this off too, or loki on"
                faults.add(("stack", "components", name), message, on_key=True)
            continue
        if chosen.get(name, name == spec.stack.shipper if name in parts.SHIPPERS else True):
            on.append(name)
            if component.optional and name not in chosen and not (name == "fluentd" and wants_fluentd):
                optional.append(name)
    return tuple(on), tuple(optional)


def _log_source(logs: object) -> str:
    return str(getattr(logs, "source", ""))


def versions(stack: StackSpec) -> Mapping[str, str]:
    """Return the image tag of every component."""
    return {component.name: component.version for component in parts.COMPONENTS} | {**stack.versions}


def memory(stack: StackSpec) -> Mapping[str, str]:
    """Return the memory limit of every component, in Docker's notation."""
    return {component.name: component.memory for component in parts.COMPONENTS} | {**stack.memory}


def ports(spec: Spec, on: tuple[str, ...], traces: Traces, faults: Faults) -> Mapping[str, int]:
    """Return the host's port of every component and extra endpoint; two things published on one port are a fault."""
    chosen: Mapping[str, int] = {str(name): port for name, port in spec.stack.ports.items()}
    found = {component.name: chosen.get(component.name, component.host_port or component.port) for component in parts.COMPONENTS}
    found |= {name: chosen.get(name, port) for name, port in _EXTRA_PORTS.items()}
    published: dict[int, str] = {}
    taken = parts.OTLP_PORTS if intake(traces, on) else {}
    for name in (*(endpoint for component in on for endpoint in parts.PUBLISHED.get(component, ())), *taken):
        port = found[name]
        if port in published:
            faults.add(("stack", "ports", name), f"port {port} is {published[port]}'s already; choose another")
        published.setdefault(port, f"the component {name}")
    for name, service in spec.services.items():
        for index, port in enumerate(service.run.publish if service.run else ()):
            if port in published:
                faults.add(("services", name, "run", "publish", index), f"port {port} is {published[port]}'s already; choose another")
            published[port] = f"the service {name}"
    return found


def retention(stack: StackSpec, faults: Faults) -> Retention:
    """Return the retention; Loki's compactor deletes nothing younger than a day."""
    kept = stack.retention
    if names.seconds(kept.logs) < _DAY:
        faults.add(("stack", "retention", "logs"), f"found {kept.logs}, expected 24h or more: Loki deletes nothing younger than a day")
    return Retention(
        metrics_seconds=faults.positive(kept.metrics, ("stack", "retention", "metrics")),
        metrics_size=kept.metrics_size or "",
        logs_seconds=names.seconds(kept.logs),
        traces_seconds=faults.positive(kept.traces, ("stack", "retention", "traces")),
    )


def bind(stack: StackSpec, faults: Faults) -> str:
    """Return the host address that ports are published on."""
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in stack.bind else socket.AF_INET, stack.bind)
    except OSError:
        faults.add(("stack", "bind"), f"found {stack.bind}, expected an IP address of this host, such as 127.0.0.1 or 0.0.0.0")
    return stack.bind


def grafana(stack: StackSpec) -> Grafana:
    """Return Grafana's administrator."""
    return Grafana(admin_user=stack.grafana.admin_user, admin_password=SecretFile(stack.grafana.admin_password.secret))


def link(stack: StackSpec, host_ports: Mapping[str, int]) -> Callable[[str, str], str]:
    """Return a function from (component, path) to the URL that a person follows."""
    base = stack.links.rstrip("/")
    return lambda component, path: f"{base}:{host_ports[component]}/{path}"


def component_jobs(on: tuple[str, ...], optional: tuple[str, ...]) -> tuple[Job, ...]:
    """Return the jobs by which the stack scrapes its own components.

    An optional one is found by its name, so that no target is down while it is not started.
    """
    return tuple(
        Job(
            name=name,
            owner=_METRICS_ENDPOINTS.get(name, name),
            team="ops",
            discovery="dns" if name in optional else "address",
            targets=(name,) if name in optional else (),
            port=_EXTRA_PORTS.get(_METRICS_ENDPOINTS.get(name, ""), parts.BY_NAME[name].port) if name in optional else 0,
            component=True,
        )
        for name in on
    )
