"""Stacks built by hand, for tests that begin behind `resolve`: a plain demo, one with everything in it, one full of hostile text."""

from decimal import Decimal
from typing import Any, Final

import msgspec

from specwatch.components import BY_NAME, COMPONENTS
from specwatch.stack import (
    Dashboard,
    Discord,
    Grafana,
    Inhibition,
    Job,
    LogLimits,
    Matcher,
    Metric,
    MuteTime,
    Opsgenie,
    Panel,
    Retention,
    Route,
    Row,
    Secret,
    SecretFile,
    Sinks,
    Slo,
    Stack,
    Teams,
    Telegram,
    TimeInterval,
    TimeRange,
    Traces,
)
from tests.parts import (
    alert,
    component_jobs,
    email,
    full_jobs,
    literal,
    pagerduty,
    ports,
    probe,
    receiver,
    recording_rule,
    routing,
    service,
    slack,
    webhook,
)

__all__ = [
    "COMPONENTS_ON",
    "DAY",
    "HOSTILE",
    "alert",
    "component_jobs",
    "demo_stack",
    "email",
    "full_jobs",
    "full_stack",
    "hostile_stack",
    "literal",
    "pagerduty",
    "ports",
    "probe",
    "receiver",
    "recording_rule",
    "routing",
    "service",
    "slack",
    "webhook",
]

HOSTILE: Final = (
    "plain",
    "",
    " ",
    "a: b # c",
    "'single' and \"double\"",
    "back\\slash and trailing\\",
    "two\nlines\n",
    "{{ $labels.job }} {{ .Nope }} {{",
    "{a, b} [c] &d *e !f |g >h %i @j `k`",
    "- dash",
    "no",
    "0123",
    "1:30",
    "~",
    "naïve 日本語 🛒 \u2028 \ufeff",
    "tab\tand\rreturn",
    "$HOME ${HOME} $$ %(x)s",
    "<script>alert(1)</script> & </td>",
)

COMPONENTS_ON: Final = ("prometheus", "alertmanager", "loki", "promtail", "tempo", "grafana", "blackbox", "node", "inbox")
DAY: Final = 86_400


def demo_stack(**changes: Any) -> Stack:
    """Return the demo shop's stack, with any of `Stack`'s fields replaced by `changes`."""
    return msgspec.structs.replace(_demo(), **changes)


def full_stack(**changes: Any) -> Stack:
    """Return the demo with every way to find a target, every kind of receiver, mute times and inhibitions."""
    return msgspec.structs.replace(
        _demo(),
        components=tuple(component.name for component in COMPONENTS if component.name not in {"otelcol", "jaeger"}),
        jobs=(
            *component_jobs("prometheus", "alertmanager", "loki", "promtail", "tempo", "grafana", "blackbox", "node", "fluentd"),
            *full_jobs(),
        ),
        probes=(
            probe("shop-health", url="/health"),
            probe("pay-example", url="https://pay.example.com/ready", interval_seconds=60),
            probe("legacy", url="https://legacy.example.com", module="http_2xx_insecure"),
            probe("database", url="db.example.com:5432", module="tcp_connect"),
            probe("gateway", url="gateway.example.com", module="icmp"),
        ),
        receivers=(
            receiver("inbox", slack()),
            receiver("ops", slack(channel="#ops"), email(to=("ops@example.com", "lead@example.com"))),
            receiver("oncall", email(smarthost="smtp.example.com:587", username="bot", require_tls=True), pagerduty()),
            receiver(
                "everyone",
                webhook(),
                webhook(name="hook", url="https://hooks.example.com/x?a=1&b=2", max_alerts=20),
                webhook(name="hidden", secret=SecretFile("hook_url"), bearer=SecretFile("hook_token")),
                Teams(webhook=SecretFile("teams_webhook")),
                Discord(webhook=SecretFile("discord_webhook"), username="specwatch"),
                Telegram(token=SecretFile("telegram_token"), chat_id=-1001234567890),
                Opsgenie(key=SecretFile("opsgenie_key"), url=""),
            ),
            receiver("nobody"),
        ),
        routing=routing(
            Route(matchers=(Matcher("alertname", "=", "Watchdog"),), receiver="nobody", repeat_interval_seconds=300),
            Route(
                matchers=(Matcher("severity", "=", "critical"),),
                receiver="oncall",
                group_by=("...",),
                group_wait_seconds=5,
                group_interval_seconds=60,
                repeat_interval_seconds=3600,
                continue_=True,
            ),
            Route(matchers=(Matcher("team", "=~", "web|api"), Matcher("severity", "!=", "info")), receiver="ops", mute=("nights",)),
            Route(matchers=(Matcher("service", "!~", "test.*"),), receiver="everyone", active=("office",)),
        ),
        inhibitions=(
            Inhibition(
                source=(Matcher("severity", "=", "critical"),),
                target=(Matcher("severity", "=~", "warning|info"),),
                equal=("service", "alertname"),
            ),
        ),
        mute_times=(
            MuteTime(
                name="nights",
                intervals=(
                    TimeInterval(times=(TimeRange("00:00", "06:00"), TimeRange("22:00", "24:00")), location="Europe/Berlin"),
                    TimeInterval(weekdays=("saturday", "sunday")),
                ),
            ),
            MuteTime(
                name="office",
                intervals=(
                    TimeInterval(
                        times=(TimeRange("09:00", "17:00"),),
                        weekdays=("monday:friday",),
                        days_of_month=("1:-1",),
                        months=("january:december",),
                        years=("2026:2030",),
                    ),
                ),
            ),
        ),
        **changes,
    )


