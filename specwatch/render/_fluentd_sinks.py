"""Where Fluentd sends lines: Loki always, Elasticsearch and archive files where the spec wants them; what is refused is kept."""

import shlex
from typing import Final

from specwatch.render._fluentd_stages import section
from specwatch.render._fluentd_text import FileContents, Section, Value
from specwatch.stack import Stack
from specwatch.stack.logs import Elasticsearch
from specwatch.topology import Topology

LINES: Final = "@LINES"
"""The label that every line passes last."""

_KEPT_REFUSED_DAYS: Final = 14
_REFUSED: Final = "what is refused for good is kept"


def outputs(stack: Stack, topology: Topology) -> tuple[Section, ...]:
    """Return the sections that count lines and send them, and those that remove old files."""
    folder = topology.data["fluentd"]
    search, archive = stack.sinks.elasticsearch, stack.sinks.archive
    loki = _loki(topology)
    stores = [Section(name="store", parameters=loki.parameters, sections=loki.sections, comment=loki.comment)]
    labels = []
    if search:
        stores.append(_to("@ELASTICSEARCH"))
        labels.append(_label("@ELASTICSEARCH", section("**", [("document", {})]), _elasticsearch(search, topology)))
    if archive:
        stores.append(_to("@ARCHIVE"))
        labels.append(_label("@ARCHIVE", section("**", [("archive", {})]), _archive(folder)))
    send = loki if len(stores) == 1 else Section(name="match", argument="**", parameters={"@type": "copy"}, sections=tuple(stores))
    return (
        _label(LINES, *undropped(), section("**", [("close", {})]), _counted("sent", "Lines that went on to Loki."), send),
        *labels,
        _label("@ERROR", _errors(folder)),
        *_removal(f"{folder}/refused", _KEPT_REFUSED_DAYS, "refused"),
        *(_removal(f"{folder}/archive", archive.days, "archive") if archive else ()),
    )


