"""The OpenTelemetry Collector as log shipper: tails the containers' JSON files (or plain files) and sends to Loki's OTLP endpoint.

Written for 0.149, whose receiver and exporter are called `file_log` and `otlp_http`. `$` is doubled in every value, because the
collector expands it, and values that come from the spec never stand where it would read an expression.
"""

import re
from collections.abc import Mapping
from typing import Final

from specwatch.names import SERVICE_LABEL, header
from specwatch.render._logs import (
    DEFAULT_FORMAT,
    DOCKER_FILES,
    EXPRESSIONS,
    FORMATS,
    LEVEL_FIELDS,
    LEVELS,
    MAX_LINE_BYTES,
    METADATA,
    TIME_FIELDS,
    UNKNOWN_LEVEL,
    Format,
    Pipeline,
    by_format,
    host_and_port,
    pipelines,
    quoted,
)
from specwatch.stack import Stack
from specwatch.textio import dump_yaml
from specwatch.topology import Topology

Operator = Mapping[str, object]

HEALTH_PORT: Final = 13133
METRICS_PORT: Final = 8888

_FOREVER: Final = {"enabled": True, "initial_interval": "500ms", "max_interval": "30s", "max_elapsed_time": "0s"}
_BATCH_BYTES: Final = 1024 * 1024
_QUEUE_BYTES: Final = 64 * 1024 * 1024
_UNITS: Final = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}

_DATE: Final = r"^2\d{3}-\d\d-\d\d[T ]\d\d:\d\d:\d\d"


