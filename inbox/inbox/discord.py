"""Discord's webhooks.

Limits: https://discord.com/developers/docs/resources/message#embed-object-embed-limits; error codes:
https://discord.com/developers/docs/topics/opcodes-and-status-codes#json.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from flask import Request

from .message import Draft, Link, Message, Refusal, Reply
from .payload import PayloadError, object_of, objects_of, parse_object, text_of
from .summary import draft, first_line, first_status, links_in, paragraphs, status_in, status_of_colour

MAX_CONTENT = 2000
MAX_USERNAME = 80
MAX_EMBEDS = 10
MAX_FIELDS = 25
MAX_EMBED_TOTAL = 6000
_EMBED_LIMITS: tuple[tuple[str, int], ...] = (("title", 256), ("description", 4096))
_FIELD_LIMITS: tuple[tuple[str, int], ...] = (("name", 256), ("value", 1024))


def read(request: Request, path: Mapping[str, str]) -> Draft:
    """Return what a Discord webhook call says.

    Raises:
        Refusal: with Discord's code and every field that is out of its limits.
    """
    try:
        payload = parse_object(request.get_data())
    except PayloadError as error:
        raise Refusal({"message": "The request body contains invalid JSON.", "code": 50109}, 400) from error
    errors = dict(_errors(payload))
    if errors:
        raise Refusal({"message": "Invalid Form Body", "code": 50035, "errors": errors}, 400)
    embeds = objects_of(payload, "embeds")
    if not text_of(payload, "content").strip() and not any(_embed_size(embed) for embed in embeds):
        raise Refusal({"message": "Cannot send an empty message", "code": 50006}, 400)
    fields = [field for embed in embeds for field in objects_of(embed, "fields")]
    text = paragraphs(
        text_of(payload, "content"),
        *(text_of(embed, "description") for embed in embeds),
        *(f"{text_of(field, 'name')}: {text_of(field, 'value')}" for field in fields),
    )
    title = next(filter(None, (text_of(embed, "title") for embed in embeds)), "") or first_line(text)
    colour = first_status(status_of_colour(embed["color"]) for embed in embeds if isinstance(embed.get("color"), int))
    return draft(
        "discord",
        to=path["name"],
        title=title,
        text=text,
        status=status_in(title, colour, text),
        links=[*(Link(text_of(embed, "title"), text_of(embed, "url")) for embed in embeds), *links_in(text)],
        payload=payload,
    )


def accept(_: Message) -> Reply:
    """Return what Discord answers to a message that it posts: nothing."""
    return "", 204


def _embed_size(embed: dict[str, Any]) -> int:
    texts = [text_of(embed, name) for name, _ in _EMBED_LIMITS]
    texts += [text_of(field, name) for field in objects_of(embed, "fields") for name, _ in _FIELD_LIMITS]
    texts += [text_of(object_of(embed, "footer"), "text"), text_of(object_of(embed, "author"), "name")]
    return sum(len(text.strip()) for text in texts)


def _errors(payload: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _too_long("", payload, (("content", MAX_CONTENT), ("username", MAX_USERNAME)))
    embeds = payload.get("embeds")
    if embeds is None:
        return
    if not isinstance(embeds, list) or not all(isinstance(embed, dict) for embed in embeds):
        yield "embeds", "Only a list of objects may be used."
        return
    if len(embeds) > MAX_EMBEDS:
        yield "embeds", f"Must be {MAX_EMBEDS} or fewer in length."
    if sum(map(_embed_size, embeds)) > MAX_EMBED_TOTAL:
        yield "embeds", f"Embed size exceeds maximum size of {MAX_EMBED_TOTAL}"
    for index, embed in enumerate(embeds):
        yield from _too_long(f"embeds.{index}.", embed, _EMBED_LIMITS)
        fields = objects_of(embed, "fields")
        if len(fields) > MAX_FIELDS:
            yield f"embeds.{index}.fields", f"Must be {MAX_FIELDS} or fewer in length."
        for place, field in enumerate(fields):
            yield from _too_long(f"embeds.{index}.fields.{place}.", field, _FIELD_LIMITS)
            for name, _ in _FIELD_LIMITS:
                if not text_of(field, name).strip():
                    yield f"embeds.{index}.fields.{place}.{name}", "This field is required"


def _too_long(prefix: str, holder: dict[str, Any], limits: tuple[tuple[str, int], ...]) -> Iterator[tuple[str, str]]:
    for name, limit in limits:
        if len(text_of(holder, name)) > limit:
            yield f"{prefix}{name}", f"Must be {limit} or fewer in length."
