"""Opsgenie's alert API: create, close, acknowledge, and the updates that Alertmanager sends.

https://docs.opsgenie.com/docs/alert-api.
"""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Request

from .message import Draft, Message, Refusal, Reply, Status
from .payload import PayloadError, object_of, parse_object, text_of
from .summary import draft, links_in, paragraphs

MAX_MESSAGE = 130
MAX_DESCRIPTION = 15_000
MAX_ALIAS = 512
PRIORITIES = ("P1", "P2", "P3", "P4", "P5")
_STATUS: Mapping[str, Status] = {"close": "resolved", "acknowledge": "acknowledged"}


def read(request: Request, path: Mapping[str, str]) -> Draft:
    """Return what a call of the alert API says.

    Raises:
        Refusal: with Opsgenie's 401 for a missing key, 422 for wrong fields.
    """
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme != "GenieKey" or not key.strip():
        raise Refusal(_body(message="Key format is not valid!"), 401)
    try:
        payload = parse_object(request.get_data() or b"{}")
    except PayloadError as error:
        raise Refusal(_body(message="Request body is not processable. Please check the JSON format."), 422) from error
    action = path.get("action", "create")
    errors = dict(_errors(action, payload))
    if errors:
        raise Refusal(_body(message="Request body is not processable. Please check the errors.", errors=errors), 422)
    details = object_of(payload, "details")
    names = ("note", "priority", "source", "entity")
    text = paragraphs(
        text_of(payload, "description"),
        *(f"{name}: {text_of(payload, name)}" for name in names if text_of(payload, name)),
        *(f"{name}: {text_of(details, name)}" for name in details if text_of(details, name)),
    )
    alias = path.get("alias") or text_of(payload, "alias")
    return draft(
        "opsgenie",
        to=alias or "new alert",
        title=text_of(payload, "message") or f"{action} {alias}",
        text=text,
        status=_STATUS.get(action, "firing"),
        links=links_in(text, *(text_of(details, name) for name in details)),
        payload=payload,
    )


def accept(_: Message) -> Reply:
    """Return what Opsgenie answers to a request that it queues."""
    return _body(result="Request will be processed"), 202


def _body(**fields: Any) -> dict[str, Any]:
    return {**fields, "took": 0.001, "requestId": str(uuid.uuid4())}


def _errors(action: str, payload: dict[str, Any]) -> Iterator[tuple[str, str]]:
    message = text_of(payload, "message")
    if action in {"create", "message"}:
        if not message.strip():
            yield "message", "Message can not be empty."
        if len(message) > MAX_MESSAGE:
            yield "message", f"Message can not be longer than {MAX_MESSAGE} characters."
    if len(text_of(payload, "description")) > MAX_DESCRIPTION:
        yield "description", f"Description can not be longer than {MAX_DESCRIPTION} characters."
    if len(text_of(payload, "alias")) > MAX_ALIAS:
        yield "alias", f"Alias can not be longer than {MAX_ALIAS} characters."
    if text_of(payload, "priority") not in {"", *PRIORITIES}:
        yield "priority", f"Priority should be one of {', '.join(PRIORITIES)}."
