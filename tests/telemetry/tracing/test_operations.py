"""Spans around operations, as documents 001, 003 and 004 write them."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Generator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from specwatch.telemetry.context import RequestContext, bind, current, outgoing_headers
from specwatch.telemetry.tracing import (
    add_span_attributes,
    get_current_span,
    start_span,
    trace_async_function,
    trace_function,
    trace_operation,
    use_span,
)
from tests.telemetry.tracing.spans import Exported, attributes, exported_spans, ids

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


class Unprintable:
    """Raises whenever anybody wants to see it."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def test_an_operation_has_attributes_and_events(exported: Exported) -> None:
    """Document 001: what is known at the start by keyword, what is found out later on the span."""
    with trace_operation("bundle.export", bundle_id="b-1") as span:
        span.set_attribute("artifact_count", 3)
        span.add_event("validation_complete")
    found = exported.spans()["bundle.export"]
    assert attributes(found) == {"bundle_id": "b-1", "artifact_count": 3}
    assert [event.name for event in found.events] == ["validation_complete"]
    assert found.status.status_code is StatusCode.UNSET
    assert found.end_time is not None
    assert found.start_time is not None
    assert found.start_time <= found.events[0].timestamp <= found.end_time
    assert found.resource.attributes["service.name"] == "shop"


def test_attributes_may_be_a_mapping(exported: Exported) -> None:
    """Document 003: `attributes={…}`, and more of them from anywhere inside."""
    with trace_operation("token_scan", attributes={"token": "BTC"}):
        add_span_attributes(score=85.5)
    assert attributes(exported.spans()["token_scan"]) == {"token": "BTC", "score": 85.5}


def test_a_decorated_coroutine_says_where_it_is(exported: Exported) -> None:
    """Document 004: name and module of the function, and OpenTelemetry's own current span inside of it."""

    @trace_operation("calculate_analytics")
    async def calculate(workspace_id: str) -> str:
        """Calculate."""
        trace.get_current_span().set_attribute("workspace_id", workspace_id)
        await asyncio.sleep(0)
        return workspace_id

    assert asyncio.run(calculate("w-1")) == "w-1"
    assert calculate.__name__ == "calculate"
    assert attributes(exported.spans()["calculate_analytics"]) == {"function": "calculate", "module": __name__, "workspace_id": "w-1"}


def test_functions_of_every_kind_can_be_traced(exported: Exported) -> None:
    """A function, a coroutine function, a generator and an async generator each make one span for each call."""

    @trace_function("bundle.validate")
    def validate(number: int) -> int:
        return number + 1

    @trace_async_function("marketplace.search")
    async def search() -> str:
        return "found"

    @trace_function
    def parts() -> Generator[int, int, None]:
        got = yield 1
        yield got + 1

    @trace_function()
    async def later() -> AsyncIterator[int]:
        yield 1

    async def all_later() -> list[int]:
        return [each async for each in later()]

    assert validate(1) == 2
    assert asyncio.run(search()) == "found"
    generator: Any = parts()
    assert (next(generator), generator.send(5)) == (1, 6)
    assert list(generator) == []
    assert asyncio.run(all_later()) == [1]
    assert {name.rpartition(".")[2] for name in exported.names()} == {"validate", "search", "parts", "later"}


def test_operations_nest(exported: Exported) -> None:
    """Each has the innermost open one as its parent, and all are in one trace; afterwards the outer one goes on."""
    with trace_operation("outer") as outer:
        with trace_operation("first"), trace_operation("inside first"):
            pass
        assert get_current_span() is outer
        with trace_operation("second"):
            pass
    found = {name: ids(span) for name, span in exported.spans().items()}
    assert len({trace_id for trace_id, _, _ in found.values()}) == 1
    assert found["outer"][2] == ""
    assert found["first"][2] == found["second"][2] == found["outer"][1]
    assert found["inside first"][2] == found["first"][1]
    assert not get_current_span().is_recording()


