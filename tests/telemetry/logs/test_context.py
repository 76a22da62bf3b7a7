"""Fields for every record of a block, a request, a task."""

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from specwatch.telemetry import RequestContext, bind, current
from specwatch.telemetry.logs import LogContext, get_logger
from tests.telemetry.logs.lines import Log


def test_fields_are_set_until_they_are_cleared() -> None:
    """`set` adds, `clear` takes away, by name or all."""
    log = Log()
    LogContext.set(order="o-1", step=1)
    LogContext.set(step=2)
    log.logger.info("both")
    LogContext.clear("step")
    log.logger.info("one", extra={"order": "mine"})
    LogContext.clear()
    log.logger.info("none")
    first, second, third = log.lines()
    assert (first["order"], first["step"]) == ("o-1", 2)
    assert second["order"] == "mine"
    assert "step" not in second
    assert not {"order", "step"} & set(third)
    assert LogContext.get() == {}


def test_the_ids_can_be_set() -> None:
    """A new id is made where none is given; the trace is that of the next service too, until `clear`."""
    log = Log()
    trace_id = LogContext.set_trace_id()
    request_id = LogContext.set_request_id()
    LogContext.set_user_id("u-1")
    log.logger.info("x")
    request = current()
    assert request is not None
    assert request.trace_id == trace_id
    assert (log.line()["trace_id"], log.line()["request_id"], log.line()["user_id"]) == (trace_id, request_id, "u-1")
    LogContext.clear()
    assert current() is None


def test_clearing_leaves_the_request_its_trace() -> None:
    """What the request hook has begun, `clear` does not end."""
    with bind(RequestContext("a" * 32, "r-1", "b" * 16)) as request:
        LogContext.clear()
        assert current() is request
        LogContext.set_trace_id("c" * 32)
        LogContext.clear()
        assert current() is request


def test_an_id_that_is_no_trace_id_is_shown_only() -> None:
    """The document's own `abc123-def456` is in the logs, and no header breaks over it."""
    log = Log()
    LogContext.set_trace_id("abc123-def456")
    log.logger.info("x")
    assert log.line()["trace_id"] == "abc123-def456"
    assert current() is None


@pytest.mark.parametrize("given", ["logger", "bound", "name", "nothing"])
def test_a_block_has_its_fields(given: str) -> None:
    """All records of the block carry them, whichever logger they come from, and none behind it."""
    log = Log()
    logger = {"logger": log.logger, "bound": get_logger("a").__class__(log.logger, bound=1), "name": "a", "nothing": None}[given]
    with LogContext(logger, token="BTC") as inner, LogContext.bind(step=1):  # noqa: S106 - the field of document 003, no secret
        log.logger.info("other logger")
        if given in {"logger", "bound"}:
            inner.info("scan_started", score=1)
    log.logger.info("after")
    first, *others, last = log.lines()
    assert (first["token"], first["step"]) == ("BTC", 1)
    assert "token" not in last
    for fields in others:
        assert (fields["token"], fields["score"]) == ("BTC", 1)
    assert len(others) == (given in {"logger", "bound"})


def test_a_block_may_be_entered_again_and_left_by_an_exception() -> None:
    """The same object serves nested blocks, and an exception passes through."""
    block = LogContext(None, token="BTC")  # noqa: S106 - the field of document 003, no secret
    with block:
        with block:
            assert LogContext.get() == {"token": "BTC"}
        assert LogContext.get() == {"token": "BTC"}
    with pytest.raises(ValueError, match="why"), block:
        raise ValueError("why")
    assert LogContext.get() == {}


def test_tasks_do_not_see_each_others_fields() -> None:
    """A task inherits the fields of the one that starts it, and keeps its own."""
    log = Log()

    async def work(number: int) -> None:
        LogContext.set(number=number)
        await asyncio.sleep(0)
        log.logger.info("x", extra={"expected": number})

    async def main() -> None:
        with LogContext.bind(batch="b-1"):
            await asyncio.gather(*(work(number) for number in range(20)))

    asyncio.run(main())
    lines = log.lines()
    assert len(lines) == 20
    assert all(fields["number"] == fields["expected"] and fields["batch"] == "b-1" for fields in lines)


def test_threads_keep_their_own_fields_and_may_inherit() -> None:
    """A thread starts without fields unless its function is wrapped; many threads do not mix lines."""
    log = Log()
    LogContext.set(order="o-1")
    plain, wrapped = [], []

    def look(into: list[dict[str, object]]) -> None:
        into.append(LogContext.get())

    for target, into in ((look, plain), (LogContext.wrap(look), wrapped)):
        thread = threading.Thread(target=target, args=(into,))
        thread.start()
        thread.join()
    assert wrapped == [{"order": "o-1"}]
    assert plain in ([{}], [{"order": "o-1"}])  # Python 3.14 can be told to let threads inherit

    def work(number: int) -> None:
        with LogContext.bind(number=number):
            for _ in range(50):
                log.logger.info("x", extra={"expected": number})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(LogContext.wrap(work), range(8)))
    lines = log.lines()
    assert len(lines) == 400
    assert all(fields["number"] == fields["expected"] and fields["order"] == "o-1" for fields in lines)


def test_an_odd_field_of_the_context_raises_nothing() -> None:
    """The context may hold what a record may hold."""
    log = Log()
    value: list[object] = []
    value.append(value)
    LogContext.set(cycle=value, level="mine", nan=float("nan"), big="x" * 100_000)
    log.logger.info("x", extra={"extra_level": 1})
    fields = log.line()
    assert (fields["level"], fields["extra_level"], fields["nan"]) == ("INFO", "mine", "nan")
    assert fields["extra_level_"] == 1


def test_contexts_serve_the_standard_library_too() -> None:
    """A logger of the standard library's own class, and an ordinary handler with our formatter, have the fields."""
    log = Log()
    plain = logging.Logger("plain")  # noqa: LOG001 - one that nobody else sees
    plain.addHandler(log.handler)
    with LogContext.bind(order="o-1"):
        plain.warning("x")
    assert log.line()["order"] == "o-1"
