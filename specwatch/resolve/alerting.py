"""What alerts, objectives, receivers, routes and silences mean."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import partial

from specwatch import names, promql
from specwatch.catalog import Pack, PackAlert, own_alerts
from specwatch.resolve.dashboards import check_promql
from specwatch.resolve.faults import Faults
from specwatch.resolve.logs import check_logql
from specwatch.spec.model import Spec
from specwatch.spec.model.alerting import AlertSpec
from specwatch.spec.model.services import Tuning
from specwatch.spec.source import Path
from specwatch.stack import Alert, Inhibition, Matcher, MuteTime, RecordingRule, Slo, TimeInterval, TimeRange

Link = Callable[[str, str], str]


def alerts(spec: Spec, known: Mapping[str, Pack], link: Link, *, has_probes: bool, faults: Faults) -> tuple[Alert, ...]:
    """Return every alert on metrics: the spec's, the packs' for each service, the stack's own, and the Watchdog."""
    make = partial(_complete, spec, link)
    found = [_own(spec, name, alert, ("alerts", name), make, faults) for name, alert in spec.alerts.items()]
    for name, alert in spec.alerts.items():
        check_promql(alert.expr, ("alerts", name, "expr"), faults)
    found += _from_packs(spec, known, make, faults)
    found += [
        make(name=name, service=names.STACK_SERVICE, alert=alert, expr=promql.compare(alert.value, alert.operator, alert.threshold))
        for name, alert in own_alerts().items()
    ]
    if has_probes:
        found.append(
            make(
                name="ProbeFails",
                service=names.STACK_SERVICE,
                alert=_PROBE_FAILS,
                expr="min by (job, instance, service, team) (probe_success) == 0",
            )
        )
    found.append(make(name=names.WATCHDOG, service=names.STACK_SERVICE, alert=_WATCHDOG, expr="vector(1)"))
    _check_unique(spec, found[len(spec.alerts) :], faults)
    return tuple(found)


_PROBE_FAILS = PackAlert(
    value="min by (job, instance, service, team) (probe_success)",
    operator="==",
    threshold=Decimal(0),
    for_="30s",
    severity="critical",
    summary="{{ $labels.instance }} does not answer from outside",
    description="The blackbox exporter's check fails. It says how on its own page, port 9115.",
)
_WATCHDOG = PackAlert(
    value="vector(1)",
    operator="==",
    threshold=Decimal(1),
    for_="0s",
    severity="info",
    summary="The way from Prometheus through Alertmanager works",
    description="Fires for ever. When whoever receives it hears nothing any more, alerting itself is broken.",
)


def _own(spec: Spec, name: str, alert: AlertSpec, path: Path, make: Callable[..., Alert], faults: Faults) -> Alert:
    if alert.service and alert.service not in spec.services and alert.service not in spec.targets:
        faults.reference((*path, "service"), "service or target", alert.service, (*spec.services, *spec.targets))
    for label in ("alertname", "severity", "service", "team"):
        if label in alert.labels:
            faults.add((*path, "labels", label), f'"{label}" has a setting of its own; take it out of the labels', on_key=True)
    return make(
        name=name, service=alert.service or names.STACK_SERVICE, alert=alert, expr=alert.expr, dashboard=_board(spec, alert, path, faults)
    )


def _board(spec: Spec, alert: AlertSpec, path: Path, faults: Faults) -> str:
    board = alert.dashboard
    if not board or board.startswith(("http://", "https://")):
        return board or ""
    faults.reference((*path, "dashboard"), "dashboard", board, spec.dashboards)
    return board


def _complete(  # one alert is made of all of these
    spec: Spec,
    link: Link,
    *,
    name: str,
    service: str,
    alert: AlertSpec | PackAlert,
    expr: str,
    dashboard: str = "",
    tuning: Tuning | None = None,
    path: Path = (),
) -> Alert:
    """Return the alert with everything that it must carry."""
    del path
    holder = spec.services.get(service) or spec.targets.get(service)
    runbook = (tuning.runbook if tuning else None) or getattr(alert, "runbook", None)
    if not runbook and spec.stack.runbooks:
        runbook = spec.stack.runbooks.replace("{alert}", name)
    if not dashboard:
        dashboard = link("grafana", f"d/{names.dashboard_uid(service) if service in spec.services else names.SELF_DASHBOARD}")
    elif not dashboard.startswith("http"):
        dashboard = link("grafana", f"d/{names.own_dashboard_uid(dashboard)}")
    return Alert(
        name=name,
        group=names.rule_group(service),
        service=service,
        team=getattr(alert, "team", None) or (holder.team if holder else "ops"),
        severity=(tuning.severity if tuning else None) or alert.severity,
        expr=expr,
        for_seconds=names.seconds((tuning.for_ if tuning else None) or alert.for_),
        keep_firing_for_seconds=names.seconds(getattr(alert, "keep_firing_for", "0s")),
        labels=getattr(alert, "labels", {}),
        summary=alert.summary or f"{name} fires for {service}",
        description=alert.description or f"The expression of {name} holds: {_untemplated(expr)}",
        runbook_url=runbook or link("prometheus", f"alerts?search={name}"),
        dashboard_url=dashboard,
        annotations=getattr(alert, "annotations", {}),
        component=getattr(alert, "component", ""),
    )


def _untemplated(expr: str) -> str:
    # Annotations are Go templates: braces of the expression must come out as they are.
    return "{{ " + promql.quote(expr) + " }}"


