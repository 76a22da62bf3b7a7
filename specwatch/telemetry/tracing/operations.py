"""Spans around the application's own operations: a context manager and decorators for functions of every kind."""

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar, cast, overload

from specwatch.telemetry.context import CURRENT, RequestContext, new_ids
from specwatch.telemetry.tracing.runtime import RUNTIME
from specwatch.telemetry.tracing.span import INTERNAL, NO_SPAN, Span

Function = TypeVar("Function", bound=Callable[..., Any])


def get_current_span() -> Span:
    """Return the innermost open span; outside of any, one that takes everything and keeps nothing."""
    parent = parent_of_new_spans()
    return parent if isinstance(parent, Span) else NO_SPAN


def add_span_attributes(attributes: Mapping[str, object] | None = None, /, **fields: object) -> None:
    """Keep attributes on the innermost open span; does nothing outside of any."""
    get_current_span().set_attributes({**(attributes or {}), **fields})


def start_span(name: str, attributes: Mapping[str, object] | None = None, *, kind: int = INTERNAL) -> Span:
    """Return a new span below the innermost open one, without making it the current one; its `end` has to be called.

    Args:
        name: what is done.
        attributes: what is known at the start.
        kind: number of OpenTelemetry's `SpanKind`.
    """
    return span_below(parent_of_new_spans(), name, attributes, kind)


def span_below(parent: Any, name: str, attributes: Mapping[str, object] | None = None, kind: int = INTERNAL) -> Span:
    """Return a new span below `parent`: a span of ours, another process's ids, or None for a new trace."""
    span = Span(name, parent.root, parent.span_id, parent.trace_id, kind) if isinstance(parent, Span) else new_span(parent, name, kind)
    if attributes:
        span.set_attributes(attributes)
    return span


def make_root(span: Span, parent_flags: str | None, path: str = "") -> None:
    """Decide for the root `span` whether its trace is sampled and recorded, and set its flags.

    Args:
        span: the root, just made.
        parent_flags: two hex digits, as the caller sent them; None without a caller.
        path: of the request, for shares by route.
    """
    sampler = RUNTIME.sampler
    if sampler is None or RUNTIME.pipeline is None:
        # Nothing is exported here. What the caller decided is passed on; a trace that begins here may be kept elsewhere.
        span.flags = parent_flags or "01"
        return
    if parent_flags is None:
        sampled = sampler.sampled(span.trace_id, path)
        span.flags = "01" if sampled else "00"
    else:
        bits = int(parent_flags, 16)
        sampled = sampler.sampled(span.trace_id, path, bool(bits & 1))
        span.flags = f"{bits | 1 if sampled else bits & 0xFE:02x}"
    span.sampled = sampled
    span.recording = sampled or RUNTIME.keep_errors


@contextmanager
def use_span(span: Span) -> Iterator[Span]:
    """Make `span` the current one inside the `with` block; it is not ended."""
    before = activate(span)
    try:
        yield span
    finally:
        deactivate(before)


def activate(span: Span) -> tuple[RequestContext | None, object]:
    """Make `span` the current one and return what `deactivate` takes."""
    before = CURRENT.get()
    root = span.root
    if before is None:
        CURRENT.set(RequestContext(span.trace_id, "", span.span_id, root.flags, None, (), root.tracestate, span))
    else:
        CURRENT.set(
            RequestContext(span.trace_id, before.request_id, span.span_id, root.flags, before.user_id, before.fields, root.tracestate, span)
        )
    bridge = RUNTIME.bridge
    return before, bridge.attach(span) if bridge is not None else None


def deactivate(before: tuple[RequestContext | None, object]) -> None:
    """Make current again what was before, but for the user, whom the operation may have found out."""
    context, theirs = before
    if context is not None:
        now = CURRENT.get()
        if now is not None and now.user_id != context.user_id:
            context = context._replace(user_id=now.user_id)
    CURRENT.set(context)
    if RUNTIME.bridge is not None and theirs is not None:
        RUNTIME.bridge.restore(theirs)


