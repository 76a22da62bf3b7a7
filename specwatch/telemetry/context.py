"""Which request or operation is being served: its ids, as one immutable value that threads and tasks inherit.

The `traceparent` and `tracestate` headers are W3C Trace Context, level 1, sections 3.2 and 3.3.
"""

import os
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from specwatch.telemetry.tracing.span import Span

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_HEX_32: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_NOT_REQUEST_ID: Final = re.compile(r"[^A-Za-z0-9._:/+=@-]")
_NOT_TRACESTATE: Final = re.compile(r"[^ -~]")
_REQUEST_ID_CHARACTERS: Final = 128
_TRACESTATE_CHARACTERS: Final = 512  # what W3C asks everybody to pass on at least

# Ids have to be different, not secret; asking the kernel for each of them would cost more than all else that a request costs.
_RANDOM: Final = random.Random()  # noqa: S311 - see above
os.register_at_fork(after_in_child=_RANDOM.seed)


class RequestContext(NamedTuple):
    """The ids of one request, or of one operation outside of any request.

    Attributes:
        trace_id: 32 hex digits, shared by every service the request passes through.
        request_id: names this request alone; the caller's own when it sent a usable one; empty outside of a request.
        span_id: 16 hex digits, the innermost span that is open.
        flags: two hex digits, `01` when the trace is sampled.
        user_id: who asks, once the application has said so with `set_user`.
        fields: what else belongs into every log line, as (name, value) pairs.
        tracestate: the W3C header of that name, to be passed on as it came.
        span: the open span itself.
    """

    trace_id: str
    request_id: str
    span_id: str
    flags: str = "01"
    user_id: str | None = None
    fields: tuple[tuple[str, object], ...] = ()
    tracestate: str = ""
    span: "Span | None" = None

    @property
    def traceparent(self) -> str:
        """The W3C header value that continues this trace in the next service."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"

    @property
    def headers(self) -> dict[str, str]:
        """The headers to send along with a request to the next service."""
        headers = {"traceparent": self.traceparent, "X-Trace-ID": self.trace_id}
        if self.request_id:
            headers["X-Request-ID"] = self.request_id
        if self.tracestate:
            headers["tracestate"] = self.tracestate
        return headers


CURRENT: Final[ContextVar[RequestContext | None]] = ContextVar("specwatch_request", default=None)
"""The variable behind `current` and `attach`."""


def current() -> RequestContext | None:
    """Return the ids of the request being served, None outside of one."""
    return CURRENT.get()


def attach(context: RequestContext | None) -> RequestContext | None:
    """Make `context` the current one and return what was current before, to be attached again afterwards."""
    before = CURRENT.get()
    CURRENT.set(context)
    return before


@contextmanager
def bind(context: RequestContext) -> Iterator[RequestContext]:
    """Make `context` the current one inside the `with` block."""
    before = attach(context)
    try:
        yield context
    finally:
        attach(before)


def set_user(user_id: str | None) -> None:
    """Say who asks: every further log line of the request has it as `user_id`. Does nothing outside of a request."""
    context = CURRENT.get()
    if context is not None:
        CURRENT.set(context._replace(user_id=user_id))
        if context.span is not None:
            context.span.root.user_id = user_id


def outgoing_headers() -> dict[str, str]:
    """Return the headers that continue the current trace in the next service, none when there is no trace."""
    context = CURRENT.get()
    return {} if context is None else context.headers


def new_ids() -> tuple[str, str, str]:
    """Return a new trace id, request id and span id: 32, 32 and 16 hex digits."""
    digits = f"{_RANDOM.getrandbits(320):080x}"
    return digits[:32], digits[32:64], digits[64:]


def new_span_id() -> str:
    """Return 16 hex digits."""
    return f"{_RANDOM.getrandbits(64):016x}"


def usable_request_id(header: str) -> str:
    """Return the caller's request id without what could break a log line, a header or a shell, at most 128 characters."""
    return _NOT_REQUEST_ID.sub("", header)[:_REQUEST_ID_CHARACTERS]


def usable_tracestate(header: str) -> str:
    """Return the header as it may be passed on: empty when it is longer than 512 characters or holds control characters."""
    header = header.strip()
    return "" if len(header) > _TRACESTATE_CHARACTERS or _NOT_TRACESTATE.search(header) else header


def parse_traceparent(header: str) -> tuple[str, str, str] | None:
    """Return (trace id, parent's span id, flags), None for anything that W3C calls invalid."""
    match = _TRACEPARENT.fullmatch(header.strip())
    if match is None:
        return None
    version, trace_id, parent_id, flags, rest = match.groups()
    # A later version may append fields, version 00 may not; ff and all-zero ids are invalid in every version.
    if version == "ff" or (version == "00" and rest) or not trace_id.strip("0") or not parent_id.strip("0"):
        return None
    return trace_id, parent_id, flags


def parse_trace_id(header: str) -> str | None:
    """Return the trace id of an `X-Trace-ID` header: 32 hex digits, or a UUID; None for anything else."""
    trace_id = header.strip().lower().replace("-", "")
    return trace_id if _HEX_32.fullmatch(trace_id) and trace_id.strip("0") else None


def continue_trace(traceparent: str | None = None, request_id: str | None = None) -> RequestContext:
    """Return the ids for a request that just came in.

    Args:
        traceparent: the header as the client sent it; anything that W3C calls invalid starts a new trace.
        request_id: the header as the client sent it; characters that could break a log line, a header or a shell
            are left out, the rest is cut to 128 characters, and nothing left means a new id.
    """
    trace_id, new_request_id, span_id = new_ids()
    flags = "01"
    parent = parse_traceparent(traceparent) if traceparent else None
    if parent is not None:
        trace_id, _, flags = parent
    return RequestContext(trace_id, usable_request_id(request_id or "") or new_request_id, span_id, flags)