def _from_packs(spec: Spec, known: Mapping[str, Pack], make: Callable[..., Alert], faults: Faults) -> Iterator[Alert]:
    templates: dict[tuple[str, str, Decimal], promql.Template] = {}
    for service_name, service in spec.services.items():
        offered = {name: (pack, alert) for pack in service.uses if pack in known for name, alert in known[pack].alerts.items()}
        for name in service.tune:
            faults.reference(("services", service_name, "tune", name), "alert of its packs", name, offered, on_key=True)
        for name, (pack, alert) in offered.items():
            tuning = service.tune.get(name)
            if tuning and not tuning.enabled:
                continue
            threshold = Decimal(tuning.threshold if tuning and tuning.threshold is not None else alert.threshold)
            key = (pack, name, threshold)
            if key not in templates:
                templates[key] = promql.template(promql.compare(alert.value, alert.operator, threshold))
            yield make(name=name, service=service_name, alert=alert, expr=templates[key].bind(service_name), tuning=tuning)


def _check_unique(spec: Spec, brought: list[Alert], faults: Faults) -> None:
    seen = {(alert.name, alert.service) for alert in brought}
    for name, alert in spec.alerts.items():
        if (name, alert.service or names.STACK_SERVICE) in seen:
            faults.add(("alerts", name), f'"{name}" comes with a pack or with the stack already; choose another name', on_key=True)
        if name in spec.log_alerts:
            faults.add(("log_alerts", name), f'"{name}" is an alert on metrics already; choose another name', on_key=True)


def log_alerts(spec: Spec, link: Link, faults: Faults) -> tuple[Alert, ...]:
    """Return the alerts on logs, for Loki's ruler."""
    make = partial(_complete, spec, link)
    found = []
    for name, alert in spec.log_alerts.items():
        check_logql(alert.expr, ("log_alerts", name, "expr"), faults, kind="metric")
        found.append(_own(spec, name, alert, ("log_alerts", name), make, faults))
    return tuple(found)


def recording_rules(spec: Spec, faults: Faults) -> tuple[RecordingRule, ...]:
    """Return the recording rules."""
    for name, rule in spec.recording_rules.items():
        check_promql(rule.expr, ("recording_rules", name, "expr"), faults)
        if name in spec.metrics:
            faults.add(("recording_rules", name), f'"{name}" is one of `metrics:` already; choose another name', on_key=True)
    return tuple(
        RecordingRule(record=name, group=f"{spec.stack.name}.recording", expr=rule.expr, labels=rule.labels)
        for name, rule in spec.recording_rules.items()
    )


def slos(spec: Spec, faults: Faults) -> tuple[Slo, ...]:
    """Return the objectives."""
    found = []
    for name, slo in spec.slos.items():
        path: Path = ("slos", name)
        faults.reference((*path, "service"), "service", slo.service, spec.services)
        check_promql(slo.good, (*path, "good"), faults)
        check_promql(slo.total, (*path, "total"), faults)
        if not 0 < slo.objective < 100:  # noqa: PLR2004  # per cent
            faults.add((*path, "objective"), f"found {slo.objective}, expected a percentage between 0 and 100, such as 99.9")
        found.append(
            Slo(
                name=name,
                service=slo.service,
                objective=Decimal(slo.objective),
                good=slo.good,
                total=slo.total,
                window_seconds=faults.positive(slo.window, (*path, "window")),
                description=slo.description,
            )
        )
    return tuple(found)


def matchers(labels: Mapping[str, str]) -> tuple[Matcher, ...]:
    """Return an equality matcher for each label."""
    return tuple(Matcher(label, "=", value) for label, value in labels.items())


def inhibitions(spec: Spec) -> tuple[Inhibition, ...]:
    """Return the spec's inhibitions; without any, a critical alert silences the same alert's lesser severities."""
    if not spec.inhibitions:
        return (
            Inhibition(
                source=matchers({"severity": "critical"}),
                target=(Matcher("severity", "=~", "warning|info"),),
                equal=("alertname", "service"),
            ),
        )
    return tuple(Inhibition(source=matchers(rule.source), target=matchers(rule.target), equal=rule.equal) for rule in spec.inhibitions)


def mute_times(spec: Spec, faults: Faults) -> tuple[MuteTime, ...]:
    """Return the named times, in Alertmanager's notation; a span that passes midnight becomes two."""
    for name, intervals in spec.mute_times.items():
        for index, interval in enumerate(intervals):
            if 0 in interval.days_of_month:
                path = ("mute_times", name, index, "days_of_month", interval.days_of_month.index(0))
                faults.add(path, "found the number 0, expected a day of the month: 1 to 31, or -1 to -31 from its end")
    return tuple(
        MuteTime(
            name=name,
            intervals=tuple(
                TimeInterval(
                    times=tuple(span for text in interval.times for span in _spans(text)),
                    weekdays=interval.weekdays,
                    days_of_month=tuple(str(day) for day in interval.days_of_month),
                    months=tuple(str(month) for month in interval.months),
                    years=tuple(str(year) for year in interval.years),
                    location=interval.location,
                )
                for interval in intervals
            ),
        )
        for name, intervals in spec.mute_times.items()
    )


def _spans(text: str) -> tuple[TimeRange, ...]:
    start, _, end = text.partition("-")
    if start < end:
        return (TimeRange(start, end),)
    return tuple(span for span in (TimeRange(start, "24:00"), TimeRange("00:00", end)) if span.start != span.end)