class trace_operation:  # noqa: N801 - used like a function: `with trace_operation("export"):` and `@trace_operation("export")`
    """A span around a block or a function; an exception makes it a failed one and goes on.

    `with trace_operation("bundle.export", bundle_id=7) as span:`, `async with …`, or as a decorator of a function, a
    coroutine function or a generator function of either kind.

    Args:
        name: what is done.
        attributes: what is known at the start.
        fields: the same, by keyword.
    """

    __slots__ = ("_attributes", "_before", "_name", "_span")

    def __init__(self, name: str, /, attributes: Mapping[str, object] | None = None, **fields: object) -> None:
        self._name = name
        self._attributes: Mapping[str, object] | None = {**attributes, **fields} if attributes else fields
        self._span: Span | None = None

    def __enter__(self) -> Span:
        """Start the span and make it the current one."""
        span = span_below(parent_of_new_spans(), self._name, self._attributes)
        self._span = span
        self._before = activate(span)
        return span

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the span."""
        span = cast(Span, self._span)
        deactivate(self._before)
        if isinstance(error, Exception):
            span.fail(error)
        span.end()

    async def __aenter__(self) -> Span:
        """Start the span and make it the current one."""
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the span."""
        self.__exit__(kind, error, trace)

    def __call__(self, function: Function) -> Function:
        """Return `function` with a span around each call: with its name and module, and OK where it returns (document 004)."""
        where = {"function": getattr(function, "__name__", ""), "module": getattr(function, "__module__", "")}
        return cast(Function, _decorated(function, self._name, {**where, **(self._attributes or {})}))

    def again(self) -> Self:
        """Return another span of the same name and attributes."""
        return type(self)(self._name, self._attributes)


@overload
def trace_function(name: Function) -> Function: ...
@overload
def trace_function(name: str | None = None, /, **fields: object) -> Callable[[Function], Function]: ...
def trace_function(name: Any = None, /, **fields: object) -> Any:
    """Put a span around each call of a function: `@trace_function("bundle.validate")`, or `@trace_function` for its own name."""
    if callable(name):
        return trace_operation(_qualified(name))(name)
    return lambda function: trace_operation(name or _qualified(function), fields)(function)


trace_async_function = trace_function
"""The same for a coroutine function, under the name that document 001 gives it."""


def _decorated(function: Any, name: str, attributes: Mapping[str, object]) -> Any:
    if inspect.iscoroutinefunction(function):
        return _coroutine(function, name, attributes)
    if inspect.isasyncgenfunction(function):
        return _async_generator(function, name, attributes)
    if inspect.isgeneratorfunction(function):
        return _generator(function, name, attributes)

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with trace_operation(name, attributes) as span:
            return _done(span, function(*args, **kwargs))

    return wrapper


def _coroutine(function: Any, name: str, attributes: Mapping[str, object]) -> Any:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with trace_operation(name, attributes) as span:
            return _done(span, await function(*args, **kwargs))

    return wrapper


# Between two values a generator runs in its caller's context, so its span must not become the caller's current one.
def _generator(function: Any, name: str, attributes: Mapping[str, object]) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with start_span(name, attributes) as span:
            return cast(None, _done(span, (yield from function(*args, **kwargs))))

    return wrapper


def _async_generator(function: Any, name: str, attributes: Mapping[str, object]) -> Any:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        with start_span(name, attributes) as span:
            async with aclosing(function(*args, **kwargs)) as values:
                async for value in values:
                    yield value
            _done(span, None)

    return wrapper


def _done(span: Span, result: Any) -> Any:
    """Return the result of a function that returned; its span is OK, unless the function said otherwise."""
    if span.status == "UNSET":
        span.set_status("OK")
    return result


def _qualified(function: Any) -> str:
    return str(getattr(function, "__qualname__", None) or getattr(function, "__name__", None) or type(function).__name__)


def parent_of_new_spans() -> Any:
    """Return what a new span belongs below: a span of ours, another process's ids, or None."""
    bridge = RUNTIME.bridge
    if bridge is not None:
        theirs = bridge.current()
        if theirs is not None:
            return theirs
    context = CURRENT.get()
    if context is None:
        return None
    return context.span or context


def new_span(parent: RequestContext | None, name: str, kind: int, path: str = "") -> Span:
    """Return the first span of a trace in this process, below another process's ids or at the head of a new trace."""
    if parent is None:
        span = Span(name, None, "", new_ids()[0], kind)
        make_root(span, None, path)
    else:
        span = Span(name, None, parent.span_id, parent.trace_id, kind)
        span.tracestate = parent.tracestate
        span.remote = True
        make_root(span, parent.flags, path)
    return span
