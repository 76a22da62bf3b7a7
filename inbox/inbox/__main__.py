"""The inbox as a program: ``python -m specwatch.inbox``.

Exit codes: 0 after SIGTERM or SIGINT, 2 for a wrong command line, 3 for an address in use or a database that cannot be
opened.
"""

import argparse
import errno
import logging
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from .server import serve as serve_http
from .smtp import serve as serve_smtp
from .store import Store, StoreError
from .tally import Tally
from .web import create_app

EXIT_OUTSIDE = 3


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the inbox until it is told to stop."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("mail").setLevel(logging.ERROR)
    http, smtp = _listen(options.http, "--http"), _listen(options.smtp, "--smtp")
    try:
        store = Store(options.database, options.keep)
    except StoreError as error:
        _fail(
            f"--database: {options.database} cannot be used: {error}; "
            "expected a file in a folder that this user may write, or a database of the inbox"
        )
    tally = Tally()
    serve_smtp(smtp, store, tally)
    kept = f"messages in {options.database}" if options.database else "messages in memory only"
    sys.stdout.write(f"inbox: page http://{_shown(http)}/, mail {_shown(smtp)}, {kept}\n")
    sys.stdout.flush()
    serve_http(http, create_app(store, tally, smtp_port=smtp.getsockname()[1], base_url=options.api_url))
    store.close()
    logging.shutdown()
    # A client that keeps a connection open would hold a thread, and Python would wait for it.
    os._exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="inbox", description="Where alert messages arrive: a page, an API, a mail server.")
    parser.add_argument("--http", type=_address, default="127.0.0.1:8025", metavar="HOST:PORT", help="default %(default)s")
    parser.add_argument("--smtp", type=_address, default="127.0.0.1:1025", metavar="HOST:PORT", help="default %(default)s")
    parser.add_argument("--database", type=Path, metavar="PATH", help="SQLite file; without it messages are in memory only")
    parser.add_argument("--keep", type=_count, default=10_000, metavar="N", help="messages kept (default %(default)s)")
    parser.add_argument("--api-url", default="", metavar="URL", help="the address that the page tells senders to use")
    return parser


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isascii() and port.isdecimal()) or int(port) > 65535:  # noqa: PLR2004 - the last port
        raise argparse.ArgumentTypeError(f"found {text!r}, expected HOST:PORT as in 127.0.0.1:8025 or [::1]:8025")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= 10_000_000:  # noqa: PLR2004 - far above any use
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number from 1 to 10000000")
    return int(text)


def _listen(address: tuple[str, int], option: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        return socket.create_server(address, family=family, backlog=256)
    except OSError as error:
        where = f"{address[0]}:{address[1]}"
        if error.errno == errno.EADDRINUSE:
            _fail(f"{option}: {where} is in use by another program; stop that program or choose another address")
        _fail(f"{option}: cannot listen on {where}: {error.strerror or error}; choose an address of this machine")


def _shown(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"inbox: {message}\n")
    sys.exit(EXIT_OUTSIDE)


if __name__ == "__main__":
    main()
