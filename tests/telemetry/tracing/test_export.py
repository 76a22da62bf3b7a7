"""Spans leave the process, or do not, and the process does not care."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.telemetry.tracing.collector import Collector, python, running_collector
from tests.tools import wait_for

pytestmark = pytest.mark.engine

PROGRAM = """
from specwatch.telemetry.tracing import setup_tracing, trace_operation
setup_tracing()
with trace_operation("outer {name}", a=1) as span:
    with trace_operation("inner {name}"):
        pass
print(span.trace_id)
"""
MANY = """
import json, logging, time
from specwatch.telemetry.tracing import setup_tracing, trace_operation
from specwatch.telemetry.tracing.runtime import RUNTIME
logging.basicConfig(format="LOG %(name)s %(message)s")
setup_tracing()
with trace_operation("first"):
    pass
slowest = 0.0
for number in range(10_000):
    began = time.perf_counter()
    with trace_operation("work", number=number):
        pass
    slowest = max(slowest, time.perf_counter() - began)
waiting = len(RUNTIME.pipeline._queue)
print(json.dumps({"slowest": slowest, "waiting": waiting, "dropped": RUNTIME.pipeline.dropped, "ended": time.time()}), flush=True)
"""

APP = """
import json, logging, time
from flask import Flask
from specwatch.telemetry import outgoing_headers
from specwatch.telemetry.flask import instrument
from specwatch.telemetry.tracing import trace_operation
app = Flask("shop", static_folder=None)
instrument(app)

@app.get("/{name}/<int:item>")
def get_item(item):
    with trace_operation("load {name}", item=item) as span:
        span.add_event("cache_miss")
        if item == 13:
            raise LookupError("unlucky")
    return outgoing_headers()["traceparent"]

client = app.test_client()
slowest, answers = 0.0, []
for item in (7, 13, *range(100, 100 + {more})):
    began = time.perf_counter()
    answer = client.get(f"/{name}/{{item}}", headers={{"X-Request-ID": f"r-{{item}}"}})
    slowest = max(slowest, time.perf_counter() - began)
    answers.append([answer.headers["X-Trace-ID"], answer.headers["X-Request-ID"], answer.headers["traceparent"], answer.text])
print("REPORT", json.dumps({{"slowest": slowest, "answers": answers, "ended": time.time()}}), flush=True)
"""


def report(written: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what the application says of itself, and its log lines."""
    [said] = [line.removeprefix("REPORT ") for line in written.splitlines() if line.startswith("REPORT ")]
    return json.loads(said), [json.loads(line) for line in written.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with running_collector(tmp_path_factory.mktemp("collector")) as running:
        yield running


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "by port"])
def test_spans_arrive_at_a_real_collector(collector: Collector, protocol: str) -> None:
    """Over gRPC and over HTTP, as the OTEL_* variables say, with the resource; also those of the program's last moment."""
    name = protocol.replace("/", " ")
    if protocol == "http/protobuf":
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    elif protocol == "grpc":
        # Without a scheme there is no TLS: the address as document 004 has it.
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.grpc, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    else:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http}
    environment |= {
        "APP_VERSION": "1.2.3",
        "ENVIRONMENT": "production",
        "OTEL_SERVICE_NAME": f"service {name}",
        "OTEL_RESOURCE_ATTRIBUTES": "team=web%20shop,service.name=other",
    }
    trace_id = python(PROGRAM.format(name=name), environment).stdout.strip()
    outer, inner = collector.wait_for_span(f"outer {name}"), collector.wait_for_span(f"inner {name}")
    assert outer["Trace ID"] == inner["Trace ID"] == trace_id
    assert inner["Parent ID"] == outer["ID"]
    assert outer["a"] == "1"
    for attribute in (
        f"service.name: Str(service {name})",
        "service.version: Str(1.2.3)",
        "deployment.environment: Str(production)",
        "team: Str(web shop)",
    ):
        assert attribute in collector.text()


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_an_applications_requests_arrive_at_a_real_collector(collector: Collector, protocol: str) -> None:
    """Each request is a server span with its route, its operation below it, and the failed one has its status and its exception."""
    name = protocol.partition("/")[0]
    endpoint = collector.grpc if name == "grpc" else collector.http
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "SERVICE_NAME": f"shop {name}"}
    told, lines = report(python(APP.format(name=name, more=0), environment).stdout)
    spans = {}
    for item, (trace_id, request_id, *_) in zip((7, 13), told["answers"], strict=True):
        both = wait_for("both spans", lambda trace_id=trace_id: len(found := collector.trace(trace_id)) == 2 and found)  # type: ignore[misc] # a default has no type
        server, load = sorted(both, key=lambda span: span["Name"])
        assert (server["Name"], server["Kind"], server["Parent ID"]) == (f"GET /{name}/<int:item>", "Server", "")
        assert (load["Name"], load["Parent ID"], load["item"]) == (f"load {name}", server["ID"], str(item))
        assert (server["http.route"], server["request_id"]) == (f"/{name}/<int:item>", request_id)
        assert {line["trace_id"] for line in lines if line.get("request_id") == request_id} == {trace_id}
        spans[item] = server, load
    assert f"service.name: Str(shop {name})" in collector.text()
    assert [span["Status code"] for span in spans[7]] == ["Unset", "Unset"]
    for span in spans[13]:
        assert (span["Status code"], span["Status message"]) == ("Error", "LookupError: unlucky")
        assert (span["exception.type"], span["exception.message"]) == ("LookupError", "unlucky")
    assert spans[13][0]["http.response.status_code"] == "500"


