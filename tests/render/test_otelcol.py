from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace

from specwatch import topology
from specwatch.logs.defaults import completed
from specwatch.render import otelcol
from specwatch.stack import Logs, Stack
from specwatch.stack.logs import Multiline
from tests import goldens, stacks
from tests.render import pipelines
from tests.tools import program, run, write

# Text with characters that mean something in a glob may be a broken glob, which the collector refuses.
HOSTILE_PATHS = tuple(f"/var/log/{text}/*.log" for text in stacks.HOSTILE if not set("[]{}\\*") & set(text))


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


def every_stage() -> Stack:
    """Return a stack whose services use every stage, out of containers, out of files and by OTLP."""
    stack = pipelines.every_stage("otelcol")
    stages = tuple(stage for stage in completed(pipelines.SHOP, "json") if not isinstance(stage, Multiline))
    sending = stacks.service("sending", logs=Logs(format="json", source="otlp", stages=stages))
    return replace(stack, services=(*stack.services, sending), traces=replace(stack.traces, through_collector=True))


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
    assert tuple(path.replace("$$", "$") for path in included if not path.endswith("[1-9]")) == HOSTILE_PATHS


def test_every_stage_is_what_a_person_can_read() -> None:
    """The file of services that use every stage of the model, out of containers, out of files and by OTLP, is the golden."""
    stack = every_stage()
    goldens.check("stages", otelcol.render(stack, topology.compose(stack)))


@pytest.mark.engine
@pytest.mark.parametrize("stack", [every_stage(), pipelines.hostile("otelcol")], ids=["every", "hostile"])
@pytest.mark.parametrize("runtime", ["compose", "native"])
def test_the_collector_accepts_every_stage(stack: Stack, runtime: str, tmp_path: Path) -> None:
    """The collector itself finds nothing wrong with any stage, whatever text stands in it."""
    where = topology.compose(stack) if runtime == "compose" else topology.native(stack, str(tmp_path))
    folder = write(tmp_path, otelcol.render(stack, where))
    run(program("otelcol"), "validate", f"--config={folder}/otelcol/otelcol.yml")


def test_containers_with_the_same_stages_share_their_operators() -> None:
    """However many services there are, their operators are there once for each kind of pipeline."""
    few, many = (
        yaml.safe_load(otelcol.render(stack, topology.compose(stack))["otelcol/otelcol.yml"])["receivers"]["file_log/containers"][
            "operators"
        ]
        for stack in (shipping(services=tuple(stacks.service(f"shop-{index}") for index in range(count))) for count in (1, 30))
    )
    assert len(few) == len(many)