def render(stack: Stack, topology: Topology) -> dict[str, str]:
    """Return `otelcol/otelcol.yml`."""
    host, _ = host_and_port(topology.listen["otelcol"])
    receivers = _receivers(pipelines(stack, topology), topology)
    config: dict[str, object] = {
        "extensions": {
            "health_check": {"endpoint": f"{host}:{stack.ports.get('otelcol-health', HEALTH_PORT)}"},
            "file_storage": {"directory": topology.data["otelcol"], "create_directory": True, "recreate": True},
        },
        "receivers": receivers,
        "processors": {
            "memory_limiter": {"check_interval": "1s", "limit_mib": _mebibytes(stack.memory["otelcol"]) * 3 // 4},
            "transform": {
                "error_mode": "ignore",
                "log_statements": [
                    "set(log.time_unix_nano, log.observed_time_unix_nano) where log.time_unix_nano == 0",
                    # Loki would keep it as metadata of every line.
                    "set(log.observed_time_unix_nano, 0)",
                ],
            },
        },
        "exporters": {"otlp_http": _exporter(topology)},
        "service": _service(host, stack.ports.get("otelcol-metrics", METRICS_PORT), tuple(receivers)),
    }
    return {"otelcol/otelcol.yml": dump_yaml(_escaped(config), header(stack))}


def arguments(stack: Stack, topology: Topology) -> tuple[str, ...]:  # noqa: ARG001  # every renderer's signature
    """Return the command line without the program's name."""
    return (f"--config={topology.config['otelcol']}/otelcol.yml",)


def _receivers(found: tuple[Pipeline, ...], topology: Topology) -> dict[str, object]:
    receivers: dict[str, object] = {}
    if topology.runtime == "compose":
        receivers["file_log/containers"] = {
            # The first rotated file too: what was written while the collector was down may lie there.
            "include": [DOCKER_FILES, f"{DOCKER_FILES}.1"],
            "include_file_path": True,
            **_reader(),
            "operators": [*_docker_operators(by_format(found, "containers")), *_chosen_format_operators(), *_closing_operators()],
        }
    for index, pipeline in enumerate(found):
        if pipeline.source == "files":
            # The collector's names take no other characters.
            name = pipeline.service if re.fullmatch(r"[\w.-]+", pipeline.service, re.ASCII) else f"service-{index}"
            receivers[f"file_log/{name}"] = {
                "include": list(pipeline.files),
                **_reader(),
                "resource": {"service": _constant(pipeline.service)},
                "operators": [*_operators(pipeline.format, ""), *_closing_operators()],
            }
    # A collector without a receiver does not start; without a service that logs there is nothing to read.
    return receivers or {"file_log": {"include": [f"{topology.data['otelcol']}/none.log"]}}


def _reader() -> dict[str, object]:
    return {
        "include_file_name": False,
        "start_at": "beginning",
        "storage": "file_storage",
        "max_log_size": f"{MAX_LINE_BYTES}",
        "max_log_size_behavior": "truncate",
        "retry_on_failure": _FOREVER,
    }


def _docker_operators(services: Mapping[Format, tuple[str, ...]]) -> list[Operator]:
    """Return the operators that open Docker's JSON: a chosen container's line goes on with Docker's time, any other is dropped."""
    formats = {name: format_ for format_, names in services.items() for name in names}
    table = "".join(f"{quoted(name)}: {quoted(format_)}, " for name, format_ in formats.items())
    label = f"attributes.attrs[{quoted(SERVICE_LABEL)}]"
    return [
        # A line that cannot be read is no line of a chosen container.
        {"type": "json_parser", "parse_from": "body", "parse_to": "attributes", "on_error": "drop_quiet"},
        {"type": "filter", "expr": f"attributes.attrs == nil || {label} == nil"},
        _time_parser("", "gotime", _RFC_3339),
        {"type": "move", "from": "attributes.log", "to": "body"},
        # Docker cuts a line at 16 KiB; only the last piece ends with a newline.
        {
            "type": "recombine",
            "combine_field": "body",
            "combine_with": "",
            "is_last_entry": 'body endsWith "\\n"',
            "max_batch_size": 0,
            "max_unmatched_batch_size": 0,
            "max_log_size": f"{MAX_LINE_BYTES}",
        },
        {"type": "add", "field": "body", "value": 'EXPR(trimSuffix(trimSuffix(body, "\\n"), "\\r"))'},
        {"type": "add", "field": "resource.service", "value": f"EXPR({label})"},
        {"type": "add", "field": "attributes.format", "value": f"EXPR({{{table}}}[resource.service] ?? {quoted(DEFAULT_FORMAT)})"},
        {"type": "remove", "field": "attributes.time"},
    ]


def _chosen_format_operators() -> list[Operator]:
    return [operator for format_ in FORMATS for operator in _operators(format_, f"attributes.format == {quoted(format_)}")]


def _operators(format_: Format, condition: str) -> list[Operator]:
    """Return the operators that find level, time, trace_id and request_id in a line and leave them in the attributes."""
    if format_ == "json":
        return [
            {
                "type": "json_parser",
                **_when(condition, 'body matches "^\\\\s*[{]"'),
                "parse_from": "body",
                "parse_to": "attributes.found",
                "on_error": "send_quiet",
            },
            _picked("level", LEVEL_FIELDS),
            _picked("time", TIME_FIELDS, _EPOCH_AS_MICROSECONDS),
            *(_picked(name, (name,)) for name in METADATA),
        ]
    return [
        {
            "type": "regex_parser",
            **_when(condition, f"body contains {quoted(name)}" if name in METADATA else ""),
            "regex": expression,
            "parse_from": "body",
            "parse_to": "attributes",
            "on_error": "send_quiet",
        }
        for name, expression in EXPRESSIONS[format_].items()
    ]


def _picked(name: str, keys: tuple[str, ...], expression: str = 'type(found) == "string" ? found : string(found)') -> Operator:
    """Return the operator that copies the first of the JSON line's `keys` that is there, as text made by `expression`."""
    first = " ?? ".join(f"attributes.found?.{key}" for key in keys)
    return {"type": "add", "field": f"attributes.{name}", "if": f"({first}) != nil", "value": f"EXPR(let found = {first}; {expression})"}


def _when(*conditions: str) -> dict[str, str]:
    """Return the setting that restricts an operator to lines of which all `conditions` hold."""
    wanted = " && ".join(filter(None, conditions))
    return {"if": wanted} if wanted else {}


# Seconds or milliseconds since 1970 in this century, as a number or as text, become microseconds; anything else stays as it is.
_EPOCH_AS_MICROSECONDS: Final = (
    'if type(found) == "string" && found startsWith "2" { found } else { '
    'let number = type(found) == "float" ? found : string(found) matches "^1[0-9]{9}([0-9]{3})?([.][0-9]+)?$" ? float(found) : 0.0; '
    "number >= 1e12 && number < 2e12 ? string(int(round(number * 1e3))) : "
    "number >= 1e9 && number < 2e9 ? string(int(round(number * 1e6))) : string(found) }"
)
_RFC_3339: Final = "2006-01-02T15:04:05Z07:00"
# Looked at without a regular expression: nearly every line has such a time.
_IS_RFC_3339: Final = (
    'len(t) > 19 && t[10:11] == "T" && (t endsWith "Z" || t[len(t)-3:len(t)-2] == ":" && t[len(t)-6:len(t)-5] in ["+", "-"])'
)
# A space between date and time becomes T, a zone gets its colon, no zone means UTC.
_DATE_AS_RFC_3339: Final = (
    'let t = attributes.time; let zone = t matches "(Z|[+-][0-9]{2}:?[0-9]{2})$" && len(t) > 19; '
    'let plain = zone && t matches "[+-][0-9]{4}$"; '
    't[:10] + "T" + (plain ? t[11:len(t)-2] + ":" + t[len(t)-2:] : zone ? t[11:] : t[11:] + "Z")'
)


def _closing_operators() -> list[Operator]:
    """Return the operators that set the level and the line's own time, and keep only the metadata."""
    odd = f'let t = attributes.time ?? ""; !({_IS_RFC_3339}) && t matches {quoted(_DATE)}'
    return [
        {"type": "add", "field": "resource.level", "value": f"EXPR({_level()})"},
        {"type": "add", "field": "attributes.time", "if": odd, "value": f"EXPR({_DATE_AS_RFC_3339})"},
        _time_parser('(attributes.time ?? "") startsWith "2"', "gotime", _RFC_3339),
        _time_parser('len(attributes.time ?? "") == 16', "epoch", "us"),
        {"type": "retain", "fields": [f"attributes.{name}" for name in METADATA]},
    ]


def _time_parser(condition: str, layout_type: str, layout: str) -> Operator:
    """Return the operator that takes the entry's time from `attributes.time`; where that cannot be read the entry keeps the time it has."""
    return {
        "type": "time_parser",
        **_when(condition),
        "parse_from": "attributes.time",
        "layout_type": layout_type,
        "layout": layout,
        "on_error": "send_quiet",
    }


def _level() -> str:
    tests = "".join(f"level in [{', '.join(map(quoted, spellings))}] ? {quoted(level)} : " for level, spellings in LEVELS.items())
    return f'let level = lower(attributes.level ?? ""); {tests}{quoted(UNKNOWN_LEVEL)}'


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
            "num_consumers": 4,
            "batch": {"sizer": "bytes", "flush_timeout": "200ms", "min_size": _BATCH_BYTES, "max_size": 2 * _BATCH_BYTES},
        },
    }


def _service(host: str, metrics_port: int, receivers: tuple[str, ...]) -> dict[str, object]:
    return {
        "extensions": ["health_check", "file_storage"],
        "telemetry": {
            "logs": {"level": "warn"},
            "metrics": {"readers": [{"pull": {"exporter": {"prometheus": {"host": host, "port": metrics_port}}}}]},
        },
        "pipelines": {"logs": {"receivers": list(receivers), "processors": ["memory_limiter", "transform"], "exporters": ["otlp_http"]}},
    }


def _mebibytes(memory: str) -> int:
    """Return Docker's notation ("512m") in MiB."""
    unit = memory[-1:].lower()
    return int(memory[:-1]) * _UNITS[unit] // 1024**2 if unit in _UNITS else int(memory) // 1024**2


def _constant(value: str) -> str:
    """Return `value` such that the collector reads it as that text, even where it looks for `EXPR(…)`."""
    return "EXPR(" + " + ".join(quoted(part) for part in value.replace("EXPR(", "EX\0PR(").split("\0")) + ")" if "EXPR(" in value else value


def _escaped(value: object) -> object:
    """Return the configuration with every `$` doubled, as the collector wants it."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {key: _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, (list, tuple)) else value
