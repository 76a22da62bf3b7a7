"""What every log shipper needs to know, said once: where lines come from and what they pass, which labels there may be."""

import json
import re
from functools import partial
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from specwatch.logs.defaults import default_stages, stages_of
from specwatch.stack import Stack
from specwatch.stack.logs import Labels, Stage
from specwatch.topology import Topology

# What a container that is no service of the spec writes: the components of the stack itself speak logfmt.
DEFAULT_STAGES: Final = default_stages("logfmt")

DOCKER_FILES: Final = "/var/lib/docker/containers/*/*-json.log"


class Pipeline(Struct, frozen=True, kw_only=True):
    """Where a service's lines come from and what they pass; `files` is empty unless `source` is "files"."""

    service: str
    format: Literal["json", "logfmt", "text"]
    source: Literal["containers", "files", "fluentd", "otlp"]
    files: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = ()


def pipelines(stack: Stack, topology: Topology) -> tuple[Pipeline, ...]:
    """Return one pipeline for each service that logs, in the spec's order.

    Natively the standard output of a service lies in the file that the topology names; a service that specwatch does not run has none.
    """
    found = []
    for service in stack.services:
        logs = service.logs
        if logs is None:
            continue
        pipeline = partial(Pipeline, service=service.name, format=logs.format, stages=stages_of(logs))
        if logs.source == "files":
            found.append(pipeline(source="files", files=logs.files))
        elif logs.source != "container":
            found.append(pipeline(source=logs.source))
        elif service.name in topology.logs:
            found.append(pipeline(source="files", files=(topology.logs[service.name],)))
        elif topology.runtime == "compose":
            found.append(pipeline(source="containers"))
    return tuple(found)


class Group(NamedTuple):
    """Services whose lines pass the same stages."""

    stages: tuple[Stage, ...]
    services: tuple[str, ...]


def groups(found: tuple[Pipeline, ...], source: str) -> tuple[Group, ...]:
    """Return the services of the pipelines with `source`, grouped by what their lines pass."""
    grouped: list[Group] = []
    for pipeline in found:
        if pipeline.source != source:
            continue
        index = next((index for index, group in enumerate(grouped) if group.stages == pipeline.stages), len(grouped))
        services = (*(grouped[index].services if index < len(grouped) else ()), pipeline.service)
        grouped[index : index + 1] = [Group(pipeline.stages, services)]
    return tuple(grouped)


def label_names(stack: Stack) -> tuple[str, ...]:
    """Return the labels that lines may have, the two of every line first."""
    stages = (stage for service in stack.services if service.logs for stage in stages_of(service.logs))
    chosen = (name for stage in stages if isinstance(stage, Labels) for name in stage.values)
    return tuple(dict.fromkeys(("service", "level", *chosen)))


def alternatives(services: tuple[str, ...]) -> str:
    """Return a regular expression (Go's or Ruby's) that matches exactly one of `services`."""
    return "|".join(re.sub(r"([^\w/-])", r"\\\1", service, flags=re.ASCII) for service in services)


def quoted(text: str) -> str:
    """Return `text` as a double-quoted literal that Go's, LogQL's and the collector's expression readers understand."""
    return json.dumps(text, ensure_ascii=False)


def host_and_port(address: str) -> tuple[str, int]:
    """Return the host and the port of host:port."""
    host, _, port = address.rpartition(":")
    return host, int(port)
