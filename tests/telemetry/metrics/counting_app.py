"""A WSGI application that counts, for gunicorn in tests."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from specwatch.telemetry.metrics import counter, gauge, histogram, info

requests = counter("app_requests_total", "Requests.", ["path"])
seconds = histogram("app_seconds", "Seconds.", ["path"], buckets=(0.1, 1))
in_flight = gauge("app_in_flight", "Requests in flight.")
info("app", "The application.").info(version="1")


def application(environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with the process id; /die counts and ends the worker, /slow takes a while, /hang never ends."""
    path = environ["PATH_INFO"]
    with in_flight.track_inprogress():
        requests.inc(path=path)
        seconds.observe(0.5, {"trace_id": "abc"}, path=path)
        if path == "/die":
            os.kill(os.getpid(), signal.SIGKILL)
        if path in {"/slow", "/hang"}:
            time.sleep(0.5 if path == "/slow" else 60)  # the behaviour that is asked for
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
