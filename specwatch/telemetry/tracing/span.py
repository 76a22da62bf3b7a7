"""A span: what one operation did, when, and under which ids.

This is a light object of our own, filled where the work is done; what the OpenTelemetry SDK needs is built from it in
the thread that exports (`tracing.otlp`). It answers to the calls of OpenTelemetry's `Span`, so that instrumentors and
`opentelemetry.trace.get_current_span()` work with it.
"""

import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Self

from specwatch.telemetry.context import new_span_id
from specwatch.telemetry.tracing.runtime import RUNTIME

StatusName = Literal["UNSET", "OK", "ERROR"]

INTERNAL: Final = 0
SERVER: Final = 1
"""Kinds of spans, numbered as OpenTelemetry's `SpanKind`."""

_MOST_ATTRIBUTES: Final = 128  # OpenTelemetry's own limits, "SpanLimits"
_MOST_EVENTS: Final = 128
_MOST_BUFFERED: Final = 256
_PLAIN: Final = frozenset({str, bool, int, float})
_TEXT_CHARACTERS: Final = 8192
_NO_ID: Final = "0" * 16


class Event:
    """Something that happened inside a span.

    Attributes:
        name: what happened.
        attributes: what is known of it.
        time_ns: when, in nanoseconds since 1970.
    """

    __slots__ = ("attributes", "name", "time_ns")

    def __init__(self, name: str, attributes: dict[str, Any], time_ns: int) -> None:
        self.name = name
        self.attributes = attributes
        self.time_ns = time_ns


