"""Services that use every stage of the model, and services whose stages hold hostile text."""

from decimal import Decimal
from typing import Final

from specwatch.logs.defaults import MULTILINE, REDACTIONS, completed
from specwatch.stack import Logs, Service, Stack
from specwatch.stack.logs import (
    Drop,
    DropFields,
    Labels,
    Limit,
    Line,
    Metadata,
    Multiline,
    Parse,
    Redact,
    Rename,
    Sample,
    Stage,
    Timestamp,
)
from tests import stacks

SHOP: Final[tuple[Stage, ...]] = (
    Multiline(first_line=MULTILINE["python"]),
    Rename(names=(("correlation.id", "trace_id"),)),
    Redact(rules=(REDACTIONS["passwords"],)),
    Drop(reason="chatter", field="level", matches="^debug$"),
    Drop(reason="long-and-old", older_than_seconds=3600, longer_than_bytes=65536),
    Sample(ratio=Decimal("0.1"), field="path", matches="^/health"),
    Labels(values={"component": ("api", "worker")}),
    Metadata(fields=("user.id",)),
    Limit(rate=100, burst=500),
    DropFields(fields=("path",)),
    Line(template="{component}: {line}"),
)
OLD: Final[tuple[Stage, ...]] = (
    Parse(format="regex", expression=r'^(?P<ip>\S+) \S+ \S+ \[(?P<at>[^\]]+)\] "(?P<method>\S+)'),
    Timestamp(fields=("at",), layouts=("%d/%b/%Y:%H:%M:%S %z", "unix_ms"), zone="Europe/Berlin", otherwise="drop"),
    Sample(ratio=Decimal("0.5")),
    Labels(values={"method": ("GET", "POST")}),
)
# What a template, an expression or a configuration would make something of, if it were not text.
HOSTILE: Final = (
    *(text for text in stacks.HOSTILE if text.strip()),
    "{{ .Entry }} {{",
    "{{/*",
    "}} {{ end }}",
    "`id`",
    "#{`id`}",
    "${record['x']}",
    "a\n</match>\n<source>",
    '"\n}\n',
)


def every_stage(shipper: str) -> Stack:
    """Return a stack with that shipper whose services use every stage of the model."""
    sources = {
        "shop": Logs(format="json", source="container", stages=completed(SHOP, "json")),
        "old": Logs(format="text", source="files", files=("/var/log/old/*.log", "/srv/old.log"), stages=completed(OLD, "text")),
        "docker": Logs(
            format="logfmt",
            source="files",
            files=("/srv/docker/*.log",),
            stages=completed((Parse(format="docker"), Multiline(first_line="^[^ ]")), "logfmt"),
        ),
        "pods": Logs(format="text", source="files", files=("/var/log/pods/*.log",), stages=completed((Parse(format="cri"),), "text")),
    }
    return _stack(shipper, *(stacks.service(name, logs=logs) for name, logs in sources.items()))


def hostile(shipper: str) -> Stack:
    """Return a stack with that shipper and hostile text wherever the model takes text."""
    stages = (
        *(Line(template=f"{text} {{line}} {text}") for text in HOSTILE),
        Labels(values={"component": HOSTILE}),
        Drop(reason="matched", matches=r"^(?:[{]{2} [.]Entry [}]{2}|[#][{]`id`[}]|[$][{]x[}]|[\"'`\\/])$"),
    )
    logs = Logs(format="json", source="files", files=("/var/log/x.log",), stages=completed(stages, "json"))
    return _stack(shipper, stacks.service("hostile", logs=logs))


def _stack(shipper: str, *services: Service) -> Stack:
    return stacks.demo_stack(services=services, components=("loki", shipper), shipper=shipper)
