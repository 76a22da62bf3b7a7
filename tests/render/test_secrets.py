import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from specwatch import topology
from specwatch.render import secrets
from specwatch.render.secrets import SecretCopy
from specwatch.stack import Secret, Stack
from tests.goldens import check
from tests.stacks import demo_stack
from tests.tools import program

HOSTILE_NAMES = ("a b", "$(touch pwned)", "'; touch pwned; '", "-n", "*", 'quo"te', "back\\slash", "new\nline")

Run = Callable[[Stack], subprocess.CompletedProcess[str]]


def copies(stack: Stack) -> tuple[SecretCopy, ...]:
    return secrets.plan(stack, topology.compose(stack))


def secret(name: str, *components: str, **more: str) -> Secret:
    return Secret(name=name, components=components or ("alertmanager",), **{"fallback": "none", **more})  # type: ignore[arg-type]  # test data


@pytest.fixture(params=["busybox", "dash"])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[str], str]:
    """Return a POSIX shell and the PATH of its tools: busybox with nothing but its own, as in the image, or Debian's."""
    if os.geteuid():
        pytest.skip("only root may give files to the components' users")
    found = program(request.param)
    if request.param == "dash":
        return [found], os.environ["PATH"]
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("cat", "chmod", "chown", "head", "ls", "mv", "rm", "sh", "stat", "tr"):
        (tools / name).symlink_to(found)
    return [found, "sh"], str(tools)


@pytest.fixture
def run(shell: tuple[list[str], str], tmp_path: Path) -> Run:
    """Return a function that runs a stack's script on tmp_path/secrets and tmp_path/volumes, as the container would."""

    def run(stack: Stack) -> subprocess.CompletedProcess[str]:
        command, path = shell
        script = tmp_path / secrets.SCRIPT
        script.parent.mkdir(exist_ok=True)
        script.write_text(secrets.render(stack, topology.compose(stack))[secrets.SCRIPT], encoding="utf-8")
        (tmp_path / "secrets").mkdir(exist_ok=True)
        for copy in copies(stack):
            (tmp_path / "volumes" / copy.component).mkdir(parents=True, exist_ok=True)
        arguments = [*command, str(script), str(tmp_path / "secrets"), str(tmp_path / "volumes")]
        return subprocess.run(arguments, cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True, check=False)

    return run