class Span:
    """One operation.

    The first span of a trace in this process is the root of all others here: it knows whether the trace is sampled,
    and holds the finished spans of one that is not until it is known whether the trace ends in an error.

    Attributes:
        name: what is done.
        trace_id: 32 hex digits.
        span_id: 16 hex digits.
        parent_id: the span id of the parent, empty without one.
        kind: number of OpenTelemetry's `SpanKind`.
        recording: whether attributes and events are kept.
        sampled: of a root: whether its trace is exported.
        flags: of a root: the trace flags as two hex digits.
        tracestate: of a root: the W3C header as it came.
        remote: of a root: whether its parent is in another process.
        user_id: of a root: who asks.
        started_ns: nanoseconds since 1970.
        ended_ns: nanoseconds since 1970, 0 while the span is open.
        scope: name of the instrumentation that made it.
    """

    __slots__ = (
        "__weakref__", "_clock", "_context", "_root", "attributes", "buffered", "description", "ended_ns", "events", "flags", "kind",
        "links", "name", "parent_id", "recording", "remote", "sampled", "scope", "span_id", "started_ns", "status", "trace_id",
        "tracestate", "user_id",
    )  # fmt: skip

    def __init__(self, name: str, root: "Span | None", parent_id: str, trace_id: str, kind: int = INTERNAL) -> None:
        self.name = name
        self.trace_id = trace_id
        self.span_id = new_span_id()
        self.parent_id = parent_id
        self.kind = kind
        self.attributes: dict[str, Any] | None = None
        self.events: list[Event] | None = None
        self.links: Sequence[Any] = ()
        self.status: StatusName = "UNSET"
        self.description = ""
        self.scope = "specwatch"
        self.ended_ns = 0
        self.user_id: str | None = None
        self._context: Any = None
        if root is not None:
            self._root: Span | None = root
            self.recording: bool = root.recording
        else:
            self._root = None  # not itself: what refers to itself waits for the garbage collector
            self.buffered: list[Span] | None = None
            self.remote = False
            self.sampled = False
            self.recording = False
            self.flags = "00"
            self.tracestate = ""
        self.started_ns = time.time_ns()
        self._clock = time.perf_counter_ns()

    @property
    def root(self) -> "Span":
        """The first span of this trace in this process."""
        return self._root or self

    def is_recording(self) -> bool:
        """Return whether what is set on this span is kept."""
        return self.recording and not self.ended_ns

    def set_attribute(self, key: str, value: object) -> "Span":
        """Keep `value` under `key`; what OpenTelemetry has no type for is kept as text. Never raises. Returns the span."""
        if self.recording:
            attributes = self.attributes
            if attributes is None:
                self.attributes = attributes = {}
            if len(attributes) < _MOST_ATTRIBUTES or key in attributes:
                attributes[key] = value if type(value) in _PLAIN else plain(value)
        return self

    def set_attributes(self, attributes: Mapping[str, object]) -> "Span":
        """Keep each of `attributes`. Returns the span."""
        if self.recording:
            for key, value in attributes.items():
                self.set_attribute(key, value)
        return self

    def add_event(self, name: str, attributes: Mapping[str, object] | None = None, timestamp: int | None = None, **fields: object) -> None:
        """Note that something happened now, or at `timestamp` (nanoseconds since 1970); at most 128 events are kept."""
        if not self.recording:
            return
        events = self.events
        if events is None:
            self.events = events = []
        if len(events) < _MOST_EVENTS:
            kept = {str(key): plain(value) for key, value in {**(attributes or {}), **fields}.items()}
            events.append(Event(name, kept, timestamp or self._now()))

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, object] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: FBT002 - OpenTelemetry's signature
    ) -> None:
        """Keep the exception as an event: its type, message and traceback. It does not make the span a failed one."""
        if not self.recording:
            return
        try:
            stack = "".join(traceback.format_exception(exception))
        except Exception:  # noqa: BLE001 - an exception's own code may raise anything
            stack = ""
        kind = type(exception)
        fields: dict[str, object] = {
            "exception.type": kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}",
            "exception.message": plain(exception),
            "exception.stacktrace": stack[-_TEXT_CHARACTERS:],
        }
        if escaped:
            fields["exception.escaped"] = "True"
        self.add_event("exception", {**fields, **(attributes or {})}, timestamp)

    def set_status(self, status: Any, description: str | None = None) -> None:
        """Say how it went: OK, ERROR or UNSET, as text or as OpenTelemetry's `Status` or `StatusCode`. OK is final."""
        if description is None:
            description = getattr(status, "description", None)
        code = getattr(status, "status_code", status)
        name = str(getattr(code, "name", code)).upper()
        if self.status != "OK" and name in {"OK", "ERROR"}:
            self.status = "OK" if name == "OK" else "ERROR"
            self.description = description or "" if name == "ERROR" else ""

    def fail(self, exception: BaseException) -> None:
        """Keep the exception and make the span a failed one."""
        self.record_exception(exception)
        self.set_status("ERROR", f"{type(exception).__name__}: {plain(exception)}")

    def update_name(self, name: str) -> None:
        """Call the span `name` from now on."""
        self.name = name

    def add_link(self, context: Any, attributes: Mapping[str, object] | None = None) -> None:
        """Link another span, by its OpenTelemetry `SpanContext`."""
        if self.recording and RUNTIME.bridge is not None:
            self.links = (*self.links, RUNTIME.bridge.link(context, attributes))

    def get_span_context(self) -> Any:
        """Return OpenTelemetry's `SpanContext` for this span.

        Raises:
            RuntimeError: opentelemetry-api is not in use; `trace_id` and `span_id` say the same.
        """
        if self._context is None:
            if RUNTIME.bridge is None:
                raise RuntimeError("there is no OpenTelemetry SpanContext before setup_tracing(); use span.trace_id and span.span_id")
            self._context = RUNTIME.bridge.span_context(self)
        return self._context

    def moved_to(self, trace_id: str) -> bool:
        """Make a span part of another trace before anything is below it, and return whether that was done: not to one with a parent."""
        if self.parent_id or self.root is not self or self.trace_id == trace_id:
            return False
        self.trace_id = trace_id
        self._context = None
        return True

    def began_at(self, start_time: int) -> None:
        """Say that the span began at `start_time` (nanoseconds since 1970) and not when it was made."""
        self._clock -= self.started_ns - start_time
        self.started_ns = start_time

    def all_attributes(self) -> dict[str, Any]:
        """Return the attributes to export; called in the thread that exports."""
        return self.attributes or {}

    def end(self, end_time: int | None = None) -> None:
        """End the span, now or at `end_time` (nanoseconds since 1970), and hand it on; a second call does nothing."""
        if not self.ended_ns:
            self.ended_ns = end_time or self._now()
            if self.recording:
                self.leave()

    def leave(self) -> None:
        """Hand a finished span to the exporter, or hold it until its root knows how the trace ends."""
        root, pipeline = self.root, RUNTIME.pipeline
        if pipeline is None:
            return
        if root.sampled:
            pipeline.put(self)
        elif self is not root:
            if root.buffered is None and not root.ended_ns:
                root.buffered = []
            if root.buffered is not None and len(root.buffered) < _MOST_BUFFERED:
                root.buffered.append(self)
        else:
            held, self.buffered = self.buffered, None
            if self.status == "ERROR" and RUNTIME.keep_errors:
                self.sampled = True  # what ends after its root still follows
                for span in (*(held or ()), self):
                    pipeline.put(span)

    def _now(self) -> int:
        return self.started_ns + time.perf_counter_ns() - self._clock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and isinstance(error, Exception):
            self.fail(error)
        self.end()


def plain(value: object) -> Any:
    """Return the value as OpenTelemetry takes it: text, number, truth or a sequence of one of these. Never raises."""
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value[:_TEXT_CHARACTERS].encode("utf-8", "replace").decode()
    if isinstance(value, list | tuple | set | frozenset) and value:
        parts = [plain(part) for part in value][:_MOST_ATTRIBUTES]
        return parts if len({type(part) for part in parts}) == 1 and type(parts[0]) in _PLAIN else [str(part) for part in parts]
    try:
        return plain(str(value)[:])
    except Exception:  # noqa: BLE001 - an object's own __str__ may raise anything
        return f"<unprintable {type(value).__name__}>"


NO_SPAN: Final = Span("", None, "", "0" * 32)
"""What `get_current_span` returns outside of any span: takes everything, keeps nothing."""
NO_SPAN.span_id = _NO_ID
