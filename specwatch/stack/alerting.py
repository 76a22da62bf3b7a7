"""What must never happen, who hears of it, and when they do not."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from specwatch.stack.secrets import SecretFile

Severity = Literal["critical", "warning", "info"]


class RecordingRule(Struct, frozen=True, kw_only=True):
    """A Prometheus recording rule."""

    record: str
    group: str
    expr: str
    labels: Mapping[str, str]


class Alert(Struct, frozen=True, kw_only=True):
    """A Prometheus alert (`expr` in PromQL) or a Loki ruler alert (`expr` in LogQL), complete with all that it must carry.

    `component` is the part of the stack that it watches: while that is off, the alert is not written. Empty for all others.
    """

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
    component: str = ""


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
