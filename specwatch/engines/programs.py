"""Find the programs that the components are, on PATH and in the cache of scripts/engines, and ask their versions."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from msgspec import Struct

from specwatch import __version__
from specwatch.components import BY_NAME
from specwatch.engines.values import Off

ASK_SECONDS: Final = 15.0
_VERSION: Final = re.compile(r"(?:version[ :=]+|\b)v?(\d+\.\d+(?:\.\d+)?)")


class Found(Struct, frozen=True):
    """A component's program: its path and its version ("3.5.3")."""

    name: str
    path: str
    version: str


class _Wanted(Struct, frozen=True, kw_only=True):
    """What to look for: names on PATH, whether it may be the one of scripts/engines, the oldest version that understands our files.

    `ask` is the word that makes it print its version.
    """

    names: tuple[str, ...]
    ours: bool = True
    oldest: tuple[int, ...] = ()
    ask: str = "--version"


_WANTED: Final = {
    "prometheus": _Wanted(names=("prometheus",), oldest=(3,)),
    "alertmanager": _Wanted(names=("alertmanager", "prometheus-alertmanager"), oldest=(0, 28)),
    "loki": _Wanted(names=("loki",), oldest=(3, 6)),
    # A plain `otelcol` on PATH is the core distribution, which cannot tail files.
    "otelcol": _Wanted(names=("otelcol-contrib",), oldest=(0, 149)),
    "blackbox": _Wanted(names=("blackbox_exporter", "prometheus-blackbox-exporter"), oldest=(0, 24)),
    "node": _Wanted(names=("node_exporter", "prometheus-node-exporter"), oldest=(1, 5)),
    # The one that scripts/engines builds is for the tests: the collector takes its place, see docs/decisions/0005.
    "promtail": _Wanted(names=("promtail",), ours=False, oldest=(3,)),
    "alloy": _Wanted(names=("alloy",), oldest=(1, 18)),
    "fluentd": _Wanted(names=("fluentd",), ours=False, oldest=(1, 16)),
    "tempo": _Wanted(names=("tempo",), ours=False, oldest=(3,)),
    # A plain `jaeger` on PATH is Jaeger 2, which takes no flags.
    "jaeger": _Wanted(names=("jaeger-all-in-one",), oldest=(1, 60), ask="version"),
    "grafana": _Wanted(names=("grafana",), ours=False, oldest=(12,)),
    "cadvisor": _Wanted(names=("cadvisor",), ours=False),
}


def cache_folder() -> Path:
    """Return the folder in which scripts/engines keeps its programs; they are in its bin/."""
    own = os.environ.get("SPECWATCH_CACHE")
    shared = os.environ.get("XDG_CACHE_HOME")
    return Path(own).absolute() if own else (Path(shared) if shared else Path.home() / ".cache").absolute() / "specwatch"


def find(name: str) -> Found | Off:
    """Return the program of the component `name`, or why there is none and how to get it."""
    if name == "inbox":
        return _inbox()
    wanted = _WANTED[name]
    program = BY_NAME[name].program
    cure = (
        f"scripts/engines/get --only {program}"
        if wanted.ours
        else f"not to be had as a package here: put `{wanted.names[0]}` on PATH, or run the compose runtime"
    )
    reason = f"no `{wanted.names[0]}` on PATH" + (f" or in {cache_folder() / 'bin'}" if wanted.ours else "")
    for path in _candidates(program, wanted):
        version = version_of(path, wanted.ask)
        if not version:
            reason = f"{path} does not tell its version"
        elif tuple(map(int, version.split("."))) < wanted.oldest:
            reason = f"{path} is {version}, older than {'.'.join(map(str, wanted.oldest))}"
        else:
            return Found(name, path, version)
    return Off(name, reason, cure)


def find_all(names: Iterable[str]) -> dict[str, Found | Off]:
    """Return what `find` says of each name, asked side by side."""
    wanted = tuple(names)
    with ThreadPoolExecutor(max_workers=8) as pool:
        return dict(zip(wanted, pool.map(find, wanted), strict=True))


def version_of(path: str, ask: str = "--version") -> str:
    """Return the version that the program at `path` prints, or an empty string when it prints none in time."""
    try:
        done = subprocess.run(
            [path, ask],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=ASK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    seen = _VERSION.search(done.stdout.decode(errors="replace"))
    return seen[1] if seen and done.returncode == 0 else ""


def _candidates(program: str, wanted: _Wanted) -> list[str]:
    found = [shutil.which(name) for name in wanted.names]
    if wanted.ours:
        found += [shutil.which(name, path=str(cache_folder() / "bin")) for name in dict.fromkeys((program, *wanted.names))]
    return [path for path in found if path]


def _inbox() -> Found | Off:
    missing = [module for module in ("flask", "gunicorn", "aiosmtpd") if find_spec(module) is None]
    if missing:
        return Off("inbox", f"this Python has no {', '.join(missing)}", "pip install 'specwatch[inbox]'")
    return Found("inbox", sys.executable, __version__)
