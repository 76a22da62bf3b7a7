"""A metrics server beside a program that has none of its own (document 003).

    python -m specwatch.telemetry.metrics_server --port 9090

shows what the workers and scripts of a service write into PROMETHEUS_MULTIPROC_DIR (or `--dir`), from outside all of them, so that a
scrape holds up no request. `specwatch.telemetry.gunicorn` starts one beside its workers.
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from specwatch.telemetry.endpoints.server import LOOPBACK, EndpointServer, serve_endpoints
from specwatch.telemetry.metrics.server import metrics_endpoints
from specwatch.telemetry.settings import settings

_PORT: Final = 9090
_LOOK_SECONDS: Final = 0.5
_NICE: Final = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve `/metrics` and `/api/metrics` until SIGTERM or SIGINT, and return the exit code: 0, or 3 when the port cannot be had.

    Raises:
        SystemExit: with 2, for a command line that is wrong.
    """
    switches = settings()
    parser = argparse.ArgumentParser(prog="python -m specwatch.telemetry.metrics_server", description="Serve a service's metrics.")
    parser.add_argument("--port", type=int, default=switches.metrics_port or _PORT, help="where to listen (METRICS_PORT, else 9090)")
    parser.add_argument("--bind", default=LOOPBACK, help="the address to listen on (%(default)s)")
    parser.add_argument("--dir", default=switches.multiproc_dir, help="the folder that the program writes to (PROMETHEUS_MULTIPROC_DIR)")
    parser.add_argument("--parent", type=int, default=0, help="end with this process, which has started this one, and wait for the port")
    chosen = parser.parse_args(arguments)
    if not chosen.dir:
        parser.error("there is nothing to show: set PROMETHEUS_MULTIPROC_DIR for the program and for this server, or give --dir")
    if not chosen.parent and not Path(chosen.dir).is_dir():
        parser.error(f"--dir {chosen.dir}: found no folder there; make it, or start the program that writes to it first")
    ended = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: ended.set())
    return _beside(chosen, ended) if chosen.parent else _alone(chosen, ended)


def _alone(chosen: argparse.Namespace, ended: threading.Event) -> int:
    try:
        server = _server(chosen)
    except (OSError, OverflowError) as error:
        sys.stderr.write(f"{chosen.bind}:{chosen.port}: {error}; choose another --port\n")
        return 3
    sys.stderr.write(f"metrics of {chosen.dir}: http://{chosen.bind}:{server.port}/metrics\n")
    ended.wait()
    server.stop()
    return 0


def _beside(chosen: argparse.Namespace, ended: threading.Event) -> int:
    """Serve as long as the parent lives. A port that is taken is tried again: at a change of masters the old one's server still has it."""
    # Where processors are scarce, requests come first.
    os.nice(_NICE)
    server: EndpointServer | None = None
    told = False
    while os.getppid() == chosen.parent and not ended.is_set():
        if server is None:
            try:
                server = _server(chosen)
            except (OSError, OverflowError) as error:
                if not told:
                    sys.stderr.write(f"METRICS_PORT {chosen.bind}:{chosen.port}: {error}; waiting for it\n")
                told = True
        ended.wait(_LOOK_SECONDS)
    return 0


def _server(chosen: argparse.Namespace) -> EndpointServer:
    return serve_endpoints(metrics_endpoints(os.fspath(chosen.dir)), chosen.port, host=chosen.bind)


if __name__ == "__main__":
    sys.exit(main())
