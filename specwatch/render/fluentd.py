r"""Fluentd: takes records over the forward protocol, gives them the meaning that every shipper gives, and pushes them to Loki.

A record's tag is the name of its service (`shop`, or `shop.anything`). A record that holds one line (Docker's `fluentd` driver calls
it `log`) arrives as that line, any other as JSON. Two differences from the other shippers cannot be helped: the Loki plugin
knows no structured metadata, so trace_id and request_id stay in the line, to be found by `| json` or `|=`; and times are
kept to the microsecond. Not checked: Fluentd could not be run, the files follow its documents and sources.
"""

from typing import Final

from specwatch.components import BY_NAME
from specwatch.names import header
from specwatch.render._fluentd_text import Section, Value, dump
from specwatch.render._logs import (
    EXPRESSIONS,
    LEVEL_FIELDS,
    LEVELS,
    TIME_FIELDS,
    UNKNOWN_LEVEL,
    Format,
    by_format,
    host_and_port,
    pipelines,
    quoted,
)
from specwatch.stack import Stack
from specwatch.topology import Topology

METRICS_PORT: Final = 24231
MONITOR_PORT: Final = 24220

GEMS: Final = {"fluent-plugin-grafana-loki": "1.2.20", "fluent-plugin-prometheus": "2.2.2"}


def _first(fields: tuple[str, ...]) -> str:
    return f'record["fields"].values_at({", ".join(map(quoted, fields))}).compact.first'


# Ruby for `${…}` of record_transformer; all of it is constant, no value of the spec stands in it.
_LINE: Final = (
    '${record["log"].is_a?(String) ? record["log"].chomp : record.keys == ["message"] ? record["message"].to_s : JSON.generate(record)}'
)
_JSON_FIELDS: Final = '${(JSON.parse(record["line"]) rescue nil).then { |found| found.is_a?(Hash) ? found : {} }}'
_LOGFMT_FIELDS: Final = (
    r'${record["line"].scan(/([^\s="]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))/).map { |key, text, word| [key, text || word] }.reverse.to_h}'
)
_TIME: Final = (
    f"${{at = {_first(TIME_FIELDS)}; "
    r"at = at.is_a?(String) && at =~ /\A1\d{9}(\d{3})?([.]\d+)?\z/ ? at.to_f : at; "
    "at.is_a?(Numeric) ? (at >= 1e12 ? at / 1000.0 : at).then { |s| s.between?(1e9, 2e9) ? s : time.to_f } : "
    r"at.to_s =~ /\A2\d{3}-\d\d-\d\d[T ]/ ? (DateTime.parse(at).to_time.to_f rescue time.to_f) : time.to_f}"
)
_SPELLINGS: Final = ", ".join(f"{quoted(spelling)} => {quoted(level)}" for level, spellings in LEVELS.items() for spelling in spellings)
_LEVEL: Final = f"${{({{{_SPELLINGS}}}).fetch({_first(LEVEL_FIELDS)}.to_s.downcase, {quoted(UNKNOWN_LEVEL)})}}"


def render(stack: Stack, topology: Topology) -> dict[str, str]:
    """Return `fluentd/fluent.conf` and `fluentd/Dockerfile`, or nothing when the stack has no Fluentd."""
    if not stack.has("fluentd"):
        return {}
    host, port = host_and_port(topology.listen["fluentd"])
    services = by_format(pipelines(stack, topology), "fluentd")
    sections = (
        Section(name="source", parameters={"@type": "forward", "bind": host, "port": port}),
        *_self_observation(stack, host),
        *_filters(services),
        _loki(topology),
        Section(
            name="label",
            argument="@FLUENT_LOG",
            comment="Fluentd's own log goes to its standard output, and from there with every container's.",
            sections=(Section(name="match", argument="**", parameters={"@type": "null"}),),
        ),
    )
    return {"fluentd/fluent.conf": dump(sections, header(stack)), "fluentd/Dockerfile": _dockerfile(stack)}


def arguments(stack: Stack, topology: Topology) -> tuple[str, ...]:  # noqa: ARG001  # every renderer's signature
    """Return the command line without the program's name."""
    return ("--config", f"{topology.config['fluentd']}/fluent.conf")


