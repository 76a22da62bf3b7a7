"""One record, one line of valid JSON, whatever it holds."""

import json
import logging
import re
import sys
import warnings
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specwatch.telemetry import RequestContext, bind
from specwatch.telemetry.logs import (
    EVENT,
    FLAT,
    JOBS,
    NESTED,
    SERVICE,
    JsonFormatter,
    Layout,
    LineHandler,
    LogContext,
    Redaction,
    ServiceLogger,
    get_logger,
)
from tests.telemetry.logs.lines import Log, logged, run

LONGEST_LINE = 262_144


class Unprintable:
    """Raises whenever anybody wants to see it."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


class BrokenMapping(dict[str, object]):
    """A mapping that cannot be walked."""

    def items(self) -> Any:
        """Raise."""
        raise RuntimeError("no")


class LyingText(str):
    """A text that shows something else."""

    __slots__ = ()

    def __str__(self) -> str:
        return "another\ntext"


class BadKey:
    """A key whose text is as odd as its hash."""

    def __hash__(self) -> int:
        return hash("level")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        raise RuntimeError("no")


class Colour(IntEnum):
    """Numbers with names."""

    RED = 3


class LogsItself:
    """Logs when it is shown."""

    def __repr__(self) -> str:
        logging.getLogger("test.inner").error("%s", self)
        return "itself"


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


any_text = st.text(st.characters(codec=None, exclude_categories=()))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**1100), 2**1100)
    | st.floats(allow_nan=True, allow_infinity=True)
    | any_text
    | st.builds(LyingText, any_text)
    | st.binary()
    | st.datetimes()
    | st.decimals()
    | st.fractions()
    | st.builds(Unprintable)
    | st.builds(cycle)
    | st.builds(object)
    | st.builds(nested, st.integers(0, 2_000)),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(any_text | st.integers() | st.binary() | st.none(), inner),
    max_leaves=6,
)
# What the record itself or a line is made of, and what nobody expects as a name.
needed_by_records = st.sampled_from([*logging.makeLogRecord({}).__dict__, "message", "asctime"])
needed_by_lines = st.sampled_from(
    ["level", "timestamp", "extra", "event", "exception", "service", "trace_id", "user_id", "extra_level", "extra_level_"]
)
reserved = needed_by_records | needed_by_lines
names = any_text | reserved | st.integers() | st.binary() | st.none()
extras = st.dictionaries(names, values, max_size=4) | st.just([1, 2]) | st.just("not a mapping") | st.just(BrokenMapping(a=1))
layouts = st.sampled_from([FLAT, NESTED, JOBS, EVENT, SERVICE])
unhurried = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)  # a busy machine is no failure


@unhurried
@given(
    message=values,
    args=st.lists(values, max_size=2),
    extra=extras,
    around=st.dictionaries(any_text, values, max_size=2),
    layout=layouts,
    direct=st.booleans(),
)
def test_every_record_is_one_valid_line(
    message: object, args: list[object], extra: Any, around: dict[str, object], layout: Layout, direct: bool
) -> None:
    """Whatever a record holds, it comes out as exactly one line of valid JSON of bounded length, and nothing raises."""
    with LogContext.bind(**around):
        fields = logged(message, *args, extra=extra, formatter=JsonFormatter("shop", layout=layout), direct=direct)
    assert fields["level"] in {"ERROR", "error"}
    assert len(json.dumps(fields, ensure_ascii=False).encode()) < LONGEST_LINE


@unhurried
@given(
    message=values,
    usual=st.dictionaries(any_text | needed_by_lines, values, max_size=3),
    needed=st.dictionaries(needed_by_records, values, max_size=2),
    layout=layouts,
)
def test_both_ways_give_the_same_line(message: object, usual: dict[str, object], needed: dict[str, object], layout: Layout) -> None:
    """A line does not depend on whether another handler listens too, and a record has to be made for it."""
    lines = []
    # A record keeps the fields whose names it needs behind the others, and room is given to the first.
    extra = {**usual, **{name: value for name, value in needed.items() if name not in usual}}
    for direct in (True, False):
        fields = logged(message, extra=extra, formatter=JsonFormatter("shop", layout=layout), direct=direct)
        del fields["timestamp"]
        lines.append(re.sub(r"0x[0-9a-f]+", "0x", json.dumps(fields, sort_keys=True)))
    assert lines[0] == lines[1]


@unhurried
@given(extra=st.dictionaries(any_text, values, max_size=4))
def test_redaction_keeps_every_line_valid(extra: dict[str, object]) -> None:
    """With redaction too, whatever a record holds comes out as one valid line."""
    assert logged("x", extra=extra, formatter=JsonFormatter("shop", redaction=Redaction()))["level"] == "ERROR"


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "record"])
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (2**70, 2**70),
        (10**5000, "<integer of 16610 bits>"),
        (b"caf\xc3\xa9\xff", "caf\u00e9\ufffd"),
        ("lone \udc80 surrogate", "lone ? surrogate"),
        ("two\nlines\u2028three\x85four", "two\nlines\u2028three\x85four"),
        ({1: "a", (2, 3): "b"}, {"1": "a", "(2, 3)": "b"}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (Unprintable(), "<unprintable Unprintable>"),
        (BrokenMapping(a=float("nan")), "<unprintable BrokenMapping>"),
        (datetime(2026, 11, 22, tzinfo=UTC), "2026-11-22T00:00:00+00:00"),
        (Decimal("1.10"), "1.10"),
        (Fraction(1, 3), "1/3"),
        (Colour.RED, 3),
        (Path("a/b"), "a/b"),
        ({"one"}, ["one"]),
        (ValueError("why"), "why"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_has_no_word_for_becomes_text(value: object, shown: object, direct: bool) -> None:
    """The value survives as far as JSON can show it."""
    assert logged("x", extra={"value": value}, direct=direct)["value"] == shown


@pytest.mark.parametrize("value", [nested(2_000), nested(100_000), cycle()], ids=["deep", "very deep", "cycle"])
def test_depth_and_cycles_are_cut(value: object) -> None:
    """A value that is too deep, or holds itself, is cut and the rest of the line is there."""
    fields = logged("still here", extra={"value": value, "other": 1})
    assert (fields["message"], fields["other"]) == ("still here", 1)
    assert "left out" in json.dumps(fields["value"])


def test_many_shallow_values_are_whole() -> None:
    """Only depth is cut, not a list of a hundred objects."""
    assert logged("x", extra={"value": [{"a": [1]}] * 100})["value"] == [{"a": [1]}] * 100


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "record"])
def test_what_is_huge_is_cut_with_a_marker(direct: bool) -> None:
    """Message, fields, names and traceback are bounded, each says how long it was, and a line stays below 256 KiB."""
    fields = logged(
        "m" * 10_000_000,
        extra={"text": "\x00" * 1_000_000, "k" * 1_000_000: 1, "list": ["v" * 1_000] * 100_000},
        exc_info=ValueError("e" * 1_000_000),
        direct=direct,
    )
    assert fields["message"].endswith("m…[cut, 10000000 characters]")
    assert fields["text"].endswith("\x00…[cut, 1000000 characters]")
    assert any(name.startswith("kkk") and name.endswith("…[cut, 1000000 characters]") for name in fields)
    assert "…[cut, " in fields["exception"]
    assert "left out" in json.dumps(fields["list"])
    assert len(json.dumps(fields)) < LONGEST_LINE


def test_fifty_thousand_characters_are_whole() -> None:
    """What is merely long is not cut."""
    assert logged("x", extra={"long": "é" * 20_000, "longer": "a" * 30_000})["long"] == "é" * 20_000


def test_a_deep_traceback_keeps_its_end() -> None:
    """Of a traceback that is too long the middle is left out: its last line says what went wrong."""
    fields = logged("failed", exc_info=ValueError("x" * 100_000 + " the end"))
    assert fields["exception"].endswith(" the end")


@pytest.mark.parametrize("name", ["message", "asctime", "name", "msg", "args", "module", "exc_info", "process", "taskName"])
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "record"])
def test_names_that_a_record_needs_are_fields_like_others(name: str, direct: bool) -> None:
    """Python's own KeyError for such a name never reaches the caller, and the field is in the line."""
    fields = logged("x", extra={name: "mine"}, direct=direct)
    assert fields.get(f"extra_{name}", fields.get(name)) == "mine"
    assert fields["message"] == "x"
    assert fields["module"] == "lines"


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "record"])
def test_an_extra_field_cannot_pose_as_ours(direct: bool) -> None:
    """What says where a line comes from stays true, and the extra field is kept beside it."""
    fields = logged("x", extra={"level": "DEBUG", "timestamp": 0, "service": "other", "user_id": 7, "extra_level": 1}, direct=direct)
    assert (fields["level"], fields["service"]) == ("ERROR", "shop")
    assert (fields["extra_timestamp"], fields["extra_service"], fields["user_id"]) == (0, "other", 7)
    assert {fields["extra_level"], fields["extra_level_"]} == {"DEBUG", 1}


