from pathlib import Path

import pytest
import yaml

from specwatch import topology
from specwatch.render import promtail
from specwatch.stack import Logs, Stack
from specwatch.stack.logs import Labels, Limit
from tests import goldens, stacks
from tests.render import pipelines
from tests.tools import program, run, write


def test_the_demo_is_what_a_person_can_read() -> None:
    """The demo's file, under compose, is the golden."""
    formats = (Logs(format="json", source="container"), Logs(format="logfmt", source="container"), Logs(format="text", source="container"))
    stack = stacks.demo_stack(services=tuple(stacks.service(f"shop-{logs.format}", logs=logs) for logs in formats))
    goldens.check("demo", promtail.render(stack, topology.compose(stack)))


def test_every_stage_is_what_a_person_can_read() -> None:
    """The file of a stack that uses every stage, under compose, is the golden."""
    stack = pipelines.every_stage("promtail")
    goldens.check("stages", promtail.render(stack, topology.compose(stack)))


@pytest.mark.engine
@pytest.mark.parametrize("stack", [pipelines.every_stage("promtail"), pipelines.hostile("promtail")], ids=["every-stage", "hostile"])
def test_promtail_itself_finds_nothing_wrong(stack: Stack, tmp_path: Path) -> None:
    """The real program reads the file and builds every pipeline, with hostile text in its stages too."""
    write(tmp_path, promtail.render(stack, topology.compose(stack)))
    run(program("promtail"), f"-config.file={tmp_path}/promtail/promtail.yml", "-check-syntax")


def test_a_limit_is_each_services_own() -> None:
    """Two services with the same limit do not share it, though services with the same stages share the rest."""
    logs = Logs(format="json", source="container", stages=(Limit(rate=5, burst=9),))
    stack = stacks.demo_stack(services=tuple(stacks.service(name, logs=logs) for name in ("a", "b")))
    stages = yaml.safe_load(promtail.render(stack, topology.compose(stack))["promtail/promtail.yml"])["scrape_configs"][0][
        "pipeline_stages"
    ]
    limited = [stage["match"]["selector"] for stage in stages if "limit" in str(stage)]
    assert limited == ['{service=~"a"}', '{service=~"b"}']


def test_a_label_of_the_spec_is_never_the_files_name() -> None:
    """Promtail labels each line with its file; a label that the spec calls `filename` is the field's or not there."""
    logs = Logs(format="json", source="files", files=("/x.log",), stages=(Labels(values={"filename": ("a",)}),))
    stack = stacks.demo_stack(services=(stacks.service("old", logs=logs),))
    stages = yaml.safe_load(promtail.render(stack, topology.compose(stack))["promtail/promtail.yml"])["scrape_configs"][1][
        "pipeline_stages"
    ]
    assert {"labeldrop": ["filename"]} in stages


def test_a_container_is_chosen_by_its_label_alone() -> None:
    """The first stages read Docker's own JSON and drop every line without the label, before anything looks into it."""
    stack = stacks.demo_stack()
    config = yaml.safe_load(promtail.render(stack, topology.compose(stack))["promtail/promtail.yml"])
    stages = config["scrape_configs"][0]["pipeline_stages"]
    assert stages[0]["json"]["expressions"]["service"] == 'attrs."specwatch.service"'
    assert stages[2]["match"] == {"selector": '{filename=~".+", service=""}', "action": "drop", "drop_counter_reason": "not_chosen"}


def test_only_declared_labels_are_kept() -> None:
    """Whatever a pipeline finds, its last stage keeps the labels that a service declares and no more."""
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
