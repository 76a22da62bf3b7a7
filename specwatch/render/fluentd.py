"""Fluentd: takes records over the forward protocol and, as the stack's shipper, tails the files that the others do; sends to Loki.

Every kind of line passes labels of its own, in which a plugin of ours (templates/fluentd/, constant code) gives the stages their
meaning. A record's tag at the intake is the name of its service (`shop`, or `shop.anything`); one that holds one line (Docker's
`fluentd` driver calls it `log`) arrives as that line, any other as JSON. Not checked: Fluentd could not be run. The files follow its
documents and sources; the plugins' own code was run by hand.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from specwatch.components import BY_NAME
from specwatch.names import SERVICE_LABEL, header
from specwatch.render._fluentd_sinks import LINES, limited, outputs, undropped
from specwatch.render._fluentd_stages import begin, chosen, opened, opens, ruby, section, segments
from specwatch.render._fluentd_text import Section, Value, dump
from specwatch.render._logs import DEFAULT_STAGES, DOCKER_FILES, groups, host_and_port, pipelines
from specwatch.render._users import user
from specwatch.stack import Stack
from specwatch.stack.logs import Multiline, Parse, Stage
from specwatch.topology import Topology

METRICS_PORT: Final = 24231
MONITOR_PORT: Final = 24220

GEMS: Final = {
    "fluent-plugin-grafana-loki": "1.2.20",
    "fluent-plugin-prometheus": "2.2.2",
    "fluent-plugin-concat": "2.6.0",
    "fluent-plugin-rewrite-tag-filter": "2.4.0",
    "fluent-plugin-throttle": "0.0.5",
    "fluent-plugin-elasticsearch": "5.4.4",
    # A newer client speaks to Elasticsearch 9 alone.
    "elasticsearch": "8.15.0",
}
_PLUGINS: Final = Path(__file__).parent / "templates" / "fluentd"
_UNKNOWN: Final = "unknown"
_JOIN_SECONDS: Final = 5
# Ruby for `${…}` of record_transformer; it is constant, no value of the spec stands in it. Of a line's pieces only the last gets a newline.
_PIECE: Final = (
    '${record["log"].is_a?(String) ? '
    'record["log"].chomp + (record["partial_message"] == "true" && record["partial_last"] != "true" ? "" : "\\n") : '
    '(record.keys == ["message"] ? record["message"].to_s : (JSON.generate(record) rescue record.to_s)) + "\\n"}'
)


def render(stack: Stack, topology: Topology) -> dict[str, str]:
    """Return `fluentd/fluent.conf`, the plugins that it uses and `fluentd/Dockerfile`, or nothing when the stack has no Fluentd."""
    if not stack.has("fluentd"):
        return {}
    host, port = host_and_port(topology.listen["fluentd"])
    sections = (
        Section(name="source", parameters={"@type": "forward", "bind": host, "port": port, "@label": "@INTAKE"}),
        *_self_observation(stack, host),
        *_intake(stack, topology),
        *(_tails(stack, topology) if stack.shipper == "fluentd" else ()),
        *outputs(stack, topology),
        Section(
            name="label",
            argument="@FLUENT_LOG",
            comment="Fluentd's own log goes to its standard output, and from there with every container's.",
            sections=(Section(name="match", argument="**", parameters={"@type": "null"}),),
        ),
    )
    comment = "\n".join(f"# {line}" for line in header(stack).splitlines())
    plugins = {f"fluentd/plugins/{path.name}": f"{comment}\n{path.read_text(encoding='utf-8')}" for path in sorted(_PLUGINS.glob("*.rb"))}
    return {"fluentd/fluent.conf": dump(sections, header(stack)), "fluentd/Dockerfile": _dockerfile(stack), **plugins}


def arguments(stack: Stack, topology: Topology) -> tuple[str, ...]:  # noqa: ARG001  # every renderer's signature
    """Return the command line without the program's name."""
    folder = topology.config["fluentd"]
    return ("--config", f"{folder}/fluent.conf", "--plugin", f"{folder}/plugins")