def read(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return path.read_text(encoding="utf-8"), stat.S_IMODE(status.st_mode), status.st_uid


def listing(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_golden() -> None:
    """The demo's script is as it was reviewed."""
    stack = demo_stack()
    check("demo", secrets.render(stack, topology.compose(stack)))


def test_the_plan_is_one_copy_for_each_reader() -> None:
    """A secret goes to each component that is on and reads it, as that component's user."""
    stack = demo_stack(secrets=(secret("token", "prometheus", "alertmanager", "tempo", "cadvisor"),))
    assert copies(stack) == (
        SecretCopy(name="token", component="prometheus", uid=65534, fallback="none"),
        SecretCopy(name="token", component="alertmanager", uid=65534, fallback="none"),
        SecretCopy(name="token", component="tempo", uid=10001, fallback="none"),
    )


def test_the_inbox_stands_in_for_an_account() -> None:
    """The stand-in is the inbox's address in this runtime; without an inbox the user must supply the secret."""
    stack = demo_stack(secrets=(secret("hook", fallback="inbox", inbox_path="/slack/ops"), secret("key", fallback="inbox")))
    assert [copy.text for copy in copies(stack)] == ["http://inbox:8025/slack/ops", "0" * 32]
    assert secrets.plan(stack, topology.native(stack, "/srv"))[0].text == "http://127.0.0.1:8025/slack/ops"
    without = demo_stack(secrets=stack.secrets, components=("alertmanager",))
    assert [(copy.fallback, copy.text) for copy in copies(without)] == [("none", ""), ("none", "")]


def test_a_stack_without_secrets_has_no_script() -> None:
    """There is nothing to hand out."""
    stack = demo_stack(secrets=())
    assert secrets.render(stack, topology.compose(stack)) == {}


def test_a_fresh_clone_needs_no_preparing(run: Run, tmp_path: Path) -> None:
    """The first run makes the password where the user finds it, and gives each component its own copy."""
    done = run(demo_stack())
    assert (done.returncode, done.stderr) == (0, "")
    password, mode, _ = read(tmp_path / "secrets/grafana_admin_password")
    assert len(password) >= 24
    assert password.isalnum()
    assert mode == 0o600
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert read(tmp_path / "volumes/grafana/grafana_admin_password") == (password, 0o400, 472)
    assert read(tmp_path / "volumes/alertmanager/slack_webhook") == ("http://inbox:8025/slack/inbox", 0o400, 65534)
    assert listing(tmp_path / "secrets") == ["grafana_admin_password"]


def test_no_secret_is_printed(run: Run, tmp_path: Path) -> None:
    """What the script says has names in it, never a value."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/slack_webhook").write_text("https://hooks.example.com/T0/B0/hidden", encoding="utf-8")
    done = run(demo_stack())
    password = (tmp_path / "secrets/grafana_admin_password").read_text(encoding="utf-8")
    assert "grafana_admin_password" in done.stdout
    assert password not in done.stdout + done.stderr
    assert "hidden" not in done.stdout + done.stderr


def test_a_second_run_changes_nothing(run: Run, tmp_path: Path) -> None:
    """A password once made stays."""
    run(demo_stack())
    first = read(tmp_path / "volumes/grafana/grafana_admin_password")
    done = run(demo_stack())
    assert read(tmp_path / "volumes/grafana/grafana_admin_password") == first
    assert "made" not in done.stdout


def test_a_new_file_is_handed_out_and_a_removed_one_falls_back(run: Run, tmp_path: Path) -> None:
    """To put a secret there is to write the file and start again (its final newline is not handed out); without it the inbox stands in."""
    run(demo_stack())
    own, copy = tmp_path / "secrets/slack_webhook", tmp_path / "volumes/alertmanager/slack_webhook"
    own.write_text("https://hooks.example.com/1\n", encoding="utf-8")
    run(demo_stack())
    assert read(copy) == ("https://hooks.example.com/1", 0o400, 65534)
    own.unlink()
    run(demo_stack())
    assert read(copy)[0] == "http://inbox:8025/slack/inbox"


def test_a_secret_that_is_no_longer_named_is_taken_away(run: Run, tmp_path: Path) -> None:
    """A component keeps no secret that the spec does not give it any more."""
    run(demo_stack(secrets=(secret("old", fallback="password"), secret("new", fallback="password"))))
    run(demo_stack(secrets=(secret("new", fallback="password"),)))
    assert listing(tmp_path / "volumes/alertmanager") == ["new"]


def test_what_only_the_user_has_stops_the_start(run: Run, tmp_path: Path) -> None:
    """Each missing or empty file is named at once, and the start ends there."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/empty").touch()
    done = run(demo_stack(secrets=(secret("token", "prometheus"), secret("empty", "tempo"), secret("made", fallback="password"))))
    assert done.returncode == 1
    assert "secrets/token is missing or empty: put what prometheus needs into this file" in done.stderr
    assert "secrets/empty is missing or empty: put what tempo needs into this file" in done.stderr
    assert (tmp_path / "secrets/made").is_file()


def test_files_belong_to_the_owner_of_the_folder(run: Run, tmp_path: Path) -> None:
    """The person who owns the secrets folder can read the password that root made in it."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/other").touch()
    os.chown(tmp_path / "secrets", 1234, 1234)
    run(demo_stack())
    assert read(tmp_path / "secrets/grafana_admin_password")[2] == 1234


def test_a_folder_that_docker_made_goes_to_the_owner_of_the_project(run: Run, tmp_path: Path) -> None:
    """An empty folder of root's is given to whoever owns the rendered script."""
    run(demo_stack())
    os.chown(tmp_path / secrets.SCRIPT, 1234, 1234)
    shutil.rmtree(tmp_path / "secrets")
    run(demo_stack())
    assert (tmp_path / "secrets").stat().st_uid == 1234
    assert read(tmp_path / "secrets/grafana_admin_password")[2] == 1234


def test_a_password_is_the_same_for_all_its_readers(run: Run, tmp_path: Path) -> None:
    """Two components that share a password get the same one."""
    run(demo_stack(secrets=(secret("shared", "prometheus", "grafana", fallback="password"),)))
    texts = {(tmp_path / "volumes" / name / "shared").read_text(encoding="utf-8") for name in ("prometheus", "grafana")}
    assert len(texts) == 1


def test_names_are_only_names(run: Run, tmp_path: Path) -> None:
    """Whatever a secret is called, the shell takes it as a file's name."""
    done = run(demo_stack(secrets=tuple(secret(name, fallback="password") for name in HOSTILE_NAMES)))
    assert (done.returncode, done.stderr) == (0, "")
    assert set(listing(tmp_path / "volumes/alertmanager")) == set(HOSTILE_NAMES)
    assert not (tmp_path / "pwned").exists()