def test_tasks_have_their_own_spans(exported: Exported) -> None:
    """Tasks that run side by side are siblings, never each other's parents."""

    async def work(name: str) -> None:
        async with trace_operation(name):
            await asyncio.sleep(0)
            async with trace_operation(f"inside {name}"):
                await asyncio.sleep(0)

    async def main() -> None:
        with trace_operation("all"):
            await asyncio.gather(work("a"), work("b"))

    asyncio.run(main())
    found = {name: ids(span) for name, span in exported.spans().items()}
    assert found["a"][2] == found["b"][2] == found["all"][1]
    assert found["inside a"][2] == found["a"][1]
    assert found["inside b"][2] == found["b"][1]


def test_a_thread_continues_the_trace_in_a_copied_context(exported: Exported) -> None:
    """`contextvars.copy_context().run` carries the span into a thread."""

    def work() -> None:
        with trace_operation("in thread"):
            pass

    with trace_operation("starts thread"):
        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
        thread.start()
        thread.join()
    found = exported.spans()
    assert ids(found["in thread"])[2] == ids(found["starts thread"])[1]


def test_an_exception_makes_the_span_a_failed_one_and_goes_on(exported: Exported) -> None:
    """Its type, message and traceback are an event of each span that it leaves."""
    with pytest.raises(ValueError, match="broken"), trace_operation("outer"), trace_operation("inner"):
        raise ValueError("broken")
    for span in exported.spans().values():
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError: broken")
        [event] = span.events
        assert event.attributes is not None
        assert event.attributes["exception.type"] == "ValueError"
        assert "test_operations.py" in str(event.attributes["exception.stacktrace"])


def test_a_caught_exception_can_be_recorded(exported: Exported) -> None:
    """record_exception leaves the status to set_status, which takes OpenTelemetry's objects and plain words."""
    with trace_operation("work") as span:
        span.record_exception(KeyError("k"))
        span.set_status(Status(StatusCode.ERROR, "no key"))
    with trace_operation("done") as span:
        span.set_status("ok")
        span.set_status("error")  # OK is final
    found = exported.spans()
    assert found["work"].status.description == "no key"
    assert [event.name for event in found["work"].events] == ["exception"]
    assert found["done"].status.status_code is StatusCode.OK


@pytest.mark.parametrize(
    "value", [object(), Unprintable(), {"a": 1}, [1, "a"], [], None, b"\xff", "\ud800", 2**70, float("nan"), "x" * 100_000]
)
def test_any_value_can_be_an_attribute(exported: Exported, value: object) -> None:
    """What OpenTelemetry has no type for becomes text, and what cannot be shown never raises into the caller."""
    with trace_operation("work", odd=value) as span:
        span.add_event("seen", {"odd": value})
    assert "odd" in attributes(exported.spans()["work"])


def test_what_a_span_holds_is_limited(exported: Exported) -> None:
    """At most 128 attributes and 128 events, as OpenTelemetry's own limits have it."""
    with trace_operation("work") as span:
        for number in range(500):
            span.set_attribute(f"a{number}", number)
            span.add_event("again")
    found = exported.spans()["work"]
    assert (len(attributes(found)), len(found.events)) == (128, 128)


def test_opentelemetrys_spans_and_ours_are_in_one_trace(exported: Exported) -> None:
    """Whichever API opens a span, the other one sees it, in both directions."""
    with trace_operation("ours") as ours:
        assert id(trace.get_current_span()) == id(ours)
        with exported.tracer.start_as_current_span("theirs", kind=SpanKind.CLIENT, attributes={"a": 1}) as theirs:
            assert id(get_current_span()) == id(theirs)
            assert trace.get_current_span() is theirs
            context = current()
            assert context is not None
            assert context.span_id == f"{theirs.get_span_context().span_id:016x}"
            with trace_operation("ours again"):
                pass
        with trace.use_span(exported.tracer.start_span("used"), end_on_exit=True), trace_operation("inside used"):
            pass
    found = exported.spans()
    assert ids(found["theirs"])[2] == ids(found["ours"])[1]
    assert ids(found["ours again"])[2] == ids(found["theirs"])[1]
    assert ids(found["inside used"])[2] == ids(found["used"])[1]
    assert found["theirs"].kind is SpanKind.CLIENT


