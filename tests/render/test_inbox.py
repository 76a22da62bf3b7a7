import re
import selectors
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import specwatch
from specwatch import topology
from specwatch.render import inbox
from specwatch.stack import Stack
from tests.goldens import check
from tests.stacks import demo_stack
from tests.tools import write


def rendered(stack: Stack | None = None) -> dict[str, str]:
    stack = stack or demo_stack()
    return inbox.render(stack, topology.compose(stack))


def test_golden() -> None:
    """The Dockerfile is as it was reviewed."""
    check("demo", {"inbox/Dockerfile": rendered()["inbox/Dockerfile"]})


def test_a_stack_without_an_inbox_has_no_image() -> None:
    """Nothing is rendered for a part that is off."""
    assert rendered(demo_stack(components=("prometheus",))) == {}


def test_the_image_runs_as_an_ordinary_user() -> None:
    """The container's user is numeric, owns its data folder, and the base image can be replaced."""
    text = rendered()["inbox/Dockerfile"]
    assert "\nUSER 10001:10001\n" in text
    assert "install -d -o 10001 -g 10001 -m 0700 /var/lib/inbox" in text
    assert "\nARG BASE=python:3.13-slim-bookworm\nFROM ${BASE}\n" in text
    assert "syntax=" not in text


def test_a_spec_name_cannot_break_out_of_its_comment() -> None:
    """A file name with a line break stays in the header."""
    text = rendered(demo_stack(spec_name="spec\nRUN touch pwned"))["inbox/Dockerfile"]
    assert not re.search("^RUN touch", text, re.MULTILINE)


def test_every_requirement_is_pinned_by_hash() -> None:
    """The lock has a version and hashes for each package, and each that the package's own extra asks for."""
    text = rendered()["inbox/requirements.txt"]
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all(re.match(r"[a-z0-9-]+==[\w.]+ .*--hash=sha256:[0-9a-f]{64}", entry, re.DOTALL) for entry in entries)
    pinned = {entry.partition("==")[0] for entry in entries}
    project = tomllib.loads((Path(specwatch.__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    assert {re.split(r"[<>=]", wanted)[0] for wanted in project["project"]["optional-dependencies"]["inbox"]} <= pinned


def test_the_runtimes_call_it_alike() -> None:
    """The same program with the same options, in the container and as a child process."""
    stack = demo_stack()
    assert inbox.arguments(stack, topology.compose(stack)) == (
        *("-m", "inbox", "--http", "0.0.0.0:8025", "--smtp", "0.0.0.0:1025"),
        *("--database", "/var/lib/inbox/inbox.db"),
    )
    assert inbox.arguments(stack, topology.native(stack, "/srv")) == (
        *("-m", "specwatch.inbox", "--http", "127.0.0.1:8025", "--smtp", "127.0.0.1:1025"),
        *("--database", "/srv/data/inbox/inbox.db"),
    )


def test_the_copied_sources_run_on_their_own(tmp_path: Path) -> None:
    """What is copied into the image is a program by itself: it starts as `inbox`, without specwatch, and answers the health check."""
    write(tmp_path, rendered())
    command = [sys.executable, "-m", "inbox", "--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0"]
    with subprocess.Popen(command, cwd=tmp_path / "inbox", stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            with selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                assert selector.select(timeout=30), "the inbox said nothing within 30 s"
            said = re.search(r"page (http://\S+/)", process.stdout.readline())
            assert said
            with urllib.request.urlopen(f"{said[1]}health", timeout=10) as answer:
                assert answer.status == 200
        finally:
            process.terminate()
            process.wait(timeout=30)
