"""What a spec's words about log lines mean: the stages of each service, every preset and default filled in."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from typing import Literal

from specwatch import names
from specwatch.logs import defaults, times
from specwatch.logs.expressions import NotPortableError, can_be_empty, check, groups
from specwatch.logs.interpreter import PLACE
from specwatch.logs.shippers import unsupported
from specwatch.resolve.faults import Faults
from specwatch.spec.explain import listed
from specwatch.spec.model import Spec
from specwatch.spec.model import logs as spec_logs
from specwatch.spec.model.logs import LogsSource, RegexSpec, StageSpec
from specwatch.spec.source import Path, shown
from specwatch.stack import SecretFile, Service
from specwatch.stack import logs as stack_logs
from specwatch.stack.logs import Archive, Elasticsearch, LogLimits, LogMetric, Logs, Sinks, Stage, StreamRetention

_KINDS = StageSpec.__struct_fields__
_BYTES: Mapping[str, int] = {"MB": 1024**2, "KB": 1024, "B": 1}
_KINDS_OF_QUERY: Mapping[str, str] = {
    "selector": 'a selector of streams, such as {service="shop"}',
    "log": "a query for lines",
    "metric": 'a query for numbers, such as sum(rate({service="shop"}[5m]))',
}
_DAY = 86_400
_RESERVED_LABELS = frozenset({"service", "level"})


def service_logs(logs: LogsSource | bool, path: Path, shipper: str, faults: Faults) -> Logs | None:
    """Return what becomes of a service's lines, None when it writes none; `shipper` is what carries those of containers and files."""
    if isinstance(logs, bool):
        return _logs(LogsSource(), path, shipper, faults) if logs else None
    return _logs(logs, path, shipper, faults)


def check_labels(services: Iterable[Service], faults: Faults) -> None:
    """Note metadata with the name of a label, where a service sends its lines by OTLP: Loki knows labels of such lines by name alone."""
    found = {service.name: service.logs for service in services if service.logs}
    if all(logs.source != "otlp" for logs in found.values()):
        return
    labels = {name for logs in found.values() for stage in logs.stages if isinstance(stage, stack_logs.Labels) for name in stage.values}
    for service, logs in found.items():
        names_ = {name.replace(".", "_") for stage in logs.stages if isinstance(stage, stack_logs.Metadata) for name in stage.fields}
        for name in sorted(names_ & labels):
            message = f'"{name}" cannot be metadata here and a label elsewhere while a service has `source: otlp`; rename one of the two'
            faults.add(("services", service, "logs"), message, on_key=True)


def _logs(logs: LogsSource, path: Path, shipper: str, faults: Faults) -> Logs:
    source = "files" if logs.files and logs.source == "container" else logs.source
    if source == "files" and not logs.files:
        faults.add(path, '"files" is missing: a list of globs', on_key=True)
    if source in {"fluentd", "otlp"} and logs.files:
        where = "Fluentd's intake" if source == "fluentd" else "the collector"
        faults.add((*path, "files"), f"files go with `source: files`; {where} is sent to", on_key=True)
    found = tuple(stage for index, spec in enumerate(logs.stages) if (stage := _stage(spec, (*path, "stages", index), faults)))
    carrier = {"fluentd": "fluentd", "otlp": "otelcol"}.get(source, shipper)
    for index, stage in enumerate(found):
        if why := unsupported(carrier, stage):
            faults.add((*path, "stages", index), why, on_key=True)
    _check_order(found, source, path, faults)
    return Logs(format=logs.format, source=source, files=logs.files, stages=defaults.completed(found, logs.format))


