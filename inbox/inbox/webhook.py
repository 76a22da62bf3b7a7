"""The generic webhook: any JSON object; Alertmanager's own payload is recognised.

Its shape: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from flask import Request

from .message import Draft, Link, Message, Refusal, Reply, Status
from .payload import PayloadError, object_of, objects_of, parse_object, text_of
from .summary import draft, links_in, paragraphs, status_in

MAX_ALERTS_SHOWN = 20
_TITLE_FIELDS = ("title", "subject", "summary", "name", "event", "alert", "message", "text")
_TEXT_FIELDS = ("text", "message", "description", "body", "content", "summary")
_LINK_ANNOTATIONS = (("Runbook", "runbook_url"), ("Dashboard", "dashboard_url"), ("Dashboard", "dashboard"))


def read(request: Request, path: Mapping[str, str]) -> Draft:
    """Return what a webhook call says, summarised when it is Alertmanager's.

    Raises:
        Refusal: with status 400 when the body is not a JSON object.
    """
    try:
        payload = parse_object(request.get_data())
    except PayloadError as error:
        raise Refusal({"status": "error", "message": str(error)}, 400) from error
    if objects_of(payload, "alerts") and text_of(payload, "status"):
        return _alertmanager(payload, path["name"])
    title = next(filter(None, (text_of(payload, name) for name in _TITLE_FIELDS)), "")
    text = next(filter(None, (text_of(payload, name) for name in _TEXT_FIELDS)), "")
    links = [Link(name, text_of(payload, name)) for name in payload if text_of(payload, name).startswith("http")]
    return draft(
        "webhook",
        to=path["name"],
        title=title or f"Webhook {path['name']}",
        text=text or ", ".join(payload),
        status=status_in(f"{text_of(payload, 'status')} {title}", text=text),
        links=[*links, *links_in(text)],
        payload=payload,
    )


def accept(message: Message) -> Reply:
    """Return a plain success with the number of the message."""
    return {"status": "ok", "id": message.id}, 200


def _alertmanager(payload: dict[str, Any], name: str) -> Draft:
    alerts = objects_of(payload, "alerts")
    status: Status = "resolved" if text_of(payload, "status") == "resolved" else "firing"
    labels = {**object_of(payload, "groupLabels"), **object_of(payload, "commonLabels")}
    names = dict.fromkeys(text_of(object_of(alert, "labels"), "alertname") for alert in alerts)
    about = text_of(labels, "alertname") or ", ".join(filter(None, names)) or "alerts"
    count = sum(text_of(alert, "status") == status for alert in alerts)
    summary = text_of(object_of(payload, "commonAnnotations"), "summary")
    return draft(
        "webhook",
        to=text_of(payload, "receiver") or name,
        title=f"[{status.upper()}:{count}] {about}" + (f": {summary}" if summary else ""),
        text=paragraphs(*(_alert_text(alert) for alert in alerts[:MAX_ALERTS_SHOWN])),
        status=status,
        links=[*_alert_links(alerts), Link("Alertmanager", text_of(payload, "externalURL"))],
        payload=payload,
    )


def _alert_text(alert: dict[str, Any]) -> str:
    labels, annotations = object_of(alert, "labels"), object_of(alert, "annotations")
    head = text_of(annotations, "summary") or text_of(labels, "alertname")
    others = ", ".join(f"{name}={text_of(labels, name)}" for name in sorted(labels) if name != "alertname")
    return paragraphs(f"{text_of(alert, 'status')}: {head}", text_of(annotations, "description"), others)


def _alert_links(alerts: list[dict[str, Any]]) -> Iterator[Link]:
    for alert in alerts:
        for title, name in _LINK_ANNOTATIONS:
            yield Link(title, text_of(object_of(alert, "annotations"), name))
    for alert in alerts:
        yield Link("Source", text_of(alert, "generatorURL"))
