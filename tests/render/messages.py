"""A real Alertmanager that sends to a listener in the test: what arrives is what a person would get."""

import json
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from aiosmtpd.controller import Controller

from tests.tools import free_port, wait_for


class Listener:
    """Takes HTTP and SMTP on 127.0.0.1 and keeps what arrives: `posts` by path, `mails` in order."""

    def __init__(self) -> None:
        self.posts: dict[str, list[Any]] = {}
        self.mails: list[EmailMessage] = []
        self.smtp_port = free_port()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.posts))
        self.http_port: int = self._server.server_address[1]
        self._smtp = Controller(self, hostname="127.0.0.1", port=self.smtp_port)

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name for it
        """Keep one mail."""
        mail = message_from_bytes(envelope.content, policy=policy.default)
        self.mails.append(mail)
        return "250 OK"

    def start(self) -> None:
        """Listen."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._smtp.start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._smtp.stop()

    def post(self, path: str, part: str) -> Any:
        """Return the body of the first request to the path that has `part` in one of its texts, once it is there."""
        quoted = json.dumps(part)[1:-1]
        return wait_for(f"{part} at {path}", lambda: next((body for body in self.posts.get(path, []) if quoted in json.dumps(body)), None))

    def mail(self, part: str) -> EmailMessage:
        """Return the first mail that has `part` in its subject, once it is there."""
        return wait_for(f"mail with {part}", lambda: next((mail for mail in self.mails if part in mail["Subject"]), None))


def _handler(posts: dict[str, list[Any]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # http.server's name for it
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            posts.setdefault(self.path, []).append(body)
            answer = b'{"ok": true, "result": {"message_id": 1, "chat": {"id": 1}}}'
            self.send_response(202 if "enqueue" in self.path or "v2/alerts" in self.path else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def alertmanager(program: str, arguments: tuple[str, ...], url: str, log: Path) -> Iterator[None]:
    """Run Alertmanager with the arguments until the block ends; it is ready when the block begins."""
    with log.open("wb") as output, subprocess.Popen((program, *arguments), stdout=output, stderr=output) as process:
        try:
            wait_for(f"Alertmanager ({log})", lambda: process.poll() is None and _ready(url))
            yield
        finally:
            process.terminate()
            process.wait(20)


def fire(url: str, alerts: list[Mapping[str, Any]]) -> None:
    """Hand alerts to the Alertmanager at `url`."""
    request = Request(f"{url}/api/v2/alerts", json.dumps(alerts).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def _ready(url: str) -> bool:
    try:
        with urlopen(f"{url}/-/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except (URLError, ConnectionError):
        return False
