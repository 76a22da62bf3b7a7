"""The endpoints for a WSGI server."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from specwatch.telemetry.endpoints.core import NOT_FOUND, Endpoints

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def wsgi_app(endpoints: Endpoints, app: "WSGIApplication | None" = None) -> "WSGIApplication":
    """Return a WSGI application that answers the endpoints' paths and hands every other request to `app` (404 without one)."""

    def serve(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        method = environ.get("REQUEST_METHOD", "GET")
        headers = {"accept": environ.get("HTTP_ACCEPT", ""), "accept-encoding": environ.get("HTTP_ACCEPT_ENCODING", "")}
        answer = endpoints.answer(method, environ.get("PATH_INFO", ""), headers)
        if answer is None:
            if app is not None:
                return app(environ, start_response)
            answer = NOT_FOUND
        start_response(answer.reason, answer.all_headers)
        return [] if method == "HEAD" else [answer.body]

    return serve
