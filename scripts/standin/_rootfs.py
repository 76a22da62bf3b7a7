"""The file systems of stand-in images, as tars: real programs with their libraries, busybox, users, folders with owners."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shlex
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from _recipes import PYTHON_PACKAGES, PYTHON_SUITE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _recipes import Recipe

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_USERS = {"root": 0, "nobody": 65534, "grafana": 472, "fluent": 999, "app": 10001}
_READABLE, _RUNNABLE = 0o644, 0o755


@dataclass(frozen=True)
class Entry:
    """One path of a file system: a copy of `source`, `text`, a link to `link`, or else a folder."""

    source: Path | None = None
    text: str | None = None
    link: str = ""
    mode: int = _RUNNABLE
    uid: int = 0

    def key(self) -> str:
        """Returns what decides the content, cheaply: a source counts with its size and time."""
        stat = self.source.stat() if self.source else None
        return repr((str(self.source), stat and (stat.st_size, stat.st_mtime_ns), self.text, self.link, self.mode, self.uid))


@dataclass
class Tree:
    """A file system being put together; a path is in it once, since `docker import` refuses a tar with a path twice."""

    entries: dict[str, Entry] = field(default_factory=dict)

    def put(self, path: str, entry: Entry) -> None:
        """Adds an entry and the folders above it; what is there already stays."""
        for parent in reversed(PurePosixPath(path).parents):
            if str(parent) != "/":
                self.entries.setdefault(str(parent), Entry())
        self.entries.setdefault(path, entry)

    def put_program(self, source: Path, path: str) -> None:
        """Adds a program and the libraries that it is linked with, each at the path where it is looked for."""
        real = source.resolve(strict=True)
        self.put(path, Entry(source=real))
        listed = subprocess.run(["/usr/bin/ldd", str(real)], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(/\S+) \(0x", listed):
            self.put(library, Entry(source=Path(library).resolve(strict=True)))

    def put_tree(self, source: Path) -> None:
        """Adds a folder of this machine with all files in it, at the same path."""
        for path in sorted(source.rglob("*")):
            if path.is_file():
                self.put(str(path), Entry(source=path, mode=_READABLE))

    def key(self) -> str:
        """Returns a hash of all that is in it."""
        whole = "\n".join(f"{path} {entry.key()}" for path, entry in sorted(self.entries.items()))
        return hashlib.sha256(whole.encode()).hexdigest()[:20]

    def write(self, target: Path, base: Path | None = None, without: str = "") -> None:
        """Writes the tar, on top of the tar `base`, of which paths that match `without` are left out; whole or not at all."""
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as out:
            try:
                with tarfile.open(fileobj=out, mode="w") as tar:
                    have = _copy(base, tar, without, self.entries) if base else set()
                    for path, entry in sorted(self.entries.items()):
                        if path not in have:
                            _add(tar, path, entry)
            except BaseException:
                Path(out.name).unlink()
                raise
        Path(out.name).replace(target)


def _copy(base: Path, tar: tarfile.TarFile, without: str, entries: Mapping[str, Entry]) -> set[str]:
    """Copies a tar into another; returns the folders in it (our own folder entries give way, our files replace)."""
    folders = set()
    with tarfile.open(base) as source:
        for member in source:
            path = "/" + member.name.removeprefix("./").strip("/")
            ours = entries.get(path)
            if path == "/" or re.search(without, path) or member.isdev() or (ours and (ours.source or ours.text is not None or ours.link)):
                continue
            if ours:
                folders.add(path)
            tar.addfile(member, source.extractfile(member) if member.isreg() else None)
    return folders


def _add(tar: tarfile.TarFile, path: str, entry: Entry) -> None:
    info = tarfile.TarInfo(path.lstrip("/"))
    info.uid = info.gid = entry.uid
    info.mode = entry.mode
    if entry.link:
        info.type, info.linkname = tarfile.SYMTYPE, entry.link
        tar.addfile(info)
    elif entry.source:
        info.size = entry.source.stat().st_size
        with entry.source.open("rb") as file:
            tar.addfile(info, file)
    elif entry.text is not None:
        data = entry.text.encode()
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    else:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)


def common() -> Tree:
    """Returns what every image has: users, a writable /tmp, the certificates that this machine trusts."""
    tree = Tree()
    passwd = "".join(f"{name}:x:{uid}:{uid}::/{'root' if not uid else ''}:/bin/sh\n" for name, uid in _USERS.items())
    tree.put("/etc/passwd", Entry(text=passwd, mode=_READABLE))
    tree.put("/etc/group", Entry(text="".join(f"{name}:x:{uid}:\n" for name, uid in _USERS.items()), mode=_READABLE))
    tree.put("/tmp", Entry(mode=0o1777))  # noqa: S108 - a folder inside an image
    if Path(BUNDLE).exists():
        tree.put(BUNDLE, Entry(source=Path(BUNDLE).resolve(), mode=_READABLE))
    return tree


def _put_busybox(tree: Tree, busybox: Path) -> None:
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    tree.put("/bin/busybox", Entry(source=busybox.resolve()))
    for applet in listed:
        if applet != "busybox":
            tree.put(f"/bin/{applet}", Entry(link="busybox"))


def tree_of(recipe: Recipe, image: str, programs: Mapping[str, Path]) -> Tree:
    """Returns the file system of one image; `programs` says where this machine has busybox and the real programs.

    Raises:
        KeyError: a program that the recipe wants is not among `programs`.
    """
    tree = common()
    for path, uid in recipe.folders.items():
        tree.put(path, Entry(uid=uid))
    for path in recipe.shared:
        tree.put(path, Entry(mode=0o1777))
    for name, path in recipe.programs.items():
        tree.put_program(programs[name], path)
    for folder in recipe.trees:
        if Path(folder).is_dir():
            tree.put_tree(Path(folder))
    if recipe.tools == "bash":
        tree.put_program(Path("/bin/bash"), "/bin/bash")
    if recipe.is_placeholder:
        _put_placeholder(tree, recipe, image)
    if recipe.tools:
        _put_busybox(tree, programs["busybox"])
    return tree


def _put_placeholder(tree: Tree, recipe: Recipe, image: str) -> None:
    """Adds a server that answers every request on the image's ports with 200, and the program that its health check calls."""
    said = f"stand-in for {image}: a placeholder that answers health checks; the real program could not be had"
    head = r"HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: 20\r\n\r\n"
    # The request is read to its empty line first, or the client's connection would be reset.
    answer = f"while read -r line && [ ${{#line}} -gt 1 ]; do :; done\nprintf '{head}specwatch_standin 1\\n'\n"
    tree.put("/standin/answer", Entry(text=f"#!/bin/sh\n{answer}"))
    listen = "".join(f"/bin/nc -ll -p {port} -e /standin/answer &\n" for port in recipe.ports)
    # The shell is process 1: it must end its children itself when the container is stopped.
    serve = f"trap 'kill $(jobs -p); exit 0' TERM INT\necho {shlex.quote(said)}\n{listen}wait\n"
    program = recipe.entrypoint[0]
    tree.put(program, Entry(text=f"#!/bin/sh\n{recipe.health.get(program, '')}\n{serve}"))
    for path, script in recipe.health.items():
        tree.put(path, Entry(text=f"#!/bin/sh\n{script}\n"))


