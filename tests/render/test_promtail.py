from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import yaml

from specwatch import topology
from specwatch.render import promtail
from specwatch.stack import Logs
from tests import goldens, stacks
from tests.render.logship import RealLoki, arrive, as_docker, compose_like, corpus, running, running_loki, services, with_docker_files
from tests.tools import free_port, program, write


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealLoki]:
    program("promtail")
    with running_loki(tmp_path_factory.mktemp("promtail"), log_alerts=()) as started:
        yield started


def test_the_demo_is_what_a_person_can_read() -> None:
    """The demo's file, under compose, is the golden."""
    stack = stacks.demo_stack(services=services("shop"))
    goldens.check("demo", promtail.render(stack, topology.compose(stack)))


def test_a_container_is_chosen_by_its_label_alone() -> None:
    """The first stages read Docker's own JSON and drop every line without the label, before anything looks into it."""
    stack = stacks.demo_stack()
    config = yaml.safe_load(promtail.render(stack, topology.compose(stack))["promtail/promtail.yml"])
    stages = config["scrape_configs"][0]["pipeline_stages"]
    assert stages[0]["json"]["expressions"]["service"] == 'attrs."specwatch.service"'
    assert stages[2]["match"] == {"selector": '{filename=~".+", service=""}', "action": "drop", "drop_counter_reason": "not_chosen"}


def test_only_service_and_level_are_labels() -> None:
    """Whatever a pipeline finds, its last stage keeps two labels and no more."""
    stack = stacks.demo_stack(services=(stacks.service("old", logs=Logs(format="text", source="files", files=("/var/log/old/*.log",))),))
    config = yaml.safe_load(promtail.render(stack, topology.compose(stack))["promtail/promtail.yml"])
    assert [scrape["job_name"] for scrape in config["scrape_configs"]] == ["containers", "files/old"]
    assert all(scrape["pipeline_stages"][-1] == {"labelallow": ["service", "level"]} for scrape in config["scrape_configs"])


def test_positions_last_and_no_line_is_given_up() -> None:
    """Positions lie in the data folder, and a push is retried without end."""
    stack = stacks.demo_stack()
    config = yaml.safe_load(promtail.render(stack, topology.compose(stack))["promtail/promtail.yml"])
    assert config["positions"]["filename"] == "/var/lib/promtail/positions.yml"
    assert config["clients"][0]["backoff_config"]["max_retries"] == 0


def test_hostile_names_and_files_stay_values() -> None:
    """A service's name and files arrive in the configuration exactly as they are in the spec."""
    files = tuple(f"/var/log/{text}" for text in stacks.HOSTILE)
    named = tuple(stacks.service(text, logs=Logs(format="json", source="files", files=files)) for text in stacks.HOSTILE)
    stack = stacks.demo_stack(services=named)
    config = yaml.safe_load(promtail.render(stack, topology.compose(stack))["promtail/promtail.yml"])
    for text, scrape in zip(stacks.HOSTILE, config["scrape_configs"][1:], strict=True):
        assert [target["labels"] for target in scrape["static_configs"]] == [{"service": text, "__path__": path} for path in files]


@pytest.mark.engine
def test_lines_of_files_become_what_the_pipeline_says(real: RealLoki) -> None:
    """Where there is a Promtail: lines in files arrive with the same labels, metadata, time and text as through the collector."""
    stack = msgspec.structs.replace(real.stack, services=services("file"), components=("loki", "promtail"))
    where = topology.native(stack, str(real.folder))
    began = datetime.now(UTC)
    lines = corpus(began)
    for service in stack.services:
        path = Path(where.logs[service.name])
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{line.text}\n" for line in lines if service.name == f"file-{line.format}"), encoding="utf-8")
    write(real.folder / "config", promtail.render(stack, where))
    with running("promtail", promtail.arguments(stack, where), real.folder):
        arrive(real, "file", lines, began)


@pytest.mark.engine
def test_lines_of_containers_become_what_the_pipeline_says(real: RealLoki, tmp_path: Path) -> None:
    """Where there is a Promtail: of Docker's files only chosen containers' lines arrive, the same as through the collector."""
    stack = msgspec.structs.replace(real.stack, services=services("docker"), components=("loki", "promtail"))
    where = compose_like(real, stack)
    began = datetime.now(UTC)
    lines = corpus(began)
    write(tmp_path, {"one/one-json.log": as_docker("docker", lines, began)})
    rendered = with_docker_files(promtail.render(stack, where)["promtail/promtail.yml"], tmp_path, {"http_listen_port": free_port()})
    write(tmp_path, {"promtail.yml": rendered})
    with running("promtail", (f"-config.file={tmp_path}/promtail.yml",), real.folder):
        arrive(real, "docker", lines, began)
        assert not real.lines('{service=~".+"} |= "anybody"')
