"""The endpoints on a port of their own, for a worker or a script that serves no HTTP otherwise."""

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, ClassVar, Final

from specwatch.telemetry.endpoints.core import NOT_FOUND, Answer, Endpoints

LOOPBACK: Final = "127.0.0.1"
_SLOWEST_CLIENT_SECONDS: Final = 10.0


class EndpointServer(ThreadingHTTPServer):
    """Answers in threads of this process, which end with it.

    Args:
        endpoints: what to answer.
        port: where to listen; 0 takes any free port.
        host: the address to listen on.

    Raises:
        OSError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, endpoints: Endpoints, port: int = 0, host: str = LOOPBACK) -> None:
        self.endpoints = endpoints
        super().__init__((host, port), _Handler)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def start(self) -> "EndpointServer":
        """Answer until `stop`, or the end of the process."""
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, name="endpoints", daemon=True).start()
        return self

    def stop(self) -> None:
        """Answer no more; the port is free afterwards."""
        self.shutdown()
        self.server_close()

    def server_bind(self) -> None:
        """Bind without asking a name server for this host's name."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.port

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write nothing: a scraper that hangs up is no event."""


class _Handler(BaseHTTPRequestHandler):
    server: EndpointServer
    protocol_version = "HTTP/1.1"
    timeout: ClassVar[float | None] = _SLOWEST_CLIENT_SECONDS
    server_version = "specwatch"
    sys_version = ""

    def do_GET(self) -> None:
        headers: Mapping[str, str] = {name.lower(): value for name, value in self.headers.items()}
        self._send(self.server.endpoints.answer(self.command, self.path.partition("?")[0], headers) or NOT_FOUND)

    do_HEAD = do_GET  # noqa: N815 - the name http.server calls

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.all_headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, *_: object) -> None:
        """Write nothing: each scrape would be a line."""


def serve_endpoints(endpoints: Endpoints | None = None, port: int = 0, *, host: str = LOOPBACK) -> EndpointServer:
    """Return a running server.

    Args:
        endpoints: what to answer; those of the default registry when left out.
        port: where to listen; 0 takes any free port, which the server's `port` says.
        host: the address to listen on.

    Raises:
        OSError: the port is taken.
    """
    return EndpointServer(endpoints or Endpoints(), port, host).start()
