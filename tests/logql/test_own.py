"""All LogQL that we write ourselves is read by our parser."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from specwatch import logql, topology
from specwatch.render import render
from specwatch.resolve import understand
from specwatch.stack import Stack
from tests import stacks

REPOSITORY: Final = Path(__file__).parents[2]
SPECS: Final = ("spec.yaml", "tests/spec/rich.yaml")


def queries(files: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield (file, query) of each rule, panel and link of the files that asks Loki."""
    for path, text in files.items():
        if path.startswith("loki/rules/"):
            yield from ((path, rule["expr"]) for group in yaml.safe_load(text)["groups"] for rule in group["rules"])
        elif path.startswith("grafana/"):
            yield from ((path, query) for query in _asked(yaml.safe_load(text) if path.endswith(".yml") else json.loads(text)))


def _asked(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _asked(item)
    elif isinstance(value, dict):
        if "loki" in str(value.get("datasource", "")) and "expr" in value:
            yield value["expr"]
        if value.get("customQuery"):
            # Grafana reads a doubled dollar as one, and puts the labels of the span in the place of the variable.
            yield value["query"].replace("$$", "$").replace("${__tags}", 'service="shop"')
        for item in value.values():
            yield from _asked(item)


@pytest.mark.parametrize("stack", [stacks.demo_stack(), stacks.full_stack()], ids=["demo", "full"])
def test_what_we_write_for_loki_is_logql(stack: Stack) -> None:
    """Ensure every rule, panel and link from a trace holds a query that is one."""
    assert any("datasources" in path for path in _checked(stack))


@pytest.mark.parametrize("spec", SPECS)
def test_what_becomes_of_a_spec_is_logql(spec: str) -> None:
    """Ensure the same of real specs."""
    assert any("dashboards" in path for path in _checked(understand(REPOSITORY / spec)[0]))


def _checked(stack: Stack) -> set[str]:
    """Return the files that hold queries, all of which were read."""
    found = list(queries(render(stack, topology.compose(stack))))
    for _, text in found:
        logql.parse(text)
    return {path for path, _ in found}
