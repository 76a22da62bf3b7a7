"""What `scripts/engines/get` finds, says and leaves alone; nothing is built or installed here."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

GET = Path(__file__).parents[2] / "scripts/engines/get"
# What a program is called on PATH where that is not its name: the cache's own is preferred, or it is a plugin of another.
ELSEWHERE = {"otelcol": "otelcol-contrib", "jaeger": "jaeger-all-in-one", "docker compose": "docker", "docker buildx": "docker"}
NEWEST = "99.9.9"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with an empty cache, and an empty bin/ that is all of PATH."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "cache/bin").mkdir(parents=True)
    return tmp_path


def get(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": str(folder / "bin"), "SPECWATCH_CACHE": str(folder / "cache")}
    return subprocess.run([sys.executable, GET, *arguments], capture_output=True, text=True, timeout=60, check=False, env=environment)


def listed(folder: Path) -> dict[str, Any]:
    done = get(folder, "--list", "--json")
    assert done.returncode == 0, done.stderr
    return {row["name"]: row for row in json.loads(done.stdout)}


def put(path: Path, *lines: str) -> None:
    """Make a program that prints the lines, whatever it is asked."""
    path.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines), encoding="utf-8")
    path.chmod(0o755)


def put_all(folder: Path, without: frozenset[str]) -> None:
    for name, row in listed(folder).items():
        if name not in without and not row["path"]:
            put(folder / "bin" / ELSEWHERE.get(name, name), f"version {NEWEST}")


def test_a_program_is_found_with_its_version(folder: Path) -> None:
    """Ensure that a program on PATH is listed with its place and version, and one that is too old with what it lacks."""
    put(folder / "bin/prometheus", "prometheus, version 3.5.3 (branch: HEAD)")
    put(folder / "bin/promtool", "promtool, version 2.42.0")
    rows = listed(folder)
    assert (rows["prometheus"]["version"], rows["prometheus"]["path"]) == ("3.5.3", str(folder / "bin/prometheus"))
    assert rows["promtool"]["off"] == f"{folder}/bin/promtool is 2.42.0, needs 3"


def test_what_a_program_says_beside_its_version_is_not_read(folder: Path) -> None:
    """Ensure that a notice on the error output, as Jaeger prints one, is not taken for the version."""
    put(folder / "cache/bin/jaeger", '{"gitVersion":"1.76.0"}')
    with (folder / "cache/bin/jaeger").open("a", encoding="utf-8") as script:
        script.write("echo 'v0.0.1 reached its end of life' >&2\n")
    assert listed(folder)["jaeger"]["version"] == "1.76.0"


def test_a_jaeger_of_another_kind_is_not_taken(folder: Path) -> None:
    """Ensure that a `jaeger` on PATH, which is Jaeger 2, does not pass for the one that is built here."""
    put(folder / "bin/jaeger", "version 2.13.0")
    assert listed(folder)["jaeger"]["off"]


def test_what_takes_long_is_only_got_when_asked_for(folder: Path) -> None:
    """Ensure that nothing is left to do without Alloy and what only vendors ship, and that the table says how to get it."""
    put_all(folder, frozenset({"alloy", "fluentd", "tempo", "grafana"}))
    done = get(folder, "--no-root")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--only 'alloy'" in done.stdout
    assert "getting" not in done.stdout


def test_a_name_that_means_nothing_is_a_wrong_command_line(folder: Path) -> None:
    """Ensure that the names that there are stand in the message."""
    done = get(folder, "--only", "promtal")
    assert done.returncode == 2
    assert "promtal" in done.stderr
    assert "promtail" in done.stderr
