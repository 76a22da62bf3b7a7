"""What each component's image can and must have under compose: its health check, and whatever it cannot live without.

Every container starts with nothing: no capability, a read-only root, no host folder. A grant stands here with its reason, and
the reason stands beside it in the compose file.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from specwatch.components import BY_NAME, JAEGER_METRICS_PORT
from specwatch.render import blackbox, inbox
from specwatch.stack import Stack

HOST_GATEWAY: Final = "host.docker.internal"


class Interpolated(str):
    """Text in which compose itself is to fill in a `${VARIABLE:-default}`; in all other text a dollar sign is only that."""

    __slots__ = ()


class Grant(Struct, frozen=True, kw_only=True):
    """What a component gets beyond the common settings.

    `mounts` are volumes in compose's short notation, `settings` further keys of the service, and `reasons` says for a key why.
    """

    mounts: tuple[str, ...] = ()
    settings: Mapping[str, Any] = {}
    reasons: Mapping[str, str] = {}


_DOCKER: Final = "${DOCKER_DATA_ROOT:-/var/lib/docker}"
_SOCKET: Final = "/var/run/docker.sock"

# Collectors that read the network of the container they run in, and would pass it off as the host's.
_OWN_NETWORK: Final = ("arp", "conntrack", "netdev", "netstat", "sockstat", "udp_queues")
NODE_ARGUMENTS: Final = (
    "--path.rootfs=/host",
    "--path.procfs=/host/proc",
    "--path.sysfs=/host/sys",
    *(f"--no-collector.{name}" for name in _OWN_NETWORK),
)
CADVISOR_ARGUMENTS: Final = ("--docker_only=true",)

_FLUENTD_READY: Final = "exit Net::HTTP.get_response(URI('http://127.0.0.1:24220/api/plugins.json')).is_a?(Net::HTTPSuccess)"
_INBOX_READY: Final = "import urllib.request as u; u.urlopen('http://127.0.0.1:8025/health', timeout=3)"


def _wget(component: str, path: str, port: int = 0) -> tuple[str, ...]:
    return ("wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{port or BY_NAME[component].port}{path}")


def _bash(component: str, path: str) -> tuple[str, ...]:
    """Return the test for an image in which there is bash alone, so that the request is made by hand."""
    ask = f"exec 3<>/dev/tcp/127.0.0.1/{BY_NAME[component].port} && printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3"
    return ("bash", "-c", f"{ask} && read -r answer <&3 && [[ $answer == *' 200 '* ]]")


# The collector has none: its image holds the collector alone, which cannot ask itself.
HEALTH: Final[Mapping[str, tuple[str, ...]]] = {
    "prometheus": _wget("prometheus", "/-/ready"),
    "alertmanager": _wget("alertmanager", "/-/ready"),
    "loki": ("/usr/bin/loki", "-health"),
    "promtail": _bash("promtail", "/ready"),
    "alloy": _bash("alloy", "/-/ready"),
    "fluentd": ("ruby", "-rnet/http", "-e", _FLUENTD_READY),
    "tempo": ("/tempo", "-health"),
    "jaeger": _wget("jaeger", "/", JAEGER_METRICS_PORT),
    "grafana": _wget("grafana", "/api/health"),
    "blackbox": _wget("blackbox", "/-/healthy"),
    "node": _wget("node", "/"),
    "cadvisor": _wget("cadvisor", "/healthz"),
    "inbox": (inbox.PYTHON, "-c", _INBOX_READY),
}


def grant(stack: Stack, component: str) -> Grant:
    """Return what `component` alone may have."""
    make = _GRANTS.get(component)
    return make(stack) if make else Grant()


def gateway(stack: Stack, component: str) -> bool:
    """Return whether `component` must reach a port of the host, that is, whether something it asks is at `HOST_GATEWAY`."""
    there = {service.name for service in stack.services if service.host == HOST_GATEWAY}
    match component:
        case "prometheus":
            return any(job.owner in there or any(HOST_GATEWAY in target for target in job.targets) for job in stack.jobs)
        case "blackbox":
            return any(HOST_GATEWAY in probe.url or (probe.url.startswith("/") and probe.owner in there) for probe in stack.probes)
        case "alertmanager":
            integrations = [each for receiver in stack.receivers for each in receiver.integrations]
            return any(HOST_GATEWAY in getattr(each, field, "") for each in integrations for field in ("url", "smarthost"))
        case _:
            return False


def _prometheus(stack: Stack) -> Grant:
    jobs = [job.name for job in stack.jobs if job.discovery == "containers"]
    if not jobs:
        return Grant()
    why = f"finding the targets of {', '.join(jobs)} by container label needs Docker's socket; whoever may use it rules the host"
    return Grant(
        mounts=(f"{_SOCKET}:{_SOCKET}:ro",),
        settings={"group_add": [Interpolated("${DOCKER_GID:-999}")]},
        reasons={"volumes": why, "group_add": f"the socket's group; set DOCKER_GID to what `stat -c %g {_SOCKET}` says"},
    )


def _shipper(_: Stack) -> Grant:
    return Grant(
        mounts=(Interpolated(f"{_DOCKER}/containers:/var/lib/docker/containers:ro"),),
        reasons={
            "user": "Docker's log files belong to root and nobody else may read them; without capabilities this root may no more than that",
            "volumes": "the containers' log files; DOCKER_DATA_ROOT says where they are when Docker keeps its data elsewhere",
        },
    )


def _otelcol(stack: Stack) -> Grant:
    why = "none: the image holds the collector alone, which cannot ask itself; Prometheus watches whether it is up"
    if stack.shipper != "otelcol" or not stack.has("loki"):
        user = (
            "its queue's volume belongs to root, as the image has no folder for one; without capabilities this root may no more than that"
        )
        return Grant(reasons={"user": user, "healthcheck": why})
    common = _shipper(stack)
    return Grant(mounts=common.mounts, reasons={**common.reasons, "healthcheck": why})


def _fluentd(stack: Stack) -> Grant:
    return _shipper(stack) if stack.shipper == "fluentd" else Grant()


def _blackbox(stack: Stack) -> Grant:
    if all(blackbox.module(probe) != "icmp" for probe in stack.probes):
        return Grant()
    return Grant(
        settings={"sysctls": {"net.ipv4.ping_group_range": "0 65534"}},
        reasons={"sysctls": "probes by ping: with this an unprivileged user may send them, and no capability is needed"},
    )


def _node(_: Stack) -> Grant:
    return Grant(
        mounts=("/:/host:ro",),
        reasons={"volumes": "the host's own figures; read as nobody, without any capability, so only what every user may read"},
    )


def _cadvisor(_: Stack) -> Grant:
    return Grant(
        mounts=("/:/rootfs:ro", "/var/run:/var/run:ro", "/sys:/sys:ro", Interpolated(f"{_DOCKER}:/var/lib/docker:ro")),
        reasons={
            "user": "Docker's socket and data belong to root",
            "volumes": "what each container uses is said by control groups, filesystems and Docker's socket (whose user rules the host)",
        },
    )


_GRANTS: Final[Mapping[str, Callable[[Stack], Grant]]] = {
    "prometheus": _prometheus,
    "promtail": _shipper,
    "alloy": _shipper,
    "otelcol": _otelcol,
    "fluentd": _fluentd,
    "blackbox": _blackbox,
    "node": _node,
    "cadvisor": _cadvisor,
}