def test_other_formatters_find_such_fields_too() -> None:
    """A handler of somebody else gets an ordinary record, with the names that it needs below one attribute."""
    seen: list[logging.LogRecord] = []
    log = Log()
    other = logging.NullHandler()
    other.handle = seen.append  # type: ignore[method-assign, assignment] # a handler that remembers
    log.logger.addHandler(other)
    log.logger.info("x", extra={"name": "mine", "order": 7})  # noqa: G101 - that is what is tested
    assert (seen[0].name, seen[0].__dict__["order"], seen[0].__dict__["specwatch_renamed"]) == ("test.logs", 7, {"name": "mine"})


@pytest.mark.parametrize(
    "extra",
    [{BadKey(): 1}, {LyingText("a"): 1}, {"": 1}, {None: 1}, {1: "a", "1": "b"}],
    ids=["raises", "lies", "empty", "None", "1 and 1"],
)
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "record"])
def test_odd_keys_raise_nothing(extra: Any, direct: bool) -> None:
    """Keys that are no texts, or whose own code raises, still give one valid line."""
    assert logged("x", extra=extra, direct=direct)["level"] == "ERROR"


def test_keywords_that_logging_does_not_know_are_fields() -> None:
    """A call in the manner of document 003 on a logger of the standard library loses nothing."""
    assert logged("scan_started", token="BTC")["token"] == "BTC"  # noqa: S105, S106 - the field of document 003, no secret


