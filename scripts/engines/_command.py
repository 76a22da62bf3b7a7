"""The command line: what is wanted, what is there, getting the rest, and the table at the end."""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import _debian
import _gomodules
from _cache import cache_from_environment
from _programs import GROUPS, find_all, select
from _steps import Reporter, StepFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from _cache import Cache
    from _programs import Found, Program

_ROOT_CURE = "needs root: run `sudo scripts/engines/get --only docker standin`"
_DEBIAN_USUAL = "40 s"


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    groups = "; ".join(f"{name}: {what}" for name, what in GROUPS.items())
    parser = argparse.ArgumentParser(
        prog="scripts/engines/get",
        description="Gets the real programs of the stack: Debian's packages when root (unpacked into the cache when not), "
        "Go modules for the rest. What is there is left alone; a second run takes a second or two.",
        epilog="Leaves with 0 when all is there that can be had, 2 for a wrong command line, 3 when something failed.",
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help=f"only these programs or groups ({groups})")
    parser.add_argument("--list", action="store_true", help="say what is there and where; get nothing")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.add_argument("--no-root", action="store_true", help="leave the system alone, even as root")
    parser.add_argument("--prune", action="store_true", help="afterwards, remove what only a later build would use")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code: 0, 2 (command line) or 3 (a program that can be had is not there)."""
    arguments = _arguments(argv)
    try:
        programs = select(arguments.only)
    except ValueError as error:
        print(f"scripts/engines/get: {error}", file=sys.stderr)
        return 2
    cache = cache_from_environment()
    failures: dict[str, str] = {}
    found: list[Found] = []
    if not arguments.list:
        try:
            root = os.geteuid() == 0 and not arguments.no_root
            failures, found = _get(programs, cache, Reporter(quiet=arguments.json), root=root, asked=bool(arguments.only))
            if arguments.prune:
                _gomodules.prune(cache)
        except OSError as error:
            print(f"scripts/engines/get: {error}; SPECWATCH_CACHE names another cache folder", file=sys.stderr)
            return 3
        except KeyboardInterrupt:
            print("\nscripts/engines/get: stopped; what was finished is kept, run it again for the rest", file=sys.stderr)
            return 130
    found = found or find_all(programs, cache)
    _print_table(found, failures, as_json=arguments.json)
    return 0 if arguments.list or not any(_is_missing(each, asked=bool(arguments.only)) for each in found) else 3


def _is_missing(found: Found, *, asked: bool) -> bool:
    """Whether a program is off that can be had; of the extra ones only those that were asked for by name or group."""
    return not found.ok and found.program.source != "vendor" and (asked or found.program.group != "extra")


def _is_current(found: Found, cache: Cache) -> bool:
    """Whether nothing is to be done for a program: it is there, and if it was built here, then from today's go.mod."""
    name = found.program.name
    if not found.ok or found.path != str(cache.bin / name) or (cache.bin / name).is_symlink():
        return found.ok
    return any(cache.is_built(name, build.stamp()) for build in _gomodules.BUILDS if name in build.programs)


def _get(programs: Sequence[Program], cache: Cache, reporter: Reporter, *, root: bool, asked: bool) -> tuple[dict[str, str], list[Found]]:
    """Gets what is missing; returns program → why it could not be had, and what was found where nothing was to be done."""
    with cache.locked():
        found = find_all(programs, cache)
        missing = [each.program for each in found if _is_missing(each, asked=asked) or (each.ok and not _is_current(each, cache))]
        if not missing:
            return {}, found
        print(f"getting {', '.join(p.name for p in missing)}; programs and logs in {cache.root}", file=reporter.out, flush=True)
        packaged = [program for program in missing if program.source == "debian"]
        built = [program for program in missing if program.source != "debian"]
        if not root:
            # Debian's Alertmanager has its template folder compiled in, so an unpacked one does not run.
            built += [program for program in packaged if program.package == "prometheus-alertmanager"]
            packaged = [program for program in packaged if program not in built]
        # Packages wait for the network and the disk, builds for the processor: together they take as long as the builds.
        with reporter.ticking(), ThreadPoolExecutor(max_workers=2) as pool:
            futures = [pool.submit(_packages, packaged, cache, reporter, root), pool.submit(_builds, built, cache, reporter)]
        failures: dict[str, str] = {}
        for future in futures:
            failures |= future.result()
        return failures, []


def _attempt(programs: Sequence[Program], reporter: Reporter, work: Callable[[], None]) -> dict[str, str]:
    """Does one step; a failure is printed with the end of its log, and its first line returned for each program."""
    try:
        work()
    except StepFailed as error:
        reporter.say(f"    {error}")
        return {program.name: str(error).splitlines()[0] for program in programs}
    return {}


def _packages(programs: Sequence[Program], cache: Cache, reporter: Reporter, root: bool) -> dict[str, str]:
    failures: dict[str, str] = {}
    if not root:
        failures = {program.name: _ROOT_CURE for program in programs if program.group != "native"}
        programs = [program for program in programs if program.group == "native"]
    if not programs:
        return failures
    off = _debian.why_not()
    if off:
        cure = "install it so that it is on PATH, or use `--runtime compose`"
        return failures | {program.name: f"{off}; {cure}" for program in programs}

    def work() -> None:
        log = cache.new_log("debian")
        what = f"{'installing' if root else 'unpacking'} {', '.join(sorted({p.package for p in programs}))}"
        with reporter.step("debian", what, _DEBIAN_USUAL):
            if root:
                _debian.install(programs, log)
            else:
                _debian.unpack(programs, cache, log)
        _debian.link_names(programs, cache)

    return failures | _attempt(programs, reporter, work)


def _builds(programs: Sequence[Program], cache: Cache, reporter: Reporter) -> dict[str, str]:
    """Builds one after the other: two at once would only share the cores."""
    if not programs:
        return {}
    failures: dict[str, str] = {}
    tools: list[Path] = []
    failures = _attempt(programs, reporter, lambda: tools.append(_gomodules.toolchain(cache, reporter, cache.new_log("go"))))
    for build in _gomodules.BUILDS if tools else ():
        wanted = [program for program in programs if program.name in build.programs]
        if wanted:
            failures |= _attempt(wanted, reporter, partial(_build, build, tools[0], cache, reporter))
    return failures


def _build(build: _gomodules.Build, go: Path, cache: Cache, reporter: Reporter) -> None:
    with reporter.step(build.name, f"building {build.version()} from its Go module", build.usual):
        _gomodules.build(build, go, cache, cache.new_log(build.name))


def _print_table(found: Sequence[Found], failures: dict[str, str], *, as_json: bool) -> None:
    """Prints program, version and place, or why it is off and what to do."""
    rows = []
    for each in found:
        name = each.program.name
        cure = failures.get(name) or each.program.cure or f"run `scripts/engines/get --only '{name}'`"
        rows.append({"name": name, "version": each.version, "path": each.path, "off": each.off, "cure": cure if each.off else ""})
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    width = max(len(row["version"]) for row in rows)
    for row in rows:
        place = f"off: {row['off']}; {row['cure']}" if row["off"] else row["path"]
        print(f"{row['name']:18} {row['version'] or '-':{width}}  {place}")
