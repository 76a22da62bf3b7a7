"""What the end-to-end tests share: the programs they need, and a project that leaves nothing running behind."""

import os
from collections.abc import Callable, Iterator

import pytest

from specwatch.engines import programs
from specwatch.engines.values import Off
from tests.e2e.project import Project

Need = Callable[..., dict[str, str]]


@pytest.fixture(scope="session")
def need() -> Need:
    """Give a function from components to the paths of their programs: one that is missing skips the test, and fails it in CI."""

    def paths(*names: str) -> dict[str, str]:
        found = programs.find_all(names)
        missing = [f"{each.name}: {each.reason}; {each.cure}" for each in found.values() if isinstance(each, Off)]
        if missing:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("; ".join(missing))
        return {name: program.path for name, program in found.items() if not isinstance(program, Off)}

    return paths


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Give a project with the repository's spec on ports of its own; whatever the tests leave running in it is stopped."""
    made = Project(tmp_path_factory.mktemp("project"))
    yield made
    made.remove()
