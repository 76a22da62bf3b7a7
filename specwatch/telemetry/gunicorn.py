"""What a gunicorn config takes from here: its log lines as ours, and metrics of all workers together.

Import this in the config file, never prometheus-client: that one decides on import whether it counts over several
processes, and `fresh_metrics_dir` has to come first.
"""

import os
import shutil
from pathlib import Path
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger

from specwatch.telemetry.logs import configure_logging


class ServiceLogger(Logger):
    """The `logger_class` whose lines are JSON lines like the application's; its own access log is off.

    The field `service` is gunicorn's `proc_name`.
    """

    def setup(self, cfg: Config) -> None:
        """Send gunicorn's own records where the application's go."""
        super().setup(cfg)
        configure_logging(cfg.proc_name or "gunicorn")
        self.error_log.handlers.clear()
        self.error_log.propagate = True

    def access(self, *_: Any) -> None:
        """Write nothing: the request hook writes the access log, with the trace id."""


def fresh_metrics_dir(folder: Path) -> Path:
    """Return the folder for the workers' metric files, emptied, and tell prometheus-client of it.

    A folder that `PROMETHEUS_MULTIPROC_DIR` already names is used as it is; so a reload, which reads the config
    again, does not wipe the counters.

    Raises:
        OSError: the folder cannot be made or emptied.
    """
    chosen = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if chosen:
        Path(chosen).mkdir(parents=True, exist_ok=True)
        return Path(chosen)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, mode=0o700)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    return folder


def child_exit(_server: object, worker: Any) -> None:
    """Gunicorn's `child_exit` hook: take the dead worker's live gauges out of the sums."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - see the module's docstring

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call] # prometheus-client leaves this one untyped
