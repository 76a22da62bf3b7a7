"""One record, one line of valid JSON."""

import io
import json
import logging
import os
import re
import subprocess
import sys
import warnings
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specwatch.telemetry import JsonFormatter, RequestContext, bind, configure_logging
from specwatch.telemetry.logs import LineHandler


class Unprintable:
    """Raises whenever anybody wants to see it."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


class BrokenMapping(dict[str, object]):
    """A mapping that cannot be walked."""

    def items(self) -> Any:
        """Raise."""
        raise RuntimeError("no")


def one_line(written: str) -> dict[str, Any]:
    """Return the only line that was written, read as strictly as JSON can be."""
    assert written.endswith("\n")
    assert len(written.splitlines()) == 1
    fields = json.loads(written.encode("utf-8"), parse_constant=pytest.fail)
    assert isinstance(fields, dict)
    return fields


def logged(message: object, *args: object, **kwargs: Any) -> dict[str, Any]:
    """Log one record through a logger of its own and return its line."""
    stream = io.StringIO()
    handler = LineHandler(stream)
    handler.setFormatter(JsonFormatter("shop"))
    log = logging.getLogger("test.logs")
    log.handlers, log.propagate = [handler], False  # pytest's own handler cannot take what ours must
    log.error(message, *args, **kwargs)
    log.handlers, log.propagate = [], True
    return one_line(stream.getvalue())


def nested(levels: int) -> list[object]:
    """Return lists in lists."""
    value: list[object] = []
    for _ in range(levels):
        value = [value]
    return value


def cycle() -> list[object]:
    """Return a list that holds itself, many times over."""
    value: list[object] = []
    value.extend([value] * 8)
    return value


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(st.characters(codec=None, exclude_categories=()))
    | st.binary()
    | st.datetimes()
    | st.decimals()
    | st.builds(Unprintable)
    | st.builds(cycle)
    | st.builds(object),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text() | st.integers() | st.binary(), inner),
    max_leaves=8,
)
# The logging module itself refuses these names as extra fields.
taken = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
names = st.text(st.characters(codec=None, exclude_categories=()), min_size=1).filter(lambda name: name not in taken)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
@given(message=values, args=st.lists(values, max_size=2), extra=st.dictionaries(names, values, max_size=4))
def test_every_record_is_one_valid_line(message: object, args: list[object], extra: dict[str, object]) -> None:
    """Whatever a record holds, it comes out as exactly one line of valid JSON, and nothing raises."""
    fields = logged(message, *args, extra=extra)
    assert fields["level"] == "ERROR"
    assert fields["logger"] == "test.logs"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "nan"),
        (2**70, 2**70),
        (10**5000, "<integer of 16610 bits>"),
        (b"caf\xc3\xa9\xff", "caf\u00e9\ufffd"),
        ("lone \udc80 surrogate", "lone ? surrogate"),
        ("two\nlines\u2028three", "two\nlines\u2028three"),
        ({1: "a", (2, 3): "b"}, {"1": "a", "(2, 3)": "b"}),
        (Unprintable(), "<unprintable Unprintable>"),
        (BrokenMapping(a=float("nan")), "<unprintable BrokenMapping>"),
        (datetime(2026, 11, 22, tzinfo=UTC), "2026-11-22T00:00:00+00:00"),
        (Decimal("1.10"), "1.10"),
        (Path("a/b"), "a/b"),
        ({"one"}, ["one"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_has_no_word_for_becomes_text(value: object, shown: object) -> None:
    """The value survives as far as JSON can show it."""
    assert logged("x", extra={"value": value})["value"] == shown


@pytest.mark.parametrize("value", [nested(100_000), cycle()], ids=["deep", "cycle"])
def test_depth_and_cycles_are_cut(value: object) -> None:
    """A value that is too deep, or holds itself, is cut and the rest of the line is there."""
    fields = logged("still here", extra={"value": value})
    assert fields["message"] == "still here"
    assert "left out" in json.dumps(fields["value"])


def test_the_fields_come_in_their_order() -> None:
    """Time, level, logger, message, place, service, ids, extra."""
    with bind(RequestContext("a" * 32, "r-1", "b" * 16)):
        fields = logged("Order %s", "o-1", extra={"order": "o-1"})
    assert list(fields) == [
        *("timestamp", "level", "logger", "message", "module", "function", "line", "service"),
        *("trace_id", "request_id", "order"),
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", fields["timestamp"])
    assert fields["message"] == "Order o-1"
    assert (fields["module"], fields["function"]) == ("test_logs", "logged")
    assert (fields["trace_id"], fields["request_id"]) == ("a" * 32, "r-1")


def test_outside_a_request_there_are_no_ids() -> None:
    """A line that belongs to no request claims none."""
    assert not {"trace_id", "request_id"} & set(logged("x"))


def test_an_exception_stays_in_its_line() -> None:
    """The traceback is a field, line breaks and all."""
    fields = logged("failed", exc_info=ValueError("two\nlines"))
    assert fields["exception"] == "ValueError: two\nlines"


def test_an_extra_field_cannot_pose_as_ours() -> None:
    """What says where a line comes from stays true, and the extra field is kept beside it."""
    fields = logged("x", extra={"level": "DEBUG", "timestamp": 0, "user_id": 7})
    assert fields["level"] == "ERROR"
    assert (fields["extra_level"], fields["extra_timestamp"], fields["user_id"]) == ("DEBUG", 0, 7)


def test_arguments_that_do_not_fit_are_shown() -> None:
    """A wrong format string loses neither the message nor its arguments."""
    assert logged("%d orders", "many")["message"] == "%d orders ('many',)"


def test_level_and_format_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """LOG_LEVEL leaves out what is below it, LOG_FORMAT=text writes for a person."""
    monkeypatch.setenv("LOG_LEVEL", "warning")
    monkeypatch.setenv("LOG_FORMAT", "text")
    stream = io.StringIO()
    configure_logging("shop", stream=stream)
    logging.getLogger("a").info("left out")
    logging.getLogger("a").warning("kept", extra={"order": 7})
    assert re.fullmatch(r"\S+Z WARNING  a: kept order=7\n", stream.getvalue())


@pytest.mark.parametrize("name", ["LOG_LEVEL", "LOG_FORMAT"])
def test_a_typing_error_in_the_environment_is_said_and_survived(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An unknown level or format is logged as a warning, and lines come as JSON from INFO on."""
    monkeypatch.setenv(name, "loud")
    stream = io.StringIO()
    configure_logging("shop", stream=stream)
    fields = one_line(stream.getvalue())
    assert fields["level"] == "WARNING"
    assert name in fields["message"]