def limited(rate: int, burst: int) -> tuple[Section, ...]:
    """Return the filters that let no more of a service's lines through; those before and behind are counted."""
    period = max(1, burst // rate)
    settings: dict[str, Value] = {
        "@type": "throttle",
        "group_key": "labels.service",
        "group_bucket_period_s": period,
        "group_bucket_limit": max(burst, rate * period),
        # Without it nothing at all passes until the rate has come down by itself.
        "group_reset_rate_s": -1,
        "group_warning_delay_s": 60,
    }
    return (
        *undropped(),
        _counted("before_limit", "Lines that came to a rate limit."),
        Section(name="filter", argument="**", parameters=settings),
        _counted("behind_limit", "Lines that a rate limit let through."),
    )


def undropped() -> tuple[Section, ...]:
    """Return the filters that count what stages have dropped, by reason, and let nothing of it through."""
    metric: dict[str, Value] = {
        "name": "specwatch_log_lines_dropped_total",
        "type": "counter",
        "desc": "Lines that a stage dropped.",
        "key": "drops",
    }
    labels = Section(name="labels", parameters={"service": "$.labels.service", "reason": "$.reason"})
    exclude = Section(name="exclude", parameters={"key": "drops", "pattern": "/./"})
    return (_metric(metric, labels), Section(name="filter", argument="**", parameters={"@type": "grep"}, sections=(exclude,)))


def _counted(name: str, description: str) -> Section:
    metric: dict[str, Value] = {"name": f"specwatch_log_lines_{name}_total", "type": "counter", "desc": description}
    return _metric(metric, Section(name="labels", parameters={"service": "$.labels.service"}))


def _metric(metric: dict[str, Value], labels: Section) -> Section:
    inner = Section(name="metric", parameters=metric, sections=(labels,))
    return Section(name="filter", argument="**", parameters={"@type": "prometheus"}, sections=(inner,))


def _label(name: str, *sections: Section) -> Section:
    return Section(name="label", argument=name, sections=sections)


def _to(label: str) -> Section:
    return Section(name="store", parameters={"@type": "relabel", "@label": label})


def _loki(topology: Topology) -> Section:
    folder = topology.data["fluentd"]
    secondary = Section(
        name="secondary",
        comment=f"Lines that Loki does not take (too old, too many streams): {_REFUSED}.",
        parameters={"@type": "secondary_file", "directory": f"{folder}/refused", "basename": "loki.${chunk_id}"},
    )
    return Section(
        name="match",
        argument="**",
        parameters={"@type": "specwatch_loki", "@id": "loki", "url": topology.url("loki").removesuffix("/")},
        sections=(
            _buffer(f"{folder}/loki", {"chunk_limit_size": "2m", "flush_interval": "1s", "flush_thread_count": 2}),
            secondary,
        ),
    )


def _buffer(path: str, settings: dict[str, Value], keys: str = "") -> Section:
    parameters: dict[str, Value] = {
        "@type": "file",
        "path": path,
        "total_limit_size": "1g",
        "flush_mode": "interval",
        "flush_at_shutdown": False,
        "retry_forever": True,
        "retry_max_interval": "10s",
        "overflow_action": "block",
        **settings,
    }
    return Section(
        name="buffer",
        argument=keys,
        comment="On disk, and tried for as long as it takes; when the folder is full, whoever sends has to wait.",
        parameters=parameters,
    )


def _elasticsearch(search: Elasticsearch, topology: Topology) -> Section:
    login: dict[str, Value] = {"user": search.user} if search.user else {}
    if search.password:
        login["password"] = FileContents(topology.secret("fluentd", search.password))
    return Section(
        name="match",
        argument="**",
        parameters={
            "@type": "elasticsearch",
            "@id": "elasticsearch",
            "hosts": search.url,
            **login,
            "logstash_format": True,
            "logstash_prefix": search.prefix,
            "logstash_dateformat": "%Y.%m.%d",
            "suppress_type_name": True,
            # Otherwise Fluentd does not start while Elasticsearch is away.
            "verify_es_version_at_startup": False,
            "default_elasticsearch_version": 8,
            "request_timeout": "30s",
            "reconnect_on_error": True,
            "reload_on_failure": True,
            "reload_connections": False,
            "log_es_400_reason": True,
        },
        sections=(_buffer(f"{topology.data['fluentd']}/elasticsearch", {"chunk_limit_size": "8m", "flush_interval": "5s"}),),
    )


def _archive(folder: str) -> Section:
    settings: dict[str, Value] = {"timekey": "1d", "timekey_use_utc": True, "chunk_limit_size": "8m", "flush_interval": "60s"}
    return Section(
        name="match",
        argument="**",
        parameters={
            "@type": "file",
            "@id": "archive",
            "path": f"{folder}/archive/${{file}}-%Y-%m-%d",
            "append": True,
            "compress": "gzip",
        },
        sections=(
            Section(name="format", parameters={"@type": "single_value", "message_key": "text"}),
            _buffer(f"{folder}/archive-buffer", settings, "file,time"),
        ),
    )


def _errors(folder: str) -> Section:
    return Section(
        name="match",
        argument="**",
        comment=f"Records that Elasticsearch does not take, or that a filter failed on: {_REFUSED}.",
        parameters={"@type": "file", "@id": "errors", "path": f"{folder}/refused/errors-%Y-%m-%d", "append": True, "compress": "gzip"},
        sections=(_buffer(f"{folder}/errors-buffer", {"timekey": "1d", "timekey_use_utc": True, "flush_interval": "60s"}, "time"),),
    )


def _removal(folder: str, days: int, what: str) -> tuple[Section, ...]:
    """Return the sections that remove files which were last written to more than `days` days ago, every hour."""
    command = f"find {shlex.quote(folder)} -type f -mtime +{days} -delete 2>/dev/null || true"
    tag = f"specwatch.removal.{what}"
    return (
        Section(
            name="source",
            comment=f"Files in {what}/ are kept for {days} days. The command says nothing, so that there is no event.",
            parameters={"@type": "exec", "@id": f"removal_{what}", "command": command, "run_interval": "1h", "tag": tag},
            sections=(Section(name="parse", parameters={"@type": "none"}),),
        ),
        Section(name="match", argument=tag, parameters={"@type": "null"}),
    )
