"""What is known of one request: read from the answers of real programs, put in order, shown without harm."""

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

import pytest

from specwatch import logql
from specwatch.cli import _request
from specwatch.engines.http import Answer, ask
from specwatch.engines.trace import Exemplar, Line, Missing, Parts, Span, Trace, exemplars, gather, parse_id, spans
from specwatch.engines.trace.links import links
from specwatch.engines.trace.order import ordered
from tests import stacks
from tests.commandline import in_process
from tests.logs.shipping import RealLoki, running_loki
from tests.tools import free_port

ID: Final = "0af7651916cd43dd8448eb211c80319c"
AS_UUID: Final = "0AF76519-16CD-43DD-8448-EB211C80319C"
SECOND: Final = 10**9
OUR_COLOURS: Final = ("\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[35m", "\x1b[36m", "\x1b[90m")


@pytest.mark.parametrize("text", [ID, ID.upper(), AS_UUID, f" {ID} "])
def test_a_trace_id_is_known_in_every_form(text: str) -> None:
    """Ensure 32 hex digits and a UUID are the same id."""
    assert parse_id(text) == ID


@pytest.mark.parametrize("text", ["", "x", ID[:-1], f"{ID}0", "0" * 32, "g" * 32, f"{ID[:-1]}\n;", "é" * 32])
def test_what_is_no_trace_id_is_refused_before_anything_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    """Ensure a wrong id leaves with 2 and says what is expected."""
    assert parse_id(text) == ""
    spec = tmp_path / "spec.yaml"
    spec.write_text("version: 1\n", encoding="utf-8")
    assert in_process("trace", text, "--file", str(spec)) == 2
    assert "is no trace id: expected 32 hex digits" in capsys.readouterr().err


def test_a_stack_that_is_not_up_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ensure that without a running stack it leaves with 3 and says how to start it."""
    spec = tmp_path / "spec.yaml"
    spec.write_text("version: 1\n", encoding="utf-8")
    assert in_process("trace", ID, "--file", str(spec)) == 3
    assert capsys.readouterr().err == "trace: the stack is not up\nstart it with `specwatch up`\n"


@pytest.mark.parametrize("since", ["0s", "5", "yesterday", "-1h"])
def test_a_wrong_duration_is_refused(since: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Ensure --since takes durations alone."""
    assert in_process("trace", ID, "--since", since) == 2
    assert "expected a duration such as 30m, 24h or 7d" in capsys.readouterr().err


def _otlp(span_id: str, parent: str, **more: Any) -> dict[str, Any]:
    return {
        "traceId": base64.b64encode(bytes.fromhex(ID)).decode(),
        "spanId": base64.b64encode(bytes.fromhex(span_id)).decode(),
        "parentSpanId": base64.b64encode(bytes.fromhex(parent)).decode() if parent else "",
        "name": "GET /cart",
        "startTimeUnixNano": str(5 * SECOND),
        "endTimeUnixNano": str(6 * SECOND),
        "status": {},
        **more,
    }


TEMPO: Final = {
    "batches": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
            "scopeSpans": [
                {
                    "spans": [
                        _otlp("00000000000000b1", "00000000000000a1", startTimeUnixNano=str(5 * SECOND + 7)),
                        _otlp("00000000000000a1", "", status={"code": "STATUS_CODE_ERROR", "message": "declined"}),
                    ]
                }
            ],
        }
    ]
}
JAEGER: Final = {
    "data": [
        {
            "traceID": ID,
            "processes": {"p1": {"serviceName": "shop", "tags": []}},
            "spans": [
                {
                    "spanID": "00000000000000b1",
                    "operationName": "GET /cart",
                    "references": [{"refType": "CHILD_OF", "traceID": ID, "spanID": "00000000000000a1"}],
                    "startTime": 5_000_001,
                    "duration": 999_999,
                    "tags": [],
                    "processID": "p1",
                },
                {
                    "spanID": "00000000000000a1",
                    "operationName": "GET /cart",
                    "references": [],
                    "startTime": 5_000_000,
                    "duration": 1_000_000,
                    "tags": [
                        {"key": "error", "type": "bool", "value": True},
                        {"key": "otel.status_description", "type": "string", "value": "declined"},
                    ],
                    "processID": "p1",
                },
            ],
        }
    ]
}


@pytest.mark.parametrize(
    ("backend", "data"),
    [
        ("tempo", TEMPO),
        ("tempo", {"trace": {"resourceSpans": TEMPO["batches"]}}),
        ("jaeger", JAEGER),
    ],
    ids=["tempo", "tempo-v2", "jaeger"],
)
def test_spans_are_read_from_every_backend_alike(backend: str, data: Any) -> None:
    """Ensure ids, parents, names, times and failures come out the same, the first span first."""
    first, second = spans.read(backend, Answer(200, json.dumps(data)))
    assert (first.id, first.parent, first.service, first.name) == ("00000000000000a1", "", "shop", "GET /cart")
    assert (first.start, first.duration, first.failed, first.error) == (5 * SECOND, SECOND, True, "declined")
    assert (second.id, second.parent, second.failed) == ("00000000000000b1", "00000000000000a1", False)
    assert second.start > first.start


