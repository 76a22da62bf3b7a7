"""Which runtime is chosen, and what Docker's troubles are called."""

from pathlib import Path

import pytest

from specwatch.engines import docker, runtime
from specwatch.engines.errors import BusyError, NoClientError, NoDaemonError
from tests.engines.small import small_stack, start
from tests.tools import program


def test_without_docker_the_stack_runs_natively(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ensure that a machine without a docker command gets child processes, and that asking for compose says what is missing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    choice = runtime.choose("auto", project)
    assert (choice.runtime, choice.reason) == ("native", "Docker is out: there is no `docker` on PATH")
    with pytest.raises(NoClientError):
        runtime.choose("compose", project)


@pytest.mark.engine
def test_a_dead_engine_is_told_from_a_missing_one(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ensure that a client whose engine does not answer is reported as that, DOCKER_HOST honoured."""
    program("docker")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(NoDaemonError, match=r"nobody\.sock"):
        docker.check()
    assert runtime.choose("auto", project).runtime == "native"


@pytest.mark.native
def test_a_stack_that_is_up_keeps_its_runtime(project: Path) -> None:
    """Ensure that what is up already decides, and that the other runtime is refused on top of it."""
    program("prometheus")
    start(small_stack("prometheus"), project)
    assert runtime.running(project) == "native"
    assert runtime.choose("auto", project) == runtime.Choice("native", "the stack is up under it already")
    with pytest.raises(BusyError, match="specwatch down"):
        runtime.choose("compose", project)
