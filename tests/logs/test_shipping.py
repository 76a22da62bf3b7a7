"""What programs write goes through real shippers into a real Loki, and arrives as the interpreter says."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest

from specwatch.logs.defaults import default_stages
from specwatch.stack import Logs, Service
from tests import stacks
from tests.logs.corpus import corpus
from tests.logs.shipping import (
    DOCKER,
    WAIT_SECONDS,
    RealLoki,
    check,
    compose_like,
    expected,
    renderer,
    running,
    running_loki,
    start_shipper,
    understood,
    with_docker_files,
)
from tests.logs.writers import Writer, docker_lines, now
from tests.tools import free_port, wait_for, write

pytestmark = pytest.mark.engine

SHIPPERS = ("otelcol", "promtail", "alloy")
NAMES = tuple(writer.name for writer in corpus(now(), ""))
# As containers: what is about files alone is not.
CONTAINERS = ("json", "logfmt", "text", "access", "python", "fields", "redacted", "twice", "levels")
STRANGER = "not for anybody's eyes"


@dataclass(frozen=True)
class Shipped:
    """A shipper that reads the corpus into a Loki."""

    shipper: str
    real: RealLoki
    writers: dict[str, Writer]
    began: datetime

    def service(self, name: str) -> Service:
        """The service of that name."""
        return next(service for service in self.real.stack.services if service.name == name)


@pytest.fixture(scope="module", params=SHIPPERS)
def shipped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shipped]:
    shipper = request.param
    renderer(shipper)
    folder = tmp_path_factory.mktemp(shipper)
    began = now()
    writers = {writer.name: writer for writer in corpus(began, str(folder / "logs"))}
    changes = understood({name: writer.logs for name, writer in writers.items()}, folder, shipper)
    with running_loki(folder, **changes) as real:
        (folder / "logs").mkdir()
        for writer in writers.values():
            # The others wait for the newline of a file's last line.
            newline = b"\n" if writer.is_open and shipper != "otelcol" else b""
            (folder / "logs" / f"{writer.name}.log").write_bytes(writer.content + newline)
        with start_shipper(real, shipper):
            yield Shipped(shipper, real, writers, began)


@pytest.mark.parametrize("name", NAMES)
def test_lines_arrive_as_the_interpreter_says(shipped: Shipped, name: str) -> None:
    """Ensure that of each service exactly those lines are in Loki, under those labels, with that metadata, time and text."""
    wanted = expected(shipped.service(name), shipped.writers[name].lines, shipped.began)
    check(shipped.real.holding(name, wanted), wanted, shipped.began)


def test_the_collector_counts_what_is_dropped_by_reason(shipped: Shipped) -> None:
    """Ensure that the collector's own metrics say how many lines were dropped, and why."""
    if shipped.shipper != "otelcol":
        pytest.skip("about the collector's metrics")
    wanted: Counter[str] = sum(
        (expected(shipped.service(name), writer.lines, shipped.began).dropped for name, writer in shipped.writers.items()), Counter()
    )
    assert len(wanted) > 5
    url = f"http://127.0.0.1:{shipped.real.stack.ports['otelcol-metrics']}/metrics"

    def counted() -> Counter[str]:
        with urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
        found = re.findall(r'^otelcol_processor_filter_logs_filtered\w*\{filter="filter/([^"]+)".* (\d+)$', text, re.MULTILINE)
        return Counter({reason: int(count) for reason, count in found})

    wait_for("all is read", lambda: counted() == wanted, WAIT_SECONDS)


@pytest.mark.parametrize("shipper", SHIPPERS)
def test_lines_of_containers_arrive_as_the_interpreter_says(shipper: str, tmp_path: Path) -> None:
    """Ensure that of Docker's files, the rotated one too, chosen containers' lines arrive, in one piece, and nobody else's."""
    module = renderer(shipper)
    began = now()
    writers = {writer.name: writer for writer in corpus(began, "") if writer.name in CONTAINERS}
    logs = {name: {key: value for key, value in writer.logs.items() if key != "files"} for name, writer in writers.items()}
    with running_loki(tmp_path, **understood(logs, tmp_path, shipper)) as real:
        services = {service.name: service for service in real.stack.services}
        services["unknown"] = stacks.service("unknown", logs=Logs(format="logfmt", source="container", stages=default_stages("logfmt")))
        lines = {name: list(_as_container(name, writer.lines, began)) for name, writer in writers.items()}
        lines["unknown"] = list(_as_container("unknown", (b"level=warn trace_id=u", b"A" * 20_000), began))
        for name, written in lines.items():
            # The others do not look into rotated files.
            half = len(written) // 2 if shipper == "otelcol" and name in {"json", "logfmt"} else 0
            folder = tmp_path / "containers" / name
            folder.mkdir(parents=True)
            (folder / f"{name}-json.log.1").write_bytes(_stranger(name) + b"".join(line + b"\n" for line in written[:half]))
            (folder / f"{name}-json.log").write_bytes(b"".join(line + b"\n" for line in written[half:]) + _stranger(name))
        where = compose_like(real, real.stack)
        rendered = dict(module.render(real.stack, where))
        ports = {} if shipper == "alloy" else {"port": free_port(), "http_listen_port": free_port()}
        write(tmp_path / "config", {path: with_docker_files(text, tmp_path / "containers", ports) for path, text in rendered.items()})
        with running(shipper, module.arguments(real.stack, where), tmp_path):
            for name, service in services.items():
                wanted = expected(service, lines[name], began, DOCKER)
                check(real.holding(name, wanted), wanted, began)
            assert not real.lines(f'{{service=~".+"}} |= "{STRANGER}"')


