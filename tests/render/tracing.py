"""Real Prometheus, Jaeger and collector with the rendered configuration, and an application that sends them spans."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import msgspec
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

from specwatch import topology
from specwatch.components import BACKEND_OTLP_PORTS, OTLP_PORTS
from specwatch.engines import programs
from specwatch.engines.programs import Found
from specwatch.render import jaeger, otelcol, prometheus
from specwatch.stack import Job, Sampling, Stack, Traces
from tests import stacks
from tests.tools import free_port, wait_for, write

MILLISECOND: Final = 1_000_000
_PORTS: Final = (
    *("prometheus", "jaeger", "jaeger-metrics", "otelcol", "otelcol-health", "otelcol-metrics"),
    *OTLP_PORTS,
    *BACKEND_OTLP_PORTS,
)
_READY: Final = {"prometheus": ("prometheus", "-/ready"), "jaeger": ("jaeger-metrics", ""), "otelcol": ("otelcol-health", "")}


def traces(**changes: Any) -> Traces:
    """Return traces that go through the collector to Jaeger, all of them."""
    usual = Traces(backend="jaeger", endpoint="", token=None, sampling=None, span_metrics=True, through_collector=True)
    return msgspec.structs.replace(usual, **changes)


def sampling(**changes: Any) -> Sampling:
    """Return a sampling that keeps failed traces and those of half a second, after one second, and no other."""
    return msgspec.structs.replace(Sampling(errors=True, slower_than_milliseconds=500, ratio=stacks.Decimal(0), wait_seconds=1), **changes)


def required(name: str) -> str:
    """Return the path of a component's program; without it the test is skipped, and fails in CI."""
    found = programs.find(name)
    if not isinstance(found, Found):
        raise (pytest.fail.Exception if os.environ.get("CI") == "true" else pytest.skip.Exception)(found.reason)
    return found.path


class Tracing:
    """The three programs in `folder`, each started and stopped by name; Prometheus scrapes an application at `app_port`."""

    def __init__(self, folder: Path, wanted: Traces) -> None:
        self.folder = folder
        self.app_port = free_port()
        self.stack: Stack = stacks.demo_stack(
            components=("prometheus", "otelcol", "jaeger"),
            ports=stacks.ports() | {name: free_port() for name in _PORTS},
            jobs=(Job(name="app", owner="app", team="web", discovery="static", targets=(f"127.0.0.1:{self.app_port}",)),),
            probes=(),
            scrape_interval_seconds=1,
            traces=wanted,
        )
        self.topology = topology.native(self.stack, str(folder))
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def change(self, **changes: Any) -> None:
        """Render for other traces; whoever runs goes on with the old file."""
        self.stack = msgspec.structs.replace(self.stack, traces=msgspec.structs.replace(self.stack.traces, **changes))

    def start(self, name: str) -> None:
        """Start the program with what is rendered for it, and wait until it says that it is ready."""
        files = {"otelcol": otelcol.render, "prometheus": prometheus.render}
        if name in files:
            write(self.folder / "config", files[name](self.stack, self.topology))
        arguments = {"otelcol": otelcol.arguments, "prometheus": prometheus.arguments, "jaeger": jaeger.arguments}[name]
        (self.folder / "data" / name).mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{name}.out").open("ab") as out:
            self._running[name] = subprocess.Popen(
                [required(name), *arguments(self.stack, self.topology)],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=os.environ | (jaeger.environment() if name == "jaeger" else {}),
            )
        port, path = _READY[name]
        wait_for(f"{name} is ready", lambda: self._answers(name, f"http://127.0.0.1:{self.stack.ports[port]}/{path}"))

    def stop(self, name: str, *, hard: bool = False) -> None:
        """End the program, with SIGKILL when `hard`."""
        process = self._running.pop(name)
        (process.kill if hard else process.terminate)()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_all(self) -> None:
        """End whatever runs."""
        for name in tuple(self._running):
            self.stop(name)

    def get(self, component: str, path: str, **query: object) -> Any:
        """Return the JSON that the component answers."""
        with urlopen(f"{self.topology.url(component, path)}?{urlencode(query)}", timeout=10) as answer:
            return json.load(answer)

    def kept(self, service: str) -> dict[str, set[str]]:
        """Return the trace ids of a service that Jaeger has, by the name of the service's first span."""
        found: dict[str, set[str]] = {}
        for trace in self.get("jaeger", "api/traces", service=service, limit=10_000)["data"]:
            first = next(span["operationName"] for span in trace["spans"] if not span["references"])
            found.setdefault(first, set()).add(trace["traceID"])
        return found

    def trace(self, trace_id: str) -> Any:
        """Return the trace as Jaeger has it, or None."""
        try:
            (found,) = self.get("jaeger", f"api/traces/{trace_id}")["data"]
        except HTTPError as error:
            error.close()
            return None
        return found

    def query(self, promql: str) -> dict[str, float]:
        """Return what Prometheus answers now, by the first label's value (empty without one)."""
        result = self.get("prometheus", "api/v1/query", query=promql)["data"]["result"]
        return {next(iter(series["metric"].values()), ""): float(series["value"][1]) for series in result}

    def exemplars(self, selector: str) -> set[str]:
        """Return the trace ids of the exemplars that Prometheus has of the series."""
        now = time.time()
        found = self.get("prometheus", "api/v1/query_exemplars", query=selector, start=now - 600, end=now + 60)["data"]
        return {exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]}

    def counted(self, name: str, label: str = "") -> float:
        """Return the sum of the collector's own metric, of the series that contain `label`."""
        with urlopen(self.topology.url("otelcol-metrics", "metrics"), timeout=10) as answer:
            lines = re.findall(rf"^{name}(\{{.*\}})? (\S+)$", answer.read().decode(), re.MULTILINE)
        return sum(float(value) for labels, value in lines if label in labels)

    def _answers(self, name: str, url: str) -> bool:
        ended = self._running[name].poll()
        assert ended is None, f"{name} ended by itself:\n{(self.folder / f'{name}.out').read_text(errors='replace')}"
        try:
            with urlopen(url, timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, ConnectionError, TimeoutError):
            return False


