"""The OpenTelemetry Collector as log shipper: containers' JSON files, plain files and what services send by OTLP, to Loki's OTLP endpoint.

Lines out of files pass operators of the file receiver (`_assembly`, `_stanza`), which are twice as fast as statements of the transform
processor; log records pass such statements (`_ottl`), because nothing else can be done with them.

Written for 0.149, whose receiver and exporter are called `file_log` and `otlp_http`. `$` is doubled in every value, because the
collector expands it, and values that come from the spec never stand where it would read an expression.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from specwatch.logs.defaults import MAX_LINE_BYTES, default_stages
from specwatch.logs.times import AHEAD_SECONDS, CENTURY
from specwatch.names import SERVICE_LABEL, header
from specwatch.render import _spans
from specwatch.render._assembly import BLANK, DROPPED, Operator, joined_reading, joiner, joining, opener, opening, stripping
from specwatch.render._logs import DEFAULT_STAGES, DOCKER_FILES, Group, Pipeline, groups, host_and_port, pipelines, quoted
from specwatch.render._ottl import SAMPLED, statements
from specwatch.render._stanza import operators
from specwatch.stack import Stack
from specwatch.stack.logs import Drop, Parse, Sample, Stage, Timestamp
from specwatch.stack.traces import intake
from specwatch.textio import dump_yaml
from specwatch.topology import Topology

Config = dict[str, Any]

HEALTH_PORT: Final = 13133
METRICS_PORT: Final = 8888

# What was written while the collector was down, or could not deliver, may lie in rotated files; those that it has read it knows again.
_ROTATED: Final = ".[1-9]"
_FOREVER: Final = {"enabled": True, "initial_interval": "500ms", "max_interval": "30s", "max_elapsed_time": "0s"}
_BATCH_BYTES: Final = 1024 * 1024
_QUEUE_BYTES: Final = 256 * 1024 * 1024
_UNITS: Final = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}

_NANOSECONDS: Final = 10**9
_TOO_EARLY: Final = f"log.time_unix_nano < {CENTURY[0] * _NANOSECONDS}"
_TOO_LATE: Final = f"log.time_unix_nano > log.observed_time_unix_nano + {AHEAD_SECONDS * _NANOSECONDS}"
_CLOSING: Final = (
    # Without a time, or with one that cannot be: the time at which the line was read.
    f"set(log.time_unix_nano, log.observed_time_unix_nano) where {_TOO_EARLY} or {_TOO_LATE}",
    # Loki would keep it as metadata of every line.
    "set(log.observed_time_unix_nano, 0)",
)


def render(stack: Stack, topology: Topology) -> dict[str, str]:
    """Return `otelcol/otelcol.yml`."""
    host, _ = host_and_port(topology.listen["otelcol"])
    config: Config = {
        "extensions": {
            "health_check": {"endpoint": f"{host}:{stack.ports.get('otelcol-health', HEALTH_PORT)}"},
            "file_storage": {"directory": topology.data["otelcol"], "create_directory": True, "recreate": True},
        },
        "receivers": {},
        "processors": {"memory_limiter": {"check_interval": "1s", "limit_mib": _mebibytes(stack.memory["otelcol"]) * 3 // 4}},
        "exporters": {},
        "service": _service(host, stack.ports.get("otelcol-metrics", METRICS_PORT)),
    }
    for part in (_from_files(stack, topology), _by_otlp(stack, topology)) if stack.has("loki") else ():
        config = {key: {**value, **part.get(key, {})} for key, value in config.items()}
        config["service"]["pipelines"] = {**config["service"].get("pipelines", {}), **part.get("pipelines", {})}
    return {"otelcol/otelcol.yml": dump_yaml(_spans.added(_escaped(config), stack, topology), header(stack))}


def _from_files(stack: Stack, topology: Topology) -> Config:
    """Return the parts that carry lines out of files to Loki; a collector that is here for traces leaves them to the shipper."""
    found = pipelines(stack, topology)
    if stack.shipper != "otelcol" and intake(stack.traces, stack.components) == "otelcol":
        return {}
    receivers = _receivers(found, topology)
    reasons = _reasons(stage for pipeline in found if pipeline.source in {"containers", "files"} for stage in pipeline.stages)
    # A mark in the resource is looked at once for many lines.
    drops = {f"filter/{reason}": _filter(f"resource.attributes[{quoted(DROPPED)}] == {quoted(reason)}") for reason in reasons}
    return {
        "receivers": receivers,
        "processors": {**drops, "transform": {"error_mode": "ignore", "log_statements": list(_CLOSING)}},
        "exporters": {"otlp_http": _exporter(topology)},
        "pipelines": {
            "logs": {"receivers": list(receivers), "processors": ["memory_limiter", *drops, "transform"], "exporters": ["otlp_http"]}
        },
    }


def _by_otlp(stack: Stack, topology: Topology) -> Config:
    """Return the parts that carry log records that services send."""
    found = pipelines(stack, topology)
    chosen = groups(found, "otlp")
    if not chosen or intake(stack.traces, stack.components) != "otelcol":
        return {}
    stages = [stage for group in chosen for stage in group.stages]
    reasons = (*_reasons(stages), *((SAMPLED,) if any(isinstance(stage, Sample) for stage in stages) else ()))
    drops = {f"filter/otlp-{reason}": _filter(f"log.attributes[{quoted(DROPPED)}] == {quoted(reason)}") for reason in reasons}
    transform = {
        "error_mode": "silent",
        "log_statements": [*statements(chosen, default_stages("json")), {"context": "log", "statements": list(_CLOSING)}],
    }
    processors = ["memory_limiter", "transform/otlp", *drops]
    return {
        "receivers": {"otlp": _spans.receiver(topology)},
        "processors": {"transform/otlp": transform, **drops},
        "exporters": {"otlp_http": _exporter(topology)},
        "pipelines": {"logs/otlp": {"receivers": ["otlp"], "processors": processors, "exporters": ["otlp_http"]}},
    }


def _filter(condition: str) -> dict[str, object]:
    """Return what drops the lines for which the condition holds, and counts them under its own name."""
    return {"error_mode": "ignore", "log_conditions": [condition]}


def _reasons(stages: Iterable[Stage]) -> tuple[str, ...]:
    """Return why lines may be dropped."""
    return tuple(dict.fromkeys(reason for stage in stages if (reason := _reason(stage))))


def _reason(stage: Stage) -> str:
    if isinstance(stage, Drop):
        return stage.reason
    if isinstance(stage, Timestamp) and stage.otherwise == "drop":
        return "no_time"
    if isinstance(stage, Parse) and stage.format in {"docker", "cri"}:
        return f"not_{stage.format}"
    return ""


def arguments(stack: Stack, topology: Topology) -> tuple[str, ...]:  # noqa: ARG001  # every renderer's signature
    """Return the command line without the program's name."""
    # With the gate a file's position goes on when its lines are in the queue on the disk, and not before: killed, it loses none.
    return (f"--config={topology.config['otelcol']}/otelcol.yml", "--feature-gates=stanza.synchronousLogEmitter")


