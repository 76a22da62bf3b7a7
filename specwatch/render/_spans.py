"""The collector's part for traces: OTLP in, metrics made of every span, then sampling, then to whatever keeps spans.

Written for 0.149 and tried with connectors of 0.145. A span is counted before it can be sampled away, and counted once: what comes
behind the counting never fails a request, because a program would send it again. So a full queue drops spans, which the collector
counts, and holds nobody up; lines, which lie in files until they are sent, can wait instead.
"""

from collections.abc import Mapping
from typing import Any, Final

from specwatch.components import OTLP_PORTS
from specwatch.stack import Sampling, Stack
from specwatch.stack.traces import counted_by, intake, kept
from specwatch.topology import Topology

Config = dict[str, Any]

_EXPORTER: Final = "otlp_http/spans"
_REMOTE_WRITE: Final = "prometheusremotewrite/spans"
_FORWARD: Final = "forward/spans"
# On the disk, so that a backend may be away for long and the collector may be started anew.
_QUEUE_BYTES: Final = 256 * 1024 * 1024
_BATCH_SPANS: Final = 1000
# Undecided traces in memory, and decisions that are remembered for spans that come late.
_TRACES: Final = 50_000
_DECISIONS: Final = 200_000
# Above this many, further series of spans are counted as one: a span's name may hold an id.
_SERIES: Final = 10_000
_BUCKETS: Final = ("5ms", "10ms", "25ms", "50ms", "100ms", "250ms", "500ms", "1s", "2500ms", "5s", "10s", "30s")
# Of what a client calls that sends no spans itself; the second names are those of the newer conventions.
_PEERS: Final = ("peer.service", "db.name", "db.namespace", "db.system", "db.system.name")

# The names, labels and unit that Tempo gives the same metrics, so that Grafana need not know who made them.
_AS_TEMPO: Final = (
    'set(metric.name, "traces_spanmetrics_latency") where metric.name == "traces.spanmetrics.duration"',
    'set(metric.unit, "") where metric.name == "traces_spanmetrics_latency"',
    'set(datapoint.attributes["service"], datapoint.attributes["service.name"]) where datapoint.attributes["service.name"] != nil',
    'delete_key(datapoint.attributes, "service.name")',
    "keep_keys(resource.attributes, [])",
)
# Jaeger takes `service.name` out of the tags, and only by a tag can Grafana lead from a span to its service's metrics.
_FOR_JAEGER: Final = 'set(resource.attributes["service"], resource.attributes["service.name"])'


def added(config: Mapping[str, Any], stack: Stack, topology: Topology) -> Config:
    """Return the collector's configuration with the pipelines for traces, where services send their spans to it.

    `config` must have the processor `memory_limiter` and the extension `file_storage`, and every `$` in it be doubled already.
    """
    merged = dict(config)
    if intake(stack.traces, stack.components) != "otelcol" or not kept(stack.traces, stack.components):
        return merged
    service = merged.pop("service")
    for key, part in _parts(stack, topology).items():
        merged[key] = {**config.get(key, {}), **part}
    return merged | {"service": {**service, "pipelines": {**service.get("pipelines", {}), **_pipelines(stack)}}}


def receiver(topology: Topology) -> Config:
    """Return the settings of the receiver `otlp`, by gRPC and HTTP."""
    where = {name.removeprefix("otlp-"): topology.address(name) for name in OTLP_PORTS}
    if topology.runtime == "compose":
        where = {protocol: f"0.0.0.0:{address.rpartition(':')[2]}" for protocol, address in where.items()}
    return {"protocols": {protocol: {"endpoint": address} for protocol, address in where.items()}}


def _counts(stack: Stack) -> bool:
    return counted_by(stack.traces, stack.components) == "otelcol"


def _parts(stack: Stack, topology: Topology) -> dict[str, Config]:
    parts: dict[str, Config] = {
        "receivers": {"otlp": receiver(topology)},
        "processors": _processors(stack),
        "exporters": {_EXPORTER: _exporter(stack, topology)},
    }
    if _counts(stack):
        every = f"{stack.scrape_interval_seconds}s"
        parts["connectors"] = {"spanmetrics": _span_metrics(every), "servicegraph": _service_graph(every), _FORWARD: {}}
        parts["exporters"][_REMOTE_WRITE] = _remote_write(topology)
    return parts


