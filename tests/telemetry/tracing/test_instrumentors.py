"""The instrumentors of libraries that are installed put their spans into the request's trace."""

import json
from typing import Any

import pytest

from tests.telemetry.tracing.collector import python

PROGRAM = """
import json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import redis, requests, sqlalchemy
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from specwatch.telemetry import asgi
from specwatch.telemetry.tracing import flush_spans, setup_tracing


class Next(BaseHTTPRequestHandler):
    def do_GET(self):
        body = (self.headers["traceparent"] or "").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Next)
threading.Thread(target=server.serve_forever, daemon=True).start()
app = FastAPI({fastapi})
memory = InMemorySpanExporter()


@app.get("/all/{{number}}")
def everything(number: int):
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 1"))
    redis.Redis(port={redis_port}).set("a", "1")
    return requests.get(f"http://127.0.0.1:{{server.server_port}}/", timeout=10).text


{set_up}
engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.pool.StaticPool, connect_args={{"check_same_thread": False}})
handed_on = TestClient(app).get("/all/7", headers={{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}).json()
assert flush_spans(10)
spans = {{
    span.name: [
        span.kind.name,
        f"{{span.context.trace_id:032x}}",
        f"{{span.context.span_id:016x}}",
        f"{{span.parent.span_id:016x}}",
        span.instrumentation_scope.name,
    ]
    for span in memory.get_finished_spans()
    if span.name != "connect"
}}
print(json.dumps({{"spans": spans, "handed_on": handed_on}}))
"""
OURS = "asgi.instrument(app, metrics=False, access_log=False)\nsetup_tracing(app, exporter=memory)"
THEIRS = "setup_tracing(app, exporter=memory)"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def run(redis_port: int, set_up: str, fastapi: str = "") -> dict[str, Any]:
    """Return the spans of one request, and the traceparent that the next service got."""
    found: dict[str, Any] = json.loads(python(PROGRAM.format(redis_port=redis_port, set_up=set_up, fastapi=fastapi), {}).stdout)
    return found


@pytest.mark.parametrize(("set_up", "fastapi"), [(OURS, ""), (THEIRS, ""), (THEIRS, "telemetry={'tracing': False}")])
def test_what_a_request_does_is_below_its_span(redis_port: int, set_up: str, fastapi: str) -> None:
    """SQLAlchemy, Redis and requests are children of the one server span, whoever made that, and the next service goes on below."""
    found = run(redis_port, set_up, fastapi)
    spans = found["spans"]
    [server] = [span for span in spans.values() if span[0] == "SERVER"]
    assert spans["GET /all/{number}"] == server
    assert (server[1], server[3]) == (TRACE, "b7ad6b7169203331")
    clients = {span[4].rpartition(".")[2]: span for span in spans.values() if span[0] == "CLIENT"}
    assert clients.keys() == {"sqlalchemy", "redis", "requests"}
    assert {span[1] for span in clients.values()} == {TRACE}
    ours = {span[2] for span in spans.values()}
    assert {span[3] for span in clients.values()} <= ours
    assert found["handed_on"] == f"00-{TRACE}-{clients['requests'][2]}-01"


def test_instrumentors_can_be_chosen(redis_port: int) -> None:
    """Those that are not named stay off."""
    spans = run(redis_port, "setup_tracing(app, exporter=memory, instrumentors=['redis'])")["spans"]
    assert {span[4].rpartition(".")[2] for span in spans.values() if span[0] == "CLIENT"} == {"redis"}
