"""The package itself: every name of it, and nothing that nobody has asked for."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest

from specwatch import telemetry
from specwatch.telemetry import BoundLogger
from tests.commandline import ROOT

_HEAVY: Final = {
    *("asyncio", "concurrent", "fastapi", "flask", "gunicorn", "hashlib", "http", "opentelemetry", "orjson", "prometheus_client"),
    *("sentry_sdk", "socket", "ssl", "starlette", "urllib.request", "wsgiref"),
}
"""What costs much to import, or must not be imported before an application has said how."""


def declared() -> Iterator[tuple[str, str]]:
    """Yield (module, name) of each name that type checkers are told of."""
    tree = ast.parse(Path(telemetry.__file__ or "").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("specwatch"):
            for alias in node.names:
                yield node.module or "", alias.name


def imported(statement: str) -> set[str]:
    """Return the names of all modules that are there after the statement, in a fresh interpreter."""
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True, cwd=ROOT).stdout.split())


@pytest.mark.parametrize(("module", "name"), list(declared()))
def test_a_name_is_what_type_checkers_are_told(module: str, name: str) -> None:
    """Ensure each name is its module's own."""
    found, own = getattr(telemetry, name), getattr(import_module(module), name)
    assert found is own or (isinstance(found, BoundLogger) and found.logger is own.logger)


def test_all_names_are_told() -> None:
    """Ensure `__all__`, `dir` and what type checkers are told agree."""
    names = [name for _, name in declared()]
    assert sorted(names) == sorted(telemetry.__all__)
    assert set(names) <= set(dir(telemetry))


def test_another_name_is_an_error() -> None:
    """Ensure a typing error gives what any module would give."""
    with pytest.raises(AttributeError, match="has no attribute 'Metrcs'"):
        _ = telemetry.Metrcs  # type: ignore[attr-defined]  # that is the point


def test_importing_the_package_imports_nothing_else() -> None:
    """Ensure a gunicorn config may import it before it says where the workers' metrics are."""
    found = imported("import specwatch.telemetry")
    assert not found & {*_HEAVY, "logging"}
    assert [name for name in found if name.startswith("specwatch.")] == ["specwatch.telemetry"]


def test_the_core_is_light() -> None:
    """Ensure that metrics and logs bring neither a network nor an event loop along."""
    assert not imported("import specwatch.telemetry.metrics, specwatch.telemetry.logs") & _HEAVY
    assert not imported("from specwatch.telemetry import LogContext, Metrics, counter, get_logger, track_operation") & _HEAVY