def _pipelines(stack: Stack) -> Config:
    keep = [name for name in ("tail_sampling", "transform/jaeger", "batch/spans") if name in _processors(stack)]
    if not _counts(stack):
        return {"traces": {"receivers": ["otlp"], "processors": ["memory_limiter", *keep], "exporters": [_EXPORTER]}}
    return {
        "traces/in": {
            "receivers": ["otlp"],
            "processors": ["memory_limiter"],
            "exporters": ["spanmetrics", "servicegraph", _FORWARD],
        },
        "traces/out": {"receivers": [_FORWARD], "processors": keep, "exporters": [_EXPORTER]},
        "metrics/spans": {
            "receivers": ["spanmetrics", "servicegraph"],
            "processors": ["transform/spanmetrics"],
            "exporters": [_REMOTE_WRITE],
        },
    }


def _processors(stack: Stack) -> Config:
    processors: Config = {"batch/spans": {"timeout": "200ms", "send_batch_size": _BATCH_SPANS, "send_batch_max_size": _BATCH_SPANS}}
    if stack.traces.sampling:
        processors["tail_sampling"] = _tail_sampling(stack.traces.sampling)
    if _counts(stack):
        processors["transform/spanmetrics"] = {"error_mode": "ignore", "metric_statements": list(_AS_TEMPO)}
        if stack.traces.backend == "jaeger":
            processors["transform/jaeger"] = {"error_mode": "ignore", "trace_statements": [_FOR_JAEGER]}
    return processors


def _tail_sampling(sampling: Sampling) -> Config:
    """Return the sampling: a trace is kept when any of the policies says so, so the last one is about all that the others leave."""
    policies: list[Config] = []
    if sampling.errors:
        policies.append({"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}})
    if sampling.slower_than_milliseconds:
        policies.append({"name": "slow", "type": "latency", "latency": {"threshold_ms": sampling.slower_than_milliseconds}})
    if sampling.ratio:
        share = {"sampling_percentage": float(sampling.ratio * 100)}
        policies.append({"name": "the-rest", "type": "probabilistic", "probabilistic": share})
    return {
        "decision_wait": f"{sampling.wait_seconds}s",
        "num_traces": _TRACES,
        "decision_cache": {"sampled_cache_size": _DECISIONS, "non_sampled_cache_size": _DECISIONS},
        "policies": policies,
    }


def _span_metrics(every: str) -> Config:
    return {
        "namespace": "traces.spanmetrics",
        "histogram": {"unit": "s", "explicit": {"buckets": list(_BUCKETS)}},
        "exemplars": {"enabled": True},
        # Else each process of a service would count from zero under the same labels.
        "resource_metrics_key_attributes": ["service.name"],
        "aggregation_cardinality_limit": _SERIES,
        "metrics_flush_interval": every,
    }


def _service_graph(every: str) -> Config:
    return {
        "latency_histogram_buckets": list(_BUCKETS),
        # As long as the two sides of a call may arrive apart.
        "store": {"ttl": "10s", "max_items": 10_000},
        "virtual_node_peer_attributes": list(_PEERS),
        "metrics_flush_interval": every,
    }


def _remote_write(topology: Topology) -> Config:
    return {
        "endpoint": topology.url("prometheus", "api/v1/write"),
        "target_info": {"enabled": False},
        "disable_scope_info": True,
        # One request at a time: Prometheus refuses what is older than what it has of a series.
        "max_batch_request_parallelism": 1,
    }


def _exporter(stack: Stack, topology: Topology) -> Config:
    traces = stack.traces
    outside = traces.backend == "otlp"
    settings: Config = {
        "endpoint": traces.endpoint.replace("$", "$$") if outside else f"http://{topology.address('backend-otlp-http')}",
        "compression": "gzip" if outside else "none",
        "timeout": "30s",
        "retry_on_failure": {"enabled": True, "initial_interval": "500ms", "max_interval": "30s", "max_elapsed_time": "0s"},
        "sending_queue": {"storage": "file_storage", "sizer": "bytes", "queue_size": _QUEUE_BYTES, "num_consumers": 4},
    }
    if traces.token:
        # The collector puts the file's content here when it starts, and would expand it too: a bearer token (RFC 6750) has no dollar sign.
        settings["headers"] = {"Authorization": f"Bearer ${{file:{topology.secret('otelcol', traces.token)}}}"}
    return settings