def test_arguments_that_do_not_fit_are_shown() -> None:
    """A wrong format string loses neither the message nor its arguments."""
    assert logged("%d orders", "many")["message"] == "%d orders ('many',)"
    assert logged("%(a)s and %(b)s", {"a": 1, "b": 2})["message"] == "1 and 2"
    assert logged(b"bytes")["message"] == "bytes"


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "record"])
def test_an_exception_stays_in_its_line(direct: bool) -> None:
    """The traceback is a field, line breaks and all, however `exc_info` was given."""
    assert logged("failed", exc_info=ValueError("two\nlines"), direct=direct)["exception"] == "ValueError: two\nlines"
    try:
        raise KeyError("a")  # noqa: TRY301 - to have a traceback
    except KeyError:
        assert logged("failed", exc_info=True, direct=direct)["exception"].endswith("KeyError: 'a'")
        assert logged("failed", exc_info=sys.exc_info(), direct=direct)["exception"].endswith("KeyError: 'a'")
    assert "exception" not in logged("fine", exc_info=True, direct=direct)


def test_the_stack_is_a_field_when_asked_for() -> None:
    """`stack_info` gives the way to the call."""
    assert "test_the_stack_is_a_field" in logged("x", stack_info=True)["stack"]


def test_an_exception_group_and_causes_are_shown() -> None:
    """What was raised from what is all there."""
    error = ExceptionGroup("several", [ValueError("one"), TypeError("two")])
    error.__cause__ = error  # a chain that ends nowhere
    assert "one" in logged("failed", exc_info=error)["exception"]


def test_the_place_is_that_of_the_call() -> None:
    """module, function and line name the calling code, also through `stacklevel`, keyword loggers and both ways."""
    log, record = Log(), Log(direct=False)
    for each in (log, record):
        each.logger.info("x")
        get_logger().__class__(each.logger).info("x")

        def helper(logger: logging.Logger) -> None:
            logger.info("x", stacklevel=2)

        helper(each.logger)
        logging.LoggerAdapter(each.logger, {}).info("x")
    mine = sys._getframe().f_code  # noqa: SLF001 - to know where this is
    for fields in [*log.lines(), *record.lines()]:
        assert (fields["module"], fields["function"]) == ("test_any_record", mine.co_name)
        assert mine.co_firstlineno < fields["line"] < mine.co_firstlineno + 20


def test_loops_log_their_own_line_numbers() -> None:
    """Two calls in one function have two lines."""
    log = Log()
    for _ in range(3):
        log.logger.info("a")
        log.logger.info("b")
    lines = log.lines()
    assert {fields["line"] for fields in lines if fields["message"] == "a"} == {lines[0]["line"]}
    assert lines[1]["line"] == lines[0]["line"] + 1


def test_a_value_that_logs_while_it_is_shown_ends() -> None:
    """An endless recursion through the logger is cut, and nothing raises."""
    log = Log()
    inner = ServiceLogger("test.inner", logging.DEBUG)
    inner.addHandler(log.handler)
    logging.Logger.manager.loggerDict["test.inner"] = inner
    log.logger.error("outer", extra={"value": LogsItself()})
    assert log.lines()[-1]["message"] == "outer"


def test_records_near_the_end_of_the_stack_raise_nothing_that_they_would_not_raise_anyway() -> None:
    """Where a call is still possible at all, the record is written or counted, and the caller goes on."""
    log = Log()

    def deeper(left: int) -> None:
        if left:
            deeper(left - 1)
        else:
            log.logger.error("deep", extra={"value": [[1]], "order": Unprintable()})

    depth = 0
    frame: Any = sys._getframe()  # noqa: SLF001 - to know how deep this is
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    for room in range(200, 15, -1):
        try:
            deeper(sys.getrecursionlimit() - depth - room)
        except RecursionError:
            # The call itself did not fit any more.
            assert room < 30
            break
    assert {fields["level"] for fields in log.lines()} == {"ERROR"}


