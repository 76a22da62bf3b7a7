"""A second opinion on queries: that of the parser in Grafana's editor."""

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests import npm
from tests.logql import corpus, mistakes

pytestmark = pytest.mark.engine
HERE: Final = Path(__file__).parent

# The editor marks these, and Loki takes them.
DIFFERENT: Final = frozenset(
    {
        '{sum="x",ip="y",bytes="z",duration="d",vector="v",label_replace="r"}',
        '{service="shop"} // as in Go',
        '{service="a" /* between */ }',
        '{service="shop"} | size > 10k or size < 1.5GiB or size = 5B',
        '{service="shop"} | a="1" b="2" (c="3")',
        'RATE({service="shop"}[5m])',
        'sum_over_time(({service="shop"} | json | unwrap took)[5m])',
        'SUM BY (level) (Rate({service="shop"}[5m]))',
    }
)


@pytest.fixture(scope="module")
def editor() -> Callable[[Sequence[str]], list[bool]]:
    """Give a function from queries to whether the editor finds no mistake in each."""
    packages = npm.installed(HERE)

    def ask(texts: Sequence[str]) -> list[bool]:
        command = ["node", str(HERE / "opinion.cjs"), str(packages)]
        done = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        found: list[bool] = json.loads(done.stdout)
        return found

    return ask


def test_the_editor_finds_no_mistake_in_what_we_accept(editor: Callable[[Sequence[str]], list[bool]]) -> None:
    """Ensure no panel's query is marked as wrong in Grafana, but for what is listed."""
    marked = {text for text, right in zip(corpus.ACCEPTED, editor(corpus.ACCEPTED), strict=True) if not right}
    assert marked == DIFFERENT


def test_the_editor_notices_mistakes(editor: Callable[[Sequence[str]], list[bool]]) -> None:
    """Ensure its opinion means something: what it marks, and Loki refuses too, is most of what is wrong by its form."""
    assert sum(not right for right in editor(mistakes.REFUSED)) > len(mistakes.REFUSED) / 2
