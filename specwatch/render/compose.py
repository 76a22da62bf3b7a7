"""The compose file: every component and every service of the user's that specwatch runs, hardened by default.

Reference: https://github.com/compose-spec/compose-spec/blob/main/05-services.md.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from specwatch import names
from specwatch.components import BY_NAME, OTLP_PORTS, PUBLISHED
from specwatch.render import (
    _containers,
    alertmanager,
    alloy,
    blackbox,
    fluentd,
    inbox,
    jaeger,
    loki,
    otelcol,
    prometheus,
    promtail,
    secrets,
    tempo,
)
from specwatch.render._containers import HEALTH, HOST_GATEWAY, Interpolated
from specwatch.render._users import user
from specwatch.render.environment import component_environment, service_environment
from specwatch.stack import Run, Service, Stack
from specwatch.stack.traces import intake
from specwatch.textio import dump_yaml
from specwatch.topology import Topology

_ARGUMENTS: Final[Mapping[str, Callable[[Stack, Topology], tuple[str, ...]]]] = {
    "prometheus": prometheus.arguments,
    "alertmanager": alertmanager.arguments,
    "loki": loki.arguments,
    "promtail": promtail.arguments,
    "alloy": alloy.arguments,
    "otelcol": otelcol.arguments,
    "fluentd": fluentd.arguments,
    "tempo": tempo.arguments,
    "jaeger": jaeger.arguments,
    "blackbox": blackbox.arguments,
    "inbox": inbox.arguments,
    "node": lambda _stack, _topology: _containers.NODE_ARGUMENTS,
    "cadvisor": lambda _stack, _topology: _containers.CADVISOR_ARGUMENTS,
}
# Only where starting too early would lose something: alerts without an Alertmanager, lines without a Loki.
_AFTER: Final[Mapping[str, tuple[str, ...]]] = {
    "prometheus": ("alertmanager",),
    "promtail": ("loki",),
    "alloy": ("loki",),
    "otelcol": ("loki",),
    "fluentd": ("loki",),
}
_BUILT: Final = ("fluentd", "inbox")
_SHARED: Final = "shared"
# Those that ask, or are sent something by, the applications on a shared network; besides them, what takes spans.
_ON_SHARED: Final = ("prometheus", "blackbox", "fluentd")
# The order in which a person reads a service.
_KEYS: Final = (
    *("image", "build", "profiles", "user", "labels", "entrypoint", "command", "environment", "ports", "volumes"),
    *("network_mode", "networks", "extra_hosts", "depends_on", "healthcheck", "restart", "read_only", "tmpfs", "cap_drop", "cap_add"),
    *("group_add", "security_opt", "sysctls", "mem_limit", "pids_limit", "logging", "x-reason"),
)
_COMPONENT_PIDS: Final = 256
_SERVICE_PIDS: Final = 512
_DEFAULT_MEMORY: Final = "512m"


def render(stack: Stack, topology: Topology) -> dict[str, str]:
    """Return the compose file; relative paths in it begin at its own folder."""
    services: dict[str, dict[str, Any]] = {}
    if secrets.plan(stack, topology):
        services["secrets"] = _secrets(stack, topology)
    for name in stack.components:
        services[name] = _component(stack, topology, name)
    for service in stack.services:
        if service.run and (service.run.image or service.run.build):
            services[service.name] = _service(stack, topology, service, service.run)
    _order(stack, services)
    ordered = {name: {key: body[key] for key in sorted(body, key=_KEYS.index)} for name, body in services.items()}
    document: dict[str, Any] = {"name": stack.name, "services": ordered}
    if stack.external_network:
        document["networks"] = {_SHARED: {"name": stack.external_network, "external": True}}
    document["volumes"] = {name: {} for name in _named_volumes(services)}
    return {names.COMPOSE_FILE: dump_yaml(_literal(document), header=names.header(stack))}


def _component(stack: Stack, topology: Topology, name: str) -> dict[str, Any]:
    component = BY_NAME[name]
    grant = _containers.grant(stack, name)
    body: dict[str, Any] = {"image": f"{component.image}:{stack.versions[name]}"}
    if name in _BUILT:
        body["build"] = {"context": f"./{name}"}
    if name in stack.optional:
        body["profiles"] = [name]
    if name in _ARGUMENTS:
        body["command"] = list(_ARGUMENTS[name](stack, topology))
    body["environment"] = component_environment(stack, topology, name)
    mounts = [*_mounts(topology, name), *grant.mounts]
    if name in {copy.component for copy in secrets.plan(stack, topology)}:
        mounts.append(f"{name}-secrets:{topology.secrets[name]}:ro")
    body |= {"ports": _ports(stack, name), "volumes": mounts} | dict(grant.settings)
    if _containers.gateway(stack, name):
        body["extra_hosts"] = [f"{HOST_GATEWAY}:host-gateway"]
    if name in _ON_SHARED or name == intake(stack.traces, stack.components):
        body |= _networks(stack)
    body |= _health(HEALTH.get(name, ())) | _common(stack.memory.get(name) or component.memory, _COMPONENT_PIDS)
    body |= {"user": user(stack, name), "labels": {names.SERVICE_LABEL: name}, "logging": _logging(shipped=True)}
    return _finished(body, grant.reasons)


def _service(stack: Stack, topology: Topology, service: Service, run: Run) -> dict[str, Any]:
    labels = {names.SERVICE_LABEL: service.name} | ({names.PORT_LABEL: str(service.port)} if service.port else {})
    shipped = service.logs is not None and service.logs.source == "container"
    body: dict[str, Any] = {"image": run.image}
    if run.build:
        body["build"] = {"context": run.build.context, "dockerfile": run.build.dockerfile, "args": dict(run.build.args)}
        body["build"] = {key: value for key, value in body["build"].items() if value}
    body |= {
        "command": list(run.command),
        "environment": service_environment(stack, topology, service),
        "ports": [_published(stack, host, container) for host, container in run.publish],
        "volumes": list(run.volumes),
    }
    if any(other.host == HOST_GATEWAY for other in stack.services):
        body["extra_hosts"] = [f"{HOST_GATEWAY}:host-gateway"]
    body |= _networks(stack) | _health(run.health) | _common(run.memory or _DEFAULT_MEMORY, _SERVICE_PIDS)
    body |= {"user": run.user, "labels": labels, "logging": _logging(shipped=shipped)}
    return _finished(body | ({"restart": run.restart} if run.restart else {}))


def _secrets(stack: Stack, topology: Topology) -> dict[str, Any]:
    prometheus_image = BY_NAME["prometheus"].image
    components = dict.fromkeys(copy.component for copy in secrets.plan(stack, topology))
    body: dict[str, Any] = {
        # The smallest of the images that are here anyway and have a shell.
        "image": f"{prometheus_image}:{stack.versions['prometheus']}",
        "entrypoint": ["sh", f"/{secrets.SCRIPT}", "/secrets", "/volumes"],
        "command": [],
        "volumes": ["./init:/init:ro", "./secrets:/secrets", *(f"{name}-secrets:/volumes/{name}" for name in components)],
        "network_mode": "none",
        **_common("64m", _COMPONENT_PIDS),
        "cap_add": ["CHOWN", "DAC_OVERRIDE", "FOWNER"],
        "user": "0:0",
        "restart": "no",
        "labels": {names.SERVICE_LABEL: "secrets"},
        "logging": _logging(shipped=True),
    }
    why = "a component's secret must belong to that component's user; this runs once at each start, without a network, and ends"
    return _finished(body, {"user": why, "cap_add": "to read and write files of other users, and to give files to them"})


def _order(stack: Stack, services: dict[str, dict[str, Any]]) -> None:
    """Add to each service what it starts after, and ask those that others wait for more often."""
    wanted = dict(_AFTER) | {service.name: service.run.depends_on for service in stack.services if service.run}
    for name, body in services.items():
        after: dict[str, Any] = {}
        if any(mount.startswith(f"{name}-secrets:") for mount in body.get("volumes", ())) and name != "secrets":
            after["secrets"] = {"condition": "service_completed_successfully"}
        for other in wanted.get(name, ()):
            if other in services and other != name:
                healthy = "healthcheck" in services[other]
                after[other] = {"condition": "service_healthy" if healthy else "service_started"}
                if "profiles" in services[other]:
                    after[other]["required"] = False
                if healthy:
                    services[other]["healthcheck"] |= {"interval": "2s", "retries": 15}
        if after:
            body["depends_on"] = after


def _ports(stack: Stack, name: str) -> list[str]:
    """Return what the host reaches; components that only the stack itself talks to are not published."""
    taken = OTLP_PORTS if name == intake(stack.traces, stack.components) else {}
    return [_published(stack, stack.ports[key], port) for key, port in (*PUBLISHED.get(name, {}).items(), *taken.items())]


def _published(stack: Stack, host: int, container: int) -> str:
    bind = f"[{stack.bind}]" if ":" in stack.bind else stack.bind
    return f"{bind}:{host}:{container}"


def _mounts(topology: Topology, name: str) -> list[str]:
    mounts = []
    if name == "grafana":
        folder = topology.config[name].removesuffix("/provisioning")
        mounts = [f"./grafana/{part}:{folder}/{part}:ro" for part in ("provisioning", "dashboards")]
    elif topology.config[name]:
        mounts = [f"./{name}:{topology.config[name]}:ro"]
    return mounts + ([f"{name}-data:{topology.data[name]}"] if topology.data[name] else [])


def _networks(stack: Stack) -> dict[str, Any]:
    return {"networks": ["default", _SHARED]} if stack.external_network else {}


def _health(test: tuple[str, ...]) -> dict[str, Any]:
    # No start_interval: compose refuses it when the engine is older than 25.
    timing = {"interval": "5s", "timeout": "5s", "retries": 6, "start_period": "30s"}
    return {"healthcheck": {"test": ["CMD", *test]} | timing} if test else {}


def _common(memory: str, pids: int) -> dict[str, Any]:
    return {
        "restart": "unless-stopped",
        "read_only": True,
        "tmpfs": ["/tmp"],  # noqa: S108  # a folder of the container's own
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "mem_limit": memory,
        "pids_limit": pids,
    }


def _logging(*, shipped: bool) -> dict[str, Any]:
    # Shippers keep a line only when Docker wrote this label beside it.
    labels = {"labels": names.SERVICE_LABEL} if shipped else {}
    return {"driver": "json-file", "options": labels | {"max-size": "10m", "max-file": "3"}}


def _finished(body: dict[str, Any], reasons: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the service without what is empty (an empty `command` means something), with the reasons for what was granted."""
    kept = {key: value for key, value in body.items() if value or (key == "command" and "entrypoint" in body)}
    return kept | ({"x-reason": dict(reasons)} if reasons else {})


def _named_volumes(services: Mapping[str, Mapping[str, Any]]) -> list[str]:
    mounts = [mount for body in services.values() for mount in body.get("volumes", ()) if ":" in mount]
    return list(dict.fromkeys(mount.partition(":")[0] for mount in mounts if mount[0] not in "./~$"))


def _literal(value: Any) -> Any:
    """Return `value` with every dollar sign doubled, which is how compose writes a plain one."""
    if isinstance(value, Interpolated):
        return str(value)
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {key: _literal(item) for key, item in value.items()}
    return [_literal(item) for item in value] if isinstance(value, (list, tuple)) else value
