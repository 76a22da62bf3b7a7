"""Promtail: tails the containers' JSON files (or plain files), passes each line through the model's stages, pushes to Loki.

Promtail's life ended on 2026-03-02 with 3.6. The stages themselves are those of `_stages.py`.
"""

from typing import Final

from specwatch.logs.defaults import MAX_LINE_BYTES
from specwatch.names import SERVICE_LABEL, header
from specwatch.render._logs import (
    DEFAULT_STAGES,
    DOCKER_FILES,
    Pipeline,
    alternatives,
    groups,
    host_and_port,
    label_names,
    pipelines,
    quoted,
)
from specwatch.render._stage_writer import Written
from specwatch.render._stages import opened_docker, written
from specwatch.stack import Stack
from specwatch.stack.logs import Limit
from specwatch.textio import dump_yaml
from specwatch.topology import Topology

# Lines stay in the file while Loki is away; the wait between two attempts is what a person notices when it is back.
MAX_WAIT_SECONDS: Final = 10
# With it, bytes that are no UTF-8 are replaced before anything reads them; without it, a label or metadata with such bytes is left out.
ENCODING: Final = "utf-8"


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
                "backoff_config": {"min_period": "500ms", "max_period": f"{MAX_WAIT_SECONDS}s", "max_retries": 0},
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


def container_stages(found: tuple[Pipeline, ...]) -> list[Written]:
    """Return the stages for Docker's JSON files: lines of a chosen container go on, each through those of its service."""
    label = f"attrs.{quoted(SERVICE_LABEL)}"
    chosen: tuple[Written, ...] = (
        {"labels": {"service": "service"}},
        {"match": {"selector": '{filename=~".+", service=""}', "action": "drop", "drop_counter_reason": "not_chosen"}},
    )
    blocks: list[Written] = []
    named: tuple[str, ...] = ()
    for stages, services in groups(found, "containers"):
        named += services
        # A limit is each service's own.
        parts = [(name,) for name in services] if any(isinstance(stage, Limit) for stage in stages) else [services]
        selectors = (f"{{service=~{quoted(alternatives(part))}}}" for part in parts)
        blocks.extend({"match": {"selector": selector, "stages": written(stages)}} for selector in selectors)
    others = "".join(f", service!~{quoted(alternatives(named))}" for _ in named[:1])
    rest = {"match": {"selector": f'{{service=~".+"{others}}}', "stages": written(DEFAULT_STAGES)}}
    return [*opened_docker({"service": label}, chosen), *blocks, rest]


def closing_stages(stack: Stack) -> list[Written]:
    """Return the stage that leaves a line no labels but those of the model."""
    return [{"labelallow": list(label_names(stack))}]


def _scrapes(stack: Stack, topology: Topology) -> list[Written]:
    found = pipelines(stack, topology)
    scrapes: list[Written] = []
    if topology.runtime == "compose":
        scrapes.append(
            {
                "job_name": "containers",
                "encoding": ENCODING,
                "static_configs": [{"targets": ["localhost"], "labels": {"__path__": DOCKER_FILES}}],
                "pipeline_stages": [*container_stages(found), *closing_stages(stack)],
            }
        )
    scrapes.extend(
        {
            "job_name": f"files/{pipeline.service}",
            "encoding": ENCODING,
            "static_configs": [
                {"targets": ["localhost"], "labels": {"service": pipeline.service, "__path__": path}} for path in pipeline.files
            ],
            "pipeline_stages": [*written(pipeline.stages), *closing_stages(stack)],
        }
        for pipeline in found
        if pipeline.source == "files"
    )
    return scrapes
