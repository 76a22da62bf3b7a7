"""Log records that services send by OTLP arrive as the interpreter says of their text, their attributes and their time."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.request import Request, urlopen

import pytest

from specwatch.render import otelcol
from tests.logs.corpus import corpus
from tests.logs.shipping import Arrived, Expected, RealLoki, check, expected, running, running_loki, understood
from tests.logs.writers import Writer, now
from tests.tools import wait_for, write

pytestmark = pytest.mark.engine

# What is about files alone.
_FILES = {"python", "java", "docker", "docker-traces", "cri", "big", "crlf"}
NAMES = tuple(writer.name for writer in corpus(now(), "") if writer.name not in _FILES)


@pytest.fixture(scope="module")
def sending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RealLoki, dict[str, Writer], datetime]]:
    folder = tmp_path_factory.mktemp("otlp")
    began = now()
    writers = {writer.name: writer for writer in corpus(began, "") if writer.name in NAMES}
    logs: dict[str, Mapping[str, Any]] = {name: _sent(writer.logs) for name, writer in writers.items()}
    logs["records"] = {"format": "text", "source": "otlp", "stages": [{"metadata": ["user.id", "span_id", "n"]}]}
    with running_loki(folder, **understood(logs, folder, "otelcol")) as real:
        write(folder / "config", otelcol.render(real.stack, real.topology))
        with running("otelcol", otelcol.arguments(real.stack, real.topology), folder):
            wait_for("the collector takes OTLP", lambda: _post(real, []), 60)
            yield real, writers, began


def _sent(logs: Mapping[str, Any]) -> dict[str, Any]:
    return {**{key: value for key, value in logs.items() if key != "files"}, "source": "otlp"}


@dataclass(frozen=True)
class Record:
    """A log record as a program sends it."""

    body: Any
    more: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


def _post(real: RealLoki, resources: list[dict[str, Any]]) -> bool:
    """Return whether the collector took the records."""
    body = json.dumps({"resourceLogs": resources}).encode()
    request = Request(real.topology.url("otlp-http", "v1/logs"), body, {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=30) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _resource(service: str, records: list[Record]) -> dict[str, Any]:
    scope = {"name": "app.logger", "version": "1.2"}
    found = [{"body": _value(each.body), "attributes": _pairs(each.attributes), **each.more} for each in records]
    attributes = _pairs({"service.name": service, "service.version": "3", "level": "forged", "host.name": "here"})
    return {"resource": {"attributes": attributes}, "scopeLogs": [{"scope": scope, "logRecords": found}]}


def _pairs(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {"kvlistValue": {"values": _pairs(value)}}
    kind = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}[type(value)]
    return {kind: str(value) if kind == "intValue" else value}


def _has_large_numbers(line: bytes) -> bool:
    """Return whether JSON would write a number of the line with an exponent, which what comes by OTLP keeps."""
    try:
        found = json.loads(line)
    except ValueError:
        return False
    values = found.values() if isinstance(found, dict) else ()
    return any(isinstance(value, float) and value and not 1e-6 <= abs(value) < 1e21 for value in values)


@pytest.mark.parametrize("name", NAMES)
def test_texts_arrive_as_the_interpreter_says(sending: tuple[RealLoki, dict[str, Writer], datetime], name: str) -> None:
    """Ensure that a record's text passes the same stages as a line of a file."""
    real, writers, began = sending
    lines = [line for line in writers[name].lines if not _has_large_numbers(line)]
    service = next(service for service in real.stack.services if service.name == name)
    wanted = expected(service, lines, began)
    assert _post(real, [_resource(name, [Record(line.decode("utf-8", "replace").removesuffix("\r")) for line in lines])])
    check(real.holding(name, wanted), wanted, began)


def test_a_record_keeps_what_else_it_says(sending: tuple[RealLoki, dict[str, Writer], datetime]) -> None:
    """Ensure that attributes, trace, span and severity are fields, that its own time counts, and that nothing else becomes metadata."""
    real, _, began = sending
    at = int(began.timestamp() - 60) * 10**9 + 5
    records = [
        Record("plain", {"severityText": "WARN", "timeUnixNano": str(at)}, {"user.id": 7, "other": "x"}),
        Record("by number", {"severityNumber": 17, "observedTimeUnixNano": str(at + 1)}, {"n": 2.5, "user.id": {"no": "scalar"}}),
        Record("traced", {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "flags": 1}, {"n": True}),
        Record("ERROR says more than INFO trace_id=own", {"severityText": "INFO", "traceId": "0af7651916cd43dd8448eb211c80319c"}),
        Record("an unset clock", {"timeUnixNano": "1"}),
        Record("a clock ahead", {"timeUnixNano": str(at + 3600 * 10**9)}),
        Record({"a": "object"}, {}, {"user.id": ""}),
        Record("", {"severityText": "error"}),
    ]
    assert _post(real, [_resource("records", records)])
    labels = {"service": "records", "level": "unknown"}
    trace = {"trace_id": "0af7651916cd43dd8448eb211c80319c"}
    wanted = (
        Arrived("plain", labels | {"level": "warn"}, {"user_id": "7"}, at),
        Arrived("by number", labels | {"level": "error"}, {"n": "2.5"}, at + 1),
        Arrived("traced", labels, {"n": "true", "span_id": "b7ad6b7169203331", **trace}),
        Arrived("ERROR says more than INFO trace_id=own", labels | {"level": "error"}, {"trace_id": "own"}),
        Arrived("an unset clock", labels, {}),
        Arrived("a clock ahead", labels, {}),
        Arrived('{"a":"object"}', labels, {}),
        Arrived("", labels | {"level": "error"}, {}),
    )
    check(real.holding("records", Expected(wanted)), Expected(wanted), began)


def test_a_service_that_no_spec_names_is_read_as_json(sending: tuple[RealLoki, dict[str, Writer], datetime]) -> None:
    """Ensure that records of other services arrive under their own name, at the level that they say."""
    real, _, began = sending
    assert _post(real, [_resource("stranger", [Record('{"level": "error", "trace_id": "t"}')])])
    wanted = Expected((Arrived('{"level": "error", "trace_id": "t"}', {"service": "stranger", "level": "error"}, {"trace_id": "t"}),))
    check(real.holding("stranger", wanted), wanted, began)
