"""The values that pass through the inbox: a draft that was read, a message that was kept, a refusal."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

Status: TypeAlias = Literal["firing", "acknowledged", "resolved", "unknown"]
Reply: TypeAlias = tuple[str | dict[str, Any], int]
"""A body (text, or an object that becomes JSON) and an HTTP status."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link that a person may click: its title and an http or https address."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that a service has accepted, before it is stored.

    ``to`` is whom it was for in the words of the service (a channel, a routing key, mail addresses); ``payload`` is what
    arrived, whole.
    """

    kind: str
    to: str
    title: str
    text: str
    status: Status
    links: tuple[Link, ...]
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message(Draft):
    """A stored message: a draft with its number (they only grow) and its time of arrival (RFC 3339, UTC)."""

    id: int
    received_at: str

    def as_json(self) -> dict[str, Any]:
        """Return the message as the API shows it."""
        fields = asdict(self)
        return {"id": fields.pop("id"), "received_at": fields.pop("received_at"), **fields}


class Refusal(Exception):  # noqa: N818 - it is an answer to a sender, not a fault of the program
    """A payload that the real service would not take, with the answer that it would give."""

    def __init__(self, body: str | dict[str, Any], status: int) -> None:
        super().__init__(f"{status} {body}")
        self.reply: Reply = (body, status)
