"""The services that the inbox stands in for: one line each in the table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from flask import Request

from . import discord, opsgenie, pagerduty, slack, teams, telegram, webhook
from .message import Draft, Message, Reply


@dataclass(frozen=True, slots=True)
class Service:
    """A service: where it listens (method and path), how it reads a request (or raises Refusal), how it says yes."""

    kind: str
    routes: Sequence[tuple[str, str]]
    read: Callable[[Request, Mapping[str, str]], Draft]
    accept: Callable[[Message], Reply]


MAIL = "mail"
"""The kind of what arrives by SMTP, which is no HTTP service."""


def services() -> Sequence[Service]:
    """Return every service that is reached by HTTP."""
    alerts = "/opsgenie/v2/alerts"
    opsgenie_routes = (
        ("POST", alerts),
        ("POST", f"{alerts}/<alias>/<any(close, acknowledge):action>"),
        ("PUT", f"{alerts}/<alias>/<any(message, description):action>"),
    )
    slack_routes = (("POST", "/services/<path:rest>"), ("POST", "/slack/<name>"))
    return (
        Service("slack", slack_routes, slack.read, slack.accept),
        Service("pagerduty", (("POST", "/v2/enqueue"),), pagerduty.read, pagerduty.accept),
        Service("webhook", (("POST", "/webhook/<name>"),), webhook.read, webhook.accept),
        Service("teams", (("POST", "/teams/<path:name>"),), teams.read, teams.accept),
        Service("discord", (("POST", "/discord/<path:name>"),), discord.read, discord.accept),
        Service("telegram", (("POST", "/telegram/bot<token>/sendMessage"),), telegram.read, telegram.accept),
        Service("opsgenie", opsgenie_routes, opsgenie.read, opsgenie.accept),
    )
