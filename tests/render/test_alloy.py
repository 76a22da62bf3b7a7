import json
import re
from pathlib import Path

import pytest
import yaml

from specwatch import topology
from specwatch.render import alloy, promtail
from specwatch.render._alloy_text import Block, Reference, dump
from specwatch.stack import Logs, Stack
from tests import goldens, stacks
from tests.render import pipelines
from tests.tools import program, run, write

UNSAFE = [
    pytest.param(Block(name="a.b {"), id="a-name-that-opens-a-block"),
    pytest.param(Block(name="a", label='b"'), id="a-label-that-ends-its-quotes"),
    pytest.param(Block(name="a", attributes={"b = 1 //": 2}), id="a-key-that-brings-its-own-value"),
    pytest.param(Block(name="a", attributes={"b": Reference("sys.env(1)")}), id="a-reference-that-calls-something"),
]


def config(stack: Stack) -> str:
    """Return Alloy's file under compose."""
    return alloy.render(stack, topology.compose(stack))["alloy/config.alloy"]


def test_every_stage_is_what_a_person_can_read() -> None:
    """The file of a stack that uses every stage, under compose, is the golden."""
    stack = pipelines.every_stage("alloy")
    goldens.check("stages", alloy.render(stack, topology.compose(stack)))


@pytest.mark.engine
@pytest.mark.parametrize("stack", [pipelines.every_stage("alloy"), pipelines.hostile("alloy")], ids=["every-stage", "hostile"])
def test_alloy_itself_finds_nothing_wrong(stack: Stack, tmp_path: Path) -> None:
    """The real program accepts the file, with hostile text in its stages too, and would write it in the same way."""
    write(tmp_path, alloy.render(stack, topology.compose(stack)))
    path = tmp_path / "alloy" / "config.alloy"
    run(program("alloy"), "validate", path)
    run(program("alloy"), "fmt", "--write", path)
    assert path.read_text() == config(stack)


def test_its_stages_are_promtails() -> None:
    """Alloy passes lines through the same stages as Promtail, in the same order."""
    stack = pipelines.every_stage("alloy")
    scrapes = yaml.safe_load(
        promtail.render(pipelines.every_stage("promtail"), topology.compose(pipelines.every_stage("promtail")))["promtail/promtail.yml"]
    )
    names = {"labelallow": "label_keep", "labeldrop": "label_drop"}

    def kinds(stages: list[dict[str, dict[str, list[dict[str, str]]]]]) -> list[str]:
        return [each for stage in stages for kind, settings in stage.items() for each in (names.get(kind, kind), *inner(settings))]

    def inner(settings: dict[str, list[dict[str, str]]] | list[str]) -> list[str]:
        return kinds(settings.get("stages", [])) if isinstance(settings, dict) else []  # type: ignore[arg-type]  # as YAML nests them

    wanted = [kind for scrape in scrapes["scrape_configs"] for kind in kinds(scrape["pipeline_stages"])]
    assert re.findall(r"^\t+stage\.(\w+) \{", config(stack), re.MULTILINE) == wanted


def test_positions_last_and_no_line_is_given_up() -> None:
    """All that Alloy keeps lies in the data folder, and a push is retried without end."""
    stack = stacks.demo_stack(components=("loki", "alloy"), shipper="alloy")
    assert "--storage.path=/var/lib/alloy/data" in alloy.arguments(stack, topology.compose(stack))
    assert re.search(r"max_backoff_retries += 0\n", config(stack))


def test_it_reports_to_nobody() -> None:
    """Alloy sends no usage statistics, and listens where the topology says."""
    stack = stacks.demo_stack(components=("loki", "alloy"), shipper="alloy")
    arguments = alloy.arguments(stack, topology.native(stack, "/run/stack"))
    assert arguments[:2] == ("run", "/run/stack/config/alloy/config.alloy")
    assert {"--disable-reporting", "--server.http.listen-addr=127.0.0.1:12345"} <= set(arguments)


def test_hostile_names_and_files_stay_values() -> None:
    """A service's name and files arrive in the configuration exactly as they are in the spec."""
    files = tuple(f"/var/log/{text}" for text in pipelines.HOSTILE)
    services = tuple(stacks.service(text, logs=Logs(format="json", source="files", files=files)) for text in pipelines.HOSTILE)
    text = config(stacks.demo_stack(services=services, components=("loki", "alloy"), shipper="alloy"))
    written = re.findall(r'^\t\t(__path__|service) += (".*"),$', text, re.MULTILINE)
    read = [
        (key, json.loads(re.sub(r"\\U([0-9a-f]{8})", lambda found: json.dumps(chr(int(found[1], 16)))[1:-1], value)))
        for key, value in written
    ]
    assert read[1:] == [pair for name in pipelines.HOSTILE for path in files for pair in (("__path__", path), ("service", name))]


@pytest.mark.parametrize("block", UNSAFE)
def test_what_cannot_be_written_safely_is_refused(block: Block) -> None:
    """What the syntax has no escape for raises, and is never written."""
    with pytest.raises(ValueError, match="cannot be written"):
        dump((block,))
