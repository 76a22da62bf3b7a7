"""Alertmanager's receivers: one writer for each kind of integration.

Secrets are always files, which Alertmanager reads when it sends. What the messages say stands in templates/alertmanager.tmpl;
here each field only names its template.
"""

from typing import Any
from urllib.parse import quote

from specwatch.stack import (
    Discord,
    Email,
    Integration,
    Opsgenie,
    PagerDuty,
    Receiver,
    Slack,
    Teams,
    Telegram,
    Webhook,
)
from specwatch.topology import Topology


def receiver(value: Receiver, topology: Topology) -> dict[str, Any]:
    """Return a receiver with a list of settings for each kind of integration; without any it is valid and delivers nothing."""
    written: dict[str, Any] = {"name": value.name}
    for integration in value.integrations:
        key, settings = _integration(integration, topology)
        written.setdefault(key, []).append({"send_resolved": integration.send_resolved} | settings)
    return written


def _integration(value: Integration, topology: Topology) -> tuple[str, dict[str, Any]]:  # noqa: PLR0911  # one line for each kind
    match value:
        case Slack():
            return "slack_configs", _slack(value, topology)
        case Email():
            return "email_configs", _email(value, topology)
        case PagerDuty():
            return "pagerduty_configs", _pagerduty(value, topology)
        case Webhook():
            return "webhook_configs", _webhook(value, topology)
        case Teams():
            return "msteamsv2_configs", _teams(value, topology)
        case Discord():
            return "discord_configs", _discord(value, topology)
        case Telegram():
            return "telegram_configs", _telegram(value, topology)
        case Opsgenie():
            return "opsgenie_configs", _opsgenie(value, topology)


def _say(template: str) -> str:
    return f'{{{{ template "specwatch.{template}" . }}}}'


def _literal(text: str) -> str:
    """Return the template that stands for exactly `text`: most of Alertmanager's fields are templates."""
    return text.replace("{{", '{{ "{{" }}')


def _slack(value: Slack, topology: Topology) -> dict[str, Any]:
    settings: dict[str, Any] = {"api_url_file": topology.secret("alertmanager", value.webhook)}
    if value.channel:
        settings["channel"] = _literal(value.channel)
    if value.username:
        settings["username"] = _literal(value.username)
    return settings | {
        "color": _say("colour"),
        "title": _say("slack.title"),
        "title_link": _say("link"),
        "text": _say("slack.text"),
        "fallback": _say("slack.title"),
        "footer": _say("slack.footer"),
    }


def _email(value: Email, topology: Topology) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "to": ", ".join(map(_literal, value.to)),
        "from": _literal(value.from_),
        "smarthost": value.smarthost or topology.address("inbox-smtp"),
        # The inbox speaks no TLS; it is on the loopback interface or on the stack's own network.
        "require_tls": value.require_tls and bool(value.smarthost),
    }
    if value.username:
        settings["auth_username"] = value.username
    if value.password:
        settings["auth_password_file"] = topology.secret("alertmanager", value.password)
    return settings | {
        "headers": {"Subject": _say("title")},
        "html": _say("email.html"),
        "text": _say("email.text"),
    }


def _pagerduty(value: PagerDuty, topology: Topology) -> dict[str, Any]:
    settings: dict[str, Any] = {"routing_key_file": topology.secret("alertmanager", value.key)}
    if value.url:
        settings["url"] = value.url
    return settings | {
        "client": "specwatch",
        "client_url": _say("link"),
        "description": _say("title"),
        "severity": _say("severity"),
        "source": _say("service"),
        "component": _say("service"),
        "class": _say("names"),
        "group": _say("environment"),
        "details": {
            "service": _say("service"),
            "environment": _say("environment"),
            "firing": _say("pagerduty.firing"),
            "resolved": _say("pagerduty.resolved"),
            "num_firing": "{{ .Alerts.Firing | len }}",
            "num_resolved": "{{ .Alerts.Resolved | len }}",
        },
        "links": [
            {"href": _say("link"), "text": "Dashboard"},
            {"href": _say("runbook"), "text": "Runbook"},
            {"href": "{{ .ExternalURL }}", "text": "Alertmanager"},
        ],
    }


def _webhook(value: Webhook, topology: Topology) -> dict[str, Any]:
    settings: dict[str, Any]
    if value.secret:
        settings = {"url_file": topology.secret("alertmanager", value.secret)}
    else:
        settings = {"url": value.url or topology.url("inbox", f"webhook/{quote(value.name, safe='')}")}
    if value.max_alerts:
        settings["max_alerts"] = value.max_alerts
    if value.bearer:
        credentials = topology.secret("alertmanager", value.bearer)
        settings["http_config"] = {"authorization": {"type": "Bearer", "credentials_file": credentials}}
    return settings


def _teams(value: Teams, topology: Topology) -> dict[str, Any]:
    return {
        "webhook_url_file": topology.secret("alertmanager", value.webhook),
        "title": _say("title.emoji"),
        "text": _say("markdown.text"),
    }


def _discord(value: Discord, topology: Topology) -> dict[str, Any]:
    settings: dict[str, Any] = {"webhook_url_file": topology.secret("alertmanager", value.webhook)}
    if value.username:
        settings["username"] = value.username
    return settings | {"title": _say("title.emoji"), "message": _say("markdown.text")}


def _telegram(value: Telegram, topology: Topology) -> dict[str, Any]:
    return {
        "bot_token_file": topology.secret("alertmanager", value.token),
        "chat_id": value.chat_id,
        "parse_mode": "HTML",
        "message": _say("telegram.html"),
    }


def _opsgenie(value: Opsgenie, topology: Topology) -> dict[str, Any]:
    settings: dict[str, Any] = {"api_key_file": topology.secret("alertmanager", value.key)}
    if value.url:
        settings["api_url"] = value.url
    return settings | {
        "message": _say("title"),
        "description": _say("email.text"),
        "source": "{{ .ExternalURL }}",
        "entity": _say("service"),
        "priority": _say("opsgenie.priority"),
        "tags": _say("opsgenie.tags"),
        "details": {"service": _say("service"), "severity": _say("severity"), "runbook_url": _say("runbook")},
    }