def test_a_collector_that_is_down_holds_up_no_request() -> None:
    """Every request is answered as before, one line of the log says that spans are lost, and the program ends in its time."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{listener.getsockname()[1]}", "OTEL_BSP_SCHEDULE_DELAY": "10"}
        done = python(APP.format(name="down", more=300), environment)
        exit_seconds = time.time() - report(done.stdout)[0]["ended"]
    told, lines = report(done.stdout)
    assert len(told["answers"]) == 302
    assert told["slowest"] < 1
    assert exit_seconds < 8
    [warning] = [line["message"] for line in lines if line["level"] == "WARNING"]
    assert warning.startswith(("Spans do not arrive", "Spans did not arrive"))


@pytest.mark.parametrize("blocked", ["opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter"])
def test_without_the_sdk_an_application_has_its_ids(blocked: str) -> None:
    """Whichever part is not installed: ids go in and out, logs have them, the next service gets them, and one line says what is missing."""
    program = f"import sys\nsys.modules[{blocked!r}] = None\n" + APP.format(name="bare", more=5)
    done = python(program, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})
    told, lines = report(done.stdout)
    for trace_id, request_id, traceparent, handed_on in told["answers"]:
        assert {line["trace_id"] for line in lines if line.get("request_id") == request_id} == {trace_id}
        assert traceparent.split("-")[1] == trace_id
        assert request_id == "r-13" or handed_on.split("-")[1] == trace_id
    assert len([line for line in lines if line["level"] == "WARNING"]) == 1
    assert done.stderr == ""


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("collector_is", ["down", "silent"])
def test_a_collector_that_is_away_slows_and_stops_nothing(protocol: str, collector_is: str) -> None:
    """The queue is bounded and counts what it loses, the log says it once at most, and the exit takes seconds, not minutes."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if collector_is == "silent":
            listener.listen(8)  # takes connections and never answers
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        done = python(MANY, {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol})
        exit_seconds = time.time() - json.loads(done.stdout)["ended"]
    report = json.loads(done.stdout)
    assert report["waiting"] <= 2048
    assert report["dropped"] >= 10_000 - 2048 - 2 * 512
    assert report["slowest"] < 1
    assert exit_seconds < 8
    assert len([line for line in done.stderr.splitlines() if line.startswith("LOG")]) <= 1, done.stderr


def test_exporting_can_be_switched_off() -> None:
    """With OTEL_SDK_DISABLED or OTEL_TRACES_EXPORTER=none nothing of OpenTelemetry is imported."""
    source = """
import sys
from specwatch.telemetry.tracing import setup_tracing, trace_operation
assert setup_tracing() is None
with trace_operation("x") as span:
    assert not span.is_recording()
print("opentelemetry" in sys.modules)
"""
    for variable in ({"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}):
        assert python(source, variable).stdout == "False\n"


def test_without_the_sdk_ids_still_work() -> None:
    """What is missing is said once, at set-up, with the cure; spans and log correlation go on."""
    source = """
import sys
sys.modules["opentelemetry"] = None
from specwatch.telemetry.tracing import setup_tracing, trace_operation
from specwatch.telemetry import current
for _ in range(3):
    with trace_operation("x") as span:
        assert current().trace_id == span.trace_id
assert setup_tracing() is None
with trace_operation("x") as span:
    assert len(span.trace_id) == 32
"""
    done = python(source, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})
    assert done.stderr.count("\n") == 1
    assert "specwatch[tracing]" in done.stderr


def test_an_exporter_that_does_not_exist_is_said_once(tmp_path: Path) -> None:
    """A typing error in the environment does not stop the service."""
    done = python(PROGRAM.format(name="x"), {"OTEL_TRACES_EXPORTER": "zipkinn", "TMPDIR": str(tmp_path)})
    assert "expected otlp, console or none" in done.stderr
    assert len(done.stdout.strip()) == 32


def test_forked_workers_export_their_own_spans(collector: Collector) -> None:
    """Set up before the fork, as with gunicorn's preload: parent and children each send theirs, none twice."""
    source = """
import os
from specwatch.telemetry.tracing import flush_spans, setup_tracing, trace_operation
setup_tracing()
with trace_operation("before fork"):
    pass
children = []
for number in range(3):
    child = os.fork()
    if not child:
        with trace_operation(f"child {number}"):
            pass
        raise SystemExit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
"""
    python(source, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http})
    names = [name for name in ("before fork", "child 0", "child 1", "child 2") if collector.wait_for_span(name)]
    found = [span["Name"] for span in collector.spans() if span["Name"] in names]
    assert sorted(found) == sorted(names)
