"""What a spec means: every default, pack and name filled in, as frozen values.

A renderer or a proof reads a `Stack` and nothing else. Durations are whole seconds, sizes are bytes or the component's own
notation where the name says so, and every collection is a tuple in the order in which it is to appear.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from msgspec import Struct

MetricType = Literal["counter", "gauge", "histogram", "summary", "info"]
Severity = Literal["critical", "warning", "info"]


class Place(Struct, frozen=True):
    """Where in the spec a value stands: one-based line and column."""

    line: int
    column: int


class SecretFile(Struct, frozen=True):
    """A secret by name; the topology says at which path a component reads it."""

    name: str


class Secret(Struct, frozen=True, kw_only=True):
    """One secret file, who reads it, and what stands in while it is missing.

    `fallback` is "password" (a random one is made once), "inbox" (messages go to the inbox at `inbox_path`) or "none" (the
    user must supply it).
    """

    name: str
    components: tuple[str, ...]
    fallback: Literal["password", "inbox", "none"]
    inbox_path: str = ""


class Retention(Struct, frozen=True, kw_only=True):
    """How long each kind of data is kept, in seconds; `metrics_size` in Prometheus' notation ("10GB") or empty."""

    metrics_seconds: int
    metrics_size: str
    logs_seconds: int
    traces_seconds: int


class Tls(Struct, frozen=True, kw_only=True):
    """How a scrape or a probe speaks TLS."""

    ca: SecretFile | None = None
    certificate: SecretFile | None = None
    key: SecretFile | None = None
    server_name: str = ""
    insecure_skip_verify: bool = False


class Auth(Struct, frozen=True, kw_only=True):
    """How a scrape authenticates: basic (`username` and `secret`) or bearer (`secret` alone)."""

    kind: Literal["basic", "bearer"]
    secret: SecretFile
    username: str = ""


class Job(Struct, frozen=True, kw_only=True):
    """One Prometheus scrape job.

    `discovery` says where targets come from: "address" (the topology's address of `owner`, a service or component), "static"
    (`targets`), "files" (`files`, globs below the Prometheus config folder), "dns" (`targets` are names, `port`) or
    "containers" (Docker label).
    """

    name: str
    owner: str
    team: str
    discovery: Literal["address", "static", "files", "dns", "containers"]
    targets: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    port: int = 0
    path: str = "/metrics"
    scheme: Literal["http", "https"] = "http"
    interval_seconds: int = 0
    timeout_seconds: int = 0
    labels: Mapping[str, str] = {}
    auth: Auth | None = None
    tls: Tls | None = None
    honor_labels: bool = False
    component: bool = False


class Probe(Struct, frozen=True, kw_only=True):
    """One blackbox probe. `url` is absolute, or a path below the address of the service `owner`."""

    name: str
    owner: str
    team: str
    url: str
    module: str
    interval_seconds: int = 0


class Metric(Struct, frozen=True, kw_only=True):
    """A metric that a job emits. A label's values are a tuple, or None when they are open."""

    name: str
    type: MetricType
    help: str
    unit: str
    labels: Mapping[str, tuple[str, ...] | None]
    buckets: tuple[Decimal, ...]
    jobs: tuple[str, ...]


class RecordingRule(Struct, frozen=True, kw_only=True):
    """A Prometheus recording rule."""

    record: str
    group: str
    expr: str
    labels: Mapping[str, str]


class Alert(Struct, frozen=True, kw_only=True):
    """A Prometheus alert (`expr` in PromQL) or a Loki ruler alert (`expr` in LogQL), complete with all that it must carry."""

    name: str
    group: str
    service: str
    team: str
    severity: Severity
    expr: str
    for_seconds: int
    keep_firing_for_seconds: int
    labels: Mapping[str, str]
    summary: str
    description: str
    runbook_url: str
    dashboard_url: str
    annotations: Mapping[str, str] = {}
    place: Place | None = None


class Slo(Struct, frozen=True, kw_only=True):
    """A service level objective; `objective` is a percentage such as Decimal("99.9")."""

    name: str
    service: str
    objective: Decimal
    good: str
    total: str
    window_seconds: int
    description: str = ""


class Matcher(Struct, frozen=True):
    """An Alertmanager matcher, as in `severity="critical"`."""

    label: str
    operator: Literal["=", "!=", "=~", "!~"]
    value: str


class Slack(Struct, frozen=True, kw_only=True, tag=True):
    """Slack through an incoming webhook whose URL is the secret's content; `channel` may be empty."""

    webhook: SecretFile
    channel: str
    username: str
    send_resolved: bool = True


class Email(Struct, frozen=True, kw_only=True, tag=True):
    """E-mail. `smarthost` is host:port, or empty for the inbox."""

    to: tuple[str, ...]
    from_: str
    smarthost: str
    username: str
    password: SecretFile | None
    require_tls: bool
    send_resolved: bool = True


class PagerDuty(Struct, frozen=True, kw_only=True, tag=True):
    """PagerDuty Events API v2. `url` is empty for PagerDuty itself."""

    key: SecretFile
    url: str
    send_resolved: bool = True


class Webhook(Struct, frozen=True, kw_only=True, tag=True):
    """A generic webhook: a plain `url`, or one kept in a secret. With neither it goes to the inbox under `name`."""

    name: str
    url: str
    secret: SecretFile | None
    bearer: SecretFile | None
    max_alerts: int
    send_resolved: bool = True


