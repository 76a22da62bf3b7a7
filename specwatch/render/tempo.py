"""Tempo 3 as one process (`-target=all`, which needs no Kafka): OTLP in, blocks on the local disk.

Read in Tempo's own documents for 3.0: the blocks `ingester` and `compactor` are gone, OTLP must be told to listen beyond the
loopback, retention is the backend worker's, overrides are scoped. Not checked: Tempo could not be run, so no file made here has
been loaded by the program; where its own default is right nothing is written, to leave less that could be wrong.
"""

from typing import Final

from specwatch.components import TEMPO
from specwatch.names import header
from specwatch.render._logs import host_and_port
from specwatch.stack import Stack
from specwatch.stack.traces import counted_by
from specwatch.textio import dump_yaml
from specwatch.topology import Topology

# Loki, its neighbour under the native runtime, has 9095.
GRPC_PORT: Final = 9096


def render(stack: Stack, topology: Topology) -> dict[str, str]:
    """Return `tempo/tempo.yml`."""
    host, port = host_and_port(topology.listen["tempo"])
    data = topology.data["tempo"]
    config: dict[str, object] = {
        "usage_report": {"reporting_enabled": False},
        "stream_over_http_enabled": True,
        "server": {
            "http_listen_address": host,
            "http_listen_port": port,
            "grpc_listen_address": "127.0.0.1",
            "grpc_listen_port": stack.ports.get("tempo-grpc", GRPC_PORT) if topology.runtime == "native" else GRPC_PORT,
            "log_level": "warn",
        },
        "distributor": {
            "receivers": {
                "otlp": {
                    "protocols": {
                        "grpc": {"endpoint": _endpoint(topology, "backend-otlp-grpc")},
                        "http": {"endpoint": _endpoint(topology, "backend-otlp-http")},
                    }
                }
            }
        },
        "storage": {"trace": {"backend": "local", "local": {"path": f"{data}/blocks"}, "wal": {"path": f"{data}/wal"}}},
        "backend_worker": {"compaction": {"block_retention": _go_duration(stack.retention.traces_seconds)}},
    }
    if counted_by(stack.traces, stack.components) == "tempo":
        config |= _generator(topology)
    if data != TEMPO.data:
        config |= _folders(data)
    return {"tempo/tempo.yml": dump_yaml(config, header(stack))}


def arguments(stack: Stack, topology: Topology) -> tuple[str, ...]:  # noqa: ARG001  # every renderer's signature
    """Return the command line without the program's name."""
    return ("-target=all", f"-config.file={topology.config['tempo']}/tempo.yml")


def _endpoint(topology: Topology, name: str) -> str:
    address = topology.address(name)
    return address if topology.runtime == "native" else f"0.0.0.0:{address.rpartition(':')[2]}"


def _go_duration(seconds: int) -> str:
    """Return seconds as Go reads a duration: it knows no days."""
    return f"{seconds // 3600}h{seconds % 3600}s" if seconds % 3600 else f"{seconds // 3600}h"


def _generator(topology: Topology) -> dict[str, object]:
    """Return the part that turns spans into metrics and pushes them to Prometheus."""
    return {
        "metrics_generator": {
            "storage": {
                "path": f"{topology.data['tempo']}/generator",
                "remote_write": [{"url": topology.url("prometheus", "api/v1/write"), "send_exemplars": True}],
            }
        },
        "overrides": {"defaults": {"metrics_generator": {"processors": ["service-graphs", "span-metrics"]}}},
    }


def _folders(data: str) -> dict[str, object]:
    """Return the folders whose default lies below the image's own data folder."""
    return {
        "backend_scheduler": {"local_work_path": f"{data}/scheduler"},
        "live_store": {"wal": {"path": f"{data}/live-store"}, "shutdown_marker_dir": f"{data}/shutdown-marker"},
    }
