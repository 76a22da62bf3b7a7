"""One request from its first byte to its last, whatever server it came through: what WSGI, ASGI and Flask share.

Metrics, access log and span come from the same object, so that they tell the same route, status, duration and trace.
"""

import copy
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from specwatch.telemetry.access_log import PATH_CHARACTERS, AccessLog
from specwatch.telemetry.context import (
    CURRENT,
    RequestContext,
    new_ids,
    parse_trace_id,
    parse_traceparent,
    usable_request_id,
    usable_tracestate,
)
from specwatch.telemetry.request_metrics import RequestMetrics, known_method
from specwatch.telemetry.routes import UNMATCHED, Paths, normalise_path
from specwatch.telemetry.settings import settings
from specwatch.telemetry.tracing.operations import make_root
from specwatch.telemetry.tracing.runtime import RUNTIME
from specwatch.telemetry.tracing.span import SERVER, Span

QUIET: Final = ("/metrics", "/api/metrics", "/health", "/health/live", "/health/ready")
"""Routes that are counted, and neither logged nor traced."""

CLIENT_LEFT: Final = "499"
"""Status of a request whose client left before there was any answer; nginx has it too."""

_MOST_KNOWN: Final = 4096
_PATH_REMEMBERED: Final = 128  # characters; a client may send as many long paths as it likes
_USER_AGENT_CHARACTERS: Final = 256
_FAILED: Final = "500"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is done with requests.

    Attributes:
        registry: a `Metrics`, or a registry of prometheus-client; the default registry when None.
        metrics: whether requests are counted and timed; METRICS_ENABLED=false switches it off too.
        metrics_prefix: what the metrics' names begin with.
        access_log: whether each request is a log line.
        log_start: whether its beginning is a line of its own, as document 004 has it.
        traces: whether requests are spans.
        quiet: routes that are counted, and neither logged nor traced: templates, globs or plain paths.
        exclude: routes with which nothing at all is done.
        templates: the routes of an application that cannot say them itself; what matches none is "unmatched".
        normalise: for an application whose routes nobody knows: the path with `{id}` for what looks like an id, instead of
            "unmatched", unless the answer is 404.
        prefix: of the application's own environment variables, such as `SHOP_`.
    """

    registry: Any = None
    metrics: bool = True
    metrics_prefix: str = "http_"
    access_log: bool = True
    log_start: bool = False
    traces: bool = True
    quiet: Collection[str] = QUIET
    exclude: Collection[str] = ()
    templates: Collection[str] = ()
    normalise: bool = False
    prefix: str = ""


class Hook:
    """What the middleware of every kind of server does with a request.

    Args:
        options: what is wanted.

    Attributes:
        metrics: None when off.
        access_log: None when off.
        parts: which of metrics, logs and traces are on; of two hooks around one application each part is done once.
    """

    def __init__(self, options: Options) -> None:
        on = options.metrics and settings(options.prefix).metrics_enabled
        self.metrics = RequestMetrics(options.registry, prefix=options.metrics_prefix) if on else None
        self.access_log = AccessLog() if options.access_log else None
        self.log_start = options.log_start
        self.traces = options.traces
        self.parts = frozenset(
            name for name, wanted in (("metrics", on), ("logs", options.access_log), ("traces", options.traces)) if wanted
        )
        self._quiet = Paths(dict.fromkeys(options.quiet, True))
        self._quiet_endpoints: dict[str, bool] = {}
        self.exclude = Paths(dict.fromkeys(options.exclude, True)) if options.exclude else None
        self._templates = Paths({template: template for template in options.templates})
        self._normalise = options.normalise

    def without(self, parts: frozenset[str]) -> "Hook":
        """Return a hook that leaves `parts` out, as another hook further out does them."""
        hook = copy.copy(self)
        hook.parts = self.parts - parts
        hook.metrics = None if "metrics" in parts else self.metrics
        hook.access_log = None if "logs" in parts else self.access_log
        hook.traces = self.traces and "traces" not in parts
        return hook

    def endpoint(self, path: str, status: str) -> str:
        """Return the endpoint of a request whose application did not say its route."""
        found = self._templates.get(path)
        if found is None and self._normalise and status != "404":
            return normalise_path(path)[:PATH_CHARACTERS]
        return found or UNMATCHED

    def is_quiet(self, endpoint: str) -> bool:
        """Return whether a route is counted only."""
        known = self._quiet_endpoints.get(endpoint)
        if known is None:
            known = self._quiet.get(endpoint) is not None
            if len(self._quiet_endpoints) < _MOST_KNOWN and len(endpoint) <= _PATH_REMEMBERED:
                self._quiet_endpoints[endpoint] = known
        return known

    def declare(self, routes: Iterable[tuple[str, str]]) -> None:
        """Create the series of each (method, endpoint) at 0, but for routes that are excluded."""
        if self.metrics is not None:
            self.metrics.declare(route for route in routes if self.exclude is None or not self.exclude.get(route[1]))


class Exchange(Span):
    """One request and its answer; it is also the request's span, at hand whether it will be exported or not.

    Attributes:
        request_id: names this request alone.
        endpoint: the route's template; empty until it is known.
        status_code: three digits; 500 until there is another.
        request_bytes: length of the request's body.
        response_bytes: length of what was answered so far.
        left: whether the client went away before the end.
        finished: whether it has been counted.
        error_type: the class of the exception that ended it, empty without one.
        around: the same request in a hook further out, None where this is the outermost.
    """

    __slots__ = (
        "_began", "_error", "_hook", "_open", "_quiet", "adopted", "around", "endpoint", "error_type", "finished", "is_websocket", "left",
        "method", "outer", "outer_theirs", "path", "request_bytes", "request_id", "response_bytes", "scheme", "status_code",
    )  # fmt: skip

    def __init__(self, hook: Hook, method: str, path: str, scheme: str = "http", *, is_websocket: bool = False) -> None:
        self._hook = hook
        self.is_websocket = is_websocket
        self._open = False
        self.method = known_method(method)
        self.path = path
        self.scheme = scheme
        self.endpoint = ""
        self.status_code = _FAILED
        self.request_bytes = 0
        self.response_bytes = 0
        self.left = False
        self.finished = False
        self.error_type = ""
        self._error = 0
        self.adopted: Span | None = None
        self.request_id = ""

    def open(
        self,
        traceparent: str | None = None,
        request_id: str | None = None,
        trace_id: str | None = None,
        tracestate: str | None = None,
        outer: "Exchange | None" = None,
    ) -> None:
        """Take up the caller's ids, make the request the current one and count it in flight.

        Args:
            traceparent: the header, as all others here, as the client sent it.
            request_id: `X-Request-ID`.
            trace_id: `X-Trace-ID`, used without a valid traceparent.
            tracestate: passed on with a valid traceparent.
            outer: the same request in a hook further out, for other parts of the work; its ids are used.
        """
        own_trace_id, own_request_id, span_id = new_ids()
        parent_id, flags = "", None
        if traceparent is not None:
            parent = parse_traceparent(traceparent)
            if parent is not None:
                own_trace_id, parent_id, flags = parent
        asked = parse_trace_id(trace_id) if trace_id is not None and not parent_id else None
        own_trace_id = asked or own_trace_id
        if request_id is not None:
            own_request_id = usable_request_id(request_id) or own_request_id
        self.around = outer
        if outer is not None:
            own_trace_id, parent_id, span_id = outer.trace_id, outer.parent_id, outer.span_id
            flags, own_request_id = outer.flags if parent_id else None, outer.request_id
        self.trace_id = own_trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.tracestate = usable_tracestate(tracestate) if tracestate and parent_id else ""
        self._prepare(flags)
        self.request_id = own_request_id
        self._enter(asked)

    def _prepare(self, flags: str | None) -> None:
        # The parts of Span that a request needs; its __init__ would make another id and do what is done here again.
        hook = self._hook
        self.name = self.path
        self.kind = SERVER
        self.attributes = self.events = self.buffered = self._context = self.user_id = None
        self.links = ()
        self.status = "UNSET"
        self.description = ""
        self.scope = "specwatch"
        self.ended_ns = 0
        self._root = None
        self.remote = bool(self.parent_id)
        self.sampled = self.recording = False
        self._quiet = hook.is_quiet(self.path)
        if hook.traces and not self._quiet:
            make_root(self, flags, self.path)
        else:
            # A request that nobody here wants to see is not wanted of the next service either.
            self.flags = flags or ("01" if RUNTIME.sampler is None else "00")
        self.started_ns = time.time_ns()
        self._began = began = time.perf_counter()
        self._clock = int(began * 1e9)

    def _enter(self, asked: str | None) -> None:
        self.outer = CURRENT.get()
        self.outer_theirs: object = None
        bridge = RUNTIME.bridge
        if bridge is not None:
            theirs = bridge.current()
            if isinstance(theirs, Span) and theirs.kind == SERVER and not theirs.ended_ns:
                # A framework's instrumentation has made the request's span already: one is enough, and the log has its ids.
                self.adopted = theirs
                if asked and theirs.moved_to(asked):
                    make_root(theirs, None, self.path)
                self.trace_id, self.span_id, self.flags = theirs.trace_id, theirs.span_id, theirs.root.flags
                self.recording = False
            elif self._hook.traces:
                self.outer_theirs = bridge.attach(self)
        CURRENT.set(
            RequestContext(self.trace_id, self.request_id, self.span_id, self.flags, None, (), self.tracestate, self.adopted or self)
        )
        metrics = self._hook.metrics
        if metrics is not None and not self.is_websocket:
            metrics.begin()

    def opened(self) -> None:
        """Count a websocket as open."""
        if self._hook.metrics is not None:
            self._open = True
            self._hook.metrics.websockets.inc()

    @property
    def context(self) -> RequestContext:
        """The request's ids as they are current while the application works; made anew, as it holds this object."""
        span = self.adopted or self
        return RequestContext(self.trace_id, self.request_id, self.span_id, self.flags, self.user, (), self.tracestate, span)

    @property
    def user(self) -> str | None:
        """Who asks, as far as is known."""
        return self.user_id if self.adopted is None else self.adopted.root.user_id

    @property
    def ids(self) -> list[tuple[str, str]]:
        """The headers of the answer."""
        trace_id = self.trace_id
        return [("X-Request-ID", self.request_id), ("X-Trace-ID", trace_id), ("traceparent", f"00-{trace_id}-{self.span_id}-{self.flags}")]

    def suspend(self) -> None:
        """Make current what was so before the request: while the server works, or once the request has ended."""
        CURRENT.set(self.outer)
        if self.outer_theirs is not None and RUNTIME.bridge is not None:
            RUNTIME.bridge.restore(self.outer_theirs)

    def resume(self) -> None:
        """Make the request the current one again, for another part of its answer."""
        self.outer = CURRENT.get()
        CURRENT.set(self.context)
        if self.outer_theirs is not None and RUNTIME.bridge is not None:
            self.outer_theirs = RUNTIME.bridge.attach(self)

    def note(self, error: BaseException) -> None:
        """Keep an exception that the framework has turned into an answer, for the span."""
        if not self._error:
            self._error = id(error)  # not the exception itself: its frames hold the request, which would hold them
            self.error_type = type(error).__qualname__
            if self._hook.traces:
                Span.fail(self.adopted or self, error)

    def started_line(self, client: str | None, user_agent: str | None) -> None:
        """Write "Request started", where that is wanted."""
        log = self._hook.access_log
        if log is not None and self._hook.log_start and not self._quiet:
            fields = {"method": self.method, "path": self.path[:PATH_CHARACTERS], "client_ip": client}
            log.logger.info("Request started", extra={**fields, "user_agent": (user_agent or "")[:_USER_AGENT_CHARACTERS]})

    def abort(self, error: BaseException) -> None:
        """Count the request as failed by an exception that the framework let through, and log it once with its traceback."""
        known = self._error == id(error)
        if self.finished:
            if isinstance(error, Exception) and not known and self._hook.access_log is not None:
                self._hook.access_log.logger.error("Request failed after its answer", exc_info=error, extra={"endpoint": self.endpoint})
            return
        if isinstance(error, Exception):
            self.status_code = _FAILED
            self.note(error)
            if self._hook.access_log is not None:
                seconds = time.perf_counter() - self._began
                fields = {"method": self.method, "endpoint": self.endpoint or self._hook.endpoint(self.path, _FAILED)}
                extra = {**fields, "error": _message(error), "duration_ms": round(seconds * 1000, 3)}
                self._hook.access_log.logger.error("Request failed", exc_info=error, extra=extra)
        self.finish()

    def finish(self) -> None:
        """Count, time, log and hand on the request, all from one reading of the clock; a second call does nothing."""
        if self.finished:
            return
        self.finished = True
        seconds = time.perf_counter() - self._began
        hook = self._hook
        status = self.status_code
        endpoint = self.endpoint = self.endpoint or hook.endpoint(self.path, status)
        if hook.metrics is not None:
            self._measure(hook.metrics, seconds)
        log = hook.access_log
        if log is not None and not self._quiet and not hook.is_quiet(endpoint):
            if self.user is not None:
                CURRENT.set(self.context)  # a thread or task of the application may have found out in a copy of it who asks
            log.completed(self, seconds)
        if self.recording:
            self.ended_ns = self.started_ns + int(seconds * 1e9)
            self.name = self.method if endpoint is UNMATCHED else f"{self.method} {endpoint}"
            if status >= _FAILED and self.status == "UNSET":
                self.status = "ERROR"
            self.leave()
        if self.around is not None:
            self.around.user_id = self.user_id if self.around.user_id is None else self.around.user_id

    def _measure(self, metrics: RequestMetrics, seconds: float) -> None:
        if self.is_websocket:
            # How long it was open says nothing about how fast the service answers.
            metrics.count(self.method, self.endpoint, self.status_code)
            if self._open:
                metrics.websockets.dec()
            return
        sampled = self.sampled if self.adopted is None else self.adopted.root.sampled
        exemplar = {"trace_id": self.trace_id} if sampled else None
        metrics.observe(self.method, self.endpoint, self.status_code, seconds, self.request_bytes, self.response_bytes, exemplar)

    def all_attributes(self) -> dict[str, Any]:
        """Return the attributes to export, named by OpenTelemetry's semantic conventions for HTTP servers."""
        attributes: dict[str, Any] = {
            "http.request.method": self.method,
            "url.path": self.path[:PATH_CHARACTERS],
            "url.scheme": self.scheme,
            "http.response.status_code": int(self.status_code),
            "http.response.body.size": self.response_bytes,
            "request_id": self.request_id,
        }
        if self.endpoint and self.endpoint is not UNMATCHED:
            attributes["http.route"] = self.endpoint
        if self.request_bytes:
            attributes["http.request.body.size"] = self.request_bytes
        if self.user_id is not None:
            attributes["user.id"] = self.user_id
        if self.error_type:
            attributes["error.type"] = self.error_type
        elif self.status_code >= _FAILED:
            attributes["error.type"] = self.status_code
        return {**attributes, **(self.attributes or {})}


def length(header: str | None) -> int:
    """Return a Content-Length header as a number, 0 when it is none."""
    return int(header) if header and header.isascii() and header.isdecimal() else 0


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an exception's own code may raise anything
        return f"<unprintable {type(error).__name__}>"


def options_of(options: Mapping[str, Any]) -> Options:
    """Return `Options` of keyword arguments.

    Raises:
        TypeError: there is no such option.
    """
    return Options(**options)
