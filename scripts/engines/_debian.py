"""Programs from Debian's packages: installed when root, unpacked into the cache otherwise.

A few come from the next suite, since bookworm's Prometheus (2.42) and Compose (1.29) are too old. That suite is added at a
priority at which nothing moves to it that is not asked for by name.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from _steps import StepFailed, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from _cache import Cache
    from _programs import Program

SUITE = "forky"
_OLDER = frozenset({"bookworm", "trixie"})
_SOURCE = Path("/etc/apt/sources.list.d/specwatch-forky.sources")
_PIN = Path("/etc/apt/preferences.d/specwatch-forky")
_PIN_TEXT = f"# specwatch: only what is asked for by name comes from {SUITE}\nPackage: *\nPin: release n={SUITE}\nPin-Priority: 100\n"
_APT = ("apt-get", "-y", "-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0")
# Docker's daemon takes no port, and who installs an engine wants it to run.
_KEPT_RUNNING = re.compile(r"(docker|containerd)")


def why_not() -> str:
    """Returns why Debian's packages cannot be used here, an empty string where they can."""
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        return "this is not Debian: there is no apt-get"
    release = _os_release()
    if release.get("ID") != "debian":
        return f"the packages are Debian's, and this is {release.get('PRETTY_NAME', 'something else')}"
    return ""


def _os_release() -> dict[str, str]:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return {}
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}


def _needs_suite() -> bool:
    return _os_release().get("VERSION_CODENAME", "") in _OLDER


def _mirror() -> str:
    """Returns a deb822 stanza for the next suite: this machine's own Debian source with another suite in it."""
    codename = _os_release().get("VERSION_CODENAME", "")
    for path in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")):
        if path == _SOURCE:
            continue
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            lines = [line for line in stanza.splitlines() if line.strip() and not line.startswith("#")]
            fields = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
            if codename in fields.get("suites", "").split() and fields.get("enabled", "yes") != "no":
                return "\n".join(f"Suites: {SUITE}" if line.lower().startswith("suites:") else line for line in lines) + "\n"
    for path in (Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*.list"))):
        if not path.exists():
            continue
        for line in path.read_text().splitlines():
            seen = re.fullmatch(rf"\s*deb\s+(\[[^]]*\]\s+)?(\S+)\s+{codename}\s+main\b.*", line)
            if seen:
                signed = re.search(r"signed-by=(\S+?)[\]\s]", seen[1] or "", re.IGNORECASE)
                key = signed[1] if signed else "/usr/share/keyrings/debian-archive-keyring.gpg"
                return f"Types: deb\nURIs: {seen[2]}\nSuites: {SUITE}\nComponents: main\nSigned-By: {key}\n"
    raise StepFailed(f"found no apt source for {codename} below /etc/apt, so none for {SUITE} can be made from it")


def _write_if_other(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def _environment() -> dict[str, str]:
    return {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1", "LC_ALL": "C.UTF-8"}


def _is_installed(package: str) -> bool:
    command = ["/usr/bin/dpkg-query", "-W", "-f", "${db:Status-Status}", package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout == "installed"


def install(programs: Sequence[Program], log: Path) -> None:
    """Installs the packages of `programs` with apt, and lets none of their daemons run (Docker's own excepted).

    Raises:
        StepFailed: apt failed; its last lines are in the message.
    """
    suffix = ""
    if any(program.newer_suite for program in programs) and _needs_suite():
        suffix = f"/{SUITE}"
        _write_if_other(_SOURCE, f"# specwatch: for the packages that scripts/engines/get takes by name\n{_mirror()}")
        _write_if_other(_PIN, _PIN_TEXT)
    wanted = {program.package: suffix if program.newer_suite else "" for program in programs}
    new = [package for package in wanted if not _is_installed(package)]
    # One bad source among many fails the update; whether ours was read shows at the next command.
    with contextlib.suppress(StepFailed):
        run([*_APT, "update"], log, env=_environment())
    names = [package + suite for package, suite in wanted.items()]
    command = [*_APT, "-o", "Dpkg::Options::=--force-confold", "install", "--no-install-recommends", *names]
    try:
        run(command, log, env=_environment())
    finally:
        _stop_daemons(new, log)


def _stop_daemons(packages: Iterable[str], log: Path) -> None:
    """Stops what freshly installed packages started: the stack uses the same ports and starts its own."""
    systemd = Path("/run/systemd/system").is_dir()
    for package in packages:
        files = subprocess.run(["/usr/bin/dpkg", "-L", package], capture_output=True, text=True, check=False).stdout.split()
        units = [Path(f).name for f in files if re.search(r"/systemd/system/[^@]+\.(service|timer|socket)$", f)]
        scripts = [f for f in files if f.startswith("/etc/init.d/")]
        commands = [["systemctl", "disable", "--now", unit] for unit in units] if systemd else [[s, "stop"] for s in scripts]
        for command in commands:
            if _KEPT_RUNNING.search(" ".join(command)):
                continue
            try:
                run(command, log, env=_environment())
            except StepFailed:
                continue  # it had not started


def unpack(programs: Sequence[Program], cache: Cache, log: Path) -> None:
    """Downloads the packages of `programs` as any user and unpacks them into the cache; nothing is installed.

    Raises:
        StepFailed: the download or the unpacking failed.
    """
    state = cache.root / "apt"
    for folder in (state / "lists" / "partial", state / "archives" / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    (state / "forky.sources").write_text(_mirror())
    options = [
        *("-o", f"Dir::Etc::sourcelist={state / 'forky.sources'}", "-o", "Dir::Etc::sourceparts=-"),
        *("-o", "Dir::Etc::preferences=-", "-o", "Dir::Etc::preferencesparts=-"),
        *("-o", f"Dir::State::lists={state / 'lists'}", "-o", f"Dir::Cache={state}"),
        *("-o", "APT::Sandbox::User="),
    ]
    run([*_APT, *options, "update"], log, env=_environment())
    with cache.scratch() as folder:
        packages = sorted({program.package for program in programs})
        run([*_APT, *options, "download", *packages], log, env=_environment(), cwd=folder)
        for package in sorted(folder.glob("*.deb")):
            run(["dpkg", "-x", str(package), str(cache.root / "debian")], log, env=_environment())


def link_names(programs: Iterable[Program], cache: Cache) -> None:
    """Makes links in the cache's `bin/` for programs that Debian names otherwise or that were unpacked there."""
    for program in programs:
        for name in (program.name, *program.other_names):
            unpacked = cache.root / "debian" / "usr" / "bin" / name
            installed = shutil.which(name)
            if unpacked.exists():
                cache.link(Path(os.path.relpath(unpacked, cache.bin)), program.name)
            elif installed and name != program.name:
                cache.link(Path(installed), program.name)
