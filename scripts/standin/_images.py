"""Stand-ins for the images that a compose file names, under the very tags: which are wanted, making them, what they hold."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _rootfs
from _recipes import PYTHON_SUITE, is_python_base, recipe_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from _recipes import Recipe

_GET = Path(__file__).resolve().parents[1] / "engines" / "get"
_KEY = "specwatch.standin.key"
_LABEL = "specwatch.standin"


class StandInFailed(Exception):  # noqa: N818 - named for what happened
    """A stand-in could not be made; the message says what is missing and what to do."""


@dataclass(frozen=True)
class Made:
    """One image that is there now: its tag, what it holds, and whether it had to be made."""

    image: str
    holds: str
    new: bool


@dataclass(frozen=True)
class Docker:
    """An engine, asked through the docker command."""

    socket: str

    def run(self, *words: str) -> str:
        """Returns what a docker command prints.

        Raises:
            StandInFailed: it left with another code than 0.
        """
        command = ["docker", "--host", self.socket, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise StandInFailed(f"`docker {' '.join(words[:3])} …` left with {done.returncode}:\n{done.stderr.strip()[-3000:]}")
        return done.stdout

    def key_of(self, image: str) -> str | None:
        """Returns from what the stand-in that the engine has under this tag was made; None when it has no such image."""
        try:
            labels = json.loads(self.run("image", "inspect", "--format", "{{json .Config.Labels}}", image))
        except StandInFailed:
            return None
        return str((labels or {}).get(_KEY, ""))


def cache_folder() -> Path:
    """Returns the folder in which the tars are kept, made."""
    own, shared = os.environ.get("SPECWATCH_CACHE"), os.environ.get("XDG_CACHE_HOME")
    root = Path(own) if own else (Path(shared) if shared else Path.home() / ".cache") / "specwatch"
    folder = root.absolute() / "standin"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def programs() -> dict[str, tuple[Path, str]]:
    """Returns path and version of each real program that this machine has, as scripts/engines/get finds them."""
    listed = subprocess.run([sys.executable, str(_GET), "--list", "--json"], capture_output=True, text=True, check=True).stdout
    return {row["name"]: (Path(row["path"]), row["version"]) for row in json.loads(listed) if row["path"]}


def compose_services(docker: Docker, files: Sequence[Path]) -> tuple[str, dict[str, dict[str, Any]]]:
    """Returns the project's name and the services as compose itself reads them, those of every profile included."""
    options = [word for file in files for word in ("--file", str(file))]
    document = json.loads(docker.run("compose", *options, "--profile", "*", "config", "--format", "json"))
    return document["name"], dict(document["services"])


def base_images(build: Mapping[str, Any]) -> list[str]:
    """Returns the images that a build starts from, build arguments filled in, without its own stages."""
    if "dockerfile_inline" in build:
        text = str(build["dockerfile_inline"])
    else:
        text = (Path(build["context"]) / build.get("dockerfile", "Dockerfile")).read_text()
    values = dict(re.findall(r"^ARG\s+(\w+)=(\S+)", text, re.MULTILINE)) | dict(build.get("args") or {})
    stages = {name.lower() for name in re.findall(r"^FROM\s.*\sAS\s+(\S+)", text, re.MULTILINE | re.IGNORECASE)}
    named = re.findall(r"^FROM\s+(?:--\S+\s+)*(\S+)", text, re.MULTILINE | re.IGNORECASE)
    filled = [re.sub(r"\$\{?(\w+)(?::-[^}]*)?\}?", lambda seen: str(values.get(seen[1], "")), name) for name in named]
    return [name for name in filled if name.lower() not in stages | {"scratch"}]


