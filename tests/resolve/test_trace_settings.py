"""What `traces:` means: which component keeps spans, when the collector stands before it, and what cannot be."""

import pytest

from specwatch import topology
from specwatch.errors import SpecError
from specwatch.resolve import resolve
from specwatch.spec.loader import parse
from specwatch.spec.source import Source
from specwatch.stack import Stack

TRACED = "version: 1\nservices: {shop: {traces: true}}\n"


def resolved(text: str) -> Stack:
    source = Source("spec.yaml", text)
    return resolve(parse(source), source)


@pytest.mark.parametrize(
    ("text", "keeps", "takes"),
    [
        ("", "tempo", "tempo"),
        ("traces: {sampling: {}}\n", "tempo", "otelcol"),
        ("traces: {backend: jaeger}\n", "jaeger", "otelcol"),
        ("traces: {backend: jaeger, span_metrics: false}\n", "jaeger", "jaeger"),
        ("traces: {backend: jaeger}\nstack: {components: {prometheus: false}}\n", "jaeger", "jaeger"),
        ("traces: {backend: otlp, endpoint: 'https://otlp.example.com'}\n", "", "otelcol"),
    ],
)
def test_each_backend_has_its_way(text: str, keeps: str, takes: str) -> None:
    """Ensure that one component at most keeps spans, and that services send to the collector where there is something for it to do."""
    stack = resolved(TRACED + text)
    assert {name for name in ("tempo", "jaeger") if stack.has(name)} == ({keeps} if keeps else set())
    assert stack.has("otelcol") == (takes == "otelcol")
    where = topology.compose(stack)
    assert where.address("otlp-http") == f"{takes}:4318"
    assert where.addresses.get("backend-otlp-http") == (f"{keeps}:4318" if keeps else None)
    native = topology.native(stack, "/run")
    assert native.address("otlp-grpc") == "127.0.0.1:4317"
    assert native.addresses.get("backend-otlp-grpc") == (f"127.0.0.1:{4317 if keeps == takes else 14317}" if keeps else None)


def test_a_collector_for_traces_leaves_the_logs_to_the_shipper() -> None:
    """Ensure that the shipper stays what it was when the collector is on for traces, and that both are scraped."""
    stack = resolved(TRACED + "traces: {sampling: {ratio: 0.1}}\n")
    assert stack.shipper == "promtail"
    assert {"promtail", "otelcol"} <= set(stack.components)
    assert {"promtail", "otelcol"} <= {job.name for job in stack.jobs if job.component}


def test_lines_by_otlp_need_the_collector_and_spans_pass_it_too() -> None:
    """Ensure that a service that sends its lines by OTLP has one endpoint for both, which is the collector's."""
    stack = resolved("version: 1\nservices: {shop: {traces: true, logs: {source: otlp}}}\n")
    assert stack.traces.through_collector
    assert topology.compose(stack).address("otlp-http") == "otelcol:4318"


def test_without_a_traced_service_no_collector_waits_for_spans() -> None:
    """Ensure that the collector is not on for nobody's spans."""
    assert not resolved("version: 1\ntraces: {sampling: {}}\n").has("otelcol")


def test_a_backend_that_is_off_takes_nothing() -> None:
    """Ensure that services are told of no endpoint when the spec switches off what would keep their spans."""
    stack = resolved(TRACED + "traces: {sampling: {}}\nstack: {components: {tempo: false}}\n")
    assert not stack.traces.through_collector
    assert "otlp-http" not in topology.compose(stack).addresses


@pytest.mark.parametrize(("text", "milliseconds"), [("250ms", 250), ("1s", 1000), ("2m", 120_000), ("null", 0)])
def test_slow_is_told_to_the_millisecond(text: str, milliseconds: int) -> None:
    """Ensure that a trace can be slow in less than a second, and that nothing is kept for being slow without a limit."""
    sampling = resolved(TRACED + f"traces: {{sampling: {{slower_than: {text}}}}}\n").traces.sampling
    assert sampling
    assert sampling.slower_than_milliseconds == milliseconds


def test_published_ports_are_those_of_what_services_send_to() -> None:
    """Ensure that a port of the host that OTLP has cannot be a service's too, whichever component takes the spans."""
    with pytest.raises(SpecError, match=r"port 4318 is the component otlp-http's already"):
        resolved("version: 1\nservices: {shop: {traces: true, run: {image: i, command: [x], publish: [4318]}}}\ntraces: {sampling: {}}\n")
    resolved("version: 1\nservices: {shop: {run: {image: i, command: [x], publish: [4318]}}}\nstack: {components: {tempo: false}}\n")


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("traces: {backend: otlp}\n", "3:1", '"endpoint" is missing'),
        ("traces: {endpoint: 'https://a.example.com'}\n", "3:10", "goes with `backend: otlp`; tempo is part of the stack"),
        ("traces: {backend: jaeger, token: {secret: t}}\n", "3:27", "goes with `backend: otlp`; jaeger is part of the stack"),
        ("traces: {backend: otlp, endpoint: 'https://a.example.com/v1/traces'}\n", "3:35", "leave out /v1/traces, which is added"),
        ("traces: {sampling: {ratio: 1.5}}\n", "3:28", "found 1.5, expected a number from 0 to 1"),
        ("traces: {sampling: {wait: 0s}}\n", "3:27", "found 0s, expected at least 1s"),
        ("traces: {sampling: {errors: false, slower_than: null, ratio: 0}}\n", "3:10", "this keeps no trace at all"),
        ("traces: {sampling: {}}\nstack: {components: {otelcol: false}}\n", "4:22", "cannot be off: it samples traces"),
        ("traces: {backend: jaeger}\nstack: {components: {otelcol: false}}\n", "4:22", "cannot be off: it computes metrics from spans"),
        ("traces: {backend: jaeger}\nstack: {components: {tempo: true}}\n", "4:22", "nothing is sent here: `traces.backend` is jaeger"),
        ("stack: {components: {jaeger: true}}\n", "3:22", "nothing is sent here: `traces.backend` is tempo"),
    ],
)
def test_what_cannot_be_is_refused(text: str, place: str, message: str) -> None:
    """Ensure that each contradiction is named at its place."""
    with pytest.raises(SpecError) as caught:
        resolved(TRACED + text)
    assert f"spec.yaml:{place}: {message}" in str(caught.value)
