"""What every log shipper makes of a line, said once: Promtail, the OpenTelemetry Collector and Fluentd render the same meaning.

A line arrives in Loki under two labels, `service` and `level`; `trace_id` and `request_id` are structured metadata; the text is
the line as the program wrote it; the time is the line's own when it has one that reads as a date of this century, otherwise the
time at which Docker or the shipper saw it.
"""

import json
import re
from typing import Final, Literal

from msgspec import Struct

from specwatch.stack import Stack
from specwatch.topology import Topology

Format = Literal["json", "logfmt", "text"]

FORMATS: Final[tuple[Format, ...]] = ("json", "logfmt", "text")
# What a container that is no service of the spec writes: the components of the stack itself speak logfmt.
DEFAULT_FORMAT: Final[Format] = "logfmt"

LEVEL_FIELDS: Final = ("level", "severity", "lvl", "levelname")
TIME_FIELDS: Final = ("timestamp", "time", "ts")
METADATA: Final = ("trace_id", "request_id")
UNKNOWN_LEVEL: Final = "unknown"
# The numbers are those of pino and bunyan.
LEVELS: Final = {
    "debug": ("debug", "trace", "dbg", "10", "20"),
    "info": ("info", "information", "notice", "30"),
    "warn": ("warn", "warning", "wrn", "40"),
    "error": ("error", "err", "50"),
    "critical": ("critical", "crit", "fatal", "panic", "alert", "emerg", "emergency", "60"),
}

# A longer line is cut here by every shipper and by Loki, so that none is refused.
MAX_LINE_BYTES: Final = 1024 * 1024

DOCKER_FILES: Final = "/var/lib/docker/containers/*/*-json.log"

# Regular expressions that Go and Ruby read alike. A time has the shape of RFC 3339 with T or a space, with or without zone.
TIME: Final = r"2\d{3}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
# The pairs and bare words in front of the field; a quoted value is passed over whole, so that nothing is found inside one.
_PAIRS: Final = r'^(?:[^\s="]+(?:=(?:"(?:[^"\\]|\\.)*"|[^\s"]*))?\s+)*?'
_WORDS: Final = "TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|CRIT|FATAL|PANIC|EMERG"
EXPRESSIONS: Final[dict[Format, dict[str, str]]] = {
    "logfmt": {
        "level": rf'{_PAIRS}(?:{"|".join(LEVEL_FIELDS)})="?(?P<level>[^"\s]+)',
        "time": rf'{_PAIRS}(?:{"|".join(TIME_FIELDS)})="?(?P<time>{TIME})',
        **{name: rf'{_PAIRS}{name}="?(?P<{name}>[^"\s]+)' for name in METADATA},
    },
    "text": {
        "level": rf"^.{{0,120}}?(?:^|[\s\[(<|])(?P<level>{_WORDS})(?:[\s\])>|:,]|$)",
        "time": rf"^\W?(?P<time>{TIME})",
        **{name: rf'(?:^|[\s,(\["]){name}["=:]+\s?"?(?P<{name}>[\w.-]+)' for name in METADATA},
    },
}


class Pipeline(Struct, frozen=True, kw_only=True):
    """Where a service's lines come from and how they read; `files` is empty unless `source` is "files"."""

    service: str
    format: Format
    source: Literal["containers", "files", "fluentd"]
    files: tuple[str, ...] = ()


def pipelines(stack: Stack, topology: Topology) -> tuple[Pipeline, ...]:
    """Return one pipeline for each service that logs, in the spec's order.

    Natively the standard output of a service lies in the file that the topology names; a service that specwatch does not run has none.
    """
    found = []
    for service in stack.services:
        logs = service.logs
        if logs is None:
            continue
        if logs.source == "files":
            found.append(Pipeline(service=service.name, format=logs.format, source="files", files=logs.files))
        elif logs.source == "fluentd":
            found.append(Pipeline(service=service.name, format=logs.format, source="fluentd"))
        elif service.name in topology.logs:
            found.append(Pipeline(service=service.name, format=logs.format, source="files", files=(topology.logs[service.name],)))
        elif topology.runtime == "compose":
            found.append(Pipeline(service=service.name, format=logs.format, source="containers"))
    return tuple(found)


def by_format(found: tuple[Pipeline, ...], source: str) -> dict[Format, tuple[str, ...]]:
    """Return the services that write each format, of the pipelines with `source`; a format without services is left out."""
    wanted = tuple(pipeline for pipeline in found if pipeline.source == source)
    groups = {format_: tuple(pipeline.service for pipeline in wanted if pipeline.format == format_) for format_ in FORMATS}
    return {format_: services for format_, services in groups.items() if services}


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
