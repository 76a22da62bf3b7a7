"""Errors on their way to Sentry: real programs with the real SDK, and a server that takes what they send."""

import gzip
import json
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

_SET_UP = """
import logging, os, sys
from specwatch.telemetry.sentry import setup_sentry
logging.basicConfig(stream=sys.stderr, format="%(message)s")
"""


@dataclass
class Ingest:
    """What arrived, and where it is taken."""

    url: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def ingest() -> Iterator[Ingest]:
    """A server that speaks Sentry's envelopes."""
    found = Ingest()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            coding = self.headers.get("Content-Encoding", "")
            body = gzip.decompress(body) if coding == "gzip" else zlib.decompress(body) if coding == "deflate" else body
            lines = body.split(b"\n")[1:]
            for header, item in zip(lines[::2], lines[1::2], strict=False):
                if header and json.loads(header).get("type") == "event":
                    found.events.append(json.loads(item))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    found.url = f"http://key@127.0.0.1:{server.server_port}/1"
    yield found
    server.shutdown()
    server.server_close()


def run(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program and return what it said; warnings of the library's own are errors."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SENTRY_", "SERVICE_", "ENVIRONMENT", "APP_"))}
    return subprocess.run(
        [sys.executable, "-c", _SET_UP + program], env=clean | variables, capture_output=True, text=True, check=True, timeout=60
    )


def test_an_error_arrives_with_its_ids(ingest: Ingest) -> None:
    """Ensure 004's settings reach the SDK, and an event carries the trace's ids, the user, and the context's fields as tags."""
    run(
        """
from specwatch.telemetry.context import bind, continue_trace
assert setup_sentry(prefix="APP_", tags={"team": "web"}, max_breadcrumbs=7)
from specwatch.telemetry.logs import LogContext
with bind(continue_trace(request_id="r-1")._replace(user_id="u-7")), LogContext.bind(workspace_id="w-3"):
    try:
        1 / 0
    except ZeroDivisionError:
        import sentry_sdk
        sentry_sdk.capture_exception()
options = sentry_sdk.get_client().options
assert (options["traces_sample_rate"], options["profiles_sample_rate"]) == (0.5, 0.1), options
assert (options["max_breadcrumbs"], options["send_default_pii"], options["attach_stacktrace"]) == (7, False, True)
sentry_sdk.flush()
""",
        SENTRY_DSN=ingest.url,
        ENVIRONMENT="staging",
        APP_VERSION="1.2.3",
        SERVICE_NAME="analytics",
        SENTRY_TRACES_SAMPLE_RATE="0.2",
        APP_SENTRY_TRACES_SAMPLE_RATE="0.5",
    )
    [event] = ingest.events
    assert (event["environment"], event["release"], event["user"]) == ("staging", "1.2.3", {"id": "u-7"})
    assert event["tags"].items() >= {"request_id": "r-1", "workspace_id": "w-3", "team": "web", "service": "analytics"}.items()
    assert len(event["tags"]["trace_id"]) == 32
    assert event["exception"]["values"][0]["type"] == "ZeroDivisionError"


@pytest.mark.parametrize("framework", ["flask", "fastapi"])
def test_what_nobody_found_is_not_sent(ingest: Ingest, framework: str) -> None:
    """Ensure a 404 is left out and a 500 is sent, with Flask's `g` as user and tag, from both frameworks."""
    programs = {
        "flask": """
from flask import Flask, abort, g
setup_sentry()
app = Flask("app")
@app.get("/missing")
def missing():
    sentry_sdk.capture_exception(NotFound())
    abort(404)
@app.get("/broken")
def broken():
    g.user_id, g.workspace_id = 7, "w-3"
    raise RuntimeError("no")
import sentry_sdk
from werkzeug.exceptions import NotFound
client = app.test_client()
assert client.get("/missing").status_code == 404
assert client.get("/broken").status_code == 500
sentry_sdk.flush()
""",
        "fastapi": """
import sentry_sdk
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient
setup_sentry()
app = FastAPI()
@app.get("/missing")
def missing():
    sentry_sdk.capture_exception(HTTPException(404))
    raise HTTPException(404)
@app.get("/broken")
def broken():
    raise RuntimeError("no")
client = TestClient(app, raise_server_exceptions=False)
assert client.get("/missing").status_code == 404
assert client.get("/broken").status_code == 500
sentry_sdk.flush()
""",
    }
    run(programs[framework], SENTRY_DSN=ingest.url)
    events = [event for event in ingest.events if "exception" in event]
    assert [event["exception"]["values"][-1]["type"] for event in events] == ["RuntimeError"]
    assert events[0]["transaction"].endswith("broken")
    if framework == "flask":
        assert events[0]["user"]["id"] == "7"
        assert events[0]["tags"]["workspace_id"] == "w-3"


def test_a_filter_of_ones_own_comes_after_ours(ingest: Ingest) -> None:
    """Ensure it sees what is left and may drop it too, and that an error on which our filter itself fails is sent all the same."""
    run(
        """
import sentry_sdk
class HTTPException(Exception):
    @property
    def status_code(self):
        raise RuntimeError("odd")
def mine(event, hint):
    return None if "exc_info" not in hint or isinstance(hint["exc_info"][1], (KeyError, RuntimeError)) else event
setup_sentry(before_send=mine, ignored_statuses=(404,))
for error in (KeyError("dropped"), ValueError("kept"), HTTPException("odd")):
    sentry_sdk.capture_exception(error)
sentry_sdk.flush()
""",
        SENTRY_DSN=ingest.url,
    )
    assert [event["exception"]["values"][-1]["type"] for event in ingest.events] == ["ValueError", "HTTPException"]


def test_without_a_dsn_nothing_is_even_imported() -> None:
    """Ensure no DSN means no work: sentry-sdk stays where it is, and nothing is said."""
    done = run("assert setup_sentry() is False; assert 'sentry_sdk' not in sys.modules")
    assert done.stderr == ""


def test_without_the_extra_it_says_so_once_and_goes_on() -> None:
    """Ensure a DSN without sentry-sdk gives one line with the remedy, and False."""
    done = run("sys.modules['sentry_sdk'] = None; assert setup_sentry() is False", SENTRY_DSN="http://key@127.0.0.1:9/1")
    [line] = done.stderr.splitlines()
    assert "pip install 'specwatch[sentry]'" in line


@pytest.mark.parametrize("dsn", ["nonsense", "http://127.0.0.1/1"])
def test_a_dsn_that_is_none_stops_nobody(dsn: str) -> None:
    """Ensure a slip in SENTRY_DSN is told and the program goes on."""
    done = run("assert setup_sentry() is False", SENTRY_DSN=dsn)
    assert "Sentry is off" in done.stderr
