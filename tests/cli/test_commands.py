"""The command line itself: help, wrong words, and the two commands that print the model."""

import json

import pytest

from specwatch.spec.schema import json_schema
from tests.commandline import ROOT, in_process, specwatch

_COMMANDS = ("generate", "up", "down", "status", "logs", "trace", "reload", "schema", "reference")


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Ensure --help names each command with a sentence, and that plain `specwatch` shows the same."""
    assert in_process("--help") == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in _COMMANDS)
    assert in_process() == 2
    assert capsys.readouterr().err.rstrip() == shown.rstrip()


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Ensure --help and -h of each command say what it does."""
    assert in_process(name, "--help") == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: specwatch {name} [OPTIONS]")
    assert in_process(name, "-h") == 0
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("genrate",), 'no command is called "genrate"; did you mean "generate"?'),
        (("xyz",), 'no command is called "xyz"'),
        (("generate", "--chek"), "no such option"),
        (("generate", "extra"), "unexpected extra argument"),
        (("generate", "--file"), "requires an argument"),
    ],
)
def test_a_wrong_word_leaves_with_2(arguments: tuple[str, ...], message: str) -> None:
    """Ensure an unknown command or option is named, with the nearest right one."""
    done = specwatch(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message.lower() in done.stderr.lower().replace("'", "")


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    """Ensure --version prints one line."""
    assert in_process("--version") == 0
    assert capsys.readouterr().out.startswith("specwatch ")


def test_the_schema_describes_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    """Ensure the JSON Schema is printed as JSON, that every reference in it resolves, and that a decimal is a number to an editor."""
    assert in_process("schema") == 0
    text = capsys.readouterr().out
    schema = json.loads(text)
    assert schema == json.loads(json.dumps(json_schema()))
    assert set(schema["$defs"]["Spec"]["properties"]) >= {"version", "stack", "services", "routes", "overrides"}
    assert schema["$defs"]["Spec"]["additionalProperties"] is False
    names = {part.split('"')[0] for part in text.split('"#/$defs/')[1:]}
    assert names <= set(schema["$defs"])
    assert {"type": "number"} in schema["$defs"]["SloSpec"]["properties"]["objective"]["anyOf"]
    assert "decimal" not in text


def test_the_reference_page_has_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    """Ensure the page names each key of the model once for each mapping it belongs to, in well-formed tables."""
    assert in_process("reference") == 0
    page = capsys.readouterr().out
    schema = json_schema()
    for definition in schema["$defs"].values():
        for key in definition["properties"]:
            assert f"| `{key}` | " in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert {row.replace("\\|", "").count("|") for row in rows} == {5}


def test_python_m_and_the_command_are_the_same() -> None:
    """Ensure the package runs with -m under the command's own name."""
    assert specwatch("--help", folder=ROOT).stdout.startswith("Usage: specwatch [OPTIONS] COMMAND [ARGS]...")
