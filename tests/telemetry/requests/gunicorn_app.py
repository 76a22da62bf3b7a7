"""A Flask application for the tests under a real gunicorn."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from flask import Flask, Response, send_file

from specwatch.telemetry.flask import instrument
from specwatch.telemetry.tracing import trace_operation

application = Flask(__name__, static_folder=None)
instrument(application, service="shop")


@application.get("/items/<int:item>")
def get_item(item: int) -> str:
    """Answer after an operation."""
    with trace_operation("load", item=item):
        logging.getLogger("app.items").info("looking", extra={"item": item})
    return "here"


@application.get("/stream")
def stream() -> Response:
    """Answer in parts."""

    def parts() -> Iterator[bytes]:
        for _ in range(1000):
            yield b"x" * 10_000

    return Response(parts())


@application.get("/file")
def file() -> Response:
    """Answer with a file, which gunicorn sends from the kernel."""
    return send_file(Path(os.environ["FILE"]))


@application.get("/ready")
def ready() -> str:
    """Answer."""
    return "ready"


@application.get("/die")
def die() -> str:
    """End the worker in the middle of the request."""
    os.kill(os.getpid(), signal.SIGKILL)
    return "not reached"


@application.get("/broken")
def broken() -> str:
    """Fail."""
    raise RuntimeError("no")
