"""The native runtime, with real programs: Prometheus, Alertmanager and a service of the user's."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from specwatch.engines.errors import FolderError, NotRunningError, PortError, StartError
from specwatch.engines.http import ask
from specwatch.engines.native import control, plan, processes, supervision
from specwatch.engines.native.model import run_folder
from specwatch.engines.values import AlreadyRunning, Event, Off, Ready
from specwatch.stack import Secret
from tests.engines.small import small_stack, start, status
from tests.parts import alert
from tests.tools import program, wait_for

pytestmark = pytest.mark.native


@pytest.fixture(autouse=True)
def _programs() -> None:
    program("prometheus")
    program("alertmanager", "prometheus-alertmanager")


def test_up_starts_every_part_and_waits_until_it_answers(project: Path) -> None:
    """Ensure that after `up` each part is running, answers under its URL, and was reported ready."""
    events: list[Event] = []
    parts = start(small_stack("prometheus", "alertmanager"), project, events)
    assert {part.state for part in parts.values()} == {"running"}
    assert {event.name for event in events if isinstance(event, Ready)} == set(parts) == {"prometheus", "alertmanager", "shop"}
    assert all(ask(part.url).status for part in parts.values())


def test_a_second_up_is_harmless(project: Path) -> None:
    """Ensure that `up` on a stack that is up changes no process and says that it was running."""
    stack = small_stack("prometheus", "alertmanager")
    first = start(stack, project)
    events: list[Event] = []
    second = start(stack, project, events)
    assert {part.pid for part in second.values()} == {part.pid for part in first.values()}
    assert AlreadyRunning(("prometheus", "alertmanager", "shop")) in events


def test_what_dies_is_started_again(project: Path) -> None:
    """Ensure that a killed process comes back by itself and that its restart is counted."""
    before = start(small_stack("prometheus"), project)["prometheus"]
    os.kill(before.pid, signal.SIGKILL)
    after = wait_for(
        "the restart", lambda: next((part for part in control.status(project) if part.restarts and part.state == "running"), None)
    )
    assert after.pid != before.pid
    assert after.reason == "ended by SIGKILL"


def test_a_killed_supervisor_leaves_no_orphan(project: Path) -> None:
    """Ensure that after kill -9 of the supervisor nothing is left, grandchildren included, and that `up` works again."""
    stack = small_stack("prometheus", command=("sh", "-c", "sleep 1000 & exec sleep 1000"))
    stack = msgspec.structs.replace(stack, services=(msgspec.structs.replace(stack.services[0], port=0),), jobs=stack.jobs[:1])
    start(stack, project)
    folder = run_folder(project)
    assert len(processes.marked(folder.root)) == 3
    os.kill(supervision.pid_of(folder), signal.SIGKILL)
    wait_for("no orphan", lambda: not processes.marked(folder.root))
    assert {part.state for part in status(project).values()} == {"stopped"}
    assert start(stack, project)["prometheus"].state == "running"


def test_a_taken_port_is_named_with_its_owner_before_anything_starts(project: Path) -> None:
    """Ensure that `up` names the port, the part that needs it and the process that has it, and starts nothing."""
    stack = small_stack("prometheus", "alertmanager")
    with socket.create_server(("127.0.0.1", stack.ports["prometheus"])), pytest.raises(PortError) as caught:
        start(stack, project)
    assert f"port {stack.ports['prometheus']}, which prometheus needs, belongs to " in str(caught.value)
    assert f"(pid {os.getpid()})" in str(caught.value)
    assert not processes.marked(run_folder(project).root)


def test_down_leaves_no_process_and_keeps_the_data(project: Path) -> None:
    """Ensure that `down` ends everything, keeps the data unless told otherwise, and can be said twice."""
    parts = start(small_stack("prometheus"), project)
    folder = run_folder(project)
    assert set(control.down(project)) == set(parts)
    assert not processes.marked(folder.root)
    assert not any(processes.start_time(part.pid) for part in parts.values())
    assert (folder.data / "prometheus").exists()
    assert control.down(project, volumes=True) == ()
    assert not folder.data.exists()


def test_a_service_that_keeps_dying_fails_up_with_its_last_words(project: Path) -> None:
    """Ensure that `up` gives up on a service that cannot start, quotes its log and stops what it had started."""
    stack = small_stack("prometheus", command=(sys.executable, "-c", "import sys; sys.exit('no database, no shop')"))
    with pytest.raises(StartError) as caught:
        start(stack, project)
    assert "shop: ended with exit code 1" in str(caught.value)
    assert "no database, no shop" in str(caught.value)
    assert not processes.marked(run_folder(project).root)


def test_reload_puts_a_change_in_force_without_a_restart(project: Path) -> None:
    """Ensure that a new alert runs after `reload`, in the same process, and that what did not change is left alone."""
    stack = small_stack("prometheus", "alertmanager")
    before = start(stack, project)
    changed = msgspec.structs.replace(stack, alerts=(*stack.alerts, alert("Brandnew", expr="vector(2) > 1")))
    outcomes = {outcome.name: outcome.result for outcome in control.reload(plan.plan(changed, project))}
    assert outcomes == {"prometheus": "reloaded", "alertmanager": "unchanged", "shop": "unchanged"}
    assert '"Brandnew"' in ask(f"{before['prometheus'].url}api/v1/rules").text
    assert {part.pid for part in status(project).values()} == {part.pid for part in before.values()}


def test_a_refused_configuration_leaves_the_running_one(project: Path) -> None:
    """Ensure that a file that Prometheus does not take is reported in its words, and that the old one is back on the disk."""
    stack = small_stack("prometheus", "alertmanager")
    before = start(stack, project)
    broken = msgspec.structs.replace(stack, overrides={"prometheus/prometheus.yml": {"nonsense": 1}})
    outcomes = {outcome.name: outcome for outcome in control.reload(plan.plan(broken, project))}
    assert outcomes["prometheus"].result == "failed"
    assert "field nonsense not found" in outcomes["prometheus"].detail
    assert "nonsense" not in (run_folder(project).config / "prometheus/prometheus.yml").read_text()
    assert status(project)["prometheus"].pid == before["prometheus"].pid
    assert {outcome.result for outcome in control.reload(plan.plan(stack, project))} == {"unchanged"}


def test_a_service_starts_anew_only_when_its_own_command_changed(project: Path) -> None:
    """Ensure that `reload` restarts the service whose environment changed, and nothing else."""
    stack = small_stack("prometheus")
    before = start(stack, project)
    run = stack.services[0].run
    assert run
    shop = msgspec.structs.replace(stack.services[0], run=msgspec.structs.replace(run, environment={"COLOUR": "red"}))
    outcomes = {o.name: o.result for o in control.reload(plan.plan(msgspec.structs.replace(stack, services=(shop,)), project))}
    after = status(project)
    assert outcomes == {"prometheus": "unchanged", "shop": "restarted"}
    assert after["prometheus"].pid == before["prometheus"].pid
    assert b"COLOUR=red" in Path(f"/proc/{after['shop'].pid}/environ").read_bytes()


def test_reload_of_a_stack_that_is_down_says_so(project: Path) -> None:
    """Ensure that `reload` without a running stack is an error with its remedy."""
    with pytest.raises(NotRunningError, match="specwatch up"):
        control.reload(plan.plan(small_stack("prometheus"), project))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_attached_stack_ends_with_its_command(project: Path, number: signal.Signals) -> None:
    """Ensure that Ctrl-C, a polite end and even kill -9 of a command in the foreground leave nothing behind."""
    stack = small_stack("prometheus")
    (project / "plan.json").write_bytes(msgspec.json.encode(plan.plan(stack, project)))
    source = (
        "import sys, msgspec; from pathlib import Path; from specwatch.engines.native import control, plan\n"
        "project = Path(sys.argv[1])\n"
        "control.up(msgspec.json.decode((project / 'plan.json').read_bytes(), type=plan.Plan), attached=True)\n"
        "print('up', flush=True)\n"
        "control.hold(project)\n"
    )
    with subprocess.Popen([sys.executable, "-c", source, str(project)], stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout
        assert command.stdout.readline() == "up\n"
        command.send_signal(number)
        command.wait(30)
    wait_for("nothing left", lambda: not processes.marked(run_folder(project).root))
    wait_for("no supervisor", lambda: not supervision.pid_of(run_folder(project)))


def test_only_this_user_can_look_into_the_run_folder(project: Path) -> None:
    """Ensure that the run folder and the secrets in it are for their owner alone, and that a made password is kept."""
    stack = small_stack("prometheus", secrets=(Secret(name="scrape_password", components=("prometheus",), fallback="password"),))
    start(stack, project)
    folder = run_folder(project)
    copy = folder.secrets / "prometheus/scrape_password"
    assert folder.root.stat().st_mode & 0o777 == 0o700
    assert copy.stat().st_mode & 0o777 == 0o600
    assert copy.read_text() == (project / "secrets/scrape_password").read_text()
    assert len(copy.read_text()) == 32


def test_a_secret_that_only_the_user_has_stops_up(project: Path) -> None:
    """Ensure that `up` names the secret file that is missing and starts nothing."""
    stack = small_stack("prometheus", secrets=(Secret(name="api_token", components=("prometheus",), fallback="none"),))
    with pytest.raises(FolderError, match=r"secrets/api_token \(prometheus\)"):
        start(stack, project)
    assert not processes.marked(run_folder(project).root)


def test_a_project_folder_that_cannot_be_written_is_one_clear_error(project: Path) -> None:
    """Ensure that a file where the run folder should be is reported with its path."""
    (project / ".specwatch").write_text("in the way")
    with pytest.raises(FolderError, match=r"\.specwatch"):
        start(small_stack("prometheus"), project)
    (project / ".specwatch").unlink()


def test_a_service_without_a_command_is_off_and_the_rest_runs(project: Path) -> None:
    """Ensure that what cannot run is reported with its cure and shown as off, and stops nothing else."""
    events: list[Event] = []
    parts = start(small_stack("prometheus", command=("no-such-program",)), project, events)
    assert parts["shop"].state == "off"
    assert parts["prometheus"].state == "running"
    assert [event.cure for event in events if isinstance(event, Off)] == ["install it, or run the compose runtime"]


def test_a_task_that_is_done_stays_done(project: Path) -> None:
    """Ensure that a service whose restart is "no" may end by itself, and has ended then, not failed."""
    stack = small_stack("prometheus", command=(sys.executable, "-c", "print('done')"))
    run = stack.services[0].run
    assert run
    task = msgspec.structs.replace(stack.services[0], port=0, run=msgspec.structs.replace(run, restart="no"))
    start(msgspec.structs.replace(stack, services=(task,), jobs=()), project)
    part = wait_for("its end", lambda: next((part for part in control.status(project) if part.state == "ended"), None))
    assert part.reason == "ended with exit code 0"
