"""One real inbox for the tests of this folder, and the means to start others."""

import contextlib
import http.client
import json
import os
import signal
import smtplib
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any
from urllib.parse import quote

import pytest

LIMIT_SECONDS = 20


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """Return the body as the JSON value it is."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Inbox:
    """A running inbox: its process and its two ports on 127.0.0.1."""

    process: "subprocess.Popen[str]"
    http: int
    smtp: int
    first_line: str = field(repr=False)

    def request(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}) -> Answer:
        """Return the answer to a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=LIMIT_SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())

    def get(self, path: str) -> Answer:
        """Return the answer to a GET."""
        return self.request("GET", path)

    def post(self, path: str, payload: Any, **headers: str) -> Answer:
        """Return the answer to a POST of bytes or of anything as JSON."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return self.request("POST", path, body, {"Content-Type": "application/json", **headers})

    def messages(self, **wanted: Any) -> list[dict[str, Any]]:
        """Return the messages that the API finds."""
        query = "&".join(f"{name}={quote(str(value))}" for name, value in wanted.items())
        found: list[dict[str, Any]] = self.get(f"/api/messages?{query}").json["messages"]
        return found

    def newest(self, **wanted: Any) -> dict[str, Any]:
        """Return the newest message that the API finds."""
        return self.messages(limit=1, **wanted)[0]

    def send(self, mail: EmailMessage | bytes, recipients: list[str] | None = None) -> None:
        """Send a mail by SMTP."""
        with smtplib.SMTP("127.0.0.1", self.smtp, timeout=LIMIT_SECONDS) as client:
            if isinstance(mail, bytes):
                client.sendmail("from@example.com", recipients or ["to@example.com"], mail)
            else:
                client.send_message(mail)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send the process a signal and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(LIMIT_SECONDS)


StartInbox = Callable[..., Inbox]


def _start(*options: str) -> Inbox:
    command = [sys.executable, "-m", "specwatch.inbox", "--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0", *options]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "HOME": "/nonexistent"},
    )
    assert process.stdout is not None
    with process.stdout:
        line = process.stdout.readline()
    page, mail, _ = line.removeprefix("inbox: page http://").split(", ")
    return Inbox(process, int(page.rstrip("/").rpartition(":")[2]), int(mail.rpartition(":")[2]), line)


@contextlib.contextmanager
def _inboxes() -> Iterator[StartInbox]:
    started: list[Inbox] = []

    def start(*options: str) -> Inbox:
        started.append(_start(*options))
        return started[-1]

    yield start
    for inbox in started:
        inbox.process.kill()
        inbox.process.wait(LIMIT_SECONDS)


@pytest.fixture
def start_inbox() -> Iterator[StartInbox]:
    with _inboxes() as start:
        yield start


@pytest.fixture(scope="session")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inbox]:
    with _inboxes() as start:
        yield start("--database", str(tmp_path_factory.mktemp("inbox") / "inbox.db"))
