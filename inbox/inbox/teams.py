"""Microsoft Teams: a workflow's adaptive card, or the older connector's MessageCard.

Shapes and the limit of 28 KB:
https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from flask import Request

from .message import Draft, Link, Message, Refusal, Reply
from .payload import PayloadError, object_of, objects_of, parse_object, text_of
from .summary import draft, first_status, links_in, paragraphs, status_in, status_of_colour

MAX_BODY_BYTES = 28 * 1024
ADAPTIVE_CARD = "application/vnd.microsoft.card.adaptive"


def read(request: Request, path: Mapping[str, str]) -> Draft:
    """Return what a Teams webhook call says.

    Raises:
        Refusal: when it is neither kind of card, is empty, or is larger than Teams takes.
    """
    body = request.get_data()
    if len(body) > MAX_BODY_BYTES:
        raise Refusal("Request Entity Too Large: Teams takes messages up to 28 KB.", 413)
    try:
        payload = parse_object(body)
    except PayloadError as error:
        raise Refusal("Bad payload received by generic incoming webhook.", 400) from error
    if _is_message_card(payload):
        return _message_card(payload, path["name"])
    return _adaptive_card(payload, path["name"])


def accept(message: Message) -> Reply:
    """Return what a connector (200, ``1``) or a workflow (202, nothing) answers."""
    return ("1", 200) if _is_message_card(message.payload) else ("", 202)


def _is_message_card(payload: Mapping[str, Any]) -> bool:
    return text_of(payload, "@type").lower() == "messagecard" or text_of(payload, "type").lower() == "messagecard"


def _message_card(card: dict[str, Any], name: str) -> Draft:
    sections = objects_of(card, "sections")
    if not any(text_of(card, part).strip() for part in ("text", "summary")):
        raise Refusal("Summary or Text is required.", 400)
    facts = [fact for section in sections for fact in objects_of(section, "facts")]
    text = paragraphs(
        text_of(card, "text"),
        *(text_of(section, part) for section in sections for part in ("activityTitle", "activitySubtitle", "text")),
        *(f"{text_of(fact, 'name')}: {text_of(fact, 'value')}" for fact in facts),
    )
    links = [
        Link(text_of(action, "name"), text_of(target, "uri"))
        for action in objects_of(card, "potentialAction")
        for target in objects_of(action, "targets")
    ]
    title = text_of(card, "title") or text_of(card, "summary")
    status = status_in(title, status_of_colour(text_of(card, "themeColor")), text)
    return draft("teams", to=name, title=title, text=text, status=status, links=[*links, *links_in(text)], payload=card)


def _adaptive_card(payload: dict[str, Any], name: str) -> Draft:
    cards = [
        object_of(attachment, "content")
        for attachment in objects_of(payload, "attachments")
        if text_of(attachment, "contentType") == ADAPTIVE_CARD
    ]
    if text_of(payload, "type") != "message" or not cards:
        raise Refusal(f"Expected type 'message' with an attachment of type {ADAPTIVE_CARD}.", 400)
    if any(text_of(card, "type") != "AdaptiveCard" or not isinstance(card.get("body"), list) for card in cards):
        raise Refusal("The card's content needs type 'AdaptiveCard' and a list 'body'.", 400)
    elements = [element for card in cards for element in _elements(card)]
    texts = [text for element in elements for text in _texts(element)]
    if not any(text.strip() for text in texts):
        raise Refusal("The card has no text.", 400)
    colour = first_status(status_of_colour(text_of(element, "color")) for element in elements)
    links = [Link(text_of(element, "title"), text_of(element, "url")) for element in elements]
    title, text = next(filter(None, texts), ""), paragraphs(*texts[1:])
    status = status_in(title, colour, text)
    return draft("teams", to=name, title=title, text=text, status=status, links=[*links, *links_in(text)], payload=payload)


def _elements(holder: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in ("body", "items", "columns", "actions"):
        for element in objects_of(holder, name):
            yield element
            yield from _elements(element)


def _texts(element: dict[str, Any]) -> Iterator[str]:
    if text_of(element, "type") == "TextBlock":
        yield text_of(element, "text")
    for fact in objects_of(element, "facts"):
        yield f"{text_of(fact, 'title')}: {text_of(fact, 'value')}"