def test_a_span_can_be_opened_and_ended_by_hand(exported: Exported) -> None:
    """start_span makes it, use_span makes it the current one, end ends it once."""
    span = start_span("job", {"queue": "mail"})
    with use_span(span), trace_operation("step"):
        pass
    span.end()
    span.end()
    found = exported.spans()
    assert ids(found["step"])[2] == ids(found["job"])[1]
    assert attributes(found["job"]) == {"queue": "mail"}


def test_another_processs_ids_can_be_continued(exported: Exported) -> None:
    """Ids that came with a message are bound, and what is done with it goes on in its trace."""
    with bind(RequestContext(TRACE, "r-1", SPAN, "01", tracestate="vendor=1")), trace_operation("consume"):
        headers = outgoing_headers()
    span = exported.spans()["consume"]
    assert ids(span) == (TRACE, span_id := ids(span)[1], SPAN)
    assert headers == {"traceparent": f"00-{TRACE}-{span_id}-01", "X-Trace-ID": TRACE, "X-Request-ID": "r-1", "tracestate": "vendor=1"}


def test_without_set_up_there_are_ids_and_nothing_else() -> None:
    """Nothing is exported or kept, and logs and headers have the trace all the same."""
    assert outgoing_headers() == {}
    with trace_operation("outer", a=1) as outer:
        outer.set_attribute("a", 1)
        outer.add_event("e")
        with trace_operation("inner"):
            inside = current()
            assert inside is not None
            assert inside.trace_id == outer.trace_id
            assert inside.span_id != outer.span_id
            assert outgoing_headers()["traceparent"] == f"00-{inside.trace_id}-{inside.span_id}-01"
        assert not outer.is_recording()
    assert current() is None


def test_a_share_of_traces_is_kept_with_all_of_its_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decision falls at the head, by the trace id: a trace is there as a whole or not at all."""
    exported = exported_spans(monkeypatch, ratio=0.25)
    for number in range(400):
        with trace_operation(f"outer {number}"), trace_operation(f"inner {number}"):
            pass
    names = exported.names()
    assert 50 < len(names) / 2 < 150
    assert all(
        {f"outer {number}", f"inner {number}"} <= names or {f"outer {number}", f"inner {number}"}.isdisjoint(names) for number in range(400)
    )


def fail(steps: int = 0) -> None:
    """Do some steps and fail."""
    for number in range(steps):
        with trace_operation(f"step {number}"):
            pass
    raise ValueError("no")


def test_a_trace_that_ends_in_an_error_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though no trace is sampled, the failed one is exported with the spans that had been held, the others are not."""
    exported = exported_spans(monkeypatch, ratio=0)
    with trace_operation("fine"), trace_operation("inside fine"):
        pass
    with trace_operation("caught"), pytest.raises(ValueError, match="no"), trace_operation("failed inside caught"):
        fail()
    with pytest.raises(ValueError, match="no"), trace_operation("failed"):
        fail(steps=1)
    assert exported.names() == {"failed", "step 0"}


def test_what_is_held_for_an_error_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 256 spans for one trace, and the root."""
    exported = exported_spans(monkeypatch, ratio=0)
    with pytest.raises(ValueError, match="no"), trace_operation("failed"):
        fail(steps=400)
    assert len(exported.names()) == 257


def test_keeping_errors_can_be_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """With keep_errors=False what is not sampled records nothing."""
    exported = exported_spans(monkeypatch, ratio=0, keep_errors=False)
    with trace_operation("fine") as span:
        assert not span.is_recording()
    with pytest.raises(ValueError, match="no"), trace_operation("failed"):
        fail()
    assert exported.names() == set()
