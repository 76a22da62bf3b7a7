"""Promtail: tails the containers' JSON files (or plain files), gives each line its labels, metadata and time, pushes to Loki.

Promtail's life ended on 2026-03-02 with 3.6; what it does here is what `otelcol.py` does too. One difference cannot be helped: Docker
cuts a line at 16 KiB, and Promtail sends the pieces as lines of their own.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from specwatch.names import SERVICE_LABEL, header
from specwatch.render._logs import (
    DEFAULT_FORMAT,
    DOCKER_FILES,
    EXPRESSIONS,
    LEVEL_FIELDS,
    LEVELS,
    MAX_LINE_BYTES,
    METADATA,
    TIME_FIELDS,
    UNKNOWN_LEVEL,
    Format,
    alternatives,
    by_format,
    host_and_port,
    pipelines,
    quoted,
)
from specwatch.stack import Stack
from specwatch.textio import dump_yaml
from specwatch.topology import Topology

Stage = Mapping[str, object]

# RFC 3339 and its relatives; where no zone is written it is UTC. The last one is seconds since 1970, see `_TIME`.
_LAYOUTS: Final = (
    "RFC3339Nano",
    "2006-01-02T15:04:05Z0700",
    "2006-01-02 15:04:05Z07:00",
    "2006-01-02 15:04:05Z0700",
    "2006-01-02T15:04:05",
    "2006-01-02 15:04:05",
    "Unix",
)
# Milliseconds become seconds; what is neither a date nor an epoch of this century is dropped, so that it parses as nothing else.
_TIME: Final = (
    '{{ $t := default "" .Value }}'
    '{{ if regexMatch "^1[0-9]{9}([0-9]{3})?([.][0-9]+)?$" $t }}{{ regexReplaceAll "^([0-9]{10})([0-9]{3})([.].*)?$" $t "${1}.${2}" }}'
    '{{ else if regexMatch "^2[0-9]{3}-" $t }}{{ $t }}{{ end }}'
)
_LEVEL: Final = (
    '{{ $level := ToLower (default "" .Value) }}'
    + "".join(
        f"{{{{ {'else if' if index else 'if'} has $level (list {' '.join(map(quoted, spellings))}) }}}}{level}"
        for index, (level, spellings) in enumerate(LEVELS.items())
    )
    + f"{{{{ else }}}}{UNKNOWN_LEVEL}{{{{ end }}}}"
)


def render(stack: Stack, topology: Topology) -> dict[str, str]:
    """Return `promtail/promtail.yml`."""
    host, port = host_and_port(topology.listen["promtail"])
    config = {
        "server": {
            "http_listen_address": host,
            "http_listen_port": port,
            "grpc_listen_address": "127.0.0.1",
            "grpc_listen_port": 0,
            "log_level": "warn",
            "enable_runtime_reload": True,
            # Without it a stack whose services have not logged yet is never ready.
            "health_check_target": False,
        },
        "positions": {"filename": f"{topology.data['promtail']}/positions.yml", "sync_period": "5s", "ignore_invalid_yaml": True},
        "clients": [
            {
                "url": topology.url("loki", "loki/api/v1/push"),
                "batchwait": "500ms",
                "batchsize": MAX_LINE_BYTES,
                "timeout": "30s",
                # No limit: while Loki is away reading stops, and the files are the buffer.
                "backoff_config": {"min_period": "500ms", "max_period": "30s", "max_retries": 0},
            }
        ],
        "limits_config": {"max_line_size": f"{MAX_LINE_BYTES}B", "max_line_size_truncate": True},
        "target_config": {"sync_period": "5s"},
        "scrape_configs": _scrapes(stack, topology),
    }
    return {"promtail/promtail.yml": dump_yaml(config, header(stack))}


def arguments(stack: Stack, topology: Topology) -> tuple[str, ...]:  # noqa: ARG001  # every renderer's signature
    """Return the command line without the program's name."""
    return (f"-config.file={topology.config['promtail']}/promtail.yml",)


def _scrapes(stack: Stack, topology: Topology) -> list[Stage]:
    found = pipelines(stack, topology)
    scrapes: list[Stage] = []
    if topology.runtime == "compose":
        scrapes.append(
            {
                "job_name": "containers",
                "static_configs": [{"targets": ["localhost"], "labels": {"__path__": DOCKER_FILES}}],
                "pipeline_stages": [*_docker_stages(), *_matched(by_format(found, "containers")), *_closing_stages()],
            }
        )
    scrapes.extend(
        {
            "job_name": f"files/{pipeline.service}",
            "static_configs": [
                {"targets": ["localhost"], "labels": {"service": pipeline.service, "__path__": path}} for path in pipeline.files
            ],
            "pipeline_stages": [*_stages(pipeline.format), *_closing_stages()],
        }
        for pipeline in found
        if pipeline.source == "files"
    )
    return scrapes


def _docker_stages() -> list[Stage]:
    """Return the stages that open Docker's JSON: the line of a chosen container goes on with Docker's time, any other is dropped."""
    return [
        {"json": {"expressions": {"docker_log": "log", "docker_time": "time", "service": f'attrs."{SERVICE_LABEL}"'}}},
        {"labels": {"service": None}},
        {"match": {"selector": '{filename=~".+", service=""}', "action": "drop", "drop_counter_reason": "not_chosen"}},
        {"timestamp": {"source": "docker_time", "format": "RFC3339Nano", "action_on_failure": "skip"}},
        {"template": {"source": "docker_log", "template": '{{ .Value | trimSuffix "\\n" | trimSuffix "\\r" }}'}},
        {"output": {"source": "docker_log"}},
    ]


def _matched(services: Mapping[Format, Sequence[str]]) -> list[Stage]:
    """Return a `match` block for each format; a container that no service of the spec names is read as `DEFAULT_FORMAT`."""
    blocks: list[Stage] = []
    others = [quoted(alternatives(tuple(names))) for format_, names in services.items() if format_ != DEFAULT_FORMAT]
    for format_, names in services.items():
        if format_ != DEFAULT_FORMAT:
            selector = f"{{service=~{quoted(alternatives(tuple(names)))}}}"
            blocks.append({"match": {"selector": selector, "stages": _stages(format_)}})
    matchers = ['service=~".+"', *(f"service!~{other}" for other in others)]
    blocks.append({"match": {"selector": f"{{{', '.join(matchers)}}}", "stages": _stages(DEFAULT_FORMAT)}})
    return blocks


def _stages(format_: Format) -> list[Stage]:
    """Return the stages that find level, time and metadata in a line; the line itself stays as it is."""
    if format_ == "json":
        fields = {"level": LEVEL_FIELDS, "time": TIME_FIELDS, **{name: (name,) for name in METADATA}}
        stages: list[Stage] = [{"json": {"expressions": {name: " || ".join(keys) for name, keys in fields.items()}}}]
    else:
        stages = [{"regex": {"expression": expression}} for expression in EXPRESSIONS[format_].values()]
    return [
        *stages,
        {"template": {"source": "time", "template": _TIME}},
        {
            "timestamp": {
                "source": "time",
                "format": _LAYOUTS[0],
                "fallback_formats": list(_LAYOUTS[1:]),
                "location": "UTC",
                "action_on_failure": "skip",
            }
        },
    ]


def _closing_stages() -> list[Stage]:
    return [
        {"template": {"source": "level", "template": _LEVEL}},
        {"labels": {"level": None}},
        {"structured_metadata": dict.fromkeys(METADATA)},
        {"labelallow": ["service", "level"]},
    ]
