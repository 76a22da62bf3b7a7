"""Traces: what is rendered for each backend, and real spans on their real way from an application to Prometheus and Jaeger."""

import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import yaml

from specwatch import topology
from specwatch.render import jaeger, otelcol, prometheus, tempo
from specwatch.stack import SecretFile, Stack, Traces
from specwatch.telemetry.metrics import Metrics, serve_metrics
from tests import goldens, stacks
from tests.render.tracing import Application, Tracing, applications, required, running, sampling, traces
from tests.tools import run, wait_for, write

OTLP: Final = traces(backend="otlp", endpoint="https://otlp.example.com/a$b/${env:HOME}", token=SecretFile("otlp_token"))
CASES: Final = {
    "tempo": traces(backend="tempo", sampling=sampling(ratio=Decimal("0.05"), wait_seconds=10)),
    "jaeger": traces(),
    "otlp": msgspec.structs.replace(OTLP, endpoint="https://otlp.example.com", sampling=sampling(errors=False)),
}
EACH: Final = 20


def traced(wanted: Traces, *more: str, **changes: Any) -> Stack:
    """Return the demo with the collector before the backend, beside Promtail as its shipper."""
    components = [name for name in stacks.COMPONENTS_ON if name != "tempo"]
    components += ["otelcol", *more, *({wanted.backend} - {"otlp"})]
    return stacks.demo_stack(**{"components": tuple(components), "traces": wanted, "jobs": ()} | changes)


def collector(stack: Stack, where: topology.Topology | None = None) -> Any:
    """Return the collector's configuration, under compose by default."""
    return yaml.safe_load(otelcol.render(stack, where or topology.compose(stack))["otelcol/otelcol.yml"])


@pytest.mark.parametrize("case", CASES)
def test_the_collector_of_each_backend_is_what_a_person_can_read(case: str) -> None:
    """The collector's file before each backend, under compose, is the golden."""
    stack = traced(CASES[case])
    goldens.check(f"traces/{case}", otelcol.render(stack, topology.compose(stack)))


@pytest.mark.engine
@pytest.mark.parametrize("runtime", ["compose", "native"])
@pytest.mark.parametrize("shipper", ["promtail", "otelcol"])
@pytest.mark.parametrize("wanted", [*CASES.values(), traces(span_metrics=False), OTLP], ids=[*CASES, "no-metrics", "hostile"])
def test_the_collector_accepts_each_of_them(wanted: Traces, shipper: str, runtime: str, tmp_path: Path) -> None:
    """The collector itself finds nothing wrong, whether it carries the lines too or not."""
    stack = traced(wanted, shipper=shipper)
    where = topology.compose(stack) if runtime == "compose" else topology.native(stack, str(tmp_path))
    if runtime == "native":
        write(tmp_path, {"secrets/otelcol/otlp_token": "abc"})
    folder = write(tmp_path, {path: text.replace("/run/secrets", str(tmp_path)) for path, text in otelcol.render(stack, where).items()})
    write(tmp_path, {"otlp_token": "abc"})
    run(required("otelcol"), "validate", f"--config={folder}/otelcol/otelcol.yml")


def test_a_collector_for_traces_reads_no_file_of_logs() -> None:
    """Beside another shipper the collector has pipelines for traces alone; as the shipper it has both."""
    beside = collector(traced(CASES["jaeger"]))
    assert set(beside["service"]["pipelines"]) == {"traces/in", "traces/out", "metrics/spans"}
    assert set(beside["receivers"]) == {"otlp"}
    both = collector(traced(CASES["jaeger"], shipper="otelcol"))
    assert set(both["service"]["pipelines"]) > {"traces/in", "traces/out", "metrics/spans"}
    assert any(name.startswith("file_log") for name in both["receivers"])


def test_nothing_of_an_endpoint_is_expanded() -> None:
    """A dollar in the spec's endpoint stays one; the only thing that the collector fills in is the secret's file."""
    text = otelcol.render(stack := traced(OTLP), topology.compose(stack))["otelcol/otelcol.yml"]
    exporter = yaml.safe_load(text)["exporters"]["otlp_http/spans"]
    assert exporter["endpoint"] == "https://otlp.example.com/a$$b/$${env:HOME}"
    assert exporter["headers"] == {"Authorization": "Bearer ${file:/run/secrets/otlp_token}"}


def test_where_the_collector_counts_tempo_does_not() -> None:
    """Metrics are made of spans once: by Tempo where services send to it, by the collector where it may sample."""
    stack = traced(CASES["tempo"])
    assert "metrics_generator" not in yaml.safe_load(tempo.render(stack, topology.compose(stack))["tempo/tempo.yml"])
    direct = traced(traces(backend="tempo", through_collector=False))
    assert "metrics_generator" in yaml.safe_load(tempo.render(direct, topology.compose(direct))["tempo/tempo.yml"])
    for counting in (stack, direct):
        assert "--web.enable-remote-write-receiver" in prometheus.arguments(counting, topology.compose(counting))
    for quiet in (traced(traces(span_metrics=False), log_alerts=()), traced(traces(backend="tempo", span_metrics=False), log_alerts=())):
        assert "--web.enable-remote-write-receiver" not in prometheus.arguments(quiet, topology.compose(quiet))
        assert "connectors" not in collector(quiet)