def _self_observation(stack: Stack, host: str) -> tuple[Section, ...]:
    metrics: dict[str, Value] = {"bind": host, "port": stack.ports.get("fluentd-metrics", METRICS_PORT)}
    monitor: dict[str, Value] = {"bind": host, "port": stack.ports.get("fluentd-monitor", MONITOR_PORT)}
    return (
        Section(name="source", parameters={"@type": "monitor_agent", **monitor}),
        Section(name="source", parameters={"@type": "prometheus", **metrics}),
        Section(name="source", parameters={"@type": "prometheus_monitor"}),
        Section(name="source", parameters={"@type": "prometheus_output_monitor"}),
        Section(name="source", parameters={"@type": "prometheus_tail_monitor"}),
    )


def _intake(stack: Stack, topology: Topology) -> tuple[Section, ...]:
    """Return the labels of what is sent: pieces are joined, and each service's lines pass its stages."""
    found = groups(pipelines(stack, topology), "fluentd")
    record: dict[str, Value] = {"line": _PIECE, "service": "${tag_parts[0]}", "path": '${record["container_id"].to_s}'}
    transformed = Section(
        name="filter",
        argument="**",
        comment="The line as the program wrote it.",
        parameters={"@type": "record_transformer", "enable_ruby": True, "auto_typecast": True, "renew_record": True},
        sections=(Section(name="record", parameters=record),),
    )
    routes = [
        _relabel(" ".join(tag for service in services for tag in (service, f"{service}.**")), f"@SENT_{index}")
        for index, (_, services) in enumerate(found)
    ]
    whole = _label("@INTAKE_WHOLE", section("**", [("strip", {})]), *routes, _relabel("**", "@SENT_OTHERS"))
    return (
        _label("@INTAKE", transformed, section("**", [("clean", {})]), _pieces("path", "@INTAKE_WHOLE"), _relabel("**", "@INTAKE_WHOLE")),
        whole,
        *(label for index, (stages, _) in enumerate(found) for label in _passed(f"@SENT_{index}", stages)),
        *_passed("@SENT_OTHERS", DEFAULT_STAGES, _UNKNOWN),
    )


def _tails(stack: Stack, topology: Topology) -> tuple[Section, ...]:
    """Return the sources and labels of files, as the other shippers read them."""
    found = pipelines(stack, topology)
    sections: list[Section] = []
    if topology.runtime == "compose":
        of_containers = groups(found, "containers")
        routes = [
            _relabel(" ".join(f"service.{service}" for service in services), f"@CONTAINERS_{index}")
            for index, (_, services) in enumerate(of_containers)
        ]
        by_service = Section(
            name="match",
            argument="containers",
            parameters={"@type": "rewrite_tag_filter"},
            sections=(Section(name="rule", parameters={"key": "service", "pattern": r"/\A(.+)\z/m", "tag": "service.$1"}),),
        )
        own = section("containers", [chosen(SERVICE_LABEL)], "A line without the label of a chosen container goes no further.")
        sections += [
            # The rotated file too: what was written while Fluentd was away may lie there.
            _tail("containers", (DOCKER_FILES, f"{DOCKER_FILES}.1"), "@CONTAINERS", topology),
            _label("@CONTAINERS", own, _pieces("piece_of", "@CONTAINERS_WHOLE"), _relabel("**", "@CONTAINERS_WHOLE")),
            _label(
                "@CONTAINERS_WHOLE",
                section("containers", [("strip", {})]),
                by_service,
                *routes,
                _relabel("**", "@CONTAINERS_OTHERS"),
            ),
            *(label for index, (stages, _) in enumerate(of_containers) for label in _passed(f"@CONTAINERS_{index}", stages)),
            *_passed("@CONTAINERS_OTHERS", DEFAULT_STAGES),
        ]
    for index, pipeline in enumerate(found):
        if pipeline.source == "files":
            name = f"@FILES_{index}"
            sections.append(_tail(f"files_{index}", pipeline.files, name, topology))
            sections.extend(_passed(name, pipeline.stages, pipeline.service))
    return tuple(sections)


