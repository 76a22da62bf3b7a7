"""The mail server: takes mail for any recipient and keeps it; sends nothing anywhere."""

import asyncio
import logging
import socket
import threading
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from . import mail
from .services import MAIL
from .store import Store, StoreError
from .tally import Tally

MAX_MAIL_BYTES = 10 * 1024 * 1024
IDLE_SECONDS = 60


class _Session(SMTP):
    """The protocol with the challenges that real servers send: Alertmanager's AUTH LOGIN takes no others."""

    AuthLoginUsernameChallenge = "Username:"
    AuthLoginPasswordChallenge = "Password:"


class Mailbox:
    """What aiosmtpd calls with a mail: it is stored, or the sender is told to try again later."""

    def __init__(self, store: Store, tally: Tally) -> None:
        self._store = store
        self._tally = tally

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Return the answer to a mail that has arrived whole."""
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        return await asyncio.to_thread(self._keep, content, envelope.mail_from or "", envelope.rcpt_tos)

    def _keep(self, content: bytes, sender: str, recipients: list[str]) -> str:
        try:
            message = self._store.add(mail.read(content, sender, recipients))
        except StoreError as error:
            self._tally.refused(MAIL, ", ".join(recipients), f"452 the message could not be stored: {error}")
            return "452 Requested action not taken: insufficient system storage"
        self._tally.accepted(message)
        logging.getLogger(__name__).info("accepted mail %d for %r: %r", message.id, message.to, message.title)
        return f"250 OK: message {message.id}"


def serve(listener: socket.socket, store: Store, tally: Tally) -> threading.Thread:
    """Start the mail server on a listening socket, in a thread that ends with the process, and return the thread.

    AUTH is offered and any name and password do: senders are configured as for the real server, and none is checked.
    """
    mailbox = Mailbox(store, tally)

    def accept_any_login(*_: Any) -> AuthResult:
        return AuthResult(success=True)

    def session() -> SMTP:
        return _Session(
            mailbox,
            data_size_limit=MAX_MAIL_BYTES,
            enable_SMTPUTF8=True,
            hostname="inbox",  # without a name aiosmtpd asks the resolver, which can take seconds
            ident="inbox",
            timeout=IDLE_SECONDS,
            auth_require_tls=False,
            authenticator=accept_any_login,
        )

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(session, sock=listener)
        await server.serve_forever()

    thread = threading.Thread(target=asyncio.run, args=(run(),), name="smtp", daemon=True)
    thread.start()
    return thread