def test_configuring_twice_logs_once() -> None:
    """The second call replaces the first."""
    stream = io.StringIO()
    configure_logging("shop", stream=io.StringIO())
    configure_logging("shop", stream=stream)
    logging.getLogger("a").info("once")
    assert one_line(stream.getvalue())["message"] == "once"


def test_warnings_are_lines_too() -> None:
    """A warning does not break into the stream of JSON lines."""
    stream = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logging("shop", stream=stream)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert one_line(stream.getvalue())["logger"] == "py.warnings"


def test_a_closed_stream_raises_nothing() -> None:
    """The caller goes on, and the handler knows how many records were lost."""
    stream = io.StringIO()
    handler = LineHandler(stream)
    stream.close()
    handler.handle(logging.makeLogRecord({"msg": "into the void"}))
    assert handler.lost == 1


def test_long_lines_of_several_processes_do_not_mix_in_a_pipe() -> None:
    """Workers that share standard output write whole lines, also beyond the 4,096 bytes that a pipe keeps together."""
    program = (
        "import logging, os\n"
        "from specwatch.telemetry import configure_logging\n"
        "child = os.fork()\n"
        "configure_logging('shop')\n"
        "for _ in range(50):\n"
        "    logging.getLogger().info('x', extra={'long': ('a' if child else 'b') * 50_000})\n"
        "if child:\n"
        "    os.waitpid(child, 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    lines = [json.loads(line)["long"] for line in done.stdout.splitlines()]
    assert sorted(lines) == ["a" * 50_000] * 50 + ["b" * 50_000] * 50


def test_importing_the_core_needs_neither_flask_nor_gunicorn_nor_the_generator() -> None:
    """An application installs the light core alone, and a gunicorn config may import it before its metrics folder."""
    program = "import sys, specwatch.telemetry\nprint(*{name.split('.')[0] for name in sys.modules}, *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, env={**os.environ, "PYTHONPATH": "."}
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"flask", "gunicorn", "prometheus_client", "msgspec", "yaml", "specwatch.spec"}
