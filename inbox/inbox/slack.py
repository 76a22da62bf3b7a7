"""Slack's incoming webhooks.

What is refused and in which words:
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors and
https://api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Request

from .message import Draft, Link, Message, Refusal, Reply
from .payload import PayloadError, object_of, objects_of, parse_object, text_of
from .summary import draft, first_line, first_status, links_in, paragraphs, status_in, status_of_colour, without_slack_markup

MAX_ATTACHMENTS = 100
MAX_BLOCKS = 50

_TEAM = re.compile(r"T[A-Z0-9]{2,}")
_SERVICE = re.compile(r"B[A-Z0-9]{2,}")
_TOKEN = re.compile(r"[A-Za-z0-9]{16,}")
_NAME = re.compile(r"[\w.-]{1,80}")
_CHANNEL = re.compile(r"[#@]?[^\s#@,<>]{1,80}")
_SHOWN_PARTS = ("text", "fallback", "title", "pretext", "fields", "blocks", "author_name", "image_url", "footer")


def read(request: Request, path: Mapping[str, str]) -> Draft:
    """Return what a Slack webhook call says.

    Raises:
        Refusal: in Slack's words, when Slack would not post it.
    """
    name = _checked_name(path)
    payload = _payload(request)
    _check(payload)
    attachments = objects_of(payload, "attachments")
    texts = [text_of(payload, "text"), *_block_texts(payload)]
    texts += [text for attachment in attachments for text in _attachment_texts(attachment)]
    titles = [text_of(attachment, "title") for attachment in attachments]
    titles += [text_of(attachment, "fallback") for attachment in attachments]
    title = next(filter(None, titles), "") or first_line(paragraphs(*texts))
    colour = first_status(status_of_colour(text_of(attachment, "color")) for attachment in attachments)
    text = without_slack_markup(paragraphs(*texts))
    return draft(
        "slack",
        to=text_of(payload, "channel") or name,
        title=without_slack_markup(title),
        text=text,
        status=status_in(title, colour, text),
        links=[*_button_links(payload), *links_in(*texts)],
        payload=payload,
    )


def accept(_: Message) -> Reply:
    """Return what Slack answers to a message that it posts."""
    return "ok", 200


def _checked_name(path: Mapping[str, str]) -> str:
    if "name" in path:
        if not _NAME.fullmatch(path["name"]):
            raise Refusal("no_service", 404)
        return path["name"]
    parts = path["rest"].split("/")
    if len(parts) != len(("team", "service", "token")):
        raise Refusal("no_service", 404)
    team, service, token = parts
    if not _TEAM.fullmatch(team):
        raise Refusal("no_team", 404)
    if not _SERVICE.fullmatch(service):
        raise Refusal("no_service", 404)
    if not _TOKEN.fullmatch(token):
        raise Refusal("invalid_token", 403)
    return service


def _payload(request: Request) -> dict[str, Any]:
    is_form = request.mimetype in {"application/x-www-form-urlencoded", "multipart/form-data"}
    try:
        return parse_object(request.form.get("payload", "") if is_form else request.get_data())
    except PayloadError as error:
        raise Refusal("invalid_payload", 400) from error


def _check(payload: dict[str, Any]) -> None:
    for name, kind in (("text", str), ("channel", str), ("username", str), ("attachments", list), ("blocks", list)):
        if not isinstance(payload.get(name), kind | None):
            raise Refusal("invalid_blocks" if name == "blocks" else "invalid_payload", 400)
    attachments, blocks = payload.get("attachments") or [], payload.get("blocks") or []
    if len(attachments) > MAX_ATTACHMENTS:
        raise Refusal("too_many_attachments", 400)
    if not all(isinstance(attachment, dict) for attachment in attachments):
        raise Refusal("invalid_payload", 400)
    if len(blocks) > MAX_BLOCKS or not all(isinstance(block, dict) and text_of(block, "type") for block in blocks):
        raise Refusal("invalid_blocks", 400)
    channel = payload.get("channel")
    if channel and not _CHANNEL.fullmatch(channel):
        raise Refusal("channel_not_found", 404)
    text = payload.get("text")
    shown = any(attachment.get(part) for attachment in attachments for part in _SHOWN_PARTS)
    if not (text and text.strip()) and not shown and not blocks:
        empty_text = text is not None and not attachments
        raise Refusal("no_text" if empty_text else "missing_text_or_fallback_or_attachments", 400)


def _attachment_texts(attachment: dict[str, Any]) -> Iterator[str]:
    yield text_of(attachment, "pretext")
    yield text_of(attachment, "text")
    for field in objects_of(attachment, "fields"):
        yield ": ".join(filter(None, (text_of(field, "title"), text_of(field, "value"))))
    yield from _block_texts(attachment)
    yield text_of(attachment, "footer")


def _block_texts(holder: dict[str, Any]) -> Iterator[str]:
    for block in objects_of(holder, "blocks"):
        yield text_of(object_of(block, "text"), "text")
        for part in (*objects_of(block, "fields"), *objects_of(block, "elements")):
            if text_of(part, "type") in {"mrkdwn", "plain_text"}:
                yield text_of(part, "text")


def _button_links(payload: dict[str, Any]) -> Iterator[Link]:
    for attachment in objects_of(payload, "attachments"):
        for action in objects_of(attachment, "actions"):
            yield Link(without_slack_markup(text_of(action, "text")), text_of(action, "url"))
        yield Link("", text_of(attachment, "title_link"))
        yield from _block_links(attachment)
    yield from _block_links(payload)


def _block_links(holder: dict[str, Any]) -> Iterator[Link]:
    for block in objects_of(holder, "blocks"):
        for element in (*objects_of(block, "elements"), object_of(block, "accessory")):
            yield Link(text_of(object_of(element, "text"), "text"), text_of(element, "url"))
