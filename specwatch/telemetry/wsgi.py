"""The request hook for WSGI: a middleware around any application (PEP 3333)."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from specwatch.telemetry.context import CURRENT, RequestContext
from specwatch.telemetry.request import Exchange, Hook, length, options_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

EXCHANGE: Final = "specwatch.exchange"
"""Key of the environ under which the `Exchange` is, of several hooks the innermost one's."""

_PARTS: Final = "specwatch.parts"
_NOTHING: Final[frozenset[str]] = frozenset()

_OURS: Final = frozenset({"x-request-id", "x-trace-id", "traceparent"})
_CONTENT_LENGTH: Final = "content-length"
_NO_BODY: Final = frozenset({"204", "304"})


class Middleware:
    """Counts, times, logs and traces each request of `app` once.

    The answer carries `X-Request-ID`, `X-Trace-ID` and `traceparent`. Flask's and Werkzeug's routes are found by
    themselves; other applications say theirs with `templates`, or by putting `specwatch.endpoint` into the environ.

    Args:
        app: the WSGI application.
        options: the fields of `specwatch.telemetry.request.Options`.

    Attributes:
        before_first: called when the first request comes in.

    Raises:
        TypeError: there is no such option.
    """

    def __init__(self, app: "WSGIApplication", **options: Any) -> None:
        self.app = app
        self.hook = Hook(options_of(options))
        self.before_first: Callable[[], object] | None = None

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        before_first = self.before_first
        if before_first is not None:
            before_first()
            self.before_first = None
        hook = self.hook
        get = environ.get
        # WSGI hands over the bytes of the path as Latin-1 (PEP 3333).
        path = get("SCRIPT_NAME", "") + get("PATH_INFO", "")
        if not path.isascii():
            path = path.encode("latin-1", "replace").decode("utf-8", "replace")
        done: frozenset[str] = get(_PARTS, _NOTHING)
        if not hook.parts - done or (hook.exclude is not None and hook.exclude.get(path)):
            return self.app(environ, start_response)
        if hook.parts & done:
            hook = hook.without(done)
        environ[_PARTS] = done | hook.parts
        exchange = _opened(hook, environ, path)
        expected = -1  # the body's length, where the headers say it

        # In quotes: the annotations of an inner function are worked out each time it is made.
        def respond(status: "str", headers: "list[tuple[str, str]]", exc_info: "Any" = None, /) -> "Callable[[bytes], object]":
            nonlocal expected
            code = status[:3]
            exchange.status_code = code if code.isdecimal() and "100" <= code <= "999" else "500"
            request = get("werkzeug.request")
            if request is not None and request.url_rule is not None:
                exchange.endpoint = request.url_rule.rule
            expected, headers = _with_ids(headers, [] if done else exchange.ids)
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        try:
            body = self.app(environ, respond)
            answer = self._answer(exchange, environ, body, expected)
        except BaseException as error:
            exchange.abort(error)
            exchange.suspend()
            raise
        return answer

    def _answer(self, exchange: Exchange, environ: "WSGIEnvironment", body: Iterable[bytes], expected: int) -> Iterable[bytes]:
        """Finish at once what is there as a whole: who has the answer finds it in the metrics. Else follow it to its end."""
        if "specwatch.endpoint" in environ:
            exchange.endpoint = str(environ["specwatch.endpoint"])
        if expected >= 0 and (expected == 0 or exchange.method == "HEAD" or exchange.status_code in _NO_BODY):
            exchange.response_bytes = 0
        elif isinstance(body, list | tuple):
            exchange.response_bytes = sum(map(len, body))
        else:
            wrapper = environ.get("wsgi.file_wrapper")
            if isinstance(wrapper, type) and isinstance(body, wrapper):
                # A server sends such a body from the kernel, and only when it gets the object itself.
                exchange.response_bytes = max(expected, 0)
                if _follow_file(body, exchange):
                    exchange.suspend()
                    return body
            parts = iter(body)
            if expected < 0:
                exchange.suspend()
                return _Streamed(body, parts, None, exchange)
            first = next(parts, b"")
            if len(first) < expected:
                exchange.suspend()
                return _Streamed(body, parts, first, exchange)
            exchange.response_bytes = len(first)
            body = _Whole(body, first, exchange)
        exchange.finish()
        exchange.suspend()
        return body