def sinks(spec: Spec, components: Collection[str], faults: Faults) -> Sinks:
    """Return where lines go besides Loki; only what passes Fluentd can go there."""
    wanted = spec.logs.sinks
    search, archive = wanted.elasticsearch, wanted.archive
    if (search or archive) and "fluentd" not in components:
        faults.add(("logs", "sinks"), "needs Fluentd, which is off: switch it on under `stack.components`", on_key=True)
    elif (search or archive) and spec.stack.shipper != "fluentd":
        past = [name for name, service in spec.services.items() if service.logs and getattr(service.logs, "source", "") != "fluentd"]
        if past:
            message = f"the lines of {listed(past)} do not pass Fluentd: choose `stack.shipper: fluentd`, or `source: fluentd` for them"
            faults.add(("logs", "sinks"), message, on_key=True)
    if search and search.password and not search.username:
        faults.add(("logs", "sinks", "elasticsearch", "password"), "goes with `username`", on_key=True)
    days = faults.positive(archive.keep, ("logs", "sinks", "archive", "keep")) // _DAY if archive else 0
    if archive and not days:
        faults.add(("logs", "sinks", "archive", "keep"), f"found {archive.keep}, expected whole days, such as 30d")
    return Sinks(
        elasticsearch=Elasticsearch(
            url=search.url.rstrip("/"),
            prefix=search.index_prefix,
            user=search.username or "",
            password=SecretFile(search.password.secret) if search.password else None,
        )
        if search
        else None,
        archive=Archive(days=days) if archive else None,
    )


def limits(spec: Spec, faults: Faults) -> LogLimits:
    """Return what Loki takes."""
    wanted = spec.logs.limits
    if wanted.stream_rate_mb > wanted.rate_mb:
        faults.add(("logs", "limits", "stream_rate_mb"), f"found {wanted.stream_rate_mb}, expected at most rate_mb, {wanted.rate_mb}")
    return LogLimits(rate_mb=wanted.rate_mb, stream_rate_mb=wanted.stream_rate_mb, max_streams=wanted.max_streams)


def stream_retention(spec: Spec, faults: Faults) -> tuple[StreamRetention, ...]:
    """Return the streams that are kept for another time; of several that select a stream the first counts."""
    found = []
    for index, each in enumerate(spec.logs.retention):
        path: Path = ("logs", "retention", index)
        check_logql(each.selector, (*path, "selector"), faults, kind="selector")
        if names.seconds(each.keep) < _DAY:
            faults.add((*path, "keep"), f"found {each.keep}, expected 24h or more: Loki deletes nothing younger than a day")
        found.append(StreamRetention(selector=each.selector, seconds=names.seconds(each.keep), priority=len(spec.logs.retention) - index))
    return tuple(found)


def log_metrics(spec: Spec, faults: Faults) -> tuple[LogMetric, ...]:
    """Return the series that Loki computes from logs."""
    for name, metric in spec.log_metrics.items():
        check_logql(metric.expr, ("log_metrics", name, "expr"), faults, kind="metric")
        if name in spec.metrics or name in spec.recording_rules:
            section = "metrics" if name in spec.metrics else "recording_rules"
            faults.add(("log_metrics", name), f'"{name}" is one of `{section}:` already; choose another name', on_key=True)
    return tuple(LogMetric(name=name, expr=metric.expr, labels=metric.labels) for name, metric in spec.log_metrics.items())


def check_needs(spec: Spec, components: Collection[str], faults: Faults) -> None:
    """Note what asks something of Loki, or of Prometheus beside it, while that is off."""
    for section in ("log_alerts", "log_metrics"):
        if getattr(spec, section) and "loki" not in components:
            faults.add((section,), "is computed by Loki, which is off: switch it on, or take this out", on_key=True)
    if spec.log_metrics and "prometheus" not in components:
        faults.add(("log_metrics",), "is written to Prometheus, which is off: switch it on, or take this out", on_key=True)
    if spec.logs.retention and "loki" not in components:
        faults.add(("logs", "retention"), "is Loki's, which is off: switch it on, or take this out", on_key=True)


def check_logql(text: str, path: Path, faults: Faults, *, kind: Literal["selector", "log", "metric"], panel: bool = False) -> None:
    """Note a fault when `text` is not LogQL of that kind: a stream selector, a query for lines (a selector is one), or one for numbers.

    Only a panel's may hold Grafana's durations.
    """
    if "$__" in text and not panel:
        faults.add(path, "is not LogQL: `$__…` is Grafana's and goes into panels alone; write a duration such as [5m]")
        return
    from specwatch import logql  # noqa: PLC0415  # many a spec has no LogQL in it

    try:
        found = logql.parse(text)
    except logql.LogqlError as error:
        faults.add(path, f"is not LogQL: {error}")
        return
    if found.kind != kind and not (kind == "log" and found.kind == "selector"):
        faults.add(path, f"is {_KINDS_OF_QUERY[found.kind]}, expected {_KINDS_OF_QUERY[kind]}")


