"""What a spec means: every default, pack and name filled in, as frozen values.

A renderer or a proof reads a `Stack` and nothing else. Durations are whole seconds, sizes are bytes or the component's own
notation where the name says so, and every collection is a tuple in the order in which it is to appear.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from specwatch.stack.alerting import (
    Alert,
    Discord,
    Email,
    Inhibition,
    Integration,
    Matcher,
    MuteTime,
    Opsgenie,
    PagerDuty,
    Receiver,
    RecordingRule,
    Route,
    Routing,
    Severity,
    Slack,
    Slo,
    Teams,
    Telegram,
    TimeInterval,
    TimeRange,
    Webhook,
)
from specwatch.stack.boards import Dashboard, Panel, Row
from specwatch.stack.logs import Archive, Elasticsearch, LogLimits, LogMetric, Logs, Sinks, StreamRetention
from specwatch.stack.running import Build, Run, Service
from specwatch.stack.scraping import Auth, Job, Metric, MetricType, Probe, Tls
from specwatch.stack.secrets import Secret, SecretFile
from specwatch.stack.traces import Sampling, Traces

__all__ = [
    "Alert",
    "Archive",
    "Auth",
    "Build",
    "Dashboard",
    "Discord",
    "Elasticsearch",
    "Email",
    "Grafana",
    "Inhibition",
    "Integration",
    "Job",
    "LogLimits",
    "LogMetric",
    "Logs",
    "Matcher",
    "Metric",
    "MetricType",
    "MuteTime",
    "Opsgenie",
    "PagerDuty",
    "Panel",
    "Probe",
    "Receiver",
    "RecordingRule",
    "Retention",
    "Route",
    "Routing",
    "Row",
    "Run",
    "Sampling",
    "Secret",
    "SecretFile",
    "Service",
    "Severity",
    "Sinks",
    "Slack",
    "Slo",
    "Stack",
    "StreamRetention",
    "Teams",
    "Telegram",
    "TimeInterval",
    "TimeRange",
    "Tls",
    "Traces",
    "Webhook",
]


class Retention(Struct, frozen=True, kw_only=True):
    """How long each kind of data is kept, in seconds; `metrics_size` in Prometheus' notation ("10GB") or empty."""

    metrics_seconds: int
    metrics_size: str
    logs_seconds: int
    traces_seconds: int


class Grafana(Struct, frozen=True, kw_only=True):
    """The administrator's name and password."""

    admin_user: str
    admin_password: SecretFile


class Stack(Struct, frozen=True, kw_only=True):
    """The whole meaning of a spec.

    `components` are the parts that are on (see `specwatch.components`), `optional` those among them that only start when they are
    asked for (a compose profile of the same name); `versions` has the tag of each, `ports` its port on the
    host, `memory` its limit in Docker's notation ("512m"). `links` is the base of the URLs that people follow, without a port ("http://127.0.0.1").
    """

    name: str
    environment: str
    spec_name: str
    bind: str
    links: str
    components: tuple[str, ...]
    optional: tuple[str, ...]
    shipper: Literal["promtail", "alloy", "otelcol", "fluentd"]
    versions: Mapping[str, str]
    ports: Mapping[str, int]
    memory: Mapping[str, str]
    retention: Retention
    scrape_interval_seconds: int
    evaluation_interval_seconds: int
    external_network: str
    external_labels: Mapping[str, str]
    grafana: Grafana
    services: tuple[Service, ...]
    jobs: tuple[Job, ...]
    probes: tuple[Probe, ...]
    metrics: tuple[Metric, ...]
    recording_rules: tuple[RecordingRule, ...]
    alerts: tuple[Alert, ...]
    log_alerts: tuple[Alert, ...]
    log_metrics: tuple[LogMetric, ...]
    log_limits: LogLimits
    stream_retention: tuple[StreamRetention, ...]
    sinks: Sinks
    traces: Traces
    slos: tuple[Slo, ...]
    receivers: tuple[Receiver, ...]
    routing: Routing
    inhibitions: tuple[Inhibition, ...]
    mute_times: tuple[MuteTime, ...]
    dashboards: tuple[Dashboard, ...]
    secrets: tuple[Secret, ...]
    overrides: Mapping[str, object]

    def has(self, component: str) -> bool:
        """Return whether the component is on."""
        return component in self.components

    def link(self, component: str, path: str = "") -> str:
        """Return the URL under which a person on the host opens the component, with `path` (no leading slash) below it."""
        return f"{self.links}:{self.ports[component]}/{path}"
