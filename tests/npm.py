"""Packages of npm that tests ask for an opinion: installed once into the cache, by a lock file beside the tests that use them."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from specwatch.engines.programs import cache_folder

_LIMIT_SECONDS: Final = 300


def installed(source: Path) -> Path:
    """Return a folder whose node_modules holds what `source`/package-lock.json names; skips the test (fails in CI) where that cannot be."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        _not_there("node and npm are not there: Debian's nodejs and npm packages bring them")
    lock = (source / "package-lock.json").read_bytes()
    folder = cache_folder() / f"npm-{source.name}-{hashlib.sha256(lock).hexdigest()[:12]}"
    done_mark = folder / "node_modules" / ".package-lock.json"  # npm writes it last
    if not done_mark.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, folder)
        command = [str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=_LIMIT_SECONDS)
        if done.returncode:
            _not_there(f"npm ci failed: {done.stderr.strip()[-400:]}")
    return folder


def _not_there(reason: str) -> None:
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
