"""The real programs that tests ask, and what a test needs to run them."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic, sleep
from typing import TypeVar

import pytest

from specwatch.engines.programs import cache_folder

_Value = TypeVar("_Value")


def program(*names: str) -> str:
    """Return the path of the first of the programs that is to be had, or skip the test with the reason."""
    path = f"{os.environ.get('PATH', '')}:{cache_folder() / 'bin'}"
    found = [where for name in names if (where := shutil.which(name, path=path))]
    return found[0] if found else pytest.skip(f"{' or '.join(names)} is not on PATH or in the cache that scripts/engines fills")


def run(*command: str | Path) -> str:
    """Return what the command prints, and fail the test with it when the command fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{command[0]} says:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write rendered files below the folder and return it."""
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return folder


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_for(what: str, ask: Callable[[], _Value | None], limit_seconds: float = 20) -> _Value:
    """Return the first answer of `ask` that is true; fail the test when there is none within the limit."""
    end = monotonic() + limit_seconds
    while not (answer := ask()):
        assert monotonic() < end, f"{what}: not within {limit_seconds} s"
        sleep(0.02)  # between two polls of a condition
    return answer
