"""Which request is being served: trace id and request id, as one immutable value that threads and tasks inherit.

The `traceparent` header is W3C Trace Context, level 1, section 3.2.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_NOT_REQUEST_ID = re.compile(r"[^A-Za-z0-9._:/+=@-]")
_REQUEST_ID_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The ids of one request.

    Attributes:
        trace_id: 32 hex digits, shared by every service the request passes through.
        request_id: names this request alone; the caller's own when it sent a usable one.
        span_id: 16 hex digits, this service's part of the trace.
        flags: two hex digits, `01` when the trace is sampled.
    """

    trace_id: str
    request_id: str
    span_id: str
    flags: str = "01"

    @property
    def traceparent(self) -> str:
        """The W3C header value that continues this trace in the next service."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


_CURRENT: ContextVar[RequestContext | None] = ContextVar("specwatch_request", default=None)


def current() -> RequestContext | None:
    """Return the ids of the request being served, None outside of one."""
    return _CURRENT.get()


def attach(context: RequestContext | None) -> RequestContext | None:
    """Make `context` the current one and return what was current before, to be attached again afterwards."""
    before = _CURRENT.get()
    _CURRENT.set(context)
    return before


@contextmanager
def bind(context: RequestContext) -> Iterator[RequestContext]:
    """Make `context` the current one inside the `with` block."""
    before = attach(context)
    try:
        yield context
    finally:
        attach(before)


def continue_trace(traceparent: str | None = None, request_id: str | None = None) -> RequestContext:
    """Return the ids for a request that just came in.

    Args:
        traceparent: the header as the client sent it; anything that W3C calls invalid starts a new trace.
        request_id: the header as the client sent it; characters that could break a log line, a header or a shell
            are left out, the rest is cut to 128 characters, and nothing left means a new id.
    """
    trace_id, flags = _parse_traceparent(traceparent or "") or (secrets.token_hex(16), "01")
    usable = _NOT_REQUEST_ID.sub("", request_id or "")[:_REQUEST_ID_CHARACTERS]
    return RequestContext(trace_id, usable or secrets.token_hex(16), secrets.token_hex(8), flags)


def _parse_traceparent(header: str) -> tuple[str, str] | None:
    match = _TRACEPARENT.fullmatch(header.strip())
    if match is None:
        return None
    version, trace_id, parent_id, flags, rest = match.groups()
    # A later version may append fields, version 00 may not; ff and all-zero ids are invalid in every version.
    if version == "ff" or (version == "00" and rest) or not trace_id.strip("0") or not parent_id.strip("0"):
        return None
    return trace_id, flags