def _self_observation(stack: Stack, host: str) -> tuple[Section, ...]:
    metrics: dict[str, Value] = {"bind": host, "port": stack.ports.get("fluentd-metrics", METRICS_PORT)}
    monitor: dict[str, Value] = {"bind": host, "port": stack.ports.get("fluentd-monitor", MONITOR_PORT)}
    return (
        Section(name="source", parameters={"@type": "monitor_agent", **monitor}),
        Section(name="source", parameters={"@type": "prometheus", **metrics}),
        Section(name="source", parameters={"@type": "prometheus_monitor"}),
        Section(name="source", parameters={"@type": "prometheus_output_monitor"}),
    )


def _filters(services: dict[Format, tuple[str, ...]]) -> tuple[Section, ...]:
    """Return the filters that turn any record into line, service and level, with the line's own time."""
    opened = _transformer(
        "**", "The line as the program wrote it.", {"line": _LINE, "service": "unknown", "fields": "${Hash.new}"}, renew=True
    )
    read = (
        _transformer(
            " ".join(tag for service in names for tag in (service, f"{service}.**")),
            f"Services that write {format_}.",
            {"service": "${tag_parts[0]}", "fields": _fields(format_)},
        )
        for format_, names in services.items()
    )
    closed = {"line": '${record["line"]}', "service": '${record["service"]}', "level": _LEVEL, "at": _TIME}
    return (opened, *read, _transformer("**", "", closed, renew=True, renew_time_key="at"))


def _fields(format_: Format) -> str:
    if format_ == "json":
        return _JSON_FIELDS
    if format_ == "logfmt":
        return _LOGFMT_FIELDS
    named = ((LEVEL_FIELDS[0], "level"), (TIME_FIELDS[0], "time"))
    found = ", ".join(f'{quoted(field)} => record["line"][{_ruby(EXPRESSIONS["text"][group])}, {quoted(group)}]' for field, group in named)
    return f"${{({{{found}}})}}"


def _ruby(expression: str) -> str:
    """Return the regular expression, written for Go, as a literal of Ruby's."""
    return "/" + expression.replace("/", r"\/").replace("(?P<", "(?<") + "/"


def _transformer(tags: str, comment: str, record: dict[str, str], *, renew: bool = False, renew_time_key: str = "") -> Section:
    parameters: dict[str, str | bool] = {"@type": "record_transformer", "enable_ruby": True, "auto_typecast": True}
    if renew:
        parameters["renew_record"] = True
    if renew_time_key:
        parameters["renew_time_key"] = renew_time_key
    return Section(
        name="filter", argument=tags, comment=comment, parameters=parameters, sections=(Section(name="record", parameters=record),)
    )


def _loki(topology: Topology) -> Section:
    return Section(
        name="match",
        argument="**",
        parameters={
            "@type": "loki",
            "url": topology.url("loki").removesuffix("/"),
            "line_format": "json",
            "drop_single_key": True,
            "remove_keys": "at",
            "include_thread_label": False,
        },
        sections=(
            Section(name="label", parameters={"service": "$.service", "level": "$.level"}),
            Section(
                name="buffer",
                comment="On disk, and tried for as long as it takes; when the folder is full, whoever sends has to wait.",
                parameters={
                    "@type": "file",
                    "path": f"{topology.data['fluentd']}/loki",
                    "chunk_limit_size": "2m",
                    "total_limit_size": "1g",
                    "flush_mode": "interval",
                    "flush_interval": "1s",
                    "flush_thread_count": 2,
                    "flush_at_shutdown": False,
                    "retry_forever": True,
                    "retry_max_interval": "30s",
                    "overflow_action": "block",
                },
            ),
        ),
    )


def _dockerfile(stack: Stack) -> str:
    component = BY_NAME["fluentd"]
    user, _, group = component.user.partition(":")
    gems = " ".join(f"{name}:{version}" for name, version in GEMS.items())
    return "\n".join(
        (
            *(f"# {line}" for line in header(stack).splitlines()),
            f"ARG BASE=fluent/fluentd:{stack.versions['fluentd']}",
            "FROM ${BASE}",
            "USER root",
            f"RUN gem install --no-document {gems}",
            f"RUN mkdir -p {component.data} && chown -R {user}:{group} {component.data}",
            f"USER {component.user}",
            "",
        )
    )
