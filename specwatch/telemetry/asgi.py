"""The request hook for ASGI: Starlette, FastAPI, or any application; HTTP and websockets (ASGI 3).

`app.add_middleware(ObservabilityMiddleware)` as document 001 has it, or `app = ObservabilityMiddleware(app)`.
"""

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Final

from specwatch.telemetry.request import CLIENT_LEFT, Exchange, Hook, length, options_of
from specwatch.telemetry.starlette_routes import RouteNames

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

EXCHANGE: Final = "specwatch.exchange"
"""Key of the scope under which the `Exchange` is."""

_PARTS: Final = "specwatch.parts"
_OURS: Final = frozenset({b"x-request-id", b"x-trace-id", b"traceparent"})
_NO_BODY: Final = frozenset({204, 304})
_SWITCHING: Final = "101"
_REFUSED: Final = "403"
_FAILED: Final = "500"
_ABSENCES: Final = frozenset({"ClientDisconnect", "WebSocketDisconnect"})  # Starlette's own; not imported, it may not be there
_SERVER_FAILURE: Final = 1011  # RFC 6455, section 7.4.1: the server met a condition that kept it from going on


class ObservabilityMiddleware:
    """Counts, times, logs and traces each request of `app` once.

    The answer carries `X-Request-ID`, `X-Trace-ID` and `traceparent`. Starlette's and FastAPI's routes are found by
    themselves, mounted ones too; other applications say theirs with `templates`, or put `specwatch.endpoint` into the scope.
    Added to a Starlette application, it moves to the outside of the application's own error handling, so that the answer to
    an unhandled exception carries the ids as well.

    Args:
        app: the ASGI application; left out, the object can be handed to `app.middleware("http")` as in document 004.
        options: the fields of `specwatch.telemetry.request.Options`.

    Raises:
        TypeError: there is no such option.
    """

    defaults: dict[str, Any] = {}  # noqa: RUF012 - read only; subclasses have their own

    def __init__(self, app: Any = None, /, **options: Any) -> None:
        self.app = options.pop("app", app)  # by name from older Starlettes
        self.hook = Hook(options_of({**self.defaults, **options}))
        self._routes = RouteNames()

    async def __call__(self, scope: Any, receive: Any, send: Any = None) -> Any:
        """Answer one request; with `(request, call_next)`, as document 004 has it, return the answer."""
        if send is None:
            return _Later(self, scope, receive)
        kind = scope["type"]
        if kind not in {"http", "websocket"}:
            _hoist(self, scope)
            await self.app(scope, receive, send)
            return None
        await self.serve(self.app, scope, receive, send)
        return None

    async def serve(self, app: Application, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request by `app`."""
        hook = self.hook
        done: frozenset[str] = scope.get(_PARTS, frozenset())
        path: str = scope["path"]
        if not hook.parts - done or (hook.exclude is not None and hook.exclude.get(path)):
            await app(scope, receive, send)
            return
        if not done:
            _hoist(self, scope)
        elif hook.parts & done:
            hook = hook.without(done)
        scope[_PARTS] = done | hook.parts
        exchange = _begin(hook, scope, path)
        if not done:
            scope[EXCHANGE] = exchange
            scope["specwatch.app"] = scope.get("app")
            scope.setdefault("state", {})["request_id"] = exchange.request_id  # request.state.request_id, document 004
        answer = _Answer(self, exchange, scope, receive, send, add_ids=not done)
        try:
            if scope["type"] == "http":
                await app(scope, answer.receive, answer.send)
            else:
                await app(scope, answer.receive_websocket, answer.send_websocket)
        except BaseException as error:
            answer.failed(error)
            raise
        else:
            answer.ended()
        finally:
            exchange.suspend()

    def route(self, scope: Scope) -> str:
        """Return the template of the route that answered, empty when there was none."""
        return self._routes.of(scope)


Middleware = ObservabilityMiddleware


class LoggingMiddleware(ObservabilityMiddleware):
    """Document 004's: "Request started", "Request completed" or "Request failed", and `X-Request-ID`; nothing else."""

    defaults = {"metrics": False, "traces": False, "log_start": True}  # noqa: RUF012 - read only


class MetricsMiddleware(ObservabilityMiddleware):
    """Document 004's: `http_requests_total` and `http_request_duration_seconds`; nothing else."""

    defaults = {"access_log": False, "traces": False}  # noqa: RUF012 - read only


class TracingMiddleware(ObservabilityMiddleware):
    """Spans and ids; nothing else."""

    defaults = {"access_log": False, "metrics": False}  # noqa: RUF012 - read only


def instrument(app: Any, **options: Any) -> Any:
    """Put the request hook around `app` and return what the server is to call.

    A Starlette or FastAPI application is returned itself; its routes may still be added afterwards.

    Raises:
        RuntimeError: it has the hook already, or a Starlette application has been started.
        TypeError: there is no such option.
    """
    if isinstance(app, ObservabilityMiddleware) or any(each.cls is ObservabilityMiddleware for each in getattr(app, "user_middleware", ())):
        raise RuntimeError(f"{app!r} is instrumented already; call instrument once, with all options")
    if hasattr(app, "add_middleware"):
        app.add_middleware(ObservabilityMiddleware, **options)
        return app
    return ObservabilityMiddleware(app, **options)


def is_instrumented(app: Any) -> bool:
    """Return whether one of our hooks makes a Starlette application's requests spans."""
    for each in getattr(app, "user_middleware", ()):
        kind = getattr(each, "cls", None)
        if isinstance(kind, type) and issubclass(kind, ObservabilityMiddleware) and kind.defaults.get("traces", True):
            return True
    return isinstance(app, ObservabilityMiddleware)


class _Answer:
    """What passes between the server and the application for one request."""

    __slots__ = (
        "_add_ids",
        "_completed",
        "_exchange",
        "_expected",
        "_left",
        "_length_known",
        "_middleware",
        "_receive",
        "_scope",
        "_send",
        "_started",
        "_trailers",
    )

    def __init__(
        self, middleware: ObservabilityMiddleware, exchange: Exchange, scope: Scope, receive: Receive, send: Send, *, add_ids: bool
    ) -> None:
        self._middleware = middleware
        self._exchange = exchange
        self._scope = scope
        self._receive = receive
        self._send = send
        self._add_ids = add_ids
        self._length_known = exchange.request_bytes > 0
        self._left = False
        self._started = self._completed = False
        self._expected = -1  # the body's length, where the headers say it
        self._trailers = False

    async def receive(self) -> Message:
        """Return the next part of the request."""
        message = await self._receive()
        kind = message["type"]
        if kind == "http.disconnect":
            self._left = True
        elif not self._length_known and kind == "http.request":
            self._exchange.request_bytes += len(message.get("body") or b"")
        return message

    async def send(self, message: Message) -> None:
        """Hand a part of the answer to the server; the request is counted just before the last."""
        exchange = self._exchange
        kind = message["type"]
        if kind == "http.response.start":
            exchange.status_code = str(message["status"])
            self._started = True
            self._trailers = bool(message.get("trailers"))
            message = self._with_ids(message)
            self._expected = 0 if exchange.method == "HEAD" or message["status"] in _NO_BODY else _content_length(message["headers"])
            if not self._expected:
                self._complete()
        elif kind == "http.response.body":
            exchange.response_bytes += len(message.get("body") or b"")
            # Who has all bytes has the answer, whether or not the application goes on to say that these were all.
            if exchange.response_bytes == self._expected or (not message.get("more_body") and not self._trailers):
                self._complete()
        elif kind == "http.response.pathsend" or (kind == "http.response.trailers" and not message.get("more_trailers")):
            exchange.response_bytes = max(exchange.response_bytes, self._expected)
            self._complete()
        try:
            await self._send(message)
        except OSError:
            self._left = True  # the server's way to say that nobody is there any more
            raise

    async def receive_websocket(self) -> Message:
        """Return the next message of a websocket."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._left = True
        elif message["type"] == "websocket.receive":
            self._exchange.request_bytes += len(message.get("bytes") or message.get("text") or b"")
        return message

    async def send_websocket(self, message: Message) -> None:
        """Hand a message of a websocket to the server."""
        exchange = self._exchange
        kind = message["type"]
        if kind == "websocket.accept":
            self._started = True
            exchange.status_code = _SWITCHING
            exchange.opened()
            message = self._with_ids(message)
        elif kind == "websocket.send":
            exchange.response_bytes += len(message.get("bytes") or message.get("text") or b"")
        elif kind == "websocket.close" and message.get("code") == _SERVER_FAILURE:
            exchange.status_code = _FAILED
        elif kind == "websocket.close" and not self._started:
            exchange.status_code = _REFUSED
        elif kind == "websocket.http.response.start":
            exchange.status_code = str(message["status"])
            message = self._with_ids(message)
        await self._send(message)

    def failed(self, error: BaseException) -> None:
        """Count the request of an application that raised: as failed, unless the client is what is missing."""
        exchange = self._exchange
        if isinstance(error, Exception) and not (self._left and _means_absence(error)):
            if not exchange.finished:
                exchange.endpoint = self._middleware.route(self._scope)
            exchange.abort(error)
        else:
            # Whoever cancels a request takes its answer away from the client, if that is still there.
            self._left = self._left or not isinstance(error, Exception)
            self.ended()

    def ended(self) -> None:
        """Count the request of an application that returned, where its answer has not come to its end."""
        exchange = self._exchange
        if exchange.finished:
            return
        if not self._completed and not exchange.is_websocket:
            exchange.left = self._left
            if self._left and not self._started:
                exchange.status_code = CLIENT_LEFT
        self._finish()

    def _complete(self) -> None:
        self._completed = True
        # A framework answers with 500 first and raises afterwards: the exception belongs to the same request.
        if self._exchange.status_code != _FAILED:
            self._finish()

    def _finish(self) -> None:
        exchange = self._exchange
        exchange.endpoint = self._middleware.route(self._scope)
        exchange.finish()

    def _with_ids(self, message: Message) -> Message:
        headers = list(message.get("headers") or ())
        if not self._add_ids:
            return {**message, "headers": headers}
        taken = {bytes(name).lower() for name, _ in headers} & _OURS
        ids = [(name.lower().encode(), value.encode()) for name, value in self._exchange.ids]
        return {**message, "headers": headers + [each for each in ids if each[0] not in taken]}


class _Later:
    """The answer that `app.middleware("http")` gets: the rest of the application, called when the answer is sent."""

    def __init__(self, middleware: ObservabilityMiddleware, request: Any, call_next: Any) -> None:
        self._middleware = middleware
        self._request = request
        self._call_next = call_next

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def rest(scope: Scope, receive: Receive, send: Send) -> None:
            response = await self._call_next(self._request)
            await response(scope, receive, send)

        await self._middleware.serve(rest, scope, receive, send)


def _begin(hook: Hook, scope: Scope, path: str) -> Exchange:
    traceparent = request_id = trace_id = tracestate = user_agent = content_length = None
    for name, value in scope["headers"]:
        if name == b"traceparent":
            traceparent = value if traceparent is None else b""  # several are none (W3C Trace Context, section 3.2)
        elif name == b"x-request-id":
            request_id = value
        elif name == b"x-trace-id":
            trace_id = value
        elif name == b"tracestate":
            tracestate = value if tracestate is None else tracestate + b"," + value
        elif name == b"content-length":
            content_length = value
        elif name == b"user-agent":
            user_agent = value
    websocket = scope["type"] == "websocket"
    exchange = Exchange(hook, "GET" if websocket else scope["method"], path, scope.get("scheme") or "http", is_websocket=websocket)
    exchange.request_bytes = length(_text(content_length))
    exchange.open(_text(traceparent), _text(request_id), _text(trace_id), _text(tracestate), scope.get(EXCHANGE))
    if hook.log_start:
        client = scope.get("client")
        exchange.started_line(client[0] if client else None, _text(user_agent))
    return exchange


def _content_length(headers: list[tuple[bytes, bytes]]) -> int:
    """Return the length of the answer's body, -1 where it is not said."""
    return next((length(_text(value)) for name, value in headers if name.lower() == b"content-length"), -1)


def _means_absence(error: Exception) -> bool:
    return isinstance(error, OSError) or type(error).__name__ in _ABSENCES


def _text(header: bytes | None) -> str | None:
    return None if header is None else header.decode("latin-1")


def _hoist(middleware: ObservabilityMiddleware, scope: Scope) -> None:
    """Move the hook outside of a Starlette application's own error handling, which is where unhandled exceptions are answered.

    From the next call on: `middleware_stack` is what Starlette calls, and the hook further in then finds its work done.
    """
    application = scope.get("app")
    stack = getattr(application, "middleware_stack", None)
    if stack is None or isinstance(stack, ObservabilityMiddleware) or middleware not in _layers(stack):
        return
    outermost = ObservabilityMiddleware.__new__(type(middleware))
    outermost.__dict__.update(middleware.__dict__, app=stack)
    application.middleware_stack = outermost  # type: ignore[union-attr] # it has one, see above


def _layers(stack: Any) -> Iterator[Any]:
    while stack is not None:
        yield stack
        stack = getattr(stack, "app", None)
