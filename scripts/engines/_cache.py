"""Where the programs are kept: the cache folder, its lock, and the stamps that say what a program was built from."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Cache:
    """The cache folder: `bin/` programs, `log/` build logs, `stamps/` what was built from what, `go/` Go's own caches."""

    root: Path

    @property
    def bin(self) -> Path:
        """The folder of programs, under their upstream names."""
        return self.root / "bin"

    @property
    def log(self) -> Path:
        """The folder of logs, one for each step."""
        return self.root / "log"

    @property
    def tmp(self) -> Path:
        """The folder of half-done work, on the same file system as `bin/`, so that a finished file can be renamed."""
        return self.root / "tmp"

    def new_log(self, step: str) -> Path:
        """Returns the path of the log of `step`, emptied."""
        self.log.mkdir(parents=True, exist_ok=True)
        path = self.log / f"{step}.log"
        path.write_text("")
        return path

    def is_built(self, name: str, stamp: str) -> bool:
        """Returns whether `bin/name` is there and was made from what `stamp` was computed from."""
        path = self.root / "stamps" / name
        return (self.bin / name).exists() and path.exists() and path.read_text() == stamp

    def install(self, built: Path, name: str, stamp: str) -> None:
        """Moves a finished program into `bin/name` and notes its stamp; at no moment is there half a program."""
        self.bin.mkdir(parents=True, exist_ok=True)
        path = self.root / "stamps" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        built.chmod(0o755)
        built.replace(self.bin / name)
        path.write_text(stamp)

    def link(self, target: Path, name: str) -> None:
        """Makes `bin/name` a symbolic link to `target`, replacing what was there."""
        self.bin.mkdir(parents=True, exist_ok=True)
        with self.scratch() as folder:
            (folder / name).symlink_to(target)
            (folder / name).replace(self.bin / name)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Gives an empty folder inside `tmp/`, removed afterwards."""
        self.tmp.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=self.tmp))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Holds the cache for this process; gives whether another process had to be waited for.

        Raises:
            OSError: the cache folder cannot be written.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                waited = False
            except BlockingIOError:
                print("another run is getting programs into this cache: waiting for it to finish", flush=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
                waited = True
            # Whoever holds the lock is alone here, so anything in tmp/ was left by a run that was killed.
            shutil.rmtree(self.tmp, ignore_errors=True)
            yield waited


def cache_from_environment() -> Cache:
    """Returns the cache that SPECWATCH_CACHE, XDG_CACHE_HOME or the home folder names, in this order."""
    own = os.environ.get("SPECWATCH_CACHE")
    shared = os.environ.get("XDG_CACHE_HOME")
    root = Path(own) if own else (Path(shared) if shared else Path.home() / ".cache") / "specwatch"
    return Cache(root.absolute())


def stamp_of(*parts: str | Path) -> str:
    """Returns a hash of words and of the contents of files."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part.encode()
        digest.update(len(data).to_bytes(8))
        digest.update(data)
    return digest.hexdigest()
