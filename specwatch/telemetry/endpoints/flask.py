"""The endpoints as a Flask blueprint."""

from functools import partial
from typing import Final

from flask import Blueprint, Response, request

from specwatch.telemetry.endpoints.core import Endpoints

NAME: Final = "specwatch_telemetry"
"""The blueprint's name where no other is chosen."""


def telemetry_blueprint(endpoints: Endpoints, *, name: str = NAME) -> Blueprint:
    """Return a blueprint with the endpoints' paths; a blueprint's name is unique in an application, so a second one needs its own."""
    blueprint = Blueprint(name, __name__)
    for path in endpoints.paths:
        blueprint.add_url_rule(path, path.strip("/").replace("/", "_").replace(".", "_"), partial(_serve, endpoints, path), methods=["GET"])
    return blueprint


def _serve(endpoints: Endpoints, path: str) -> Response:
    headers = {"accept": request.headers.get("Accept", ""), "accept-encoding": request.headers.get("Accept-Encoding", "")}
    answer = endpoints.answer(request.method, path, headers)
    if answer is None:  # a path that was taken away after the blueprint was made
        return Response(status=404)
    response = Response(answer.body, answer.status, content_type=answer.content_type)
    response.headers.extend(answer.headers)
    return response