def _as_container(name: str, lines: tuple[bytes, ...], began: datetime) -> Iterator[bytes]:
    for index, line in enumerate(lines):
        when = began - timedelta(seconds=2000 - index)
        yield from docker_lines(line.decode("utf-8", "replace"), when, {"specwatch.service": name, "other": "label"})


def _stranger(name: str) -> bytes:
    """Return lines that no chosen container wrote."""
    return f'{{"log":"{STRANGER} {name}\\n","stream":"stdout"}}\n{{"log":"{STRANGER}\\n","attrs":{{"com.example":"x"}}}}\n'.encode()


@pytest.mark.parametrize("shipper", SHIPPERS)
def test_a_share_of_lines_is_kept_and_all_others(shipper: str, tmp_path: Path) -> None:
    """Ensure that of the lines that match about the share arrives, and every one that does not match."""
    renderer(shipper)
    file = tmp_path / "some.log"
    logs = {"some": {"format": "text", "files": [str(file)], "stages": [{"sample": {"ratio": 0.25, "matches": "^often"}}]}}
    with running_loki(tmp_path, **understood(logs, tmp_path, shipper)) as real:
        file.write_text("".join(f"often {n}\n" for n in range(2000)) + "".join(f"seldom {n}\n" for n in range(50)) + "the end\n")
        with start_shipper(real, shipper):
            wait_for("the last line", lambda: real.lines('{service="some"} |= "the end"'), WAIT_SECONDS)
            found = Counter(line.text.partition(" ")[0] for line in real.lines('{service="some"}'))
    assert found["seldom"] == 50
    # Six standard deviations around a quarter.
    assert 383 < found["often"] < 617


@pytest.mark.parametrize("shipper", SHIPPERS)
def test_a_killed_shipper_forgets_no_line_that_waited_for_others(shipper: str, tmp_path: Path) -> None:
    """Ensure that an entry of several lines, of which some were read when the shipper was killed, arrives whole when it is back."""
    if shipper != "otelcol":
        pytest.skip("the others keep what waits in memory")
    file = tmp_path / "trace.log"
    stages = [{"multiline": {"first_line": "^(?:INFO|ERROR)", "max_wait": "60s"}}]
    with running_loki(tmp_path, **understood({"t": {"format": "text", "files": [str(file)], "stages": stages}}, tmp_path, shipper)) as real:
        file.write_text("INFO before\nERROR failed\n  one\n")
        with start_shipper(real, shipper) as process:
            wait_for("the entry before it", lambda: real.lines('{service="t"}'), WAIT_SECONDS)
            process.kill()
            process.wait()
        with file.open("a") as more:
            more.write("  two\nINFO behind\n  it\nINFO last\n")
        with start_shipper(real, shipper):
            wait_for("the entries behind it", lambda: len(real.lines('{service="t"}')) >= 3, WAIT_SECONDS)
            texts = Counter(line.text for line in real.lines('{service="t"}'))
    assert texts.keys() == {"INFO before", "ERROR failed\n  one\n  two", "INFO behind\n  it"}
    # One that was under way may come twice.
    assert texts["ERROR failed\n  one\n  two"] == 1


def test_a_restarted_collector_sends_nothing_twice(tmp_path: Path) -> None:
    """Ensure that a collector that is stopped and started goes on where it was: new lines are sent, old ones are not."""
    file = tmp_path / "again.log"
    with running_loki(tmp_path, **understood({"again": {"format": "text", "files": [str(file)]}}, tmp_path, "otelcol")) as real:
        for count, text in enumerate(("first", "second"), start=1):
            with file.open("a") as more:
                more.write(f"{text}\n")
            with start_shipper(real, "otelcol"):
                wait_for("the line arrives", lambda text=text: real.lines(f'{{service="again"}} |= "{text}"'), WAIT_SECONDS)
            assert len(real.lines('{service="again"}')) == count
