"""A user's own secrets, under plain `docker compose`: used, replaced, and asked for when they are missing."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.e2e.docker.clone import Clone, Engine
from tests.e2e.docker.conftest import MakeClone
from tests.tools import wait_for

pytestmark = pytest.mark.docker

OFF = dict.fromkeys(("loki", "promtail", "grafana", "tempo", "blackbox", "node"), False)


class Slack(ThreadingHTTPServer):
    """What stands at the other end of a webhook: it says ok and keeps the paths that were asked for."""

    def __init__(self, host: str) -> None:
        super().__init__((host, 0), _Answer)
        self.paths: list[str] = []

    def url(self, path: str) -> str:
        """Return the URL of a webhook here."""
        return f"http://{self.server_address[0]!s}:{self.server_port}{path}"


class _Answer(BaseHTTPRequestHandler):
    server: Slack

    def do_POST(self) -> None:
        """Take a message."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.paths.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives it
        """Say nothing."""


@pytest.fixture
def slack(engine: Engine) -> Iterator[Slack]:
    """Give a server that containers reach: on the engine's own bridge, which nobody else is connected to."""
    with Slack(engine.gateway) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def small(make_clone: MakeClone) -> Clone:
    """Give a clone with the alerting parts alone."""
    clone = make_clone()
    clone.write_spec({"version": 1, "stack": {"components": OFF}, "receivers": {"ops": {"slack": {"channel": "#ops"}}}})
    return clone


def _alert(clone: Clone, name: str) -> None:
    labels = {"alertname": name, "service": name, "severity": "warning"}
    clone.send("alertmanager", "/api/v2/alerts", [{"labels": labels, "annotations": {"summary": name}}])


def test_a_users_own_webhook_is_used_and_replaced(small: Clone, slack: Slack) -> None:
    """Ensure that messages go to the inbox until there is a webhook, then there, and after a change and another `up` to the new one."""
    small.up()
    running = small.ids()
    _alert(small, "before")
    wait_for("a message in the inbox", lambda: small.messages(kind="slack"), 30)
    file = small.folder / "secrets/slack_webhook"
    for path in ("/services/first", "/services/second"):
        # With the end of line that `echo` writes.
        file.write_text(f"{slack.url(path)}\n", encoding="utf-8")
        file.chmod(0o600)
        small.up()
        assert small.ids() == running
        _alert(small, path.rpartition("/")[2])
        wait_for(f"a message at {path}", lambda path=path: path in slack.paths, 30)
        assert file.read_text(encoding="utf-8") == f"{slack.url(path)}\n"
    assert slack.paths == ["/services/first", "/services/second"]
    assert len(small.messages()) == 1
    assert small.compose("exec", "alertmanager", "stat", "-c", "%a %u", "/run/secrets/slack_webhook") == "400 65534\n"
    small.compose("down", "--volumes")


def test_a_secret_that_nothing_replaces_is_asked_for(small: Clone) -> None:
    """Ensure that a missing key stops `up` before its reader starts, that the file is named, and that it then is enough to write it."""
    small.edit(lambda spec: spec["receivers"]["ops"].update(pagerduty={}))
    wanted = "secrets/pagerduty_key is missing or empty: put what alertmanager needs into this file (mode 0600) and start again"
    assert small.try_up().returncode != 0
    assert wanted in small.compose("logs", "secrets")
    assert "alertmanager" not in small.ids()
    done = small.try_specwatch("up", "--runtime", "compose")
    assert done.returncode == 3
    assert wanted in done.stderr
    (small.folder / "secrets/pagerduty_key").write_text("0123456789abcdef0123456789abcdef", encoding="utf-8")
    small.up()
    assert "alertmanager" in small.ids()
