"""Loki as one process: TSDB on the local disk, retention that deletes, and a ruler when the spec has alerts over logs.

Nothing that 4.0 removes is set. The settings that make it ready in under a second instead of sixteen are marked.
"""

from typing import Final

from specwatch.names import LOKI_UID, duration, header
from specwatch.render._logs import MAX_LINE_BYTES, host_and_port
from specwatch.render.rules import alert_rule
from specwatch.stack import Stack
from specwatch.textio import dump_yaml
from specwatch.topology import Topology

GRPC_PORT: Final = 9095

# Loki has one tenant while authentication is off, and calls it so.
_TENANT: Final = "fake"
_DAY: Final = 86_400
_LARGEST_MESSAGE_BYTES: Final = 64 * 1024 * 1024


def render(stack: Stack, topology: Topology) -> dict[str, str]:
    """Return `loki/loki.yml`, and `loki/rules/fake/alerts.yml` when the spec has alerts over logs."""
    config: dict[str, object] = {
        "auth_enabled": False,
        "analytics": {"reporting_enabled": False},
        "server": _server(stack, topology),
        "common": _common(topology),
        "schema_config": {
            "configs": [
                {
                    "from": "2024-01-01",
                    "store": "tsdb",
                    "object_store": "filesystem",
                    "schema": "v13",
                    "index": {"prefix": "index_", "period": "24h"},
                }
            ]
        },
        "limits_config": _limits(stack),
        "compactor": {
            "working_directory": f"{topology.data['loki']}/compactor",
            "retention_enabled": True,
            "delete_request_store": "filesystem",
        },
        "ingester": {
            # Ready at once: there is no other ingester to wait for.
            "lifecycler": {"min_ready_duration": "0s"},
            "wal": {"dir": f"{topology.data['loki']}/wal", "replay_memory_ceiling": "256MB"},
            # Half of it is how far a line may lag behind the newest of its stream: a shipper that catches up needs hours.
            "max_chunk_age": "12h",
        },
        # Longer than a chunk stays in memory, or its lines could not be found meanwhile.
        "querier": {"query_ingesters_within": "13h"},
        # Ready at once, too.
        "frontend": {"scheduler_dns_lookup_period": "500ms"},
        "query_scheduler": {"use_scheduler_ring": False},
    }
    files = {}
    if stack.log_alerts:
        config["ruler"] = _ruler(stack, topology)
        files[f"loki/rules/{_TENANT}/alerts.yml"] = dump_yaml(_rules(stack), header(stack))
    return {"loki/loki.yml": dump_yaml(config, header(stack)), **files}


def arguments(stack: Stack, topology: Topology) -> tuple[str, ...]:  # noqa: ARG001  # every renderer's signature
    """Return the command line without the program's name."""
    return (f"-config.file={topology.config['loki']}/loki.yml",)


def _server(stack: Stack, topology: Topology) -> dict[str, object]:
    host, port = host_and_port(topology.listen["loki"])
    return {
        "http_listen_address": host,
        "http_listen_port": port,
        # Loki talks to itself over it, nobody else does.
        "grpc_listen_address": "127.0.0.1",
        "grpc_listen_port": stack.ports.get("loki-grpc", GRPC_PORT) if topology.runtime == "native" else GRPC_PORT,
        "grpc_server_max_recv_msg_size": _LARGEST_MESSAGE_BYTES,
        "grpc_server_max_send_msg_size": _LARGEST_MESSAGE_BYTES,
        "log_level": "warn",
    }


def _common(topology: Topology) -> dict[str, object]:
    data = topology.data["loki"]
    return {
        "path_prefix": data,
        "instance_addr": "127.0.0.1",
        "replication_factor": 1,
        "ring": {"kvstore": {"store": "inmemory"}},
        "storage": {"filesystem": {"chunks_directory": f"{data}/chunks", "rules_directory": f"{data}/rules"}},
    }


def _limits(stack: Stack) -> dict[str, object]:
    # Loki accepts less than a day and then keeps everything.
    retention = duration(max(stack.retention.logs_seconds, _DAY))
    return {
        "retention_period": retention,
        # A shipper that catches up after a long outage must not be refused; what is older would be deleted at once.
        "reject_old_samples_max_age": retention,
        "ingestion_rate_mb": 32,
        "ingestion_burst_size_mb": 64,
        "per_stream_rate_limit": "16MB",
        "per_stream_rate_limit_burst": "32MB",
        "max_line_size": f"{MAX_LINE_BYTES}B",
        "max_line_size_truncate": True,
        "allow_structured_metadata": True,
        "volume_enabled": True,
        # The shippers set both labels; Loki must not guess others beside them.
        "discover_service_name": [],
        "discover_log_levels": False,
        "otlp_config": {
            "resource_attributes": {
                "ignore_defaults": True,
                "attributes_config": [{"action": "index_label", "attributes": ["service", "level"]}],
            }
        },
    }


def _ruler(stack: Stack, topology: Topology) -> dict[str, object]:
    data = topology.data["loki"]
    ruler: dict[str, object] = {
        "storage": {"type": "local", "local": {"directory": f"{topology.config['loki']}/rules"}},
        "rule_path": f"{data}/rules-scratch",
        "wal": {"dir": f"{data}/ruler-wal"},
        "evaluation_interval": duration(stack.evaluation_interval_seconds),
        "poll_interval": "10s",
    }
    if stack.has("alertmanager"):
        ruler["alertmanager_url"] = topology.url("alertmanager")
    if stack.has("grafana"):
        # An alert's link opens its query in Grafana.
        ruler |= {"external_url": stack.link("grafana"), "datasource_uid": LOKI_UID}
    if stack.has("prometheus"):
        url = topology.url("prometheus", "api/v1/write")
        ruler["remote_write"] = {"enabled": True, "clients": {"prometheus": {"url": url}}}
    return ruler


def _rules(stack: Stack) -> dict[str, object]:
    groups: dict[str, list[object]] = {}
    for alert in stack.log_alerts:
        groups.setdefault(alert.group, []).append(alert_rule(alert))
    return {"groups": [{"name": name, "rules": rules} for name, rules in groups.items()]}