def _check_order(stages: tuple[Stage, ...], source: str, path: Path, faults: Faults) -> None:
    """Note stages that stand where they can do nothing."""
    opened = False
    labels = _RESERVED_LABELS.union(*(stage.values for stage in stages if isinstance(stage, stack_logs.Labels)))
    for index, stage in enumerate(stages):
        place: Path = (*path, "stages", index)
        if isinstance(stage, stack_logs.Metadata):
            for name in labels & {name.replace(".", "_") for name in stage.fields}:
                faults.add((*place, "metadata"), f'"{name}" is a label already; one of the two is enough')
        if isinstance(stage, stack_logs.Multiline) and not (index == 0 or (index == 1 and opened)):
            faults.add(place, "multiline joins lines before anything else reads them: make it the first stage", on_key=True)
        if isinstance(stage, stack_logs.Multiline) and source == "otlp":
            faults.add(place, "what comes by OTLP is whole; multiline is about files and the output of containers", on_key=True)
        if isinstance(stage, stack_logs.Parse) and stage.format in {"docker", "cri"}:
            opened = True
            if index:
                faults.add(place, f"{stage.format} opens the container's file: make it the first stage", on_key=True)
            if source != "files":
                faults.add(place, f"{stage.format} is about files; the output of a container is opened already", on_key=True)


def _stage(spec: StageSpec, path: Path, faults: Faults) -> Stage | None:
    given = [kind for kind in _KINDS if getattr(spec, kind) is not None]
    if len(given) != 1:
        found = " and ".join(given) if given else "nothing"
        faults.add(path, f"found {found}, expected exactly one of {', '.join(_KINDS)}", on_key=True)
        return None
    kind = given[0]
    return _MEANINGS[kind](getattr(spec, kind), (*path, kind), faults)


def _expression(text: str, path: Path, faults: Faults) -> str:
    try:
        check(text)
    except NotPortableError as error:
        faults.add(path, f"cannot be used as a regular expression: {error}")
        return "x"
    return text


def _multiline(spec: str | spec_logs.MultilineSpec, path: Path, faults: Faults) -> Stage:
    if isinstance(spec, str):
        return stack_logs.Multiline(first_line=defaults.MULTILINE[spec])
    return stack_logs.Multiline(
        first_line=_line_expression(spec.first_line, (*path, "first_line"), faults),
        max_lines=spec.max_lines or 0,
        max_wait_seconds=faults.positive(spec.max_wait, (*path, "max_wait")),
    )


def _line_expression(text: str, path: Path, faults: Faults) -> str:
    if re.search(r"\n|\\n|\\x0[aA]", text):
        faults.add(path, "looks for the end of a line, but is about one line without it")
    return _expression(text, path, faults)


def _parse(spec: str | RegexSpec, path: Path, faults: Faults) -> Stage:
    if isinstance(spec, str):
        return stack_logs.Parse(format=spec)  # type: ignore[arg-type]  # the model's literals are those
    expression = _expression(spec.regex, (*path, "regex"), faults)
    if expression == spec.regex and not groups(expression):
        faults.add((*path, "regex"), "has no named group, such as (?P<status>\\d+), so it finds no field")
    return stack_logs.Parse(format="regex", expression=expression)


def _timestamp(spec: spec_logs.TimestampSpec, path: Path, faults: Faults) -> Stage:
    layouts = _several(spec.format)
    for layout in layouts:
        wrong = times.complaint(layout)
        if wrong:
            faults.add((*path, "format"), f"{layout}: {wrong}")
    if not times.is_zone(spec.zone):
        faults.add((*path, "zone"), f"found {spec.zone}, expected a time zone such as UTC or Europe/Berlin")
    return stack_logs.Timestamp(
        fields=_fields(spec.field, (*path, "field"), faults), layouts=layouts, zone=spec.zone, otherwise=spec.otherwise
    )


def _level(spec: spec_logs.LevelSpec, path: Path, faults: Faults) -> Stage:
    more = {level: tuple(spelling.lower() for spelling in spellings) for level, spellings in spec.spellings.items()}
    taken = {spelling for spellings in more.values() for spelling in spellings}
    known = {level: tuple(each for each in spellings if each not in taken) for level, spellings in defaults.LEVELS.items()}
    return stack_logs.Level(
        fields=_fields(spec.field, (*path, "field"), faults),
        spellings={level: (*known[level], *more.get(level, ())) for level in known},  # type: ignore[call-overload]  # a level is one of the literals
    )


