"""The command line as tests call it: in this process where a case is one of many, as a process of its own where that matters."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from unittest.mock import patch

import pytest

from specwatch.cli import main

ROOT: Final = Path(__file__).parents[1]


def in_process(*arguments: str) -> int:
    """Return the exit code of `specwatch ARGUMENTS…`, run inside this process."""
    with patch.object(sys, "argv", ["specwatch", *arguments]), pytest.raises(SystemExit) as leaving:
        main()
    code = leaving.value.code
    assert isinstance(code, int)
    return code


def command(*arguments: str | Path) -> list[str]:
    """Return the command line that runs `specwatch ARGUMENTS…` as a process of its own."""
    return [sys.executable, "-m", "specwatch", *map(str, arguments)]


def specwatch(
    *arguments: str | Path, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Return what `specwatch ARGUMENTS…` printed and how it left; a traceback fails the test."""
    done = subprocess.run(
        command(*arguments),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done
