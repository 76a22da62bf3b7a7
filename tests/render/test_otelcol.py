import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

import msgspec
import pytest
import yaml

from specwatch import topology
from specwatch.render import otelcol
from specwatch.stack import Logs, Stack
from tests import goldens, stacks
from tests.render.logship import Line, RealLoki, arrive, as_docker, compose_like, corpus, running, running_loki, services, with_docker_files
from tests.tools import free_port, program, run, wait_for, write

# Text with characters that mean something in a glob may be a broken glob, which the collector refuses.
HOSTILE_PATHS = tuple(f"/var/log/{text}/*.log" for text in stacks.HOSTILE if not set("[]{}\\*") & set(text))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealLoki]:
    with running_loki(tmp_path_factory.mktemp("otelcol"), log_alerts=()) as started:
        yield started


def shipping(**changes: object) -> Stack:
    """Return the demo with the collector as its shipper."""
    components = tuple("otelcol" if name == "promtail" else name for name in stacks.COMPONENTS_ON)
    return stacks.demo_stack(shipper="otelcol", components=components, **changes)


def hostile() -> Stack:
    """Return a stack whose services' names and files are hostile."""
    named = (
        stacks.service(text or "-", logs=Logs(format="text", source="files", files=HOSTILE_PATHS))
        for text in ("EXPR(env('HOME'))", "$HOME")
    )
    return shipping(services=tuple(named))


@pytest.mark.parametrize("runtime", ["compose", "native"])
def test_the_demo_is_what_a_person_can_read(runtime: str) -> None:
    """The demo's file, for either runtime, is the golden."""
    stack = shipping()
    where = topology.compose(stack) if runtime == "compose" else topology.native(stack, "/run/stack")
    goldens.check(runtime if runtime == "native" else "demo", otelcol.render(stack, where))


@pytest.mark.engine
@pytest.mark.parametrize("stack", [shipping(), shipping(services=()), hostile()], ids=["demo", "no-services", "hostile"])
@pytest.mark.parametrize("runtime", ["compose", "native"])
def test_the_collector_accepts_its_configuration(stack: Stack, runtime: str, tmp_path: Path) -> None:
    """The collector itself finds nothing wrong with what is rendered for either runtime."""
    where = topology.compose(stack) if runtime == "compose" else topology.native(stack, str(tmp_path))
    folder = write(tmp_path, otelcol.render(stack, where))
    run(program("otelcol"), "validate", f"--config={folder}/otelcol/otelcol.yml")


def test_a_dollar_in_a_value_is_never_expanded() -> None:
    """Every `$` is doubled, so that the collector reads the value that was meant."""
    stack = hostile()
    text = otelcol.render(stack, topology.native(stack, "/run/stack"))["otelcol/otelcol.yml"]
    assert "$" not in text.replace("$$", "")
    included = yaml.safe_load(text)["receivers"]["file_log/service-1"]["include"]
    assert tuple(path.replace("$$", "$") for path in included) == HOSTILE_PATHS


@pytest.mark.engine
def test_lines_of_files_become_what_the_pipeline_says(real: RealLoki) -> None:
    """JSON, logfmt and text lines in files arrive with the right labels, metadata, time and text, and are found by trace_id."""
    stack = msgspec.structs.replace(real.stack, services=services("file"), components=("loki", "otelcol"))
    where = topology.native(stack, str(real.folder))
    began = datetime.now(UTC)
    lines = corpus(began)
    for service in stack.services:
        path = Path(where.logs[service.name])
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{line.text}\n" for line in lines if service.name == f"file-{line.format}"), encoding="utf-8")
    write(real.folder / "config", otelcol.render(stack, where))
    with running("otelcol", otelcol.arguments(stack, where), real.folder):
        arrive(real, "file", lines, began)
        found = real.lines('{service="file-json"} | trace_id="4bf92f3577b34da6"')
        assert [text for _labels, _time, text, _metadata in found] == [lines[0].text]

        health, metrics = (f"http://127.0.0.1:{stack.ports[name]}" for name in ("otelcol-health", "otelcol-metrics"))
        with urlopen(health, timeout=5) as answer:
            assert answer.status == 200
        with urlopen(f"{metrics}/metrics", timeout=5) as answer:
            assert b"otelcol_receiver_accepted_log_records" in answer.read()


@pytest.mark.engine
def test_lines_of_containers_become_what_the_pipeline_says(real: RealLoki, tmp_path: Path) -> None:
    """Of Docker's files only chosen containers' lines arrive, the same as from files; pieces of a long line are one line again."""
    stack = msgspec.structs.replace(real.stack, services=services("docker"), components=("loki", "otelcol"))
    where = compose_like(real, stack)
    began = datetime.now(UTC)
    lines = corpus(began)
    long = Line("text", "B" * 40_000, time=began)
    pieces = [long.text[:16_384], long.text[16_384:32_768], long.text[32_768:] + "\n"]
    stamp = began.isoformat().replace("+00:00", "Z")
    long_lines = (json.dumps({"log": piece, "attrs": {"specwatch.service": "docker-text"}, "time": stamp}) for piece in pieces)
    write(
        tmp_path, {"one/one-json.log": as_docker("docker", lines, began), "two/two-json.log": "".join(f"{line}\n" for line in long_lines)}
    )
    rendered = with_docker_files(otelcol.render(stack, where)["otelcol/otelcol.yml"], tmp_path, {"port": free_port()})
    write(tmp_path, {"otelcol.yml": rendered.replace(f"127.0.0.1:{otelcol.HEALTH_PORT}", f"127.0.0.1:{free_port()}")})
    with running("otelcol", (f"--config={tmp_path}/otelcol.yml",), real.folder):
        arrive(real, "docker", (*lines, long), began)
        assert not real.lines('{service=~".+"} |= "anybody"')


@pytest.mark.engine
def test_nothing_is_sent_twice_after_a_restart(real: RealLoki) -> None:
    """A collector that is stopped and started goes on where it was: old lines are not sent again, new ones are."""
    stack = msgspec.structs.replace(real.stack, services=services("again"), components=("loki", "otelcol"))
    where = topology.native(stack, str(real.folder))
    path = Path(where.logs["again-text"])
    path.parent.mkdir(exist_ok=True)
    write(real.folder / "config", otelcol.render(stack, where))
    for count, text in enumerate(("first", "second"), start=1):
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
        with running("otelcol", otelcol.arguments(stack, where), real.folder):
            wait_for("the line arrives", lambda text=text: real.lines(f'{{service="again-text"}} |= "{text}"'))
        assert len(real.lines('{service="again-text"}')) == count
