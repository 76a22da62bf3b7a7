"""Gunicorn's settings for the demo shop; see exporter/Dockerfile for the call."""  # noqa: N999 - the name gunicorn looks for

import os

from exporter.faults import FaultFile
from exporter.state import state_dir
from specwatch.telemetry import gunicorn
from specwatch.telemetry.gunicorn import *  # noqa: F403 - the hooks by which gunicorn's own figures come about, and its log lines as ours

_PORT = os.environ.get("PORT", "8000")
_STATE = state_dir(os.environ)

wsgi_app = "exporter.app:create_app()"
proc_name = "shop"
bind = f"{os.environ.get('HOST', '127.0.0.1')}:{_PORT}"
workers = 2
worker_class = "gthread"
threads = 4
keepalive = 15
timeout = 30
graceful_timeout = 5
# The heartbeat file is touched every second: in memory where there is any, never on a slow disk.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else str(_STATE)  # noqa: S108 - gunicorn makes a private file there
control_socket_disable = True  # it would be written into the home folder

# Named after the port: a second shop beside this one must not empty its metrics.
gunicorn.fresh_metrics_dir(_STATE / f"metrics-{_PORT}")


def on_starting(server: object) -> None:
    """Start mended, whatever the last run was told; a reload does not come here."""
    gunicorn.on_starting(server)
    FaultFile(_STATE, ()).clear()
