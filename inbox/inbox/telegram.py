"""Telegram's ``sendMessage``.

https://core.telegram.org/bots/api#sendmessage; the tags that HTML text may have:
https://core.telegram.org/bots/api#html-style.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from html.parser import HTMLParser
from typing import Any

from flask import Request

from .message import Draft, Link, Message, Refusal, Reply
from .payload import PayloadError, parse_object, text_of
from .summary import draft, first_line, links_in, status_in

MAX_TEXT = 4096
_TOKEN = re.compile(r"\d+:[\w-]+")
_TAGS = frozenset(("a", "b", "blockquote", "code", "del", "em", "i", "ins", "pre", "s", "span", "strike", "strong", "u"))
_TELEGRAM_TAGS = frozenset(("tg-emoji", "tg-spoiler"))


def read(request: Request, path: Mapping[str, str]) -> Draft:
    """Return what a call of ``sendMessage`` says.

    Raises:
        Refusal: with Telegram's ``ok: false`` and its description.
    """
    if not _TOKEN.fullmatch(path["token"]):
        raise _refusal(404, "Not Found")
    payload = _payload(request)
    text, chat = text_of(payload, "text"), text_of(payload, "chat_id")
    if not chat:
        raise _refusal(400, "Bad Request: chat_id is empty")
    if not re.fullmatch(r"-?\d{1,18}|@\w{4,}", chat):
        raise _refusal(400, "Bad Request: chat not found")
    links: list[Link] = []
    if text_of(payload, "parse_mode").lower() == "html":
        reader = _Reader()
        reader.feed(text)
        reader.close()
        if reader.problem or reader.open_tags:
            problem = reader.problem or f"Can't find end tag corresponding to start tag {reader.open_tags[-1]}"
            raise _refusal(400, f"Bad Request: can't parse entities: {problem}")
        text, links = "".join(reader.texts), reader.links
    if not text.strip():
        raise _refusal(400, "Bad Request: message text is empty")
    if len(text) > MAX_TEXT:
        raise _refusal(400, "Bad Request: message is too long")
    title = first_line(text)
    status = status_in(title, text=text)
    links += links_in(text)
    return draft("telegram", to=f"chat {chat}", title=title, text=text, status=status, links=links, payload=payload)


def accept(message: Message) -> Reply:
    """Return the message object that Telegram answers with."""
    chat = text_of(message.payload, "chat_id")
    named = {"id": -1000000000001, "type": "channel", "username": chat.removeprefix("@")}
    numbered = {"id": 0 if chat.startswith("@") else int(chat), "type": "group" if chat.startswith("-") else "private"}
    result = {
        "message_id": message.id,
        "date": int(datetime.fromisoformat(message.received_at).timestamp()),
        "chat": named if chat.startswith("@") else numbered,
        "text": message.text,
    }
    return {"ok": True, "result": result}, 200


def _payload(request: Request) -> dict[str, Any]:
    if request.mimetype != "application/json":
        return {**request.args.to_dict(), **request.form.to_dict()}
    try:
        return parse_object(request.get_data())
    except PayloadError as error:
        raise _refusal(400, "Bad Request: can't parse JSON object") from error


def _refusal(status: int, description: str) -> Refusal:
    return Refusal({"ok": False, "error_code": status, "description": description}, status)


class _Reader(HTMLParser):
    """Collects the text and links of Telegram's HTML, and the first thing that Telegram would not parse."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.links: list[Link] = []
        self.open_tags: list[str] = []
        self.problem = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a tag."""
        if tag not in _TAGS | _TELEGRAM_TAGS:
            self.problem = self.problem or f'Unsupported start tag "{tag}"'
        self.open_tags.append(tag)
        if tag == "a":
            self.links.append(Link("", dict(attrs).get("href") or ""))

    def handle_endtag(self, tag: str) -> None:
        """Close a tag, which must be the one opened last."""
        if not self.open_tags or self.open_tags.pop() != tag:
            self.problem = self.problem or f'Unexpected end tag "{tag}"'

    def handle_data(self, data: str) -> None:
        """Keep the text, which is also the title of a link that is open."""
        self.texts.append(data)
        if "a" in self.open_tags:
            self.links[-1] = Link(self.links[-1].title + data, self.links[-1].url)
