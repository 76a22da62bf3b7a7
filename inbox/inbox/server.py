"""The HTTP server: gunicorn's threaded worker, run in this process.

Without gunicorn's master there is one process: nothing to fork, nothing left holding the port when it is killed, and the
mail server shares its memory.
"""

import signal
import socket
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

THREADS = 8
GRACE_SECONDS = 1


class _Application(BaseApplication):
    def __init__(self, app: Flask) -> None:
        self._app = app
        super().__init__()

    def load_config(self) -> None:
        for name, value in {
            "threads": THREADS,
            "worker_class": "gthread",
            "graceful_timeout": GRACE_SECONDS,
            "loglevel": "warning",
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self._app


class _Worker(ThreadWorker):
    def init_signals(self) -> None:
        signal.signal(signal.SIGTERM, self.handle_exit)
        signal.signal(signal.SIGINT, self.handle_exit)

    def is_parent_alive(self) -> bool:
        return True


def serve(listener: socket.socket, app: Flask) -> None:
    """Serve an application on a listening socket until SIGTERM or SIGINT, then end what is under way for a second."""
    application: Any = _Application(app)
    cfg = application.cfg
    worker = _Worker(0, 0, [listener], application, cfg.timeout, cfg, Logger(cfg))
    worker.init_process()