def test_filters_and_other_handlers_that_raise_cost_the_caller_nothing() -> None:
    """Somebody else's code that raises inside of logging leaves a line behind, and the caller goes on."""
    log = Log()

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002 - the handler's shape
            raise RuntimeError("no")

    log.logger.addHandler(Broken())
    log.logger.info("first")
    log.logger.filters.append(lambda _: 1 / 0)  # type: ignore[arg-type, return-value] # a broken one
    log.logger.info("second")
    assert {fields["message"] for fields in log.lines()} == {"first", "second"}


def test_what_filters_add_is_a_field() -> None:
    """A filter may give each record a field, as it may with any other handler."""
    log = Log()

    def adding(record: logging.LogRecord) -> bool:
        record.__dict__["tenant"] = "t-1"
        return True

    log.logger.addFilter(adding)
    log.logger.info("x", extra={"order": 1})
    assert (log.line()["tenant"], log.line()["order"]) == ("t-1", 1)


def test_a_record_factory_is_respected() -> None:
    """What a tool puts into each record by its factory is in the line."""
    usual = logging.getLogRecordFactory()

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = usual(*args, **kwargs)
        record.__dict__["otelTraceID"] = "abc"
        return record

    logging.setLogRecordFactory(factory)
    try:
        assert logged("x")["otelTraceID"] == "abc"
    finally:
        logging.setLogRecordFactory(usual)


def test_a_tool_that_watches_every_record_sees_them() -> None:
    """sentry-sdk replaces a method of `logging.Logger`; its breadcrumbs and events still come."""
    program = (
        "import logging, sentry_sdk\n"
        "from specwatch.telemetry.logs import configure_logging\n"
        "configure_logging('shop')\n"
        "seen = []\n"
        "sentry_sdk.init('http://key@127.0.0.1:9/1', transport=lambda event: seen.append(event), before_send=lambda e, h: seen.append(e))\n"
        "logging.getLogger('a').error('broken', extra={'order': 7})\n"
        "assert len(seen) == 1, seen\n"
    )
    assert '"order":7' in run(program).stdout


def test_warnings_are_lines_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning does not break into the stream of JSON lines."""
    log = Log()
    monkeypatch.setattr(logging.getLogger("py.warnings"), "handlers", [log.handler])
    monkeypatch.setattr(logging.getLogger("py.warnings"), "propagate", False)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        try:
            warnings.warn("old", DeprecationWarning, stacklevel=1)
        finally:
            logging.captureWarnings(capture=False)
    assert log.line()["logger"] == "py.warnings"


def test_a_subclass_of_the_formatter_may_add_fields() -> None:
    """`add_fields` is called as python-json-logger calls it; when it raises, the line is there without its fields."""

    class Adding(JsonFormatter):
        def add_fields(self, log_record: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
            super().add_fields(log_record, record, message_dict)
            log_record["length"] = len(record.msg)
            log_record["odd"] = {1: float("nan")}

    assert logged("four", formatter=Adding("shop"))["length"] == 4
    assert logged("four", formatter=Adding("shop"))["odd"] == {"1": "nan"}
    assert logged(object(), formatter=Adding("shop"))["level"] == "ERROR"


def test_the_ids_of_the_request_are_in_every_line() -> None:
    """trace_id, request_id and user_id come from the request, outside of one there are none, a record's own id wins."""
    assert not {"trace_id", "request_id", "user_id"} & set(logged("x"))
    request = RequestContext("a" * 32, "r-1", "b" * 16)
    with bind(request):
        assert (logged("x")["trace_id"], logged("x")["request_id"]) == ("a" * 32, "r-1")
        fields = logged("x", extra={"request_id": "mine"})
        assert (fields["trace_id"], fields["request_id"]) == ("a" * 32, "mine")


def test_the_handler_level_holds() -> None:
    """A handler that is set to WARNING writes nothing below, on both ways."""
    for direct in (True, False):
        log = Log(direct=direct)
        log.handler.setLevel(logging.WARNING)
        log.logger.info("left out")
        log.logger.warning("kept")
        assert log.line()["message"] == "kept"


def test_a_handler_that_overrides_emit_sees_records() -> None:
    """The short way is for our own handler alone."""
    seen: list[str] = []

    class Mine(LineHandler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())

    logger = ServiceLogger("test.logs", logging.DEBUG)
    logger.addHandler(Mine())
    logger.info("x")
    assert seen == ["x"]
