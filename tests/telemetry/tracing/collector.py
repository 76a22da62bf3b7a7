"""A real OpenTelemetry Collector that writes down every span it gets, for tests."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from specwatch.textio import dump_yaml
from tests.tools import free_port, program, wait_for

ROOT = Path(__file__).parents[3]


class Collector:
    """A collector.

    Attributes:
        grpc: its address for OTLP over gRPC.
        http: its URL for OTLP over HTTP.
        process: the program.
    """

    def __init__(self, folder: Path) -> None:
        self.grpc = f"127.0.0.1:{free_port()}"
        self.http = f"http://127.0.0.1:{free_port()}"
        self._log = folder / "otelcol.log"
        protocols = {"grpc": {"endpoint": self.grpc}, "http": {"endpoint": self.http.removeprefix("http://")}}
        config = {
            "receivers": {"otlp": {"protocols": protocols}},
            "exporters": {"debug": {"verbosity": "detailed", "use_internal_logger": False}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["debug"]}},
            },
        }
        file = folder / "otelcol.yml"
        file.write_text(dump_yaml(config), encoding="utf-8")
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [program("otelcol", "otelcol-contrib"), "--config", str(file)], stdout=log, stderr=subprocess.STDOUT
            )
        wait_for("the collector", lambda: "Everything is ready" in self.text(), 60)

    def text(self) -> str:
        """Return what it has written down."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def spans(self) -> list[dict[str, str]]:
        """Return each span with its `Trace ID`, `Parent ID`, `ID`, `Name`, `Kind`, `Status code` and its attributes."""
        found = []
        for block in re.split(r"^Span #\d+\n", self.text(), flags=re.MULTILINE)[1:]:
            own = re.split(r"^(?:ResourceSpans|ScopeSpans) #", block, flags=re.MULTILINE)[0]
            fields = dict(re.findall(r"^ {4}([A-Z][\w ]*?) *: (.*)$", own, flags=re.MULTILINE))
            attributes = re.findall(r"^ +-> ([\w.]+): \w+\((.*)\)$", own, flags=re.MULTILINE)
            found.append(fields | dict(attributes))
        return found

    def trace(self, trace_id: str) -> list[dict[str, str]]:
        """Return the spans of a trace."""
        return [span for span in self.spans() if span["Trace ID"] == trace_id]

    def wait_for_span(self, name: str) -> dict[str, str]:
        """Return the first span of this name."""
        return wait_for(f"span {name}", lambda: next((span for span in self.spans() if span["Name"] == name), None))


@contextmanager
def running_collector(folder: Path) -> Iterator[Collector]:
    """A collector while the block runs."""
    collector = Collector(folder)
    try:
        yield collector
    finally:
        collector.process.terminate()
        collector.process.wait(20)


def python(source: str, environment: Mapping[str, str], limit_seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a Python program in a process of its own and return what it wrote."""
    done = subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True,
        text=True,
        timeout=limit_seconds,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done
