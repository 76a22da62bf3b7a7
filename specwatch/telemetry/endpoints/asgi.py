"""The endpoints for an ASGI server."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from specwatch.telemetry.endpoints.core import NOT_FOUND, Answer, Endpoints

Message = MutableMapping[str, Any]
AsgiApp = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


def asgi_app(endpoints: Endpoints, app: AsgiApp | None = None) -> AsgiApp:
    """Return an ASGI application that answers the endpoints' paths and hands everything else to `app` (404 without one)."""

    async def serve(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
        if scope["type"] == "http":
            answer = await endpoints.answer_async(scope["method"], _path(scope), _headers(scope))
            if answer is not None or app is None:
                await _send(answer or NOT_FOUND, scope["method"], send)
                return
        if app is not None:
            await app(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _live(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    return serve


def _path(scope: Message) -> str:
    """Return the path below the place where the application is mounted: `path` may have that place in front (ASGI 2.4)."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def _headers(scope: Message) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


async def _send(answer: Answer, method: str, send: Callable[[Message], Awaitable[None]]) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.all_headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})


async def _live(receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