def _opened(hook: Hook, environ: "WSGIEnvironment", path: str) -> Exchange:
    get = environ.get
    exchange = Exchange(hook, get("REQUEST_METHOD", ""), path, get("wsgi.url_scheme", "http"))
    content_length = get("CONTENT_LENGTH")
    if content_length:
        exchange.request_bytes = length(content_length)
    exchange.open(get("HTTP_TRACEPARENT"), get("HTTP_X_REQUEST_ID"), get("HTTP_X_TRACE_ID"), get("HTTP_TRACESTATE"), get(EXCHANGE))
    environ[EXCHANGE] = exchange
    if hook.log_start:
        exchange.started_line(get("REMOTE_ADDR"), get("HTTP_USER_AGENT"))
    return exchange


# The ASGI module has a function of the same name and shape; here it returns what the server is to call.
def instrument(app: "WSGIApplication", **options: Any) -> Middleware:
    """Return `app` with the request hook around it; see `Middleware`.

    Raises:
        RuntimeError: it has one already.
        TypeError: there is no such option.
    """
    if any(isinstance(each, Middleware) for each in (app, getattr(app, "wsgi_app", None))):
        raise RuntimeError(f"{app!r} is instrumented already; call instrument once, with all options")
    return Middleware(app, **options)


def _with_ids(headers: list[tuple[str, str]], ids: list[tuple[str, str]]) -> tuple[int, list[tuple[str, str]]]:
    """Return the body's length where the headers say it, else -1, and the headers with the ids that are not there yet."""
    expected, taken = -1, set()
    for name, value in headers:
        lowered = name.lower()
        if lowered == _CONTENT_LENGTH:
            expected = length(value)
        elif lowered in _OURS:
            taken.add(lowered)
    return expected, headers + ([each for each in ids if each[0].lower() not in taken] if taken else ids)


class _Whole:
    """A body that is there in one part and has been counted."""

    __slots__ = ("_body", "_context", "_exchange", "_first")

    def __init__(self, body: Iterable[bytes], first: bytes, exchange: Exchange) -> None:
        self._body = body
        self._first = first
        self._exchange = exchange
        self._context = CURRENT.get()

    def __iter__(self) -> Iterator[bytes]:
        return iter((self._first,))

    def __len__(self) -> int:
        return 1

    def close(self) -> None:
        _close(self._body, self._context, self._exchange)


class _Streamed:
    """The parts of a streamed body; the request ends with the last of them, with an exception or with `close`."""

    __slots__ = ("_body", "_ended", "_exchange", "_first", "_parts")

    def __init__(self, body: Iterable[bytes], parts: Iterator[bytes], first: bytes | None, exchange: Exchange) -> None:
        self._body = body
        self._parts = parts
        self._first = first
        self._exchange = exchange
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        exchange = self._exchange
        if self._first is not None:
            part, self._first = self._first, None
            exchange.response_bytes += len(part)
            return part
        # The server sends, and may serve another request, between two parts: the request is current only in here.
        exchange.resume()
        try:
            part = next(self._parts)
        except StopIteration:
            self._ended = True
            exchange.finish()
            raise
        except BaseException as error:
            self._ended = True
            exchange.abort(error)
            raise
        finally:
            exchange.suspend()
        exchange.response_bytes += len(part)
        return part

    def close(self) -> None:
        exchange = self._exchange
        if not self._ended and not exchange.finished:
            exchange.left = True
        try:
            _close(self._body, exchange.context, exchange)
        finally:
            exchange.resume()
            exchange.finish()
            exchange.suspend()


def _close(body: Any, context: RequestContext | None, exchange: Exchange) -> None:
    """Close the application's body as a part of its request: what that logs has the request's ids."""
    close = getattr(body, "close", None)
    if close is None:
        return
    before = CURRENT.get()
    CURRENT.set(context)
    try:
        close()
    except BaseException as error:
        exchange.abort(error)
        raise
    finally:
        CURRENT.set(before)


def _follow_file(body: Any, exchange: Exchange) -> bool:
    """Have the request end when the server closes the file; False where the body takes no attributes."""
    close = getattr(body, "close", None)

    def closed() -> None:
        exchange.resume()
        try:
            if close is not None:
                close()
        finally:
            exchange.finish()
            exchange.suspend()

    try:
        body.close = closed
    except AttributeError:
        return False
    return True
