"""Writing while things go wrong: killed at any moment, no room, no right, several at once. Each run is a process of its own."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from typing import Final

import pytest

from specwatch.names import LOCK_FILE
from tests.commandline import ROOT, command, specwatch

_SERVICES: Final = 270
_SEED: Final = 7
_KILLS: Final = int(os.environ.get("SPECWATCH_KILLS", "5"))
_MOUNT: Final = shutil.which("mount") or ""
_UMOUNT: Final = shutil.which("umount") or ""
_NOBODY: Final = 65534


def _spec(folder: Path, word: str) -> Path:
    """Write a spec of some 300 generated files, every one of which holds `word`."""
    services = "".join(f"  s{number:03}: {{team: {word}, metrics: true}}\n" for number in range(_SERVICES))
    file = folder / f"{word}.yaml"
    file.write_text(f"version: 1\nstack: {{environment: {word}}}\nservices:\n{services}", encoding="utf-8")
    return file


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _left(folder: Path) -> list[Path]:
    return list(folder.rglob(".specwatch-*"))


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, dict[str, bytes]]]:
    """Three specs, each with the files that a run of it in an empty folder makes."""
    folder = tmp_path_factory.mktemp("specs")
    found = []
    for word in ("one", "two", "three"):
        file = _spec(folder, word)
        # The header of generated files names the spec, so that all three go by one name.
        spec = folder / word / "spec.yaml"
        spec.parent.mkdir()
        file.rename(spec)
        out = folder / f"out-{word}"
        assert specwatch("generate", "-f", spec, "-o", out).returncode == 0
        found.append((spec, _tree(out)))
    assert len(found[0][1]) > 300
    return found


def _start(spec: Path, folder: Path, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]  # the options are Popen's own
        command("generate", "--json", "-f", spec, "-o", folder),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def _staged(folder: Path) -> int:
    """Return how many half-written copies lie in the folder that holds most of the files."""
    return sum(name.startswith(".specwatch-") for name in os.listdir(folder / "grafana/dashboards"))  # noqa: PTH208  # polled


def _signs(folder: Path, lock: bytes) -> tuple[Callable[[], bool], ...]:
    """Return conditions that come true one after the other while a run is at work in the folder."""
    file = folder / LOCK_FILE
    return (
        lambda: _staged(folder) > 0,
        lambda: _staged(folder) > 200,
        lambda: file.read_bytes() != lock,
        lambda: file.read_bytes() != lock and _staged(folder) < 200,
        lambda: file.read_bytes() != lock and _staged(folder) < 20,
    )


def test_a_kill_at_any_moment_leaves_each_file_old_or_new(tmp_path: Path, specs: list[tuple[Path, dict[str, bytes]]]) -> None:
    """Ensure runs killed one after the other leave whole files only, and that the next run repairs all and takes nothing for an edit."""
    dice = random.Random(_SEED)  # noqa: S311  # a die for tests, not a secret
    folder = tmp_path / "out"
    assert specwatch("generate", "-f", specs[0][0], "-o", folder).returncode == 0
    texts = {path: {files[path] for _, files in specs} for path in specs[0][1] if path != LOCK_FILE}
    killed = 0
    for number in range(_KILLS):
        spec, _ = specs[(number + 1) % 3]
        reached = _signs(folder, (folder / LOCK_FILE).read_bytes())[(number * 2 + number // 5) % 5]
        process = _start(spec, folder)
        while process.poll() is None and not reached():
            sleep(0.0005)  # between two looks at the folder
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        process.communicate()
        now = _tree(folder)
        assert not [path for path, text in now.items() if path in texts and text not in texts[path]]
        json.loads(now[LOCK_FILE])
        if number % 2 == 1:
            spec, files = dice.choice(specs)
            done = specwatch("generate", "--json", "-f", spec, "-o", folder)
            assert done.returncode == 0, done
            assert "edited" not in done.stdout
            assert _tree(folder) == files
    assert killed > _KILLS // 3
    spec, files = specs[2]
    assert specwatch("generate", "-f", spec, "-o", folder).returncode == 0
    assert _tree(folder) == files


def test_an_interrupt_leaves_with_130_and_no_rest(tmp_path: Path, specs: list[tuple[Path, dict[str, bytes]]]) -> None:
    """Ensure Ctrl-C in the middle of writing takes its half-written copies away and leaves whole files."""
    folder = tmp_path / "out"
    (spec, old), (other, new), _ = specs
    assert specwatch("generate", "-f", spec, "-o", folder).returncode == 0
    interrupted = 0
    for turn in range(2):
        process = _start(other if turn % 2 == 0 else spec, folder)
        while process.poll() is None and not _staged(folder):
            sleep(0.0005)  # between two looks at the folder
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert "Traceback" not in errors
        assert process.returncode in {0, 130}
        interrupted += process.returncode == 130
        assert not _left(folder)
        now = _tree(folder)
        assert all(text in (old[path], new[path]) for path, text in now.items() if path != LOCK_FILE)
    assert interrupted
    assert specwatch("generate", "-f", other, "-o", folder).returncode == 0
    assert _tree(folder) == new


def test_four_at_once_end_consistent(tmp_path: Path, specs: list[tuple[Path, dict[str, bytes]]]) -> None:
    """Ensure runs at the same time wait for each other: what is there at the end is wholly one of them, and nothing looks edited."""
    folder = tmp_path / "out"
    runs = [_start(specs[number % 3][0], folder) for number in range(4)]
    for run in runs:
        output, errors = run.communicate(timeout=60)
        assert run.returncode == 0, errors
        assert "edited" not in output
    assert _tree(folder) in [files for _, files in specs]


def test_a_full_disk_changes_nothing(tmp_path: Path, specs: list[tuple[Path, dict[str, bytes]]]) -> None:
    """Ensure a disk with room for half of the new files keeps every old one, says what to do, and leaves with 3."""
    folder = tmp_path / "disk"
    folder.mkdir()
    (spec, old), (other, new), _ = specs
    # Old files, new ones beside a third of them, and their folders.
    size = (sum(-(-len(text) // 4096) for text in old.values()) * 4 // 3 + 60) * 4096
    mounted = (
        bool(_MOUNT)
        and bool(_UMOUNT)
        and os.geteuid() == 0
        and subprocess.run([_MOUNT, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False).returncode == 0
    )
    if not mounted:
        pytest.skip("a disk of a given size needs the right to mount one")
    try:
        assert specwatch("generate", "-f", spec, "-o", folder).returncode == 0
        done = specwatch("generate", "-f", other, "-o", folder)
        assert done.returncode == 3
        assert "No space left on device; make room and run the command again; no file was left half written" in done.stderr
        assert _tree(folder) == old
        subprocess.run([_MOUNT, "-o", f"remount,size={size * 4}", folder], check=True, capture_output=True)
        assert specwatch("generate", "-f", other, "-o", folder).returncode == 0
        assert _tree(folder) == new
    finally:
        subprocess.run([_UMOUNT, folder], check=True, capture_output=True)


def test_a_file_that_may_not_grow_changes_nothing(tmp_path: Path, specs: list[tuple[Path, dict[str, bytes]]]) -> None:
    """Ensure a write that fails half way, here by a limit on file sizes, leaves every old file and no rest."""
    folder = tmp_path / "out"
    (spec, old), (other, _), _ = specs
    assert specwatch("generate", "-f", spec, "-o", folder).returncode == 0
    process = _start(other, folder, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "File too large" in errors
    assert "Traceback" not in errors
    assert _tree(folder) == old


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users may look into; pytest's own are closed to them."""
    with TemporaryDirectory(prefix="specwatch-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


# The first run loads every module while they can still be read, wherever they are.
_AS_ANOTHER_USER: Final = """
import os, sys
from tests.commandline import in_process
spec, scratch, folder = sys.argv[1:]
in_process("generate", "-f", spec, "-o", scratch)
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
sys.exit(in_process("generate", "-f", spec, "-o", folder))
"""


@pytest.mark.parametrize("place", [".", "prometheus"])
def test_a_folder_without_the_right_to_write_is_named(shared: Path, place: str) -> None:
    """Ensure a read-only folder leaves with 3, names the path and changes nothing, for a user who is not root."""
    spec, folder = shared / "spec.yaml", shared / "out"
    spec.write_text("version: 1\n", encoding="utf-8")
    assert specwatch("generate", "-f", spec, "-o", folder).returncode == 0
    spec.write_text("version: 1\nstack: {environment: other, scrape_interval: 20s}\n", encoding="utf-8")
    before = _tree(folder)
    for path in (folder, *folder.rglob("*")):
        if os.geteuid() == 0 and path != folder / place:
            os.chown(path, _NOBODY, _NOBODY)
    (folder / place).chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-c", _AS_ANOTHER_USER, spec, shared / "scratch", folder],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    (folder / place).chmod(0o755)
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith(f"{folder}/")
    assert "Permission denied; give yourself the right to read and write there, or choose another folder with --output" in done.stderr
    assert _tree(folder) == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """Ensure an output folder below a file, or where the kernel allows none, leaves with 3 and its path."""
    spec = tmp_path / "spec.yaml"
    spec.write_text("version: 1\n", encoding="utf-8")
    for folder in (spec / "out", Path("/proc/specwatch-out")):
        done = specwatch("generate", "-f", spec, "-o", folder)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.startswith(f"{folder}: ")
