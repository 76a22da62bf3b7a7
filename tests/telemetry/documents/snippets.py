"""What the tests of the documents share: the lines that were logged, a program of its own, a served application, a spec's metrics."""

import importlib.util
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from specwatch.telemetry.logs import configure_logging
from tests.commandline import ROOT, in_process
from tests.telemetry.logs.lines import read

PLACE = frozenset({"module", "function", "line"})
"""The fields that say where a line comes from."""


class Written:
    """What is logged from now on.

    Args:
        service: as `configure_logging` takes it, as the options.
        configure: what sets logging up.
        options: what else it takes.
    """

    def __init__(self, service: str | None = None, configure: Callable[..., Any] = configure_logging, **options: Any) -> None:
        self._stream = io.StringIO()
        self.root = configure(service, stream=self._stream, **options)

    @property
    def text(self) -> str:
        """All lines as they were written."""
        return self._stream.getvalue()

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines since the last call."""
        lines = [read(line) for line in self.text.splitlines()]
        self._stream.seek(self._stream.truncate(0))
        return lines

    def line(self) -> dict[str, Any]:
        """Return the only line since the last call."""
        [line] = self.lines()
        return line


def own(line: dict[str, Any]) -> dict[str, Any]:
    """Return a line of the layouts of documents 000 and 001 without time and place, which every line has."""
    assert line.keys() >= {"timestamp", *PLACE}
    return {name: value for name, value in line.items() if name not in {"timestamp", *PLACE}}


def python(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, with these variables and none of the switches of this machine, and return what it wrote."""
    switches = ("OTEL_", "LOG_", "METRICS_", "SENTRY_", "SERVICE_NAME", "ENVIRONMENT", "APP_VERSION", "JAEGER_", "PROMETHEUS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(switches)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT, env=kept | variables, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def generated(folder: Path, spec: str) -> Any:
    """Return the module that `specwatch codegen` makes of the spec's only service."""
    (folder / "spec.yaml").write_text(spec, encoding="utf-8")
    assert in_process("codegen", "--file", str(folder / "spec.yaml")) == 0
    [file] = folder.glob("*_metrics.py")
    found = importlib.util.spec_from_file_location(file.stem, file)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module
