"""Secrets: files by name, never values."""

from typing import Literal

from msgspec import Struct


class SecretFile(Struct, frozen=True):
    """A secret by name; the topology says at which path a component reads it."""

    name: str


class Secret(Struct, frozen=True, kw_only=True):
    """One secret file, who reads it, and what stands in while it is missing.

    `fallback` is "password" (a random one is made once), "inbox" (messages go to the inbox at `inbox_path`) or "none" (the
    user must supply it).
    """

    name: str
    components: tuple[str, ...]
    fallback: Literal["password", "inbox", "none"]
    inbox_path: str = ""
