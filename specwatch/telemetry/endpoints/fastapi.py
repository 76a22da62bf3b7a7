"""The endpoints as a FastAPI router."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request, Response

from specwatch.telemetry.endpoints.core import Endpoints


def telemetry_router(endpoints: Endpoints, *, include_in_schema: bool = False) -> APIRouter:
    """Return a router with the endpoints' paths, which the OpenAPI schema leaves out unless told otherwise."""
    router = APIRouter()
    for path in endpoints.paths:
        router.add_api_route(path, _serve(endpoints, path), methods=["GET", "HEAD"], include_in_schema=include_in_schema)
    return router


def _serve(endpoints: Endpoints, path: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        answer = await endpoints.answer_async(request.method, path, request.headers)
        if answer is None:  # a path that was taken away after the router was made
            return Response(status_code=404)
        return Response(answer.body, answer.status, {**dict(answer.headers), "Content-Type": answer.content_type})

    return serve