@contextmanager
def running(folder: Path, wanted: Traces) -> Iterator[Tracing]:
    """Start the three programs and stop them at the end."""
    for name in ("prometheus", "jaeger", "otelcol"):
        required(name)
    stage = Tracing(folder, wanted)
    try:
        for name in ("prometheus", "jaeger", "otelcol"):
            stage.start(name)
        yield stage
    finally:
        stage.stop_all()


class Application:
    """A service with OpenTelemetry's own SDK."""

    def __init__(self, where: topology.Topology, service: str, protocol: Literal["http", "grpc"]) -> None:
        exporter = (
            HttpExporter(endpoint=where.url("otlp-http", "v1/traces"))
            if protocol == "http"
            else GrpcExporter(endpoint=where.address("otlp-grpc"), insecure=True)
        )
        self._provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer = self._provider.get_tracer("tests")

    def handle(self, name: str, *, milliseconds: int = 5, failed: bool = False, callee: "Application | None" = None) -> str:
        """Make the spans of one request, an inner one among them (another service's when there is a callee); return the trace id."""
        end = time.time_ns()
        start = end - milliseconds * MILLISECOND
        outer = self.tracer.start_span(name, kind=SpanKind.SERVER, start_time=start)
        inner = self.tracer.start_span("call", kind=SpanKind.CLIENT, context=set_span_in_context(outer), start_time=start)
        if callee:
            answer = callee.tracer.start_span(name, kind=SpanKind.SERVER, context=set_span_in_context(inner), start_time=start)
            answer.end(end)
        if failed:
            inner.set_status(Status(StatusCode.ERROR))
        inner.end(end)
        outer.end(end)
        return f"{outer.get_span_context().trace_id:032x}"

    def flush(self) -> None:
        """Send what has not been sent."""
        assert self._provider.force_flush()

    def close(self) -> None:
        """Send the rest and stop."""
        self._provider.shutdown()


@contextmanager
def applications(where: topology.Topology, services: Mapping[str, Literal["http", "grpc"]]) -> Iterator[list[Application]]:
    """Give one application for each service and its protocol; all of their spans are sent at the end."""
    made = [Application(where, service, protocol) for service, protocol in services.items()]
    try:
        yield made
    finally:
        for application in made:
            application.close()
