"""docs/telemetry.md: what the page says is so."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from typing import Any, Final

import pytest

from specwatch import telemetry
from specwatch.telemetry.settings import Settings
from tests.commandline import ROOT

_PAGE: Final = (ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")
_ROW: Final = re.compile(r"^\| (.+?) \| (.*?`(specwatch\.telemetry[\w.]*)`.*?) \| ((?:00[0-4](?:, )?)+) \|$", re.MULTILINE)
_BLOCK: Final = re.compile(r"^```python( notest)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BLOCKS: Final = [body for kept, body in _BLOCK.findall(_PAGE) if not kept]
_TABLE: Final = _PAGE[_PAGE.index("## What the documents show") : _PAGE.index("## Where we deviate")]


def resolved(path: str) -> Any:
    """Return what an import path names: a module, or something in one."""
    names = path.split(".")
    found: Any = import_module("specwatch.telemetry")
    for index, name in enumerate(names[2:], start=3):
        try:
            found = getattr(found, name)
        except AttributeError:
            found = import_module(".".join(names[:index]))
    return found


@pytest.mark.parametrize("path", sorted({path for _, _, path, _ in _ROW.findall(_TABLE)}))
def test_a_documented_name_is_where_the_page_says(path: str) -> None:
    """Ensure the import path of each row leads to something."""
    assert resolved(path) is not None


def test_every_row_of_the_table_is_read() -> None:
    """Ensure no row escapes the test above, and each document has its rows."""
    rows = [line for line in _TABLE.splitlines() if line.startswith("| `")]
    assert len(rows) == len(_ROW.findall(_TABLE))
    assert {number for *_, numbers in _ROW.findall(_TABLE) for number in numbers.split(", ")} == {"000", "001", "002", "003", "004"}


@pytest.mark.parametrize("block", _BLOCKS)
def test_what_the_page_imports_is_there(block: str) -> None:
    """Ensure each Python block is valid, and each name of ours that it imports exists."""
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("specwatch"):
            for alias in node.names:
                assert alias.name == "*" or hasattr(import_module(node.module or ""), alias.name), f"{node.module}.{alias.name}"


@pytest.mark.parametrize("index", [index for index, block in enumerate(_BLOCKS) if "gunicorn" not in block])
def test_a_block_runs(index: int) -> None:
    """Ensure each Python block runs as it stands, in a program of its own, and the first one answers as promised."""
    after = """
client = app.test_client()
answer = client.get("/items/7")
assert answer.status_code == 200
assert answer.headers["X-Request-ID"] and answer.headers["X-Trace-ID"] and answer.headers["traceparent"]
assert 'http_requests_total{method="GET",endpoint="/items/<int:item>",status="200"} 1' in client.get("/metrics").text
assert {client.get(path).status_code for path in ("/api/metrics", "/health", "/health/live", "/health/ready")} == {200}
"""
    program = _BLOCKS[index] + (after if index == 0 else "")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT, env={"PATH": ""}, check=False
    )
    assert done.returncode == 0, done.stderr
    if index == 0:
        assert [line.partition('"message":"')[2].partition('"')[0] for line in done.stdout.splitlines()] == [
            "item_shown",
            "Request completed",
        ]


def test_every_switch_is_on_the_page() -> None:
    """Ensure the page names each variable that `Settings` says it reads."""
    variables = set(re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+[A-Z0-9]\b|\bENVIRONMENT\b", Settings.__doc__ or ""))
    assert len(variables) > 10
    assert {name for name in variables if name not in _PAGE} == set()


def test_every_name_is_on_the_page() -> None:
    """Ensure the page's list of names is the package's own, name by name."""
    names = _PAGE[_PAGE.index("| about | names |") : _PAGE.index("The types `Counter`")]
    assert sorted(re.findall(r"`(\w+)`", names)) == sorted(telemetry.__all__)