def hostile_stack() -> Stack:
    """Return the full stack with `HOSTILE` text in every place that a user's free text can reach."""
    full = full_stack()
    label = {f"label_{index}": text for index, text in enumerate(HOSTILE)}
    return msgspec.structs.replace(
        full,
        environment=HOSTILE[4],
        external_labels=label,
        jobs=tuple(msgspec.structs.replace(job, labels=label, team=HOSTILE[4]) for job in full.jobs),
        alerts=tuple(
            alert(
                f"Hostile{index}",
                summary=literal(text),
                description=literal(text),
                labels={"note": literal(text)},
                annotations={"more": literal(text)},
            )
            for index, text in enumerate(HOSTILE)
        ),
        recording_rules=tuple(recording_rule(f"hostile:rule:{index}", labels={"note": text or "-"}) for index, text in enumerate(HOSTILE)),
        receivers=(*full.receivers, receiver(HOSTILE[4], slack(channel=HOSTILE[4], username=HOSTILE[7]), email(username=HOSTILE[5]))),
        routing=routing(
            *(Route(matchers=(Matcher("service", "=", text),), receiver=HOSTILE[4]) for text in HOSTILE),
            *full.routing.routes,
        ),
    )


def _demo() -> Stack:
    return Stack(
        name="shop",
        environment="demo",
        spec_name="spec.yaml",
        bind="127.0.0.1",
        links="http://127.0.0.1",
        components=COMPONENTS_ON,
        optional=(),
        shipper="promtail",
        versions={name: component.version for name, component in BY_NAME.items()},
        ports=ports(),
        memory={name: component.memory for name, component in BY_NAME.items()},
        retention=Retention(metrics_seconds=15 * DAY, metrics_size="", logs_seconds=14 * DAY, traces_seconds=2 * DAY),
        scrape_interval_seconds=15,
        evaluation_interval_seconds=15,
        external_network="",
        external_labels={},
        grafana=Grafana(admin_user="admin", admin_password=SecretFile("grafana_admin_password")),
        services=(service("shop"),),
        jobs=(
            *component_jobs(*(name for name in COMPONENTS_ON if name != "inbox")),
            Job(name="shop", owner="shop", team="web", discovery="address"),
        ),
        probes=(probe("shop"),),
        metrics=(
            Metric(
                name="orders_total",
                type="counter",
                help="Orders placed.",
                unit="",
                labels={"status": ("paid", "failed")},
                buckets=(),
                jobs=("shop",),
            ),
            Metric(
                name="http_request_duration_seconds",
                type="histogram",
                help="How long requests take.",
                unit="seconds",
                labels={"method": ("GET", "POST"), "route": None},
                buckets=(Decimal("0.1"), Decimal("0.5"), Decimal(1)),
                jobs=("shop",),
            ),
        ),
        recording_rules=(recording_rule("service:orders:rate5m"),),
        alerts=(
            alert(
                "Watchdog",
                group="specwatch",
                service="specwatch",
                team="ops",
                severity="info",
                expr="vector(1)",
                for_seconds=0,
                summary="The alerting pipeline is alive.",
                description="This alert always fires; when it stops arriving, something between Prometheus and its receiver is broken.",
            ),
            alert("PaymentsFailing", labels={"tier": "front"}),
            alert("TargetDown", severity="warning", expr='up{job="shop"} == 0', keep_firing_for_seconds=300, summary="A target is down"),
        ),
        log_alerts=(
            alert(
                "ErrorsInLogs",
                severity="warning",
                expr='sum(rate({service="shop"} | json | level="error" [5m])) > 1',
                summary="The shop logs errors",
            ),
        ),
        log_metrics=(),
        log_limits=LogLimits(rate_mb=64, stream_rate_mb=32, max_streams=5000),
        stream_retention=(),
        sinks=Sinks(),
        traces=Traces(backend="tempo", endpoint="", token=None, sampling=None, span_metrics=True, through_collector=False),
        slos=(
            Slo(
                name="checkout",
                service="shop",
                objective=Decimal("99.9"),
                good="orders_total{status='paid'}",
                total="orders_total",
                window_seconds=30 * DAY,
            ),
        ),
        receivers=(receiver("inbox", slack(), email()), receiver("nobody")),
        routing=routing(Route(matchers=(Matcher("alertname", "=", "Watchdog"),), receiver="nobody")),
        inhibitions=(
            Inhibition(
                source=(Matcher("severity", "=", "critical"),),
                target=(Matcher("severity", "=", "warning"),),
                equal=("service", "alertname"),
            ),
        ),
        mute_times=(),
        dashboards=(
            Dashboard(
                uid="shop",
                title="Shop",
                service="shop",
                tags=("specwatch",),
                rows=(
                    Row(
                        title="Orders",
                        panels=(
                            Panel(
                                title="Orders a second",
                                kind="timeseries",
                                source="prometheus",
                                queries=(("sum by (status) (rate(orders_total[$__rate_interval]))", "{{status}}"),),
                                unit="reqps",
                            ),
                            Panel(title="Log lines", kind="logs", source="loki", queries=(('{service="shop"}', ""),), width=24),
                        ),
                    ),
                ),
            ),
        ),
        secrets=(
            Secret(name="grafana_admin_password", components=("grafana",), fallback="password"),
            Secret(name="slack_webhook", components=("alertmanager",), fallback="inbox", inbox_path="/slack/inbox"),
        ),
        overrides={},
    )