def test_exemplars_of_other_requests_are_left_out() -> None:
    """Ensure a sample is found by either name of the label and in either form of the id."""
    series = [
        {
            "seriesLabels": {"__name__": "m_bucket", "le": "1", "job": "shop"},
            "exemplars": [
                {"labels": {"trace_id": AS_UUID}, "value": "0.5", "timestamp": 5.5},
                {"labels": {"trace_id": "b" * 32}, "value": "0.6", "timestamp": 6},
            ],
        },
        {"seriesLabels": {"__name__": "n"}, "exemplars": [{"labels": {"traceID": ID}, "value": "2", "timestamp": 4}]},
    ]
    found = exemplars.read(Answer(200, json.dumps({"status": "success", "data": series})), ID)
    assert [(each.metric, each.value, each.time) for each in found] == [("n", 2, 4 * SECOND), ("m_bucket", 0.5, 5_500_000_000)]
    assert found[1].labels == {"le": "1", "job": "shop"}


def _span(name: str, parent: str, start: int, duration: int, service: str = "shop") -> Span:
    return Span(id=name, parent=parent, service=service, name=name, start=start, duration=duration)


def test_a_line_stands_under_the_span_in_which_it_was_written() -> None:
    """Ensure spans are a tree in the order of time, and each line and sample has its place in it."""
    trace = Trace(
        id=ID,
        answered=True,
        spans=(
            _span("root", "", 0, 100),
            _span("charge", "root", 10, 20),
            _span("pay", "charge", 12, 5, "bank"),
            _span("late", "?", 90, 1),
        ),
        lines=(
            Line(time=11, service="shop", level="info", text="in charge"),
            Line(time=13, service="bank", level="info", text="in pay"),
            Line(time=50, service="shop", level="info", text="in root"),
            Line(time=60, service="mail", level="info", text="nobody's"),
        ),
        exemplars=(Exemplar(time=101, metric="m", labels={}, value=1),),
    )
    shown = [(depth, getattr(thing, "name", "") or getattr(thing, "text", "") or "sample") for depth, thing in ordered(trace)]
    assert shown == [
        (0, "root"),
        (1, "charge"),
        (2, "in charge"),
        (2, "pay"),
        (3, "in pay"),
        (1, "in root"),
        (0, "nobody's"),
        (0, "late"),
        (0, "sample"),
    ]
    assert trace.services == ("shop", "bank", "mail")


def test_spans_in_a_circle_are_shown_once() -> None:
    """Ensure spans that are each other's parents, and one that is its own, end nothing and are not lost."""
    circle = (_span("a", "b", 1, 1), _span("b", "a", 2, 1), _span("c", "c", 3, 1))
    assert [thing.id for _, thing in ordered(Trace(id=ID, answered=True, spans=circle)) if isinstance(thing, Span)] == ["a", "b", "c"]


def test_a_deep_trace_is_no_crash() -> None:
    """Ensure a chain of ten thousand spans is shown."""
    chain = tuple(_span(f"{n}", f"{n - 1}", n, 1) for n in range(10_000))
    assert max(depth for depth, _ in ordered(Trace(id=ID, answered=True, spans=chain))) == 9_999


@pytest.mark.parametrize(
    "text", [*stacks.HOSTILE, "\x1b[2J\x1b]0;owned\x07", "\x9b31m", "a\rb", "\u202egnp.exe", '{"message": "\\u001b[31m"}']
)
def test_what_is_shown_cannot_move_the_cursor(text: str) -> None:
    """Ensure no text of a line, span or label reaches the terminal with a control character in it, or as more lines than one."""
    trace = Trace(
        id=ID,
        answered=True,
        lines=(Line(time=1, service=text, level=text, text=text),),
        spans=(Span(id="a", parent="", service=text, name=text, start=1, duration=1, failed=True, error=text),),
        exemplars=(Exemplar(time=1, metric=text, labels={"x": text}, value=1),),
    )
    shown = _request.as_text(trace)
    assert len(shown.split("\n")) == 5
    for code in OUR_COLOURS:
        shown = shown.replace(code, "")
    assert shown.replace("\n", "").isprintable()


