"""A FastAPI application with routes of every kind, for tests."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from specwatch.telemetry.context import set_user

log = logging.getLogger("app.inside")


class State:
    """What a test may look at or change.

    Attributes:
        events: what the lifespan did.
        waiting: set once the endless stream has begun.
    """

    def __init__(self) -> None:
        self.events: list[str] = []
        self.waiting = asyncio.Event()


def make_app(state: State, folder: str = "", **options: Any) -> FastAPI:
    """Return the application, not instrumented."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        state.events.append("started")
        yield
        state.events.append("stopped")

    app = FastAPI(lifespan=lifespan, **options)
    _plain_routes(app)
    _streams(app, state)
    _websockets(app)
    _nested(app, folder)
    return app


def _plain_routes(app: FastAPI) -> None:
    @app.get("/items/{item}")
    async def item(item: int, request: Request) -> dict[str, Any]:
        log.info("looking", extra={"item": item})
        await asyncio.sleep(0)
        log.info("found", extra={"item": item})
        return {"item": item, "request_id": request.state.request_id}

    @app.get("/sync/{item}")
    def sync_item(item: int) -> int:
        set_user(f"user-{item}")
        log.info("in thread", extra={"item": item})
        return item

    @app.post("/items")
    async def add(request: Request) -> int:
        return len(await request.body())

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("no")

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418)

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> str:
        tasks.add_task(log.info, "afterwards")
        return "accepted"


def _streams(app: FastAPI, state: State) -> None:
    @app.get("/stream/{parts}")
    async def stream(parts: int) -> StreamingResponse:
        async def body() -> AsyncIterator[str]:
            for part in range(parts):
                if part == 2:
                    raise RuntimeError("in the middle")
                log.info("part", extra={"part": part})
                yield f"{part}\n"

        return StreamingResponse(body())

    @app.get("/endless")
    async def endless() -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 1000
                state.waiting.set()
                await asyncio.sleep(0.01)

        return StreamingResponse(body())


def _websockets(app: FastAPI) -> None:
    @app.websocket("/echo/{room}")
    async def echo(socket: WebSocket, room: str) -> None:
        await socket.accept()
        log.info("opened", extra={"room": room})
        while (text := await socket.receive_text()) != "bye":
            if text == "break":
                raise RuntimeError("in the socket")
            await socket.send_text(text * 2)
        await socket.close()

    @app.websocket("/refused")
    async def refused(socket: WebSocket) -> None:
        await socket.close()


def _nested(app: FastAPI, folder: str) -> None:
    users, version = APIRouter(prefix="/users"), APIRouter(prefix="/v1")

    @users.get("/{user}")
    async def user(user: int) -> int:
        return user

    version.include_router(users, prefix="/inner")
    app.include_router(version, prefix="/api")

    def deep(request: StarletteRequest) -> PlainTextResponse:
        return PlainTextResponse(request.path_params["part"])

    app.mount("/tenants/{tenant}", Starlette(routes=[Mount("/deep", routes=[Route("/{part}", deep)])]))
    if folder:
        app.mount("/static", StaticFiles(directory=folder))