def environment() -> dict[str, str]:
    """Return the environment: memory is collected less often than by default, which costs tens of megabytes and saves processor time."""
    return {"GOGC": "300"}


def _receivers(found: tuple[Pipeline, ...], topology: Topology) -> dict[str, object]:
    receivers: dict[str, object] = {}
    if topology.runtime == "compose":
        receivers["file_log/containers"] = {
            "include": [DOCKER_FILES, f"{DOCKER_FILES}{_ROTATED}"],
            "include_file_path": True,
            **_reader(),
            "operators": _container_operators(groups(found, "containers")),
        }
    for index, pipeline in enumerate(found):
        if pipeline.source == "files":
            # The collector's names take no other characters.
            name = pipeline.service if re.fullmatch(r"[\w.-]+", pipeline.service, re.ASCII) else f"service-{index}"
            receivers[f"file_log/{name}"] = _file_receiver(pipeline)
    # A collector without a receiver does not start; without a service that logs there is nothing to read.
    return receivers or {"file_log": {"include": [f"{topology.data['otelcol']}/none.log"]}}


def _reader() -> dict[str, object]:
    return {
        "include_file_name": False,
        "start_at": "beginning",
        "storage": "file_storage",
        "max_log_size": f"{MAX_LINE_BYTES}",
        "max_log_size_behavior": "truncate",
        "preserve_leading_whitespaces": True,
        "preserve_trailing_whitespaces": True,
        "retry_on_failure": _FOREVER,
    }