def write_python(target: Path) -> None:
    """Writes the tar of a Python base image: Debian's Python with venv and pip, trusting what this machine trusts.

    Raises:
        subprocess.CalledProcessError: mmdebstrap failed; its output is in the error.
    """
    tree = common()
    for path in ("/usr/local/bin/python", "/usr/local/bin/python3"):
        tree.put(path, Entry(link="/usr/bin/python3"))
    tree.put("/root", Entry(mode=0o700))
    # Debian's packages hold these links no more: they are made when a system is set up, which unpacking alone does not.
    for name in ("bin", "sbin", "lib", "lib64"):
        tree.put(f"/{name}", Entry(link=f"usr/{name}"))
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        base = Path(folder) / "base.tar"
        command = ["mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(PYTHON_PACKAGES)}", PYTHON_SUITE, str(base)]
        env = {**os.environ, "TMPDIR": folder}
        Path(folder).chmod(0o755)  # mmdebstrap's own user must get through
        subprocess.run(command, check=True, capture_output=True, text=True, env=env)
        # Without the marker pip installs as it does in the official image, which is not Debian's Python.
        tree.write(target, base, r"/EXTERNALLY-MANAGED$")


def python_key() -> str:
    """Returns a hash of what decides the Python base image."""
    return hashlib.sha256(repr((PYTHON_SUITE, PYTHON_PACKAGES, common().key())).encode()).hexdigest()[:20]
