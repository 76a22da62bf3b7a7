"""PagerDuty's Events API v2, alert events.

Fields, limits and answers: https://developer.pagerduty.com/docs/events-api-v2/trigger-events/ and
https://developer.pagerduty.com/api-reference/368ae3d938c9e-send-an-event-to-pager-duty.
"""

import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Request

from .message import Draft, Link, Message, Refusal, Reply, Status
from .payload import PayloadError, object_of, objects_of, parse_object, text_of
from .summary import draft, paragraphs

ROUTING_KEY_LENGTH = 32
MAX_SUMMARY = 1024
MAX_DEDUP_KEY = 255
MAX_BODY_BYTES = 512 * 1024
SEVERITIES = ("critical", "warning", "error", "info")
_STATUS: Mapping[str, Status] = {"trigger": "firing", "acknowledge": "acknowledged", "resolve": "resolved"}


def read(request: Request, _: Mapping[str, str]) -> Draft:
    """Return what a PagerDuty event says.

    Raises:
        Refusal: in PagerDuty's words, with every error at once.
    """
    body = request.get_data()
    if len(body) > MAX_BODY_BYTES:
        raise Refusal("Payload Too Large", 413)
    try:
        event = parse_object(body)
    except PayloadError as error:
        raise _refusal([f"Invalid JSON: {error}"]) from error
    errors = list(_errors(event))
    if errors:
        raise _refusal(errors)
    alert = object_of(event, "payload")
    action, key = text_of(event, "event_action"), text_of(event, "dedup_key")
    details = object_of(alert, "custom_details")
    links = [Link(text_of(event, "client"), text_of(event, "client_url"))]
    links += [Link(text_of(link, "text"), text_of(link, "href")) for link in objects_of(event, "links")]
    names = ("severity", "source", "component", "group", "class")
    return draft(
        "pagerduty",
        to=f"routing key …{text_of(event, 'routing_key')[-4:]}",
        title=text_of(alert, "summary") or f"{action} {key}",
        text=paragraphs(
            *(f"{name}: {text_of(alert, name)}" for name in names if text_of(alert, name)),
            *(f"{name}: {text_of(details, name)}" for name in details if text_of(details, name)),
        ),
        status=_STATUS[action],
        links=links,
        payload=event,
    )


def accept(message: Message) -> Reply:
    """Return what PagerDuty answers to an event that it takes; a key that was not sent is made up."""
    key = text_of(message.payload, "dedup_key") or secrets.token_hex(16)
    return {"status": "success", "message": "Event processed", "dedup_key": key}, 202


def _refusal(errors: list[str]) -> Refusal:
    return Refusal({"status": "invalid event", "message": "Event object is invalid", "errors": errors}, 400)


def _errors(event: dict[str, Any]) -> Iterator[str]:
    key = text_of(event, "routing_key")
    if not key:
        yield "'routing_key' is missing or blank"
    else:
        if len(key) != ROUTING_KEY_LENGTH:
            yield f"Length of 'routing_key' is incorrect (should be {ROUTING_KEY_LENGTH} characters)"
        if not (key.isascii() and key.isalnum()):
            yield "'routing_key' cannot contain non-alphanumeric characters."
    action, dedup_key = text_of(event, "event_action"), text_of(event, "dedup_key")
    if not action:
        yield "'event_action' is missing or blank"
    elif action not in _STATUS:
        yield f"'event_action' is invalid (must be one of {', '.join(_STATUS)})"
    if len(dedup_key) > MAX_DEDUP_KEY:
        yield f"'dedup_key' is too long (maximum is {MAX_DEDUP_KEY} characters)"
    if action in {"acknowledge", "resolve"} and not dedup_key.strip():
        yield f"'dedup_key' is missing or blank (required when 'event_action' is '{action}')"
    if action == "trigger":
        yield from _alert_errors(event.get("payload"))


def _alert_errors(alert: Any) -> Iterator[str]:
    if not isinstance(alert, dict):
        yield "'payload' is missing or blank"
        return
    for name in ("summary", "source", "severity"):
        if not text_of(alert, name).strip():
            yield f"'payload.{name}' is missing or blank"
    if len(text_of(alert, "summary")) > MAX_SUMMARY:
        yield f"'payload.summary' is too long (maximum is {MAX_SUMMARY} characters)"
    severity = text_of(alert, "severity")
    if severity and severity not in SEVERITIES:
        yield f"'payload.severity' is invalid (must be one of {', '.join(SEVERITIES)})"
    if "custom_details" in alert and not isinstance(alert["custom_details"], dict | str | None):
        yield "'payload.custom_details' must be an object or a string"
