"""Trace and request ids."""

import re

import pytest

from specwatch.telemetry import RequestContext, bind, current
from specwatch.telemetry.context import continue_trace

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


@pytest.mark.parametrize("header", [f"00-{TRACE}-{SPAN}-01", f"  00-{TRACE}-{SPAN}-01 ", f"cc-{TRACE}-{SPAN}-01-more"])
def test_a_valid_traceparent_is_continued(header: str) -> None:
    """The trace goes on under its id, with a span of our own."""
    context = continue_trace(header)
    assert context.trace_id == TRACE
    assert context.span_id != SPAN
    assert context.traceparent == f"00-{TRACE}-{context.span_id}-01"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "garbage",
        f"00-{TRACE}-{SPAN}",  # no flags
        f"00-{TRACE}-{SPAN}-01-more",  # version 00 has four fields
        f"ff-{TRACE}-{SPAN}-01",  # forbidden version
        f"00-{'0' * 32}-{SPAN}-01",  # no trace
        f"00-{TRACE}-{'0' * 16}-01",  # no parent
        f"00-{TRACE.upper()}-{SPAN}-01",  # upper case
        f"00-{TRACE}-{SPAN}-01\n00-{TRACE}-{SPAN}-01",
        f"00-{TRACE[:-1]}٣-{SPAN}-01",  # a digit, but not an ASCII one
    ],
)
def test_an_invalid_traceparent_starts_a_new_trace(header: str) -> None:
    """What W3C calls invalid is ignored, never passed on."""
    context = continue_trace(header)
    assert re.fullmatch("[0-9a-f]{32}", context.trace_id)
    assert context.trace_id != TRACE


@pytest.mark.parametrize(
    ("sent", "used"),
    [
        ("order-17", "order-17"),
        ('a"b\r\nX-Evil: $(x)', "abX-Evil:x"),
        ("x" * 1000, "x" * 128),
    ],
)
def test_a_request_id_is_kept_without_what_could_do_harm(sent: str, used: str) -> None:
    """Quotes, line breaks and shell characters are left out and the length is limited."""
    assert continue_trace(None, sent).request_id == used


@pytest.mark.parametrize("sent", [None, "", '"""', "\x00"])
def test_an_unusable_request_id_is_replaced(sent: str | None) -> None:
    """A request always has an id."""
    assert re.fullmatch("[0-9a-f]{32}", continue_trace(None, sent).request_id)


def test_bind_nests() -> None:
    """The inner request's ids end with its block."""
    outer, inner = RequestContext(TRACE, "outer", SPAN), RequestContext(TRACE, "inner", SPAN)
    with bind(outer):
        with bind(inner):
            assert current() is inner
        assert current() is outer
    assert current() is None
