"""The programs that are wanted, and the way to find one on this machine and to ask its version."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _cache import Cache

Group = Literal["native", "docker", "standin", "extra", "vendor"]
Source = Literal["debian", "go", "vendor"]


@dataclass(frozen=True)
class Program:
    """One program that the stack or its tests run.

    `ask` is the command line that prints its version, `{}` standing for the program itself; `oldest` the first version that
    will do; `package` its Debian package, `other_names` what else it is called on PATH.
    """

    name: str
    group: Group
    source: Source
    oldest: tuple[int, ...] = ()
    package: str = ""
    newer_suite: bool = False
    other_names: tuple[str, ...] = ()
    only_cache: bool = False
    ask: tuple[str, ...] = ("{}", "--version")
    cure: str = ""


@dataclass(frozen=True)
class Found:
    """What is on this machine of one program: its version and path, or neither and why (`off`)."""

    program: Program
    version: str = ""
    path: str = ""
    off: str = ""

    @property
    def ok(self) -> bool:
        """Whether the program is there and new enough."""
        return not self.off


def _debian(name: str, package: str, group: Group = "native", **more: object) -> Program:
    return Program(name, group, "debian", package=package, **{"newer_suite": True, **more})  # type: ignore[arg-type]  # passed on


def _vendor(name: str, what: str) -> Program:
    cure = f"install {what} from its vendor so that `{name}` is on PATH, or use `--runtime compose`"
    return Program(name, "vendor", "vendor", cure=cure)


PROGRAMS: tuple[Program, ...] = (
    _debian("prometheus", "prometheus", oldest=(3,)),
    _debian("promtool", "promtool", oldest=(3,)),
    _debian("alertmanager", "prometheus-alertmanager", oldest=(0, 28), other_names=("prometheus-alertmanager",)),
    _debian("amtool", "prometheus-alertmanager", oldest=(0, 28)),
    _debian("node_exporter", "prometheus-node-exporter", oldest=(1, 5), other_names=("prometheus-node-exporter",)),
    _debian("blackbox_exporter", "prometheus-blackbox-exporter", oldest=(0, 24), other_names=("prometheus-blackbox-exporter",)),
    Program("loki", "native", "go", oldest=(3, 6, 5)),
    Program("logcli", "native", "go", oldest=(3,)),
    # An `otelcol` from elsewhere lacks the log-file receiver; the contrib build has it.
    Program("otelcol", "native", "go", oldest=(0, 149), only_cache=True, other_names=("otelcol-contrib",)),
    # A `jaeger` from elsewhere is Jaeger 2, which takes no flags.
    Program("jaeger", "native", "go", oldest=(1, 60), only_cache=True, other_names=("jaeger-all-in-one",), ask=("{}", "version")),
    Program("promtail", "native", "go", oldest=(3,)),
    _debian("docker", "docker.io", "docker", oldest=(20, 10), newer_suite=False),
    _debian("dockerd", "docker.io", "docker", oldest=(20, 10), newer_suite=False),
    _debian("docker compose", "docker-compose", "docker", oldest=(2, 20), ask=("docker", "compose", "version")),
    _debian("docker buildx", "docker-buildx", "docker", oldest=(0, 17), ask=("docker", "buildx", "version")),
    _debian("iptables", "iptables", "docker", newer_suite=False),
    _debian("busybox", "busybox-static", "standin", newer_suite=False, ask=("{}",)),
    _debian("mmdebstrap", "mmdebstrap", "standin", newer_suite=False),
    Program("alloy", "extra", "go", oldest=(1, 18)),
    _vendor("fluentd", "Fluentd (fluent-package)"),
    _vendor("tempo", "Grafana Tempo"),
    _vendor("grafana", "Grafana"),
)

GROUPS: dict[str, str] = {
    "native": "what the stack runs as child processes",
    "docker": "Docker Engine with Compose and Buildx",
    "standin": "what stand-in images are made with",
    "extra": "what takes long to build and only some tests run; got when asked for, and from then on kept up to date",
    "vendor": "what only its vendor ships",
}


def select(names: Sequence[str]) -> tuple[Program, ...]:
    """Returns the programs that `names` (programs or groups) mean, all of them for none.

    Raises:
        ValueError: a name is neither.
    """
    known = {program.name for program in PROGRAMS} | set(GROUPS)
    for name in names:
        if name not in known:
            raise ValueError(f"--only: found {name!r}, expected one of: {', '.join(sorted(known))}")
    return tuple(p for p in PROGRAMS if not names or p.name in names or p.group in names)


def _candidates(program: Program, cache: Cache) -> list[str]:
    # The administrators' folders are not on every user's PATH; dockerd and iptables live there.
    search = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    name = program.ask[0] if program.ask[0] != "{}" else program.name
    names = program.other_names if program.only_cache else (name, *program.other_names)
    on_path = [shutil.which(each, path=search) for each in names]
    return [path for path in (*on_path, shutil.which(name, path=str(cache.bin))) if path]


def _version(program: Program, path: str) -> str:
    command = [word.replace("{}", path) for word in program.ask]
    command[0] = path
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=30, check=False, text=True)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    said = done.stdout.strip() or done.stderr.strip()
    seen = re.search(r"\bv?(\d+\.\d+(?:\.\d+)?)", said.split("\n\n", 1)[0])
    return seen[1] if seen and (done.returncode == 0 or program.ask == ("{}",)) else ""


def find(program: Program, cache: Cache) -> Found:
    """Returns the first `program` on PATH or in the cache that is new enough, or why there is none."""
    off = "not on PATH and not in the cache"
    for path in _candidates(program, cache):
        version = _version(program, path)
        if not version:
            off = f"{path} does not answer `{' '.join(program.ask[1:])}`" if program.ask[1:] else f"{path} does not run"
        elif tuple(int(part) for part in version.split(".")) < program.oldest:
            off = f"{path} is {version}, needs {'.'.join(map(str, program.oldest))}"
        else:
            return Found(program, version, str(Path(path)))
    return Found(program, off=off)


def find_all(programs: Sequence[Program], cache: Cache) -> list[Found]:
    """Returns what is there of each of `programs`, in their order."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(lambda program: find(program, cache), programs))
