"""What a gunicorn config takes from here: its log lines as ours, metrics of all workers together, and a port to scrape them.

    from specwatch.telemetry.gunicorn import *

is all a config needs; or take the hooks one by one. The workers share their metrics in `PROMETHEUS_MULTIPROC_DIR`. Where that is not
set, `on_starting` makes a folder in memory for it; with `preload_app` call `fresh_metrics_dir` in the config instead, for then the
application is loaded before any hook. With METRICS_PORT set, a small process beside the workers answers `GET /metrics` there (on
METRICS_HOST, else 127.0.0.1), is started anew should it end, and ends with the master.

What the hooks count: `gunicorn_workers`, `gunicorn_workers_busy`, `gunicorn_requests_active`, `gunicorn_request_slots`,
`gunicorn_backlog`, `gunicorn_worker_starts_total`, `gunicorn_worker_exits_total`, `gunicorn_worker_timeouts_total` and
`gunicorn_reloads_total`; and of each worker `process_cpu_seconds_total` and the like.

Import this in the config file, never prometheus-client: that one decides on import whether it counts over several processes, and the
folder has to be known first.
"""

import functools
import hashlib
import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gunicorn.config import Config
from gunicorn.glogging import Logger

from specwatch.telemetry.logs.configure import provide_logging
from specwatch.telemetry.settings import settings

if TYPE_CHECKING:
    from specwatch.telemetry.metrics import Metrics

__all__ = [
    "child_exit",
    "logger_class",
    "on_exit",
    "on_reload",
    "on_starting",
    "post_request",
    "post_worker_init",
    "pre_fork",
    "pre_request",
    "when_ready",
]

_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
_ATTRIBUTE: Final = "specwatch_metrics"
_EXIT_SECONDS: Final = 2.0
_SHORT_LIFE_SECONDS: Final = 10.0


class ServiceLogger(Logger):
    """The `logger_class` whose lines are JSON lines like the application's; its own access log is off.

    The field `service` is gunicorn's `proc_name`.
    """

    def setup(self, cfg: Config) -> None:
        """Send gunicorn's own records where the application's go."""
        super().setup(cfg)
        provide_logging(cfg.proc_name or "gunicorn", again=False)
        self.error_log.handlers.clear()
        self.error_log.propagate = True

    def access(self, *_: Any) -> None:
        """Write nothing: the request hook writes the access log, with the trace id."""


logger_class = ServiceLogger


def fresh_metrics_dir(folder: Path) -> Path:
    """Return the folder for the workers' metric files, emptied, and name it in `PROMETHEUS_MULTIPROC_DIR`.

    A folder that `PROMETHEUS_MULTIPROC_DIR` already names is used as it is; so a reload, which reads the config again, does not wipe
    the counters. Nor does a new master that takes over from a running one.

    Raises:
        OSError: the folder cannot be made or emptied.
    """
    chosen = os.environ.get(_DIRECTORY)
    if chosen:
        Path(chosen).mkdir(parents=True, exist_ok=True)
        return Path(chosen)
    # A master that takes over (USR2) shares the folder with the one before it.
    if folder.exists() and "GUNICORN_PID" not in os.environ:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    os.environ[_DIRECTORY] = str(folder)
    return folder


def on_starting(server: Any) -> None:
    """Make sure that the workers have a folder to share."""
    if settings().metrics_enabled and not os.environ.get(_DIRECTORY):
        if server.cfg.preload_app:
            server.log.warning("preload_app: call fresh_metrics_dir in the config, or set %s; the workers share no metrics", _DIRECTORY)
        fresh_metrics_dir(_own_folder(f"{Path.cwd()} {server.cfg.address}"))


def when_ready(server: Any) -> None:
    """Begin to watch the workers, and open the metrics port."""
    if settings().metrics_enabled:
        master = _Master(server)
        setattr(server, _ATTRIBUTE, master)
        # Once a second, and after each signal, the master starts the workers that are missing; there is no hook for it.
        server.manage_workers = _then(server.manage_workers, master.look)


def pre_fork(server: Any, worker: object) -> None:  # noqa: ARG001 - the shape gunicorn calls
    """Count a worker's start."""
    _count(server, "gunicorn_worker_starts_total")


def child_exit(server: Any, worker: Any) -> None:
    """Count a worker's end. Its counters stay; its live gauges left the sums when it ended, whichever way it ended."""
    # Those of libraries that count with prometheus-client are files of their own.
    for path in Path(os.environ.get(_DIRECTORY) or os.devnull).glob(f"gauge_live*_{worker.pid}.db"):
        path.unlink(missing_ok=True)
    _count(server, "gunicorn_worker_exits_total")
    if getattr(worker, "aborted", False):
        _count(server, "gunicorn_worker_timeouts_total")


def on_reload(server: Any) -> None:
    """Count a reload."""
    _count(server, "gunicorn_reloads_total")


def on_exit(server: Any) -> None:
    """Close the metrics port."""
    master = getattr(server, _ATTRIBUTE, None)
    if master is not None:
        master.close()


