"""Components that must start anew to see a new configuration: Loki and the collector."""

from pathlib import Path

import msgspec
import pytest

from specwatch.engines.native import control, plan
from tests.engines.small import small_stack, start, status
from tests.tools import program

pytestmark = pytest.mark.native


@pytest.mark.parametrize(("component", "file"), [("loki", "loki/loki.yml"), ("otelcol", "otelcol/otelcol.yml")])
def test_a_configuration_that_does_not_pass_its_check_restarts_nothing(project: Path, component: str, file: str) -> None:
    """Ensure that the program checks its new file before it is stopped, and goes on with the old one when that fails."""
    program("loki")
    program("otelcol", "otelcol-contrib")
    stack = small_stack("loki", "otelcol", shipper="otelcol")
    before = start(stack, project)
    broken = msgspec.structs.replace(stack, overrides={file: {"nonsense": {"a": 1}}})
    outcomes = {outcome.name: outcome for outcome in control.reload(plan.plan(broken, project))}
    assert outcomes[component].result == "failed"
    assert "nonsense" in outcomes[component].detail
    assert status(project)[component].pid == before[component].pid


def test_a_good_configuration_restarts_its_component_alone(project: Path) -> None:
    """Ensure that a changed Loki file starts Loki anew and leaves the rest."""
    program("loki")
    program("otelcol", "otelcol-contrib")
    stack = small_stack("loki", "otelcol", shipper="otelcol")
    before = start(stack, project)
    changed = msgspec.structs.replace(stack, overrides={"loki/loki.yml": {"limits_config": {"max_query_series": 777}}})
    outcomes = {outcome.name: outcome.result for outcome in control.reload(plan.plan(changed, project))}
    after = status(project)
    assert outcomes == {"loki": "restarted", "otelcol": "unchanged", "shop": "unchanged"}
    assert after["loki"].pid != before["loki"].pid
    assert after["otelcol"].pid == before["otelcol"].pid
    assert {part.state for part in after.values()} == {"running"}
