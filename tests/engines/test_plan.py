"""What the native runtime makes of a stack, given the programs that there are."""

from pathlib import Path

import pytest
import yaml

from specwatch.engines import programs
from specwatch.engines.errors import FolderError
from specwatch.engines.native import secrets
from specwatch.engines.native.model import run_folder
from specwatch.engines.native.plan import plan
from specwatch.engines.values import Off, Substituted
from specwatch.stack import Secret
from tests.engines.small import small_stack
from tests.stacks import demo_stack


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty cache of programs, and a PATH with nothing but the shell on it."""
    cache = tmp_path / "cache"
    (cache / "bin").mkdir(parents=True)
    monkeypatch.setenv("SPECWATCH_CACHE", str(cache))
    monkeypatch.setenv("PATH", str(tmp_path))
    return cache / "bin"


def put(shelf: Path, name: str, version: str) -> None:
    """Put a program on the shelf that knows nothing but its version."""
    path = shelf / name
    path.write_text(f"#!/bin/sh\necho '{name}, version {version} (branch: HEAD)'\n")
    path.chmod(0o755)


def test_a_missing_program_is_off_with_its_cure(shelf: Path) -> None:
    """Ensure that what scripts/engines can get says so, and what it cannot get says what to do instead."""
    assert programs.find("prometheus") == Off(
        "prometheus", f"no `prometheus` on PATH or in {shelf}", "scripts/engines/get --only prometheus"
    )
    tempo = programs.find("tempo")
    assert isinstance(tempo, Off)
    assert "run the compose runtime" in tempo.cure


def test_a_program_that_is_too_old_is_off(shelf: Path) -> None:
    """Ensure that a program which would not understand our files is not used, and that its version is named."""
    put(shelf, "prometheus", "2.42.0")
    old = programs.find("prometheus")
    assert isinstance(old, Off)
    assert old.reason.endswith("is 2.42.0, older than 3")


def test_the_collector_takes_the_place_of_a_missing_promtail(shelf: Path, tmp_path: Path) -> None:
    """Ensure that logs are shipped by the collector where there is no Promtail, and that this is told."""
    for name, version in (("loki", "3.7.8"), ("otelcol", "0.149.0"), ("prometheus", "3.5.3")):
        put(shelf, name, version)
    made = plan(demo_stack(), tmp_path)
    assert [(each.old, each.new) for each in made.substituted] == [("promtail", "otelcol")]
    assert isinstance(made.substituted[0], Substituted)
    assert "otelcol" in {command.name for command in made.commands}
    assert "job_name: otelcol" in made.files["prometheus/prometheus.yml"]
    assert not [path for path in made.files if path.startswith("promtail/")]


def test_the_promtail_of_the_tests_is_not_started(shelf: Path) -> None:
    """Ensure that the Promtail that scripts/engines builds for the tests is not taken, but one that a user has on PATH is."""
    put(shelf, "promtail", "3.7.8")
    assert isinstance(programs.find("promtail"), Off)
    put(shelf.parent.parent, "promtail", "3.6.0")
    found = programs.find("promtail")
    assert isinstance(found, programs.Found)
    assert found.version == "3.6.0"


def test_where_neither_shipper_is_the_cure_is_the_one_that_can_be_had(shelf: Path, tmp_path: Path) -> None:
    """Ensure that a missing Promtail points to the collector, which scripts/engines can get."""
    put(shelf, "loki", "3.7.8")
    off = {each.name: each for each in plan(demo_stack(), tmp_path).off}
    assert off["promtail"].cure == "scripts/engines/get --only otelcol: the collector takes its place"


def test_without_loki_there_is_no_shipper(shelf: Path, tmp_path: Path) -> None:
    """Ensure that a shipper with nowhere to ship to is off, with the cure of what it lacks."""
    put(shelf, "otelcol", "0.149.0")
    off = {each.name: each for each in plan(demo_stack(), tmp_path).off}
    assert off["otelcol"].cure == "scripts/engines/get --only loki"


def test_every_single_part_may_be_missing(shelf: Path, tmp_path: Path) -> None:
    """Ensure that the rest is planned whichever program is not there, and refers to nothing that does not run."""
    names = {
        "prometheus": "3.5.3",
        "alertmanager": "0.33.1",
        "loki": "3.7.8",
        "otelcol": "0.149.0",
        "blackbox_exporter": "0.28.0",
        "node_exporter": "1.11.1",
    }
    for missing in names:
        for name, version in names.items():
            put(shelf, name, version)
        (shelf / missing).unlink()
        made = plan(demo_stack(), tmp_path)
        off = {each.name for each in made.off}
        assert ("promtail" if missing == "otelcol" else missing.removesuffix("_exporter")) in off
        assert f"job_name: {missing.removesuffix('_exporter')}" not in made.files.get("prometheus/prometheus.yml", "")


def test_files_are_rendered_for_the_programs_that_are_there(shelf: Path, tmp_path: Path) -> None:
    """Ensure that the paths in a configuration are the run folder's, and that only components that run have files."""
    put(shelf, "prometheus", "3.5.3")
    made = plan(small_stack("prometheus", "alertmanager"), tmp_path)
    assert {path.split("/", 1)[0] for path in made.files} == {"prometheus"}
    assert f"--config.file={tmp_path}/.specwatch/native/config/prometheus/prometheus.yml" in made.commands[0].argv