def _changes(recipe: Recipe, key: str) -> list[str]:
    lines = [f"LABEL {_KEY}={key}", f"LABEL {_LABEL}={'placeholder' if recipe.is_placeholder else 'real'}", f"WORKDIR {recipe.workdir}"]
    lines += [f"ENTRYPOINT {json.dumps(recipe.entrypoint)}", f"CMD {json.dumps(recipe.command)}"]
    lines += ["ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    lines += [f"USER {recipe.user}"] if recipe.user else []
    return [word for line in lines for word in ("--change", line)]


def _tar(name: str, key: str) -> Path:
    """Returns where the tar is kept; those of the same name that were made from something else are removed."""
    tar = cache_folder() / f"{name}-{key}.tar"
    for other in tar.parent.glob(f"{name}-{'?' * len(key)}.tar"):
        if other != tar:
            other.unlink(missing_ok=True)
    return tar


def _import(docker: Docker, image: str, tar: Path, changes: Iterable[str]) -> None:
    docker.run("import", *changes, str(tar), image)


def make(docker: Docker, image: str, recipe: Recipe, have: Mapping[str, tuple[Path, str]]) -> Made:
    """Makes the stand-in of one image, unless the engine has the very same.

    Raises:
        StandInFailed: a program that it must hold is not on this machine.
    """
    missing = [name for name in (*recipe.programs, *(["busybox"] if recipe.tools else [])) if name not in have]
    if missing:
        raise StandInFailed(f"{image} needs {', '.join(missing)}: run `scripts/engines/get`")
    tree = _rootfs.tree_of(recipe, image, {name: path for name, (path, _) in have.items()})
    key = tree.key()
    holds = ", ".join(f"{name} {have[name][1]}" for name in recipe.programs) or "PLACEHOLDER: answers health checks only"
    if docker.key_of(image) == key:
        return Made(image, holds, new=False)
    tar = _tar(re.sub(r"[^a-z0-9]+", "-", image.lower()), key)
    if not tar.exists():
        tree.write(tar)
    _import(docker, image, tar, _changes(recipe, key))
    return Made(image, holds, new=True)


def make_python(docker: Docker, image: str) -> Made:
    """Makes the stand-in of Docker's official Python image from Debian's packages, unless the engine has the very same.

    Raises:
        StandInFailed: mmdebstrap is missing or failed.
    """
    key = _rootfs.python_key()
    holds = f"Python of Debian {PYTHON_SUITE} with venv and pip"
    if docker.key_of(image) == key:
        return Made(image, holds, new=False)
    tar = _tar("python", key)
    if not tar.exists():
        try:
            _rootfs.write_python(tar)
        except FileNotFoundError as error:
            raise StandInFailed(f"{image} needs mmdebstrap: run `scripts/engines/get --only standin`") from error
        except subprocess.CalledProcessError as error:
            raise StandInFailed(f"mmdebstrap left with {error.returncode}:\n{error.stderr[-2000:]}") from error
    env = {"PIP_CERT": _rootfs.BUNDLE, "SSL_CERT_FILE": _rootfs.BUNDLE, "PIP_ROOT_USER_ACTION": "ignore"}
    env |= {name: os.environ[name] for name in ("PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT") if name in os.environ}
    lines = [f"LABEL {_KEY}={key}", f"LABEL {_LABEL}=real", 'CMD ["python3"]', *(f"ENV {name}={value}" for name, value in env.items())]
    lines += ["ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    _import(docker, image, tar, [word for line in lines for word in ("--change", line)])
    return Made(image, holds, new=True)


def make_all(docker: Docker, files: Sequence[Path], only: Sequence[str] = (), *, build: bool = True) -> list[Made]:
    """Makes the stand-ins for every image of the compose files, and builds the project's own images on them.

    `only` limits it to some services. A build gets the host's network, for an engine without packet filter rules has no other way out.

    Raises:
        StandInFailed: an image that no recipe knows, a missing program, or a failed build.
    """
    project, everything = compose_services(docker, files)
    services = {name: body for name, body in everything.items() if not only or name in only}
    # A service may run an image that another one builds.
    builds = {body["image"]: body["build"] for body in everything.values() if "build" in body and "image" in body}
    have = programs()
    made: dict[str, Made] = {}

    def want(image: str) -> None:
        recipe = recipe_for(image)
        if image in made:
            return
        if recipe:
            made[image] = make(docker, image, recipe, have)
        elif is_python_base(image):
            made[image] = make_python(docker, image)
        else:
            raise StandInFailed(f"{image}: no recipe for a stand-in; add one in scripts/standin/_recipes.py")

    for name, body in services.items():
        tag = body.get("image") or f"{project}-{name}"
        source = body.get("build") or builds.get(tag)
        if source is None or recipe_for(tag):
            want(tag)
            continue
        for image in base_images(source):
            want(image)
        if build and tag not in made:
            made[tag] = _build(docker, tag, source)
    return list(made.values())


def _build(docker: Docker, tag: str, build: Mapping[str, Any]) -> Made:
    if "dockerfile_inline" in build:
        raise StandInFailed(f"{tag}: an inline Dockerfile is not built here; put it into a file")
    arguments = [word for key, value in (build.get("args") or {}).items() for word in ("--build-arg", f"{key}={value}")]
    target = ["--target", build["target"]] if "target" in build else []
    dockerfile = Path(build["context"]) / build.get("dockerfile", "Dockerfile")
    before = docker.key_of(tag)
    docker.run("buildx", "build", "--load", "--network", "host", *arguments, *target, "-t", tag, "-f", str(dockerfile), build["context"])
    return Made(tag, f"built from {dockerfile.name}", new=before is None)


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns 0, or 3 when a stand-in could not be made."""
    parser = argparse.ArgumentParser(prog="scripts/standin/images", description=__doc__)
    parser.add_argument("--socket", required=True, help="the engine's unix socket (a path, or unix://…)")
    parser.add_argument("--compose", required=True, nargs="+", type=Path, metavar="FILE", help="the compose files")
    parser.add_argument("--only", nargs="+", default=[], metavar="SERVICE", help="only the images of these services")
    parser.add_argument("--no-build", action="store_true", help="make what the project's own images start from, do not build them")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    arguments = parser.parse_args(argv)
    socket = arguments.socket if "://" in arguments.socket else f"unix://{Path(arguments.socket).resolve()}"
    try:
        made = make_all(Docker(socket), arguments.compose, arguments.only, build=not arguments.no_build)
    except StandInFailed as error:
        print(f"scripts/standin/images: {error}", file=sys.stderr)
        return 3
    if arguments.json:
        print(json.dumps([{"image": each.image, "holds": each.holds, "new": each.new} for each in made], indent=2))
        return 0
    width = max((len(each.image) for each in made), default=0)
    for each in made:
        print(f"{each.image:{width}}  {'made     ' if each.new else 'was there'}  {each.holds}")
    return 0
