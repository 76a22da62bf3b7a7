"""`specwatch generate` as a person, a script or a CI job meets it; each call is a process of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from specwatch.names import LOCK_FILE
from tests.commandline import ROOT, command, in_process, specwatch

_TEN_LINES: Final = """\
version: 1
services:
  shop:
    metrics: {port: 8000}
    logs: {format: json}
    uses: [http]
receivers:
  ops: {slack: {channel: "#ops"}}
routes:
  - {to: [ops]}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """Return a spec of ten lines in a folder of its own."""
    file = tmp_path / "spec.yaml"
    file.write_text(_TEN_LINES, encoding="utf-8")
    return file


def _files(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_a_spec_becomes_a_stack_beside_it(spec: Path) -> None:
    """Ensure plain `specwatch generate` reads ./spec.yaml, writes beside it, says what it did, and then has nothing more to do."""
    done = specwatch("generate", folder=spec.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert "  prometheus/prometheus.yml: written" in done.stdout or "more written" in done.stdout
    written = _files(spec.parent)
    assert {"prometheus/prometheus.yml", "docker-compose.observability.yml", "grafana/dashboards/svc-shop.json", LOCK_FILE} <= set(written)
    again = specwatch("generate", folder=spec.parent)
    assert (again.returncode, again.stdout) == (0, f"{len(written) - 2} files, all as the spec makes them.\n")
    assert _files(spec.parent) == written


def test_the_least_spec_generates(tmp_path: Path) -> None:
    """Ensure one line is a spec."""
    (tmp_path / "spec.yaml").write_text("version: 1", encoding="utf-8")
    assert specwatch("generate", folder=tmp_path).returncode == 0
    assert (tmp_path / "docker-compose.observability.yml").is_file()


def test_the_rich_spec_generates(tmp_path: Path) -> None:
    """Ensure a spec with every key of the model becomes files."""
    done = specwatch("generate", "-f", ROOT / "tests/spec/rich.yaml", "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "grafana/dashboards/own-sales.json").is_file()
    assert json.loads((tmp_path / "grafana/dashboards/stack.json").read_text(encoding="utf-8"))["refresh"] == "1m"


def test_the_same_spec_gives_the_same_bytes_anywhere(spec: Path, tmp_path: Path) -> None:
    """Ensure neither the folder nor the way to the spec nor the hash seed shows in what is generated."""
    for number, (file, folder) in enumerate(((str(spec), None), ("spec.yaml", spec.parent), ("../spec.yaml", spec.parent / "sub"))):
        (spec.parent / "sub").mkdir(exist_ok=True)
        done = specwatch(
            "generate", "-f", file, "-o", tmp_path / f"out{number}", folder=folder, environment={"PYTHONHASHSEED": str(number)}
        )
        assert done.returncode == 0, done.stderr
    texts = [{path: text for path, (text, _) in _files(tmp_path / f"out{number}").items()} for number in range(3)]
    assert texts[0] == texts[1] == texts[2]
    assert not [path for path, text in texts[0].items() if str(tmp_path).encode() in text]


def test_check_fails_on_drift_and_writes_nothing(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ensure --check leaves with 1 before the first run, after an edit and a change of the spec, with 0 in between, and only reads."""
    arguments = ("generate", "--check", "-f", str(spec))
    assert in_process(*arguments) == 1
    assert list(spec.parent.iterdir()) == [spec]
    assert "prometheus/prometheus.yml: would be written" in capsys.readouterr().out.replace(
        "more would be", "prometheus/prometheus.yml: would be"
    )
    assert in_process("generate", "-f", str(spec)) == 0
    written = _files(spec.parent)
    assert in_process(*arguments) == 0
    spec.write_text(_TEN_LINES.replace("8000", "9000"), encoding="utf-8")
    capsys.readouterr()
    assert in_process(*arguments) == 1
    assert "  prometheus/prometheus.yml: would be changed\n" in capsys.readouterr().out
    spec.write_text(_TEN_LINES, encoding="utf-8")
    (spec.parent / "loki/loki.yml").write_text("mine: true\n", encoding="utf-8")
    assert in_process(*arguments) == 1
    assert {path for path, state in _files(spec.parent).items() if written[path][0] != state[0]} == {"loki/loki.yml"}


def test_a_hand_edit_is_kept_reported_and_replaced_by_force(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ensure an edited file survives with exit code 1 and advice, shows in --diff, and goes with --force."""
    arguments = ("generate", "-f", str(spec))
    edited = spec.parent / "loki/loki.yml"
    assert in_process(*arguments) == 0
    text = edited.read_text(encoding="utf-8")
    edited.write_text(text + "mine: true\n", encoding="utf-8")
    capsys.readouterr()
    assert in_process(*arguments) == 1
    printed = capsys.readouterr().out
    assert "  loki/loki.yml: kept, edited by hand\n" in printed
    assert "`--force` replaces; lasting changes belong into `overrides:` of the spec." in printed
    assert edited.read_text(encoding="utf-8").endswith("mine: true\n")
    assert in_process(*arguments, "--diff") == 0
    diff = capsys.readouterr().out
    assert diff.startswith("--- loki/loki.yml (on disk)\n+++ loki/loki.yml (generated)\n")
    assert "-mine: true\n" in diff
    assert in_process(*arguments, "--force") == 0
    assert "loki/loki.yml: replaced, was edited by hand" in capsys.readouterr().out
    assert edited.read_text(encoding="utf-8") == text


def test_json_is_one_document_for_machines(spec: Path) -> None:
    """Ensure --json prints the changes and nothing else, in every mode."""
    first = json.loads(specwatch("generate", "--json", "-f", spec).stdout)
    assert first["files"] == len(first["changes"])
    assert {"path": "loki/loki.yml", "kind": "new"} in first["changes"]
    assert json.loads(specwatch("generate", "--json", "--check", "-f", spec).stdout) == {"files": first["files"], "changes": []}
    (spec.parent / "loki/loki.yml").write_text("mine\n", encoding="utf-8")
    done = specwatch("generate", "--json", "-f", spec)
    assert done.returncode == 1
    assert json.loads(done.stdout)["changes"] == [{"path": "loki/loki.yml", "kind": "edited"}]


def test_wrong_specs_say_where_and_touch_nothing(spec: Path) -> None:
    """Ensure faults go to standard error under the path that was given, every one, with exit code 2."""
    assert specwatch("generate", folder=spec.parent).returncode == 0
    before = _files(spec.parent)
    spec.write_text(_TEN_LINES.replace("8000", "80000").replace("ops:", "opps: "), encoding="utf-8")
    before["spec.yaml"] = _files(spec.parent)["spec.yaml"]
    done = specwatch("generate", "-f", f"../{spec.parent.name}/spec.yaml", folder=spec.parent)
    assert (done.returncode, done.stdout) == (2, "")
    where = f"../{spec.parent.name}/spec.yaml"
    assert done.stderr == (
        f"{where}:4:21: found the number 80000, expected a port: 1 to 65535\n"
        f'{where}:10:11: no receiver is called "ops"; expected opps; did you mean "opps"?\n'
    )
    assert _files(spec.parent) == before


def test_a_missing_spec_says_what_to_do(tmp_path: Path) -> None:
    """Ensure a first call in an empty folder is answered with advice."""
    done = specwatch("generate", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "spec.yaml: no such file; write one (ten lines do, see README.md) or name another with --file\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_spec_is_named(spec: Path) -> None:
    """Ensure a spec without the right to read it leaves with 2."""
    spec.chmod(0)
    done = specwatch("generate", "-f", spec)
    assert (done.returncode, done.stderr) == (2, f"{spec}: cannot be read: Permission denied\n")


@pytest.mark.parametrize("arguments", [("generate", "--diff"), ("reference",), ("schema",)])
def test_a_reader_that_goes_away_is_no_traceback(spec: Path, arguments: tuple[str, ...]) -> None:
    """Ensure `| head` ends the command quietly, with the code that shells give for it."""
    process = subprocess.Popen(
        command(*arguments),
        cwd=spec.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=60) == 128 + signal.SIGPIPE


def test_without_the_generators_packages_there_is_a_sentence(spec: Path, tmp_path: Path) -> None:
    """Ensure the light core alone answers with what to install and exit code 3, whichever package is missing, early or late."""
    for missing in ("msgspec", "click", "yaml", "promql_parser"):
        hidden = tmp_path / f"without-{missing}"
        hidden.mkdir()
        (hidden / f"{missing}.py").write_text(f"raise ModuleNotFoundError(name={missing!r})\n", encoding="utf-8")
        done = specwatch("generate", "-f", spec, environment={"PYTHONPATH": f"{hidden}:{ROOT}"})
        assert (done.returncode, done.stdout) == (3, "")
        assert "pip install 'specwatch[generator,inbox]'" in done.stderr
        assert f"(missing: {missing})" in done.stderr


def test_ctrl_c_at_the_start_is_no_traceback(spec: Path) -> None:
    """Ensure an interrupt while the command line is still being imported leaves with 130."""
    waits = spec.parent / "slow"
    waits.mkdir()
    (waits / "click.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n", encoding="utf-8")
    done = specwatch("generate", "-f", spec, environment={"PYTHONPATH": f"{waits}:{ROOT}"})
    assert (done.returncode, done.stdout) == (130, "")


def test_the_repository_carries_what_its_spec_makes(tmp_path: Path) -> None:
    """Ensure the demo's spec generates, in a copy elsewhere, the same files as in its own folder."""
    shutil.copy(ROOT / "spec.yaml", tmp_path / "spec.yaml")
    assert specwatch("generate", folder=tmp_path).returncode == 0
    assert specwatch("generate", "--check", folder=tmp_path).returncode == 0
    assert sys.executable.encode() not in b"".join(text for text, _ in _files(tmp_path).values())