def test_a_backend_listens_where_the_collector_sends() -> None:
    """Under compose a backend has the usual ports in its container, natively others than the collector beside it."""
    stack = traced(CASES["jaeger"])
    for where, sent, listening in (
        (topology.compose(stack), "http://jaeger:4318", "--collector.otlp.http.host-port=0.0.0.0:4318"),
        (topology.native(stack, "/run/stack"), "http://127.0.0.1:14318", "--collector.otlp.http.host-port=127.0.0.1:14318"),
    ):
        assert collector(stack, where)["exporters"]["otlp_http/spans"]["endpoint"] == sent
        assert listening in jaeger.arguments(stack, where)


def test_jaeger_keeps_spans_as_long_as_the_spec_says() -> None:
    """Spans lie on the data volume for the retention of the spec, and natively nothing listens beyond the loopback."""
    stack = traced(CASES["jaeger"])
    arguments = jaeger.arguments(stack, topology.compose(stack))
    assert f"--badger.span-store-ttl={2 * stacks.DAY}s" in arguments
    assert "--badger.directory-value=/var/tmp/badger/values" in arguments
    native = jaeger.arguments(stack, topology.native(stack, "/run/stack"))
    addresses = [argument.partition("=")[2] for argument in native if ".host-port=" in argument]
    assert len(addresses) == 7
    assert all(address.startswith("127.0.0.1:") for address in addresses)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracing]:
    with running(tmp_path_factory.mktemp("traces"), traces(sampling=sampling())) as started:
        yield started


@pytest.fixture(scope="module")
def sent(stage: Tracing) -> dict[str, dict[str, set[str]]]:
    """Send ordinary, failed and slow requests by each protocol; return their trace ids by service and name."""
    with applications(stage.topology, {"shop-http": "http", "shop-grpc": "grpc"}) as (http, grpc):
        made = {
            service: {
                "ok": {application.handle("ok") for _ in range(EACH)},
                "failed": {application.handle("failed", failed=True) for _ in range(EACH)},
                "slow": {application.handle("slow", milliseconds=700) for _ in range(EACH)},
            }
            for service, application in (("shop-http", http), ("shop-grpc", grpc))
        }
    decided = "otelcol_processor_tail_sampling_global_count_traces_sampled_total"
    wait_for("every trace is decided", lambda: stage.counted(decided) >= 6 * EACH)
    return made


@pytest.mark.engine
@pytest.mark.parametrize("service", ["shop-http", "shop-grpc"])
def test_failed_and_slow_traces_are_kept_and_no_other(stage: Tracing, sent: dict[str, dict[str, set[str]]], service: str) -> None:
    """Of traces by OTLP over HTTP and gRPC, Jaeger gets each failed and each slow one whole, and of the rest none at a ratio of 0."""
    wanted = {name: sent[service][name] for name in ("failed", "slow")}
    wait_for("Jaeger has them", lambda: stage.kept(service) == wanted)
    assert sorted(span["operationName"] for span in stage.trace(min(wanted["failed"]))["spans"]) == ["call", "failed"]


@pytest.mark.engine
def test_spans_are_counted_before_they_are_sampled_away(stage: Tracing, sent: dict[str, dict[str, set[str]]]) -> None:
    """Prometheus counts every request, kept or not, under the names that Tempo has, and links them to their traces by exemplars."""
    calls = 'sum by (span_name) (traces_spanmetrics_calls_total{service="shop-http"})'
    wait_for("every span in Prometheus", lambda: stage.query(calls) == {"ok": EACH, "failed": EACH, "slow": EACH, "call": 3 * EACH})
    failed = 'sum(traces_spanmetrics_calls_total{service="shop-grpc",status_code="STATUS_CODE_ERROR"})'
    assert stage.query(failed) == {"": EACH}
    slow = 'sum by (le) (traces_spanmetrics_latency_bucket{service="shop-http",span_name="slow",le=~"0.5|1"})'
    assert stage.query(slow) == {"0.5": 0, "1": EACH}
    linked = wait_for("exemplars", lambda: stage.exemplars('traces_spanmetrics_latency_bucket{span_name="slow"}'))
    assert linked <= sent["shop-http"]["slow"] | sent["shop-grpc"]["slow"]
    assert wait_for("the trace behind an exemplar", lambda: stage.trace(min(linked)))


@pytest.mark.engine
def test_an_exemplar_of_the_telemetry_library_reaches_prometheus(stage: Tracing) -> None:
    """What Prometheus scrapes of an application has the trace id beside the request's duration."""
    metrics, trace_id = Metrics(), "4bf92f3577b34da6a3ce929d0e0e4736"
    server = serve_metrics(stage.app_port, metrics)
    try:
        metrics.histogram("http_request_duration_seconds").observe(0.3, {"trace_id": trace_id})
        wait_for("the exemplar", lambda: stage.exemplars("http_request_duration_seconds_bucket") == {trace_id})
    finally:
        server.stop()


