"""Loki as one process: TSDB on the local disk, retention that deletes, and a ruler when the spec has alerts over logs.

Nothing that 4.0 removes is set. The settings that make it ready in under a second instead of sixteen are marked.
"""

from typing import Final

from specwatch.logs.defaults import MAX_LINE_BYTES
from specwatch.names import LOKI_UID, duration, header
from specwatch.render._logs import host_and_port, label_names
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
            # Costs a fifth less processor time than gzip, and somewhat more room on the disk.
            "chunk_encoding": "snappy",
        },
        # Longer than a chunk stays in memory, or its lines could not be found meanwhile.
        "querier": {"query_ingesters_within": "13h"},
        # Ready at once, too.
        "frontend": {"scheduler_dns_lookup_period": "500ms"},
        "query_scheduler": {"use_scheduler_ring": False},
    }
    files = {}
    if stack.log_alerts or stack.log_metrics:
        config["ruler"] = _ruler(stack, topology)
    if stack.log_alerts:
        files[f"loki/rules/{_TENANT}/alerts.yml"] = dump_yaml(_rules(stack), header(stack))
    if stack.log_metrics:
        files[f"loki/rules/{_TENANT}/recording.yml"] = dump_yaml(_recording(stack), header(stack))
    return {"loki/loki.yml": dump_yaml(config, header(stack)), **files}


def arguments(stack: Stack, topology: Topology) -> tuple[str, ...]:  # noqa: ARG001  # every renderer's signature
    """Return the command line without the program's name."""
    return (f"-config.file={topology.config['loki']}/loki.yml",)


def environment() -> dict[str, str]:
    """Return the environment: memory is collected less often than by default, which costs some of it and saves processor time."""
    return {"GOGC": "200"}


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
    longest = max((stack.retention.logs_seconds, _DAY, *(each.seconds for each in stack.stream_retention)))
    return {
        "retention_period": retention,
        # A shipper that catches up after a long outage must not be refused; what is older than any retention would be deleted at once.
        "reject_old_samples_max_age": duration(longest),
        **_retention_by_stream(stack),
        # What a delete request selects is not found any more, and is deleted for good a day later.
        "deletion_mode": "filter-and-delete",
        "ingestion_rate_mb": stack.log_limits.rate_mb,
        "ingestion_burst_size_mb": 2 * stack.log_limits.rate_mb,
        "per_stream_rate_limit": f"{stack.log_limits.stream_rate_mb}MB",
        "per_stream_rate_limit_burst": f"{2 * stack.log_limits.stream_rate_mb}MB",
        "max_global_streams_per_user": stack.log_limits.max_streams,
        "max_line_size": f"{MAX_LINE_BYTES}B",
        "max_line_size_truncate": True,
        # For many ingesters; of one it makes streams with a label of its own where much is written at once.
        "shard_streams": {"enabled": False},
        "allow_structured_metadata": True,
        # A line may be one field, which must not be the reason to refuse it.
        "max_structured_metadata_size": f"{2 * MAX_LINE_BYTES}B",
        "volume_enabled": True,
        # The shippers set both labels; Loki must not guess others beside them.
        "discover_service_name": [],
        "discover_log_levels": False,
        "otlp_config": {
            "resource_attributes": {
                "ignore_defaults": True,
                "attributes_config": [{"action": "index_label", "attributes": list(label_names(stack))}],
            },
            **_labels_of_records(stack),
        },
    }


def _labels_of_records(stack: Stack) -> dict[str, object]:
    """Return what makes labels of the attributes of lines that services send by OTLP; of lines out of files they are the resource's."""
    if not any(service.logs and service.logs.source == "otlp" for service in stack.services):
        return {}
    return {"log_attributes": [{"action": "index_label", "attributes": [name for name in label_names(stack) if name != "service"]}]}


def _retention_by_stream(stack: Stack) -> dict[str, object]:
    rules = [{"selector": each.selector, "priority": each.priority, "period": duration(each.seconds)} for each in stack.stream_retention]
    return {"retention_stream": rules} if rules else {}


def _ruler(stack: Stack, topology: Topology) -> dict[str, object]:
    data = topology.data["loki"]
    ruler: dict[str, object] = {
        "storage": {"type": "local", "local": {"directory": f"{topology.config['loki']}/rules"}},
        "rule_path": f"{data}/rules-scratch",
        # What is computed is computed again in seconds, so Loki does not wait for a Prometheus that stopped before it did.
        "wal": {"dir": f"{data}/ruler-wal", "remote_flush_deadline": "1s"},
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


def _recording(stack: Stack) -> dict[str, object]:
    rules = [
        {"record": each.name, "expr": each.expr, **({"labels": dict(each.labels)} if each.labels else {})} for each in stack.log_metrics
    ]
    return {"groups": [{"name": f"{stack.name}.recording", "rules": rules}]}


def _rules(stack: Stack) -> dict[str, object]:
    groups: dict[str, list[object]] = {}
    for alert in stack.log_alerts:
        groups.setdefault(alert.group, []).append(alert_rule(alert))
    return {"groups": [{"name": name, "rules": rules} for name, rules in groups.items()]}