def test_a_line_of_json_is_shown_by_its_message() -> None:
    """Ensure a person reads the message, the fields that say more, and of a traceback its last line."""
    fields = {
        "timestamp": "2026-01-01T00:00:00Z",
        "level": "ERROR",
        "message": "Payment failed",
        "trace_id": ID,
        "amount": 5,
        "exception": "Traceback (most recent call last):\n  File x\nDeclinedError: no",
    }
    shown = _request.as_text(
        Trace(id=ID, answered=True, lines=(Line(time=SECOND, service="shop", level="error", text=json.dumps(fields)),))
    )
    assert "shop: Payment failed  amount=5  exception=… DeclinedError: no" in shown
    assert f"{ID}" in shown.splitlines()[0]
    assert "1970-01-01 00:00:01.000 UTC" in shown.splitlines()[0]


def test_links_open_what_was_found() -> None:
    """Ensure each page that runs is linked, with the query, the time and the id of the request, and no other page is."""
    trace = Trace(
        id=ID,
        answered=True,
        lines=(Line(time=1000 * SECOND, service="shop", level="info", text="x"),),
        spans=(_span("a", "", 1000 * SECOND, SECOND),),
        exemplars=(Exemplar(time=1001 * SECOND, metric="m_bucket", labels={"job": "shop", "le": "1"}, value=1),),
    )
    found = dict(links(stacks.demo_stack(), {"grafana", "jaeger", "prometheus"}, "jaeger", trace))
    assert list(found) == ["Log lines in Grafana", "Trace in Grafana", "Trace in Jaeger", "Metric in Prometheus"]
    (pane,) = json.loads(parse_qs(urlsplit(found["Log lines in Grafana"]).query)["panes"][0]).values()
    assert logql.parse(pane["queries"][0]["expr"]).kind == "log"
    assert (pane["datasource"], pane["range"]) == ("loki", {"from": "700000", "to": "1301000"})
    (pane,) = json.loads(parse_qs(urlsplit(found["Trace in Grafana"]).query)["panes"][0]).values()
    assert (pane["datasource"], pane["queries"][0]["query"]) == ("jaeger", ID)
    assert found["Trace in Jaeger"].endswith(f":16686/trace/{ID}")
    graph = parse_qs(urlsplit(found["Metric in Prometheus"]).query)
    assert graph["g0.expr"] == ['rate(m_bucket{job="shop"}[1m])']
    assert graph["g0.end_input"] == ["1970-01-01 00:21:41"]
    assert dict(links(stacks.demo_stack(), {"loki"}, "", Trace(id=ID, answered=True, lines=trace.lines))) == {}


@pytest.fixture(scope="module")
def loki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealLoki]:
    with running_loki(tmp_path_factory.mktemp("trace"), log_alerts=()) as started:
        yield started


def _parts(real: RealLoki, **others: str) -> Parts:
    def at(url: str) -> Any:
        return lambda path: ask(f"{url}{path}", headers={"X-Loki-Response-Encoding-Flags": "categorize-labels"})

    absent = {name: "is off: why" for name in ("tempo", "jaeger", "prometheus", "grafana") if name not in others}
    return Parts({"loki": at(real.topology.url("loki")), **{name: at(url) for name, url in others.items()}}, absent)


@pytest.mark.engine
def test_lines_come_from_the_real_loki_and_what_is_missing_is_told(loki: RealLoki) -> None:
    """Ensure lines are found by the id in either form, in the order of time, and each part that is off or silent is named."""
    now = time.time_ns()
    entries = [("cart", "info", 2, ID), ("shop", "error", 1, AS_UUID.lower()), ("shop", "info", 0, "c" * 32)]
    streams = [
        {"stream": {"service": service, "level": level}, "values": [[str(now - age), f"{service} {level}", {"trace_id": trace_id}]]}
        for service, level, age, trace_id in entries
    ]
    body = json.dumps({"streams": streams}).encode()
    with urlopen(Request(loki.topology.url("loki", "loki/api/v1/push"), body, {"Content-Type": "application/json"}), timeout=10):
        pass
    dead = f"http://127.0.0.1:{free_port()}/"
    trace = gather(loki.stack, _parts(loki, prometheus=dead), ID, 3600)
    assert [(line.service, line.level, line.text) for line in trace.lines] == [
        ("cart", "info", "cart info"),
        ("shop", "error", "shop error"),
    ]
    assert trace.lines[0].metadata == {"trace_id": ID}
    assert trace.missing[0] == Missing("spans", "tempo is off: why")
    assert trace.missing[1].what == "exemplars"
    assert "prometheus does not tell: " in trace.missing[1].why
    assert (trace.found, trace.answered) == (True, True)

    nothing = gather(loki.stack, _parts(loki), "d" * 32, 3600)
    assert (nothing.found, nothing.answered) == (False, True)
    unasked = gather(loki.stack, Parts({}, {"loki": "is stopped", "tempo": "is off", "prometheus": "is off"}), ID, 3600)
    assert (unasked.found, unasked.answered) == (False, False)