def _file_receiver(pipeline: Pipeline) -> dict[str, object]:
    first, joined = opener(pipeline.stages), joiner(pipeline.stages)
    front: list[Operator] = []
    settings: dict[str, object] = {}
    if first:
        settings = {"include_file_path": True}
        front = [*opening(first.format), *joining(pipeline.stages)]
    elif joined:
        settings = joined_reading(joined)
        front = [*stripping(), BLANK]
    return {
        "include": [*pipeline.files, *(f"{path}{_ROTATED}" for path in pipeline.files if not path.endswith("*"))],
        **_reader(),
        **settings,
        "resource": {"service": _constant(pipeline.service)},
        "operators": [*front, *operators(pipeline.stages, "stages")],
    }


def _container_operators(found: tuple[Group, ...]) -> list[Operator]:
    """Return the operators that open Docker's JSON and send each chosen container's lines through its service's stages."""
    label = f"attributes.attrs[{quoted(SERVICE_LABEL)}]"
    chosen = f'type(attributes.attrs) == "map" && type({label}) == "string"'
    chains = [(group.stages, group.services) for group in found if group.stages != DEFAULT_STAGES]
    routes = [
        {"expr": f"resource.service in [{', '.join(map(quoted, services))}]", "output": f"group-{index}"}
        for index, (_, services) in enumerate(chains)
    ]
    groups_ = []
    for index, (stages, _) in enumerate((*chains, (DEFAULT_STAGES, ()))):
        name = f"group-{index}"
        first, *rest = [*joining(stages), *operators(stages, name, is_timed=True)]
        groups_ += [{**first, "id": name}, *rest[:-1], {**rest[-1], "output": "end"}]
    return [
        *opening("docker", chosen=chosen),
        {"type": "add", "field": "resource.service", "value": f"EXPR({label})"},
        {"type": "router", "routes": routes, "default": f"group-{len(chains)}"} if routes else {"type": "noop"},
        *groups_,
        {"type": "noop", "id": "end"},
    ]


def _exporter(topology: Topology) -> dict[str, object]:
    return {
        "logs_endpoint": topology.url("loki", "otlp/v1/logs"),
        "compression": "none",
        "timeout": "30s",
        "retry_on_failure": _FOREVER,
        "sending_queue": {
            # On disk, and full means that reading waits: the log files themselves are the longer buffer.
            "storage": "file_storage",
            "sizer": "bytes",
            "queue_size": _QUEUE_BYTES,
            "block_on_overflow": True,
            # Several deliver out of order, and Loki sorts what is.
            "num_consumers": 1,
            "batch": {"sizer": "bytes", "flush_timeout": "200ms", "min_size": _BATCH_BYTES, "max_size": 2 * _BATCH_BYTES},
        },
    }


def _service(host: str, metrics_port: int) -> dict[str, object]:
    return {
        "extensions": ["health_check", "file_storage"],
        "telemetry": {
            "logs": {"level": "warn"},
            "metrics": {"readers": [{"pull": {"exporter": {"prometheus": {"host": host, "port": metrics_port}}}}]},
        },
    }


def _mebibytes(memory: str) -> int:
    """Return Docker's notation ("512m") in MiB."""
    unit = memory[-1:].lower()
    return int(memory[:-1]) * _UNITS[unit] // 1024**2 if unit in _UNITS else int(memory) // 1024**2


def _constant(value: str) -> str:
    """Return `value` such that the collector reads it as that text, even where it looks for `EXPR(…)`."""
    return "EXPR(" + " + ".join(quoted(part) for part in value.replace("EXPR(", "EX\0PR(").split("\0")) + ")" if "EXPR(" in value else value


def _escaped(value: Any) -> Any:
    """Return the configuration with every `$` doubled, as the collector wants it."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {key: _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, (list, tuple)) else value
