"""Where things are: the same renderers serve compose and native processes because they ask a `Topology`."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from specwatch.components import BACKEND_OTLP_PORTS, BY_NAME, INBOX_SMTP_PORT, JAEGER_METRICS_PORT, OTLP_PORTS
from specwatch.stack import SecretFile, Stack
from specwatch.stack.traces import intake, store


class Topology(Struct, frozen=True, kw_only=True):
    """Addresses and folders as the components themselves see them.

    `addresses` maps a component, or one of the user's services, to host:port; extra endpoints are "inbox-smtp", those of metrics
    ("otelcol-metrics"), "otlp-grpc" and "otlp-http", where services send spans, and "backend-otlp-grpc" and "backend-otlp-http", where
    what keeps them listens: the same when no collector stands between. `listen` maps a component to the host:port it binds. `config`,
    `data` and `secrets` map a component to a folder; `logs` maps a service to the glob of the files in which its standard output lands
    (native only).
    """

    runtime: Literal["compose", "native"]
    addresses: Mapping[str, str]
    listen: Mapping[str, str]
    config: Mapping[str, str]
    data: Mapping[str, str]
    secrets: Mapping[str, str]
    logs: Mapping[str, str]

    def address(self, name: str) -> str:
        """Return host:port of a component or service; raises KeyError for one that is not there."""
        return self.addresses[name]

    def url(self, name: str, path: str = "") -> str:
        """Return the http URL of a component or service, with `path` (no leading slash) below it."""
        return f"http://{self.addresses[name]}/{path}"

    def secret(self, component: str, secret: SecretFile) -> str:
        """Return the path at which `component` reads `secret`."""
        return f"{self.secrets[component]}/{secret.name}"


def compose(stack: Stack) -> Topology:
    """Return where things are when Docker Compose runs the stack: service names, folders mounted whole."""
    addresses = {name: f"{name}:{BY_NAME[name].port}" for name in stack.components}
    addresses |= {service.name: f"{service.host or service.name}:{service.port}" for service in stack.services if service.port}
    if stack.has("inbox"):
        addresses["inbox-smtp"] = f"inbox:{INBOX_SMTP_PORT}"
    if stack.has("otelcol"):
        addresses["otelcol-metrics"] = f"otelcol:{stack.ports['otelcol-metrics']}"
    if stack.has("fluentd"):
        addresses["fluentd-metrics"] = f"fluentd:{stack.ports['fluentd-metrics']}"
    if stack.has("jaeger"):
        addresses["jaeger-metrics"] = f"jaeger:{JAEGER_METRICS_PORT}"
    for component, prefix in ((intake(stack.traces, stack.components), ""), (store(stack.traces, stack.components), "backend-")):
        if component:
            addresses |= {f"{prefix}{name}": f"{component}:{port}" for name, port in OTLP_PORTS.items()}
    return Topology(
        runtime="compose",
        addresses=addresses,
        listen={
            name: f"0.0.0.0:{BY_NAME[name].port}" for name in stack.components
        },  # inside the container: the host publishes on `bind` alone
        config={name: BY_NAME[name].config for name in stack.components},
        data={name: BY_NAME[name].data for name in stack.components},
        secrets=dict.fromkeys(stack.components, "/run/secrets"),
        logs={},
    )


def native(stack: Stack, folder: str) -> Topology:
    """Return where things are when every component is a child process on 127.0.0.1 and all files are below `folder` (absolute)."""
    addresses = {name: f"127.0.0.1:{stack.ports[name]}" for name in stack.components}
    addresses |= {
        service.name: f"{'127.0.0.1' if service.run else service.host or '127.0.0.1'}:{service.port}"
        for service in stack.services
        if service.port
    }
    if stack.has("inbox"):
        addresses["inbox-smtp"] = f"127.0.0.1:{stack.ports['inbox-smtp']}"
    for endpoint in ("otelcol-metrics", "fluentd-metrics", "jaeger-metrics"):
        if stack.has(endpoint.removesuffix("-metrics")):
            addresses[endpoint] = f"127.0.0.1:{stack.ports[endpoint]}"
    addresses |= {name: f"127.0.0.1:{port}" for name, port in otlp_ports(stack).items()}
    return Topology(
        runtime="native",
        addresses=addresses,
        listen={name: addresses[name] for name in stack.components},
        config={name: f"{folder}/config/{name}" for name in stack.components},
        data={name: f"{folder}/data/{name}" for name in stack.components},
        secrets={name: f"{folder}/secrets/{name}" for name in stack.components},
        logs={
            service.name: f"{folder}/logs/{service.name}.log"
            for service in stack.services
            if service.run and service.logs and service.logs.source == "container"
        },
    )


def otlp_ports(stack: Stack) -> dict[str, int]:
    """Return the ports of the endpoints "otlp-…" and "backend-otlp-…" on 127.0.0.1; a backend that services send to has the former's."""
    taken, kept = intake(stack.traces, stack.components), store(stack.traces, stack.components)
    found = {name: stack.ports[name] for name in OTLP_PORTS} if taken else {}
    if kept:
        found |= {name: stack.ports[name if taken != kept else name.removeprefix("backend-")] for name in BACKEND_OTLP_PORTS}
    return found
