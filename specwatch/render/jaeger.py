"""Jaeger 1 as one process: spans in by OTLP, kept by badger on the local disk, out by the query API and its page.

Its end of life was 2025-12-31; 1.76.0, the last release, is what the flags were read from and what the tests run. It reads no file of
ours: everything is on the command line, but the kind of storage, which only a variable says.
"""

from typing import Final

from specwatch.components import BACKEND_OTLP_PORTS, JAEGER_METRICS_PORT
from specwatch.stack import Stack
from specwatch.topology import Topology

# Jaeger answers before a span is stored and drops what this queue has no place for; its own 2,000 are one request of the collector's.
_QUEUE_SPANS: Final = 50_000


def arguments(stack: Stack, topology: Topology) -> tuple[str, ...]:
    """Return the command line without the program's name."""
    data = topology.data["jaeger"]
    where = {
        "query.http-server": topology.listen["jaeger"],
        "admin.http": f"0.0.0.0:{JAEGER_METRICS_PORT}" if topology.runtime == "compose" else topology.address("jaeger-metrics"),
        **{f"collector.otlp.{name.rpartition('-')[2]}": _otlp(topology, name) for name in BACKEND_OTLP_PORTS},
        # What nobody here asks: its gRPC API and the intakes for Jaeger's own clients, which cannot be switched off.
        **dict.fromkeys(("query.grpc-server", "collector.grpc-server", "collector.http-server"), "127.0.0.1:0"),
    }
    return (
        *(f"--{name}.host-port={address}" for name, address in where.items()),
        f"--collector.queue-size={_QUEUE_SPANS}",
        "--badger.ephemeral=false",
        f"--badger.directory-key={data}/badger/keys",
        f"--badger.directory-value={data}/badger/values",
        f"--badger.span-store-ttl={stack.retention.traces_seconds}s",
        "--log-level=warn",
    )


def environment() -> dict[str, str]:
    """Return the variables Jaeger starts with."""
    # It would trace itself and send that to the usual address of an OTLP intake, whoever that is.
    return {"SPAN_STORAGE_TYPE": "badger", "OTEL_TRACES_SAMPLER": "always_off"}


def _otlp(topology: Topology, name: str) -> str:
    if topology.runtime == "native":
        return topology.address(name)
    return f"0.0.0.0:{topology.address(name).rpartition(':')[2]}"
