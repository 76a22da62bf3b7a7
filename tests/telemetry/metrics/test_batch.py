"""Programs that nobody scrapes: a file, or a Pushgateway."""

import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from specwatch.telemetry.metrics import Metrics, batch_job, push, write_textfile
from specwatch.telemetry.metrics.batch import PushError


class Gateway(HTTPServer):
    """Takes what is pushed."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Pushes)
        self.pushes: list[tuple[str, str, str, str]] = []
        self.status = 200
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Pushes(BaseHTTPRequestHandler):
    server: Gateway

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
        self.server.pushes.append((self.command, self.path, self.headers["Content-Type"], body))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(b"pushed metrics are invalid" if self.server.status >= 400 else b"")

    do_POST = do_DELETE = do_PUT  # noqa: N815 - the names http.server calls

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    server = Gateway()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics()
    metrics.counter("rows").inc(7)
    return metrics


def test_a_textfile_is_written_whole(tmp_path: Path, metrics: Metrics) -> None:
    """node_exporter, another user, finds a complete file or the one before, and nothing else in the folder."""
    path = tmp_path / "job.prom"
    path.write_text("old", encoding="utf-8")
    write_textfile(path, metrics)
    assert "rows" in {family.name for family in parse_text(path.read_text(encoding="utf-8"))}
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [each.name for each in tmp_path.iterdir()] == ["job.prom"]


def test_a_textfile_that_cannot_be_written_leaves_nothing(tmp_path: Path, metrics: Metrics) -> None:
    """The folder is missing: an OSError, no file."""
    with pytest.raises(OSError, match="No such file"):
        write_textfile(tmp_path / "none" / "job.prom", metrics)


@pytest.mark.parametrize(
    ("grouping", "path"),
    [
        ({}, "/metrics/job/import"),
        ({"instance": "host 1"}, "/metrics/job/import/instance/host%201"),
        ({"path": "/srv/a"}, "/metrics/job/import/path@base64/L3Nydi9h"),
        ({"empty": ""}, "/metrics/job/import/empty@base64/="),
    ],
)
def test_a_push_names_its_group(gateway: Gateway, metrics: Metrics, grouping: dict[str, str], path: str) -> None:
    """The address holds the job and the grouping labels, as the gateway's own documentation writes them."""
    push(gateway.url, "import", metrics, grouping=grouping)
    [(method, pushed, content_type, body)] = gateway.pushes
    assert (method, pushed) == ("PUT", path)
    assert content_type.startswith("text/plain; version=0.0.4")
    assert "rows_total 7\n" in body


def test_a_refused_push_says_why(gateway: Gateway, metrics: Metrics) -> None:
    """The gateway's own words are in the error; one that is not there is an error too."""
    gateway.status = 400
    with pytest.raises(PushError, match=r"answered 400 .*pushed metrics are invalid"):
        push(gateway.url, "import", metrics)
    with pytest.raises(PushError, match="did not take"):
        push("http://127.0.0.1:1", "import", metrics)
    with pytest.raises(ValueError, match="expected http"):
        push("file:///etc/passwd", "import", metrics)


def test_a_job_hands_its_metrics_on_when_it_ends(gateway: Gateway, metrics: Metrics, tmp_path: Path) -> None:
    """Duration, time and success go along with its own, into the file and to the gateway."""
    with batch_job("import", metrics, textfile=tmp_path / "import.prom", gateway=gateway.url) as registry:
        registry.rows_total.inc()
    written = {
        sample.name: sample.value
        for family in parse_text((tmp_path / "import.prom").read_text(encoding="utf-8"))
        for sample in family.samples
        if sample.labels in ({}, {"job_name": "import"})
    }
    assert (written["rows_total"], written["batch_job_failed"]) == (8, 0)
    assert written["batch_job_last_success_timestamp_seconds"] > 1e9
    assert len(gateway.pushes) == 1


def test_a_job_that_fails_says_so(metrics: Metrics, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The exception passes, the metrics are written, and a gateway that is not there fails nothing."""
    with pytest.raises(ZeroDivisionError), batch_job("import", metrics, textfile=tmp_path / "import.prom", gateway="http://127.0.0.1:1"):
        raise ZeroDivisionError
    written = (tmp_path / "import.prom").read_text(encoding="utf-8")
    assert 'batch_job_failed{job_name="import"} 1\n' in written
    assert 'batch_job_last_success_timestamp_seconds{job_name="import"} 0\n' in written
    assert "not handed on" in caplog.text