def _labels(spec: Mapping[str, tuple[str, ...]], path: Path, faults: Faults) -> Stage:
    for label in _RESERVED_LABELS & spec.keys():
        faults.add((*path, label), f'"{label}" is a label of every line already; choose another, or rename the field', on_key=True)
    return stack_logs.Labels(values=spec)


def _redact(spec: spec_logs.RedactSpec, path: Path, faults: Faults) -> Stage:
    rules = tuple(defaults.REDACTIONS[preset] for preset in dict.fromkeys(spec.presets))
    if spec.matches:
        expression = _expression(spec.matches, (*path, "matches"), faults)
        if can_be_empty(expression):
            faults.add((*path, "matches"), "finds places where nothing is, too: say what it finds at least")
        rules += (stack_logs.Redaction(name="own", matches=expression, replacement=spec.replacement),)
    if not rules:
        faults.add(path, f'"presets" or "matches" is missing; presets are {", ".join(defaults.REDACTIONS)}', on_key=True)
    return stack_logs.Redact(rules=rules)


def _drop(spec: spec_logs.DropSpec, path: Path, faults: Faults) -> Stage:
    if not (spec.matches or spec.older_than or spec.longer_than):
        faults.add(path, '"matches", "older_than" or "longer_than" is missing: without one nothing is dropped', on_key=True)
    if spec.field and not spec.matches:
        faults.add((*path, "field"), "goes with `matches`", on_key=True)
    reasons = {"matched": spec.matches, "too_old": spec.older_than, "too_long": spec.longer_than}
    return stack_logs.Drop(
        reason=spec.reason or next((reason for reason, given in reasons.items() if given), "matched"),
        field=spec.field or "",
        matches=_expression(spec.matches, (*path, "matches"), faults) if spec.matches else "",
        older_than_seconds=faults.positive(spec.older_than, (*path, "older_than")) if spec.older_than else 0,
        longer_than_bytes=_bytes(spec.longer_than) if spec.longer_than else 0,
    )


def _sample(spec: spec_logs.SampleSpec, path: Path, faults: Faults) -> Stage:
    matches = _expression(spec.matches, (*path, "matches"), faults) if spec.matches else ""
    if spec.field and not matches:
        faults.add((*path, "field"), "goes with `matches`", on_key=True)
    if not 0 < spec.ratio < 1:
        faults.add((*path, "ratio"), f"found {spec.ratio}, expected a number above 0 and below 1")
    return stack_logs.Sample(ratio=Decimal(spec.ratio), field=spec.field or "", matches=matches)


def _limit(spec: spec_logs.LimitSpec, path: Path, faults: Faults) -> Stage:
    burst = spec.burst or 2 * spec.rate
    if burst < spec.rate:
        faults.add((*path, "burst"), f"found {burst}, expected at least the rate, {spec.rate}")
    return stack_logs.Limit(rate=spec.rate, burst=burst)


def _line(spec: str, path: Path, faults: Faults) -> Stage:
    if not PLACE.search(spec):
        faults.add(path, "has no {field} in it, so that every line would be the same; {line} is the line itself")
    return stack_logs.Line(template=spec)


def _fields(value: str | tuple[str, ...], path: Path, faults: Faults) -> tuple[str, ...]:
    if isinstance(value, str) and not re.fullmatch(spec_logs.FIELD_PATTERN, value):
        faults.add(path, f"found {shown(value)}, expected {spec_logs.FIELD_TITLE}")
    return _several(value)


def _several(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _bytes(text: str) -> int:
    unit = next(unit for unit in _BYTES if text.endswith(unit))
    return int(text.removesuffix(unit)) * _BYTES[unit]


_MEANINGS: Mapping[str, Callable[..., Stage]] = {
    "multiline": _multiline,
    "parse": _parse,
    "timestamp": _timestamp,
    "level": _level,
    "rename": lambda spec, _path, _faults: stack_logs.Rename(names=tuple(spec.items())),
    "drop_fields": lambda spec, _path, _faults: stack_logs.DropFields(fields=spec),
    "labels": _labels,
    "metadata": lambda spec, _path, _faults: stack_logs.Metadata(fields=spec),
    "redact": _redact,
    "drop": _drop,
    "sample": _sample,
    "limit": _limit,
    "line": _line,
}