@pytest.mark.engine
def test_grafana_finds_a_spans_service_in_jaeger(stage: Tracing, sent: dict[str, dict[str, set[str]]]) -> None:
    """What Jaeger answers has the tag by which Grafana asks for the service's metrics, and not the one that it would have from Tempo."""
    trace = wait_for("the trace", lambda: stage.trace(min(sent["shop-http"]["slow"])))
    (process,) = trace["processes"].values()
    tags = {tag["key"]: tag["value"] for tag in process["tags"]}
    assert tags["service"] == process["serviceName"] == "shop-http"
    assert "service.name" not in tags


@pytest.mark.engine
def test_who_calls_whom_is_known(stage: Tracing) -> None:
    """A call from one service to another is an edge of the service graph, though no span of it is kept."""
    with applications(stage.topology, {"front": "http", "back": "grpc"}) as (front, back):
        for _ in range(3):
            front.handle("checkout", callee=back)
    edge = 'sum(traces_service_graph_request_total{client="front",server="back"})'
    wait_for("the edge in Prometheus", lambda: stage.query(edge) == {"": 3})
    assert stage.query('sum(traces_service_graph_request_server_seconds_count{client="front",server="back"})') == {"": 3}


@pytest.mark.engine
def test_spans_wait_on_the_disk_for_a_backend_that_is_away(stage: Tracing) -> None:
    """Spans that came while Jaeger was down, to a collector that was then killed, are there when both are back."""
    stage.stop("jaeger")
    queued = "otelcol_processor_batch_batch_send_size_sum"
    before = stage.counted(queued)
    with applications(stage.topology, {"lasting": "http"}) as (application,):
        wanted = {application.handle("failed", failed=True) for _ in range(EACH)}
    wait_for("all of them are in the queue", lambda: stage.counted(queued) == before + 2 * EACH)
    assert stage.counted("otelcol_exporter_queue_size", "otlp_http/spans")
    stage.stop("otelcol", hard=True)
    stage.start("otelcol")
    stage.start("jaeger")
    wait_for("they arrive", lambda: stage.kept("lasting") == {"failed": wanted})


@pytest.mark.engine
def test_a_collector_that_is_stopped_decides_on_what_it_has(stage: Tracing) -> None:
    """Traces that were waited for when the collector was asked to stop are judged then, and arrive."""
    with applications(stage.topology, {"stopped": "grpc"}) as (application,):
        wanted = {application.handle("failed", failed=True) for _ in range(EACH)}
    stage.stop("otelcol")
    stage.start("otelcol")
    wait_for("they arrive", lambda: stage.kept("stopped") == {"failed": wanted})


@pytest.mark.engine
def test_of_the_rest_a_share_is_kept(stage: Tracing) -> None:
    """With a ratio of a half, about half of the ordinary traces are kept, and still every failed one."""
    stage.stop("otelcol")
    stage.change(sampling=sampling(ratio=Decimal("0.5")))
    stage.start("otelcol")
    with applications(stage.topology, {"half": "grpc"}) as (application,):
        failed = {application.handle("failed", failed=True) for _ in range(EACH)}
        rest = {application.handle("ok") for _ in range(200)}
    decided = "otelcol_processor_tail_sampling_global_count_traces_sampled_total"
    wait_for("every trace is decided", lambda: stage.counted(decided) >= 200 + EACH)
    count = int(stage.counted(decided, 'decision="sampled"'))
    found = wait_for("they arrive", lambda: sum(map(len, (kept := stage.kept("half")).values())) == count and kept)
    assert found["failed"] == failed
    assert found["ok"] < rest
    # Six standard deviations: once in a thousand million runs.
    assert 58 <= len(found["ok"]) <= 142


class _Intake(BaseHTTPRequestHandler):
    seen: Final[list[tuple[str, str]]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, self.headers["Authorization"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.mark.engine
def test_somebody_elses_endpoint_gets_the_token(tmp_path: Path) -> None:
    """Spans reach an endpoint outside at its /v1/traces, with the secret file's content as bearer token."""
    _Intake.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Intake) as intake:
        threading.Thread(target=intake.serve_forever, daemon=True).start()
        wanted = msgspec.structs.replace(OTLP, endpoint=f"http://127.0.0.1:{intake.server_port}/in$box")
        stage = Tracing(tmp_path, wanted)
        write(tmp_path, {"secrets/otelcol/otlp_token": "aZ09-._~+/=="})
        try:
            stage.start("otelcol")
            application = Application(stage.topology, "shop", "http")
            application.handle("ok")
            application.close()
            wait_for("the spans", lambda: _Intake.seen)
        finally:
            stage.stop_all()
            intake.shutdown()
    assert _Intake.seen[0] == ("/in$box/v1/traces", "Bearer aZ09-._~+/==")
