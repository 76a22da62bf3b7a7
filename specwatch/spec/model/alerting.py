"""`alerts:`, `log_alerts:`, `receivers:`, `routes:`, `inhibitions:`, `mute_times:` — what must never happen and who must hear of it."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from specwatch.spec.model.values import Address, Duration, LabelName, Name, SecretRef, Text, Url

Severity = Literal["critical", "warning", "info"]
MatcherText = Annotated[
    str,
    Meta(
        pattern=r'^[a-zA-Z_][a-zA-Z0-9_]*\s*(?:=~|!~|!=|=)\s*"(?:[^"\\\n]|\\.)*"(?!\n)$',
        title="a matcher",
        description='As in Alertmanager: label="value", label=~"regex", label!="value", label!~"regex".',
        examples=['service=~"shop|cart"'],
    ),
]
Clock = Annotated[
    str,
    Meta(
        pattern=r"^(?:[01][0-9]|2[0-3]):[0-5][0-9]-(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)(?!\n)$",
        title="a span of the day",
        description="HH:MM-HH:MM; one that passes midnight is split in two for you.",
        examples=["22:00-06:00"],
    ),
]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class AlertSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"for_": "for"}):
    """An alert: a PromQL expression (LogQL under `log_alerts:`) that must stay empty."""

    expr: Annotated[Text, Meta(description="PromQL (LogQL under `log_alerts:`); it fires for each series that the expression returns.")]
    service: Annotated[Name | None, Meta(description="Whose alert; the stack's when left out.")] = None
    for_: Annotated[Duration, Meta(description="How long it must hold before it fires.")] = "1m"
    keep_firing_for: Annotated[Duration, Meta(description="How long it goes on firing after the expression is empty.")] = "0s"
    severity: Annotated[Severity, Meta(description="critical wakes somebody, warning waits for the morning, info is for the record.")] = (
        "warning"
    )
    summary: Annotated[Text | None, Meta(description="One line for a person; Prometheus' templates are allowed.")] = None
    description: Annotated[Text | None, Meta(description="What it means and what to look at.")] = None
    runbook: Annotated[Url | None, Meta(description="Where it says what to do.")] = None
    dashboard: Annotated[Text | None, Meta(description="A dashboard of `dashboards:` or a URL; the service's own when left out.")] = None
    team: Annotated[Name | None, Meta(description="Who is told; the service's team when left out.")] = None
    labels: Annotated[dict[LabelName, Text], Meta(description="More labels.")] = {}
    annotations: Annotated[dict[LabelName, Text], Meta(description="More annotations.")] = {}


class SlackSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Slack, through an incoming webhook."""

    webhook: Annotated[SecretRef, Meta(description="The webhook's URL. While the file is missing, messages go to the inbox.")] = SecretRef(
        "slack_webhook"
    )
    channel: Annotated[
        str,
        Meta(
            pattern=r"^(?:[#@][^\s\x00-\x1f\x7f]{1,80}|[A-Z0-9]{1,20}|)(?!\n)$",
            title="a channel",
            description="#name, @name or an id.",
            examples=["#ops"],
        ),
    ] = ""
    username: Annotated[str, Meta(max_length=80, description="The name it speaks under.")] = "specwatch"
    send_resolved: Annotated[bool, Meta(description="Say when it is over, too.")] = True


class EmailSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """E-mail, through `stack.smtp`."""

    to: Annotated[tuple[Address, ...], Meta(min_length=1, description="Who gets it.")]
    send_resolved: Annotated[bool, Meta(description="Say when it is over, too.")] = True


class PagerDutySpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PagerDuty, Events API v2."""

    key: Annotated[SecretRef, Meta(description="The integration key. While the file is missing, events go to the inbox.")] = SecretRef(
        "pagerduty_key"
    )
    url: Annotated[Url | None, Meta(description="Another endpoint than PagerDuty's own.")] = None
    send_resolved: Annotated[bool, Meta(description="Resolve the incident, too.")] = True


class WebhookSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A generic webhook. With neither `url` nor a secret, messages go to the inbox."""

    url: Annotated[Url | SecretRef | None, Meta(description="Where to POST; a secret when the URL itself is one.")] = None
    bearer: Annotated[SecretRef | None, Meta(description="A bearer token.")] = None
    max_alerts: Annotated[int, Meta(ge=0, description="At most so many alerts a message; 0 for all.")] = 0
    send_resolved: Annotated[bool, Meta(description="Say when it is over, too.")] = True


class TeamsSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Microsoft Teams, through a workflow's URL."""

    webhook: Annotated[SecretRef, Meta(description="The workflow's URL. While the file is missing, messages go to the inbox.")] = SecretRef(
        "teams_webhook"
    )
    send_resolved: Annotated[bool, Meta(description="Say when it is over, too.")] = True


class DiscordSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Discord, through a channel's webhook."""

    webhook: Annotated[SecretRef, Meta(description="The webhook's URL. While the file is missing, messages go to the inbox.")] = SecretRef(
        "discord_webhook"
    )
    username: Annotated[str, Meta(max_length=80, description="The name it speaks under.")] = "specwatch"
    send_resolved: Annotated[bool, Meta(description="Say when it is over, too.")] = True


class TelegramSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Telegram, through a bot."""

    chat_id: Annotated[int, Meta(ge=-(2**53), le=2**53, title="a chat's number", description="The chat's number.")]
    token: Annotated[SecretRef, Meta(description="The bot's token; the file must be there.")] = SecretRef("telegram_token")
    send_resolved: Annotated[bool, Meta(description="Say when it is over, too.")] = True


class OpsgenieSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Opsgenie."""

    key: Annotated[SecretRef, Meta(description="The API key; the file must be there.")] = SecretRef("opsgenie_key")
    url: Annotated[Url | None, Meta(description="Another endpoint, such as the EU's.")] = None
    send_resolved: Annotated[bool, Meta(description="Close the alert, too.")] = True


class ReceiverSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody, or something, that is told; by every way that is named here."""

    slack: Annotated[SlackSpec | None, Meta(description="Slack.")] = None
    email: Annotated[EmailSpec | None, Meta(description="E-mail.")] = None
    pagerduty: Annotated[PagerDutySpec | None, Meta(description="PagerDuty.")] = None
    webhook: Annotated[WebhookSpec | None, Meta(description="A generic webhook.")] = None
    teams: Annotated[TeamsSpec | None, Meta(description="Microsoft Teams.")] = None
    discord: Annotated[DiscordSpec | None, Meta(description="Discord.")] = None
    telegram: Annotated[TelegramSpec | None, Meta(description="Telegram.")] = None
    opsgenie: Annotated[OpsgenieSpec | None, Meta(description="Opsgenie.")] = None


class RouteSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"continue_": "continue"}):
    """Which alerts go to whom. Routes are tried in order; the first that matches takes the alert."""

    to: Annotated[tuple[Name, ...], Meta(min_length=1, description="The receivers.")]
    when: Annotated[dict[LabelName, Text], Meta(description="Labels that must be equal.")] = {}
    match: Annotated[tuple[MatcherText, ...], Meta(description="Matchers in Alertmanager's notation, beside `when`.")] = ()
    group_by: Annotated[tuple[LabelName, ...], Meta(description="Alerts that agree on these come in one message.")] = ()
    group_wait: Annotated[Duration | None, Meta(description="How long to wait for more before the first message.")] = None
    group_interval: Annotated[Duration | None, Meta(description="How long to wait before telling of more in the same group.")] = None
    repeat_interval: Annotated[Duration | None, Meta(description="How long until it is said again.")] = None
    continue_: Annotated[bool, Meta(description="Try the routes below as well.")] = False
    mute: Annotated[tuple[Name, ...], Meta(description="Mute times in which it is silent.")] = ()
    active: Annotated[tuple[Name, ...], Meta(description="Mute times' names outside which it is silent.")] = ()


class InhibitionSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """While one alert fires, others stay silent."""

    source: Annotated[dict[LabelName, Text], Meta(min_length=1, description="Labels of the alert that silences.")]
    target: Annotated[dict[LabelName, Text], Meta(min_length=1, description="Labels of the alerts that are silenced.")]
    equal: Annotated[tuple[LabelName, ...], Meta(description="Labels on which the two must agree.")] = ("service",)


class MuteInterval(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A set of times; everything that is named must hold."""

    times: Annotated[tuple[Clock, ...], Meta(description="Spans of the day.")] = ()
    weekdays: Annotated[tuple[Weekday, ...], Meta(description="Days of the week.")] = ()
    days_of_month: Annotated[tuple[Annotated[int, Meta(ge=-31, le=31)], ...], Meta(description="Days of the month; -1 is the last.")] = ()
    months: Annotated[tuple[Annotated[int, Meta(ge=1, le=12)], ...], Meta(description="Months.")] = ()
    years: Annotated[tuple[Annotated[int, Meta(ge=1970, le=9999)], ...], Meta(description="Years.")] = ()
    location: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z_]+(?:/[A-Za-z0-9_+-]+)*(?!\n)$",
            title="a time zone",
            description="A name of the tz database.",
            examples=["Europe/Berlin"],
        ),
    ] = "UTC"
