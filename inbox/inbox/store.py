"""The messages, in one SQLite table.

Write-ahead logging with ``synchronous=NORMAL``: a killed process loses nothing that was answered
(https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .message import Draft, Link, Message

BUSY_SECONDS = 2
"""How long a message waits for another program that holds the database."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received_at TEXT NOT NULL,
    kind TEXT NOT NULL,
    recipient TEXT NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    status TEXT NOT NULL,
    links TEXT NOT NULL,
    payload TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS messages_by_kind ON messages (kind, id);
CREATE INDEX IF NOT EXISTS messages_by_status ON messages (status, id);
"""
_COLUMNS = "id, received_at, kind, recipient, title, body, status, links, payload"


class StoreError(Exception):
    """The database cannot be opened, read or written; ``is_full`` tells a full disk from every other cause."""

    def __init__(self, cause: sqlite3.Error) -> None:
        super().__init__(str(cause))
        self.is_full = getattr(cause, "sqlite_errorname", "") == "SQLITE_FULL"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages are wanted; what is empty or zero does not restrict.

    ``contains`` looks in recipient, title, text and payload, the case of ASCII letters aside. ``since_id`` wants what
    came after a number, ``before_id`` what came before one.
    """

    kind: str = ""
    status: str = ""
    contains: str = ""
    since_id: int = 0
    before_id: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """Messages, oldest first, and the number to pass as ``since_id`` to go on from here."""

    messages: Sequence[Message]
    last_id: int


class Store:
    """The last ``keep`` messages, in a file or (``path`` None) in memory; safe to use from several threads.

    Raises:
        StoreError: from every method, when SQLite does; the store stays usable and what was stored stays.
    """

    def __init__(self, path: Path | None, keep: int = 10_000) -> None:
        self._keep = keep
        self._lock = threading.Lock()
        with _as_store_error():
            self._connection = sqlite3.connect(path or ":memory:", check_same_thread=False, timeout=BUSY_SECONDS)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("PRAGMA journal_size_limit = 16777216")
            self._connection.executescript(_SCHEMA)
        with self._transaction() as connection:
            newest = _newest_id(connection)
            connection.execute("DELETE FROM messages WHERE id <= ?", (newest - keep,))

    def add(self, draft: Draft) -> Message:
        """Store a draft, drop the oldest message beyond the limit, and return what was stored."""
        received_at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        links = json.dumps([[link.title, link.url] for link in draft.links], ensure_ascii=False)
        payload = json.dumps(draft.payload, ensure_ascii=False)
        row = (received_at, draft.kind, draft.to, draft.title, draft.text, draft.status, links, payload)
        with self._transaction() as connection:
            cursor = connection.execute(
                "INSERT INTO messages (received_at, kind, recipient, title, body, status, links, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            number = cursor.lastrowid or 0
            connection.execute("DELETE FROM messages WHERE id <= ?", (number - self._keep,))
        return _message((number, *row))

    def get(self, number: int) -> Message | None:
        """Return the message with a number, or None."""
        with self._transaction() as connection:
            query = f"SELECT {_COLUMNS} FROM messages WHERE id = ?"  # noqa: S608 - the columns are a constant
            row = connection.execute(query, (number,)).fetchone()
        return _message(row) if row else None

    def find(self, wanted: Filter, limit: int = 100) -> Found:
        """Return at most ``limit`` messages, oldest first: the first ones after ``since_id`` if given, else the newest."""
        conditions, values = _conditions(wanted)
        order = "ASC" if wanted.since_id else "DESC"
        query = (
            f"SELECT {_COLUMNS} FROM messages WHERE {' AND '.join(conditions)}"  # noqa: S608 - constants, values are bound
            f" ORDER BY id {order} LIMIT ?"
        )
        with self._transaction() as connection:
            rows = connection.execute(query, (*values, limit)).fetchall()
            newest = _newest_id(connection)
        messages = sorted(map(_message, rows), key=lambda message: message.id)
        is_cut_off = bool(wanted.since_id) and len(messages) == limit
        return Found(messages, messages[-1].id if is_cut_off else newest)

    def counts(self) -> dict[str, int]:
        """Return how many messages of each kind are kept."""
        with self._transaction() as connection:
            return dict(connection.execute("SELECT kind, count(*) FROM messages GROUP BY kind").fetchall())

    def clear(self) -> int:
        """Remove every message and return how many they were; numbers go on from where they were."""
        with self._transaction() as connection:
            return connection.execute("DELETE FROM messages").rowcount

    def close(self) -> None:
        """Close the database; nothing may be called afterwards."""
        with self._lock, _as_store_error():
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _as_store_error(), self._connection:
            yield self._connection


@contextmanager
def _as_store_error() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(error) from error


def _newest_id(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'messages'").fetchone()
    return int(row[0]) if row else 0


def _conditions(wanted: Filter) -> tuple[list[str], list[str | int]]:
    found: list[tuple[str, str | int]] = [("id > ?", wanted.since_id)]
    if wanted.before_id:
        found.append(("id < ?", wanted.before_id))
    if wanted.kind:
        found.append(("kind = ?", wanted.kind))
    if wanted.status:
        found.append(("status = ?", wanted.status))
    if wanted.contains:
        everything = "lower(recipient || char(10) || title || char(10) || body || char(10) || payload)"
        found.append((f"instr({everything}, lower(?)) > 0", wanted.contains))
    return [condition for condition, _ in found], [value for _, value in found]


def _message(row: Sequence[Any]) -> Message:
    number, received_at, kind, to, title, text, status, links, payload = row
    return Message(
        id=number,
        received_at=received_at,
        kind=kind,
        to=to,
        title=title,
        text=text,
        status=status,
        links=tuple(Link(name, url) for name, url in json.loads(links)),
        payload=json.loads(payload),
    )
