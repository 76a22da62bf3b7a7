"""The blackbox exporter's modules: how a probe asks.

Reference: https://github.com/prometheus/blackbox_exporter/blob/master/CONFIGURATION.md.
"""

from typing import Any, Final

from specwatch import names
from specwatch.stack import Probe, Stack
from specwatch.textio import dump_yaml
from specwatch.topology import Topology

DEFAULT_MODULE: Final = "http_2xx"
# IPv4 first: most container networks have no IPv6, and the exporter's own default would try that first; it still falls back.
_HTTP: Final[dict[str, Any]] = {"preferred_ip_protocol": "ip4"}
MODULES: Final[dict[str, dict[str, Any]]] = {
    "http_2xx": {"prober": "http", "timeout": "10s", "http": _HTTP},
    "http_2xx_insecure": {"prober": "http", "timeout": "10s", "http": _HTTP | {"tls_config": {"insecure_skip_verify": True}}},
    "tcp_connect": {"prober": "tcp", "timeout": "5s", "tcp": {"preferred_ip_protocol": "ip4"}},
    "icmp": {"prober": "icmp", "timeout": "5s", "icmp": {"preferred_ip_protocol": "ip4"}},
}


def render(stack: Stack, topology: Topology) -> dict[str, str]:  # noqa: ARG001  # every renderer is called alike
    """Return blackbox.yml with the modules that the stack's probes use, and `DEFAULT_MODULE` for a probe made by hand.

    Raises KeyError for a module that is not in `MODULES`.
    """
    used = {DEFAULT_MODULE} | {module(probe) for probe in stack.probes}
    modules = {name: MODULES[name] for name in sorted(used)}
    return {"blackbox/blackbox.yml": dump_yaml({"modules": modules}, header=names.header(stack))}


def arguments(stack: Stack, topology: Topology) -> tuple[str, ...]:  # noqa: ARG001  # every renderer is called alike
    """Return the blackbox exporter's command line."""
    return (f"--config.file={topology.config['blackbox']}/blackbox.yml", f"--web.listen-address={topology.listen['blackbox']}")


def module(probe: Probe) -> str:
    """Return the name of the module that carries out the probe."""
    return probe.module or DEFAULT_MODULE
