"""Grafana Alloy: Promtail's successor, which tails the same files and passes lines through the same stages (`_stages.py`) to Loki.

What each of Promtail's stages is called in Alloy is what Alloy's own converter makes of it (`alloy convert --source-format=promtail`).
There is no write-ahead log: Alloy deletes its segments after an hour, sent or not. Files and their positions are the buffer instead, as
reading waits while Loki is away.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from specwatch.logs.defaults import MAX_LINE_BYTES
from specwatch.names import header
from specwatch.render._alloy_text import Block, Reference, Value, dump
from specwatch.render._logs import DOCKER_FILES, pipelines
from specwatch.render._stages import written
from specwatch.render.promtail import ENCODING, MAX_WAIT_SECONDS, closing_stages, container_stages
from specwatch.stack import Stack
from specwatch.topology import Topology

_FILE: Final = "alloy/config.alloy"
# Stages whose settings are a list or a mapping of names in Promtail.
_OF_VALUES: Final = {
    "labels": "labels",
    "structured_metadata": "structured_metadata",
    "labelallow": "label_keep",
    "labeldrop": "label_drop",
}
# What Alloy does otherwise than Promtail unless it is told.
_TOLD: Final[Mapping[str, Mapping[str, Value]]] = {
    "timestamp": {"action_on_duplicate_timestamp": "keep"},
    "multiline": {"trim_newlines": False},
}


def render(stack: Stack, topology: Topology) -> dict[str, str]:
    """Return `alloy/config.alloy`."""
    found = pipelines(stack, topology)
    blocks = [Block(name="logging", attributes={"level": "warn", "format": "logfmt"}), _write(topology)]
    if topology.runtime == "compose":
        stages = [*container_stages(found), *closing_stages(stack)]
        blocks.extend(_reader("containers", ({"__path__": DOCKER_FILES},), stages))
    for index, pipeline in enumerate(found):
        if pipeline.source == "files":
            targets = tuple({"__path__": path, "service": pipeline.service} for path in pipeline.files)
            # Alloy's labels take no other characters than those of identifiers.
            blocks.extend(_reader(f"service_{index}", targets, [*written(pipeline.stages), *closing_stages(stack)]))
    return {_FILE: dump(tuple(blocks), header(stack))}


def arguments(stack: Stack, topology: Topology) -> tuple[str, ...]:  # noqa: ARG001  # every renderer's signature
    """Return the command line without the program's name."""
    return (
        "run",
        f"{topology.config['alloy']}/config.alloy",
        f"--server.http.listen-addr={topology.listen['alloy']}",
        f"--storage.path={topology.data['alloy']}",
        "--disable-reporting",
    )


def _write(topology: Topology) -> Block:
    endpoint: dict[str, Value] = {
        "url": topology.url("loki", "loki/api/v1/push"),
        "batch_wait": "500ms",
        "batch_size": f"{MAX_LINE_BYTES}B",
        "remote_timeout": "30s",
        "min_backoff_period": "500ms",
        "max_backoff_period": f"{MAX_WAIT_SECONDS}s",
        # No limit: while Loki is away reading stops, and the files are the buffer.
        "max_backoff_retries": 0,
    }
    return Block(name="loki.write", label="loki", blocks=(Block(name="endpoint", attributes=endpoint),))


def _reader(label: str, targets: tuple[Mapping[str, Value], ...], stages: Iterable[Mapping[str, Any]]) -> tuple[Block, ...]:
    """Return the blocks that find files, read them and pass their lines through the stages."""
    source: dict[str, Value] = {
        "targets": Reference(f"local.file_match.{label}.targets"),
        "forward_to": (Reference(f"loki.process.{label}.receiver"),),
        "encoding": ENCODING,
    }
    return (
        Block(name="local.file_match", label=label, attributes={"path_targets": targets, "sync_period": "5s"}),
        Block(name="loki.source.file", label=label, attributes=source),
        Block(
            name="loki.process",
            label=label,
            attributes={"forward_to": (Reference("loki.write.loki.receiver"),)},
            blocks=tuple(map(_stage, stages)),
        ),
    )


def _stage(stage: Mapping[str, Any]) -> Block:
    """Return Alloy's block for one of Promtail's stages."""
    ((kind, settings),) = stage.items()
    if kind in _OF_VALUES:
        return Block(
            name=f"stage.{_OF_VALUES[kind]}", attributes={"values": settings if isinstance(settings, Mapping) else tuple(settings)}
        )
    inner = tuple(map(_stage, settings.get("stages", ())))
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items() if key != "stages"}
    return Block(name=f"stage.{kind}", attributes={**plain, **_TOLD.get(kind, {})}, blocks=inner)