class Teams(Struct, frozen=True, kw_only=True, tag=True):
    """Microsoft Teams through a Power Automate workflow's URL."""

    webhook: SecretFile
    send_resolved: bool = True


class Discord(Struct, frozen=True, kw_only=True, tag=True):
    """Discord through a channel's webhook URL."""

    webhook: SecretFile
    username: str
    send_resolved: bool = True


class Telegram(Struct, frozen=True, kw_only=True, tag=True):
    """Telegram through a bot."""

    token: SecretFile
    chat_id: int
    send_resolved: bool = True


class Opsgenie(Struct, frozen=True, kw_only=True, tag=True):
    """Opsgenie's alert API. `url` is empty for Opsgenie itself."""

    key: SecretFile
    url: str
    send_resolved: bool = True


Integration = Slack | Email | PagerDuty | Webhook | Teams | Discord | Telegram | Opsgenie


class Receiver(Struct, frozen=True, kw_only=True):
    """A named receiver with everything it delivers to. Without integrations it is a deliberate dead end (the Watchdog's, by default)."""

    name: str
    integrations: tuple[Integration, ...]


class Route(Struct, frozen=True, kw_only=True):
    """One Alertmanager route below the root. Zero seconds mean "inherit"; empty `group_by` inherits too."""

    matchers: tuple[Matcher, ...]
    receiver: str
    group_by: tuple[str, ...] = ()
    group_wait_seconds: int = 0
    group_interval_seconds: int = 0
    repeat_interval_seconds: int = 0
    continue_: bool = False
    mute: tuple[str, ...] = ()
    active: tuple[str, ...] = ()


class Routing(Struct, frozen=True, kw_only=True):
    """The root route's settings and the routes below it, tried in order."""

    receiver: str
    group_by: tuple[str, ...]
    group_wait_seconds: int
    group_interval_seconds: int
    repeat_interval_seconds: int
    routes: tuple[Route, ...]


class Inhibition(Struct, frozen=True, kw_only=True):
    """While an alert matches `source`, those that match `target` and agree on `equal` stay silent."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]


class TimeRange(Struct, frozen=True):
    """A span of a day, "HH:MM" to "HH:MM" (24:00 is the end of the day)."""

    start: str
    end: str


class TimeInterval(Struct, frozen=True, kw_only=True):
    """One of a mute time's intervals, in Alertmanager's own notation of ranges."""

    times: tuple[TimeRange, ...] = ()
    weekdays: tuple[str, ...] = ()
    days_of_month: tuple[str, ...] = ()
    months: tuple[str, ...] = ()
    years: tuple[str, ...] = ()
    location: str = ""


class MuteTime(Struct, frozen=True, kw_only=True):
    """A named set of intervals in which a route is muted (or active)."""

    name: str
    intervals: tuple[TimeInterval, ...]


class Panel(Struct, frozen=True, kw_only=True):
    """One dashboard panel. `queries` are (expression, legend) pairs in the language of `source`.

    `width` is in twenty-fourths of the page, `height` in Grafana's grid rows; `thresholds` are (value, colour) pairs.
    """

    title: str
    kind: Literal["timeseries", "stat", "gauge", "table", "logs", "text", "bargauge", "heatmap"]
    source: Literal["prometheus", "loki", "tempo", ""]
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    description: str = ""
    width: int = 12
    height: int = 8
    thresholds: tuple[tuple[Decimal, str], ...] = ()
    stacked: bool = False
    text: str = ""


class Row(Struct, frozen=True, kw_only=True):
    """A titled group of panels."""

    title: str
    panels: tuple[Panel, ...]


class Dashboard(Struct, frozen=True, kw_only=True):
    """One Grafana dashboard; `uid` is fixed so that links to it last."""

    uid: str
    title: str
    rows: tuple[Row, ...]
    tags: tuple[str, ...] = ()
    service: str = ""


class Build(Struct, frozen=True, kw_only=True):
    """How compose builds a service's image."""

    context: str
    dockerfile: str
    args: Mapping[str, str] = {}


class Run(Struct, frozen=True, kw_only=True):
    """How specwatch itself starts a service: `command` under both runtimes, `image` or `build` under compose.

    `publish` are host ports bound to `Stack.bind`, as (host, container) pairs. `health` is an argument list to run in the container.
    """

    command: tuple[str, ...]
    image: str
    build: Build | None
    environment: Mapping[str, str]
    publish: tuple[tuple[int, int], ...]
    health: tuple[str, ...]
    user: str
    memory: str
    volumes: tuple[str, ...]
    depends_on: tuple[str, ...]
    restart: str


class Logs(Struct, frozen=True, kw_only=True):
    """Where a service's log lines come from and how each one reads.

    `source` is "container" (its standard output), "files" (`files`, globs) or "fluentd" (sent to the forward intake).
    """

    format: Literal["json", "logfmt", "text"]
    source: Literal["container", "files", "fluentd"]
    files: tuple[str, ...] = ()


class Service(Struct, frozen=True, kw_only=True):
    """One of the user's services. `address` is host:port as other containers reach it, or empty when it serves nothing."""

    name: str
    team: str
    port: int
    host: str
    logs: Logs | None
    traces: bool
    run: Run | None
    packs: tuple[str, ...]


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
    shipper: Literal["promtail", "otelcol"]
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