def test_the_users_own_rule_files_are_picked_up(shelf: Path, tmp_path: Path) -> None:
    """Ensure that a rule file which lies beside the generated ones is there natively, too."""
    put(shelf, "prometheus", "3.5.3")
    (tmp_path / "prometheus/rules").mkdir(parents=True)
    (tmp_path / "prometheus/rules/own.yml").write_text("groups: []\n")
    assert plan(small_stack("prometheus"), tmp_path).files["prometheus/rules/own.yml"] == "groups: []\n"


def test_jaeger_takes_the_place_of_a_missing_tempo(shelf: Path, tmp_path: Path) -> None:
    """Ensure that traces are kept natively where there is Jaeger, with the collector in Tempo's other place, and that this is told."""
    for name, version in (("loki", "3.7.8"), ("otelcol", "0.149.0"), ("prometheus", "3.5.3"), ("jaeger", "1.76.0")):
        put(shelf, name, version)
    made = plan(demo_stack(), tmp_path)
    assert [(each.old, each.new) for each in made.substituted] == [("promtail", "otelcol"), ("tempo", "jaeger")]
    commands = {command.name: command for command in made.commands}
    assert {"otelcol", "jaeger"} <= set(commands)
    assert "tempo" not in {each.name for each in made.off}
    assert commands["jaeger"].env["SPAN_STORAGE_TYPE"] == "badger"
    assert {14317, 14318} <= set(commands["jaeger"].ports)
    assert {4317, 4318} <= set(commands["otelcol"].ports)
    assert commands["shop"].env["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:4318"
    jobs = [job["job_name"] for job in yaml.safe_load(made.files["prometheus/prometheus.yml"])["scrape_configs"]]
    assert sorted(jobs) == sorted(set(jobs))
    assert {"otelcol", "jaeger"} <= set(jobs)
    assert "tempo" not in jobs


def test_jaeger_without_a_collector_takes_the_spans_itself(shelf: Path, tmp_path: Path) -> None:
    """Ensure that spans go straight to Jaeger where nothing is there that could stand between."""
    put(shelf, "jaeger", "1.76.0")
    put(shelf, "prometheus", "3.5.3")
    commands = {command.name: command for command in plan(demo_stack(), tmp_path).commands}
    assert {4317, 4318} <= set(commands["jaeger"].ports)
    assert commands["shop"].env["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:4318"
    assert "--web.enable-remote-write-receiver" not in commands["prometheus"].argv


def test_a_collector_for_traces_runs_without_loki(shelf: Path, tmp_path: Path) -> None:
    """Ensure that a collector with nowhere to ship lines to still runs where spans pass it, and reads no lines then."""
    for name, version in (("otelcol", "0.149.0"), ("prometheus", "3.5.3"), ("jaeger", "1.76.0")):
        put(shelf, name, version)
    made = plan(demo_stack(), tmp_path)
    assert "otelcol" in {command.name for command in made.commands}
    assert set(yaml.safe_load(made.files["otelcol/otelcol.yml"])["receivers"]) == {"otlp"}


def test_what_a_newline_ends_is_handed_out_without_it(shelf: Path, tmp_path: Path) -> None:
    """Ensure that the newline an editor leaves at the end of a secret does not reach the component, and that one line of it is none."""
    put(shelf, "prometheus", "3.5.3")
    secret = Secret(name="token", components=("prometheus",), fallback="none")
    made = plan(demo_stack(secrets=(secret,)), tmp_path)
    own = tmp_path / "secrets" / "token"
    own.parent.mkdir()
    own.write_text("abc\n", encoding="utf-8")
    secrets.write(made)
    assert (run_folder(tmp_path).secrets / "prometheus/token").read_bytes() == b"abc"
    own.write_text("\n", encoding="utf-8")
    with pytest.raises(FolderError, match="missing or empty"):
        secrets.write(made)
