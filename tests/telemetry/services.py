"""The services beside ours that tests ask."""

import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import redis

from tests.tools import free_port, program, wait_for


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a real Redis."""
    port, folder = free_port(), tmp_path_factory.mktemp("redis")
    server = subprocess.Popen(
        [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for("Redis", lambda: _answers(port))
        yield port
    finally:
        server.terminate()
        server.wait(10)


def _answers(port: int) -> bool:
    with redis.Redis(port=port) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


class _Neighbour(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/hangs":
            self.server.released.wait(30)  # type: ignore[attr-defined]  # the fixture gives it to the server
        self.send_response(int(self.path[1:]) if self.path[1:].isdigit() else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def neighbour() -> Iterator[str]:
    """The URL of a service beside ours: `/200` and `/500` answer so, `/hangs` does not answer."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Neighbour)
    server.daemon_threads = True
    server.released = threading.Event()  # type: ignore[attr-defined]  # see above
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.released.set()  # type: ignore[attr-defined]  # see above
    server.shutdown()
    server.server_close()


@pytest.fixture
def database_file(tmp_path: Path) -> Path:
    """Where a test's SQLite database is."""
    return tmp_path / "shop.db"