def post_worker_init(worker: Any) -> None:
    """Begin to count what the worker is doing."""
    if settings().metrics_enabled:
        setattr(worker, _ATTRIBUTE, _Requests())


def pre_request(worker: Any, req: object) -> None:  # noqa: ARG001 - the shape gunicorn calls
    """Count a request as active."""
    requests = getattr(worker, _ATTRIBUTE, None)
    if requests is not None:
        requests.begin()


def post_request(worker: Any, req: object, environ: object, resp: object) -> None:  # noqa: ARG001 - the shape gunicorn calls
    """Count a request as done."""
    requests = getattr(worker, _ATTRIBUTE, None)
    if requests is not None:
        requests.end()


class _Requests:
    """What one worker is doing."""

    def __init__(self) -> None:
        metrics = _metrics()
        self._active = metrics.gauge(
            "gunicorn_requests_active", "Requests that workers are handling at the moment, of all workers.", mode="livesum"
        )
        self._busy = metrics.gauge("gunicorn_workers_busy", "Workers that are handling a request at the moment.", mode="livesum")
        self._lock = threading.Lock()
        self._count = 0

    def begin(self) -> None:
        with self._lock:
            self._count += 1
            self._show()

    def end(self) -> None:
        with self._lock:
            self._count -= 1
            self._show()

    def _show(self) -> None:
        self._active.set(self._count)
        self._busy.set(self._count > 0)


class _Master:
    """What the master knows of its workers, and the process that serves the metrics."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._server_process: subprocess.Popen[bytes] | None = None
        self._told = False
        self._patience_seconds = 1.0
        self._served_from = self._serve_from = -math.inf
        metrics = _metrics()
        self.counters = {
            name: metrics.counter(name, text)
            for name, text in (
                ("gunicorn_worker_starts_total", "Workers started."),
                ("gunicorn_worker_exits_total", "Workers that ended, for whatever reason."),
                ("gunicorn_worker_timeouts_total", "Workers that were ended because they did not answer in time."),
                ("gunicorn_reloads_total", "Reloads of the configuration and the application."),
            )
        }
        self._workers = metrics.gauge("gunicorn_workers", "Workers there are.", mode="livesum")
        self._slots = metrics.gauge("gunicorn_request_slots", "Requests that all workers can handle at a time.", mode="livesum")
        self._backlog = metrics.gauge("gunicorn_backlog", "Connections that wait for a worker.", mode="livesum")
        self.look()

    def look(self) -> None:
        """Note how things stand, and start the metrics server when it is not running. Never raises: that would end the master."""
        try:
            self._workers.set(len(self._server.WORKERS))
            self._slots.set(self._server.num_workers * self._server.cfg.threads)
            self._backlog.set(sum(max(listener.get_backlog() or 0, 0) for listener in self._server.LISTENERS))
            self._serve()
        except Exception:
            if not self._told:
                self._server.log.exception("The workers cannot be watched")
            self._told = True

    def _serve(self) -> None:
        port, now = settings().metrics_port, time.monotonic()
        if port and (self._server_process is None or self._server_process.poll() is not None) and now >= self._serve_from:
            # One that cannot live is not started every second for ever.
            self._patience_seconds = 1.0 if now - self._served_from > _SHORT_LIFE_SECONDS else min(2 * self._patience_seconds, 60.0)
            self._served_from, self._serve_from = now, now + self._patience_seconds
            self._server_process = subprocess.Popen(
                [
                    sys.executable,
                    *("-m", "specwatch.telemetry.metrics_server", "--parent", str(os.getpid()), "--dir", os.environ[_DIRECTORY]),
                    *("--bind", os.environ.get("METRICS_HOST") or "127.0.0.1", "--port", str(port)),
                ],
                stdin=subprocess.DEVNULL,
                # A Ctrl-C at the terminal is for the master alone, which ends the others.
                start_new_session=True,
            )

    def close(self) -> None:
        """End the metrics server."""
        if self._server_process is not None and self._server_process.poll() is None:
            self._server_process.terminate()
            try:
                self._server_process.wait(_EXIT_SECONDS)
            except subprocess.TimeoutExpired:
                self._server_process.kill()


def _metrics() -> "Metrics":
    from specwatch.telemetry.metrics import default_metrics  # noqa: PLC0415 - the folder has to be known first

    return default_metrics()


def _count(server: Any, name: str) -> None:
    master = getattr(server, _ATTRIBUTE, None)
    if master is not None:
        master.counters[name].inc()


def _then(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    @functools.wraps(first)
    def both() -> None:
        first()
        second()

    return both


def _own_folder(name: str) -> Path:
    """Return a folder of this user's alone, in memory where there is any, the same at every start of the same service."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder made there is this user's alone
    base = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    parent = base / f"specwatch-{os.geteuid()}"
    parent.mkdir(mode=0o700, exist_ok=True)
    found = parent.lstat()
    if parent.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        parent = Path(tempfile.mkdtemp(prefix="specwatch-"))
    return parent / hashlib.sha256(name.encode()).hexdigest()[:16]