def _passed(name: str, stages: tuple[Stage, ...], service: str = "") -> tuple[Section, ...]:
    """Return the labels, the first called `name`, in which lines become entries and pass the stages on their way to `LINES`.

    Without `service` its name is in the record.
    """
    labels: list[Section] = []
    for stage in stages:
        if isinstance(stage, Parse) and opens(stage):
            whole = f"{name}_WHOLE"
            steps = [opened(stage.format, service)]
            labels.append(_label(name, section("**", steps), *undropped(), _pieces("piece_of", whole), _relabel("**", whole)))
            labels.append(_label(whole, section("**", [("strip", {})]), _relabel("**", f"{name}_LINES")))
            name = f"{name}_LINES"
        elif isinstance(stage, Multiline):
            entries = f"{name}_ENTRIES"
            labels.append(_label(name, section("**", [("clean", {})]), _joined(stage, entries), _relabel("**", entries)))
            name = f"{name}_ENTRIES"
    filters: list[Section] = []
    for index, (later, limit) in enumerate(segments(stages)):
        begun = () if index else (begin(service),)
        if begun or later:
            filters.append(section("**", (*begun, *later)))
        filters.extend(limited(limit.rate, limit.burst) if limit else ())
    return (*labels, _label(name, *filters, _relabel("**", LINES)))


def _tail(name: str, paths: tuple[str, ...], label: str, topology: Topology) -> Section:
    """Return a source that tails files; raises ValueError when the paths leave no character to separate them."""
    separator = next((char for char in "|;:,!&" if all(char not in path for path in paths)), "")
    if not separator:
        raise ValueError(f"{paths} cannot be written as paths of Fluentd's configuration")
    parameters: dict[str, Value] = {
        "@type": "tail",
        "@id": name,
        "@label": label,
        "tag": name,
        # Fluentd reads `%` as strftime does.
        "path": separator.join(path.replace("%", "%%") for path in paths),
        "path_delimiter": separator,
        "glob_policy": "extended" if separator == "," else "always",
        "path_key": "path",
        "pos_file": f"{topology.data['fluentd']}/{name}.pos",
        "read_from_head": True,
        "refresh_interval": 5,
        "rotate_wait": 30,
        "follow_inodes": True,
    }
    parse = Section(name="parse", parameters={"@type": "none", "message_key": "line"})
    return Section(name="source", parameters=parameters, sections=(parse,))


def _pieces(key: str, label: str) -> Section:
    """Return the filter that joins what was cut: only a line's last piece ends with a newline."""
    return _concat({"multiline_end_regexp": r"/\n\z/", "separator": "", "stream_identity_key": key, "flush_interval": _JOIN_SECONDS}, label)


def _joined(stage: Multiline, label: str) -> Section:
    start: dict[str, Value] = {"multiline_start_regexp": f"/{ruby(stage.first_line)}/", "separator": "\n", "stream_identity_key": "path"}
    return _concat({**start, "flush_interval": stage.max_wait_seconds}, label)


def _concat(settings: Mapping[str, Value], label: str) -> Section:
    common: dict[str, Value] = {"@type": "concat", "key": "line", "use_first_timestamp": True, "timeout_label": label}
    # What is longer is cut anyway.
    limit: dict[str, Value] = {"buffer_limit_size": "2m", "buffer_overflow_method": "truncate"}
    return Section(name="filter", argument="**", parameters={**common, **settings, **limit})


def _relabel(tags: str, label: str) -> Section:
    return Section(name="match", argument=tags, parameters={"@type": "relabel", "@label": label})


def _label(name: str, *sections: Section) -> Section:
    return Section(name="label", argument=name, sections=sections)


def _dockerfile(stack: Stack) -> str:
    component, owner = BY_NAME["fluentd"], user(stack, "fluentd")
    gems = " ".join(f"{name}:{version}" for name, version in GEMS.items())
    return "\n".join(
        (
            *(f"# {line}" for line in header(stack).splitlines()),
            f"ARG BASE=fluent/fluentd:{stack.versions['fluentd']}",
            "FROM ${BASE}",
            "USER root",
            f"RUN gem install --no-document {gems}",
            f"RUN mkdir -p {component.data} && chown -R {owner} {component.data}",
            f"USER {owner}",
            "",
        )
    )
