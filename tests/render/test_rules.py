from pathlib import Path
from typing import Any

import pytest
import yaml

from specwatch import topology
from specwatch.render import rules
from specwatch.stack import Stack
from tests import goldens, stacks, tools

STACKS = {"demo": stacks.demo_stack, "full": stacks.full_stack, "hostile": stacks.hostile_stack}


def files_of(stack: Stack) -> dict[str, Any]:
    """Return the rule files as Prometheus reads them."""
    return {path: yaml.safe_load(text) for path, text in rules.render(stack, topology.compose(stack)).items()}


def test_the_demo_reads_as_its_golden() -> None:
    """The files are, byte for byte, those that a person has read and approved."""
    stack = stacks.demo_stack()
    goldens.check("demo", rules.render(stack, topology.compose(stack)))


@pytest.mark.engine
@pytest.mark.parametrize("name", STACKS)
def test_promtool_accepts_the_rules(name: str, tmp_path: Path) -> None:
    """Promtool finds as many rules as the stack has, all valid."""
    stack = STACKS[name]()
    tools.write(tmp_path, rules.render(stack, topology.compose(stack)))
    promtool, folder = tools.program("promtool"), tmp_path / "prometheus/rules"
    assert f"{len(stack.alerts)} rules found" in tools.run(promtool, "check", "rules", folder / "alerts.yml")
    assert f"{len(stack.recording_rules)} rules found" in tools.run(promtool, "check", "rules", folder / "recording.yml")


def test_an_alert_carries_all_that_a_person_needs() -> None:
    """Labels say how bad it is and whose it is, annotations what it means and where to look."""
    alert = stacks.alert("A", labels={"tier": "front"}, annotations={"impact": "No orders."}, keep_firing_for_seconds=90)
    (group,) = files_of(stacks.demo_stack(alerts=(alert,)))["prometheus/rules/alerts.yml"]["groups"]
    (rule,) = group["rules"]
    assert (rule["for"], rule["keep_firing_for"]) == ("2m", "1m30s")
    assert rule["labels"] == {"severity": "critical", "service": "shop", "team": "web", "tier": "front"}
    assert list(rule["annotations"]) == ["summary", "description", "runbook_url", "dashboard_url", "impact"]


def test_the_value_travels_unless_the_text_tells_it() -> None:
    """An alert whose summary and description do not mention the value has it as an annotation, to six digits."""
    told = rules.alert_rule(stacks.alert("A", description="{{ $value }} failed"))
    untold = rules.alert_rule(stacks.alert("A", description="Some failed"))
    own = rules.alert_rule(stacks.alert("A", description="Some failed", annotations={"value": "many"}))
    assert "value" not in told["annotations"]
    assert untold["annotations"]["value"] == '{{ printf "%.6g" $value }}'
    assert own["annotations"]["value"] == "many"


def test_groups_keep_their_order() -> None:
    """There is one group for each name, in the order in which the first rule of each stands."""
    alerts = tuple(stacks.alert(name, group=group) for name, group in (("A", "z"), ("B", "a"), ("C", "z")))
    groups = files_of(stacks.demo_stack(alerts=alerts))["prometheus/rules/alerts.yml"]["groups"]
    assert [(group["name"], [rule["alert"] for rule in group["rules"]]) for group in groups] == [("z", ["A", "C"]), ("a", ["B"])]


def test_no_rules_no_file() -> None:
    """A stack without rules of a kind has no file for it."""
    assert files_of(stacks.demo_stack(alerts=(), recording_rules=())) == {}


def test_hostile_text_reads_back_equal_in_one_document() -> None:
    """Whatever characters a label or annotation has, the file is one YAML document in which it reads back unchanged."""
    stack = stacks.hostile_stack()
    text = rules.render(stack, topology.compose(stack))["prometheus/rules/alerts.yml"]
    (document,) = yaml.safe_load_all(text)
    written = [rule for group in document["groups"] for rule in group["rules"]]
    for alert, rule in zip(stack.alerts, written, strict=True):
        assert rule["annotations"].get("summary", "") == alert.summary
        assert rule["labels"].get("note", "") == alert.labels["note"]
