"""Generated files to disk: only what changed, each file old or new whatever happens, and never over a person's own edits.

The lock file remembers the hash of all that we wrote. A file whose hash is another was edited by hand: it is kept and reported, and
replaced only by force. Everything is staged beside its target before the first rename, so that a full disk changes nothing; the
lock is told what is coming before it comes, so that a kill in between leaves no file that looks edited.
"""

import contextlib
import difflib
import errno
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self

from msgspec import Struct

from specwatch.errors import WriteError
from specwatch.names import LOCK_FILE

Kind = Literal["new", "changed", "unchanged", "edited", "stale", "stale-edited"]
# Whatever the umask: containers read these files as other users. Nothing in them is secret.
_FILE_MODE: Final = 0o644
_FOLDER_MODE: Final = 0o755
_TEMPORARY: Final = ".specwatch-"
_LONGEST_NAME: Final = 200
_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Change(Struct, frozen=True, kw_only=True):
    """What writing would do to one file. `before` is the text on disk (None: no file), `after` the generated one (None: none any more)."""

    path: str
    kind: Kind
    before: str | None
    after: str | None

    def diff(self) -> str:
        """Return the change from disk to generated as a unified diff; empty when there is none."""
        before, after = (self.before or "").splitlines(keepends=True), (self.after or "").splitlines(keepends=True)
        return "".join(difflib.unified_diff(before, after, f"{self.path} (on disk)", f"{self.path} (generated)"))


def compare(files: Mapping[str, str], folder: Path) -> tuple[Change, ...]:
    """Return what writing `files` into `folder` would do to each of them and to those written before; touches nothing.

    Raises WriteError when a path leaves the folder, goes through a symbolic link, or cannot be read.
    """
    with _Folders(folder) as folders:
        return _compare(files, folders, _read_lock(folders))


def write(files: Mapping[str, str], folder: Path, *, force: bool = False) -> tuple[Change, ...]:
    """Bring `folder` to `files` and return what that changed, and what was left alone because a person had edited it.

    With `force`, edited files are replaced (and stale ones removed) too. Raises WriteError; then every file is as it was, or,
    after a failure between two renames, old or new.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _failed(str(folder), error) from None
    with _Folders(folder) as folders:
        fcntl.flock(folders.root, fcntl.LOCK_EX)
        lock = _read_lock(folders)
        changes = _compare(files, folders, lock)
        folders.sweep()
        wanted = {"new", "changed"} | ({"edited"} if force else set())
        unwanted = {"stale"} | ({"stale-edited"} if force else set())
        hashes = {change.path: _hash(change.after) for change in changes if change.after is not None}
        kept = {change.path for change in changes if change.kind in {"edited", "stale-edited"} and not force}
        final = {path: lock.get(path, [""])[-1] if path in kept else value for path, value in hashes.items()}
        final |= {path: lock[path][-1] for path in kept if path in lock}
        with _Staging(folders) as staging:
            for change in changes:
                if change.kind in wanted and change.after is not None:
                    staging.add(change.path, change.after)
            pending = {
                change.path: [_hash(text) for text in (change.before, change.after) if text is not None]
                for change in changes
                if change.path in staging.targets
            }
            if pending:
                _write_lock(folders, lock | pending)
            staging.commit()
        for change in changes:
            if change.kind in unwanted:
                folders.remove(change.path)
        settled = {path: [value] for path, value in sorted(final.items()) if value}
        if settled != lock:
            _write_lock(folders, settled)
        return changes


def _compare(files: Mapping[str, str], folders: "_Folders", lock: Mapping[str, list[str]]) -> tuple[Change, ...]:
    changes = []
    for path in sorted({*files, *lock}):
        after = files.get(path)
        before = folders.read(path)
        changes.append(Change(path=path, kind=_kind(before, after, lock.get(path, [])), before=before, after=after))
    return tuple(change for change in changes if change.before is not None or change.after is not None)


def _kind(before: str | None, after: str | None, ours: list[str]) -> Kind:
    if before is None:
        return "new"
    if before == after:
        return "unchanged"
    untouched = _hash(before) in ours
    if after is None:
        return "stale" if untouched else "stale-edited"
    return "changed" if untouched else "edited"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _read_lock(folders: "_Folders") -> dict[str, list[str]]:
    """Return path to the hashes that are ours; a lock that is torn, and an entry that we cannot have written, is as good as none."""
    text = folders.read(LOCK_FILE)
    try:
        data: Any = json.loads(text or "{}")
        files = dict(data["files"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    entries = {path: [value] if isinstance(value, str) else value for path, value in files.items() if _inside(path)}
    return {path: hashes for path, hashes in entries.items() if _are_hashes(hashes)}


def _are_hashes(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def _inside(path: str) -> bool:
    """Return whether `path` is relative, stays in the folder that it starts from, and can be a file's name at all."""
    parts = path.split("/")
    fits = path.isprintable() and all(0 < len(os.fsencode(part)) <= _LONGEST_NAME for part in parts)
    return fits and not {".", ".."} & set(parts) and path != LOCK_FILE


def _write_lock(folders: "_Folders", hashes: Mapping[str, list[str]]) -> None:
    files = {path: values[0] if len(values) == 1 else values for path, values in sorted(hashes.items())}
    note = "What specwatch wrote, so that it knows which files a person edited. Commit it with them."
    text = json.dumps({"about": note, "files": files}, indent=1) + "\n"
    with _Staging(folders) as staging:
        staging.add(LOCK_FILE, text)
        staging.commit()


class _Folders:
    """The output folder and those below it, opened one by one so that no symbolic link is ever followed."""

    def __init__(self, root: Path) -> None:
        self.name = str(root)
        self.opened: dict[tuple[str, ...], int] = {}
        try:
            self.root = self.opened[()] = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            self.root = -1
        except OSError as error:
            raise _failed(str(root), error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self.opened.values():
            os.close(descriptor)
        self.opened.clear()

    def parent(self, path: str, *, create: bool) -> tuple[int, str] | None:
        """Return the descriptor of the folder that holds `path`, and the file's name; None when there is no such folder."""
        parts = tuple(path.split("/"))
        if path != LOCK_FILE and not _inside(path):
            raise WriteError(f"{path}: leaves the output folder {self.name}; generated files stay inside it")
        if self.root < 0:
            return None
        descriptor = self.root
        for length in range(1, len(parts)):
            found = self._open(parts[:length], descriptor, create=create)
            if found is None:
                return None
            descriptor = found
        return descriptor, parts[-1]

    def _open(self, parts: tuple[str, ...], above: int, *, create: bool) -> int | None:
        if parts in self.opened:
            return self.opened[parts]
        shown = f"{self.name}/{'/'.join(parts)}"
        try:
            made = create and self._made(parts[-1], above)
            self.opened[parts] = os.open(parts[-1], _FOLDER_FLAGS, dir_fd=above)
            if made:
                os.fchmod(self.opened[parts], _FOLDER_MODE)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                raise WriteError(f"{shown}: is a symbolic link or a file where a folder of generated files belongs; move it away") from None
            raise _failed(shown, error) from None
        return self.opened[parts]

    @staticmethod
    def _made(name: str, above: int) -> bool:
        try:
            os.mkdir(name, _FOLDER_MODE, dir_fd=above)
        except FileExistsError:
            return False
        return True

    def read(self, path: str) -> str | None:
        """Return the text of the file, or None when there is none."""
        found = self.parent(path, create=False)
        if found is None:
            return None
        descriptor, name = found
        try:
            # Without O_NONBLOCK a named pipe in the file's place would keep us waiting for ever.
            with os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=descriptor), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise WriteError(f"{self.name}/{path}: is no ordinary file, but a generated one belongs there; move it away")
                return file.read().decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise WriteError(f"{self.name}/{path}: is a symbolic link; generated files never go through one, so move it away") from None
            raise _failed(f"{self.name}/{path}", error) from None

    def sweep(self) -> None:
        """Remove what a killed run left in the folders opened so far; the lock on the folder says that no other run is at work."""
        for descriptor in self.opened.values():
            with os.scandir(descriptor) as entries:
                left = [entry.name for entry in entries if entry.name.startswith(_TEMPORARY) and entry.name.endswith(".tmp")]
            for name in left:
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=descriptor)

    def remove(self, path: str) -> None:
        """Remove the file, and the folders that it leaves empty."""
        found = self.parent(path, create=False)
        if found is None:
            return
        descriptor, name = found
        try:
            os.unlink(name, dir_fd=descriptor)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _failed(f"{self.name}/{path}", error) from None
        parts = path.split("/")[:-1]
        while parts:
            above = self.opened.get(tuple(parts[:-1]))
            try:
                os.rmdir(parts[-1], dir_fd=above)
            except OSError:
                return  # not empty: a person's own files are there
            parts.pop()


class _Staging:
    """New texts beside their targets, put in place all at once at the end or not at all."""

    def __init__(self, folders: _Folders) -> None:
        self.folders = folders
        self.staged: list[tuple[int, str, str, str]] = []
        self.targets: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor, temporary, _name, _path in self.staged:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=descriptor)

    def add(self, path: str, text: str) -> None:
        """Write `text` beside its target."""
        found = self.folders.parent(path, create=True)
        if found is None:
            raise WriteError(f"{self.folders.name}/{path}: its folder is gone; run the command again")
        descriptor, name = found
        temporary = f"{_TEMPORARY}{name}.tmp"
        try:
            self.staged.append((descriptor, temporary, name, path))  # first, so that an interrupt at any point finds it
            created = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE_MODE, dir_fd=descriptor)
            with os.fdopen(created, "wb") as file:
                os.fchmod(created, _FILE_MODE)
                file.write(text.encode("utf-8", "surrogateescape"))
        except OSError as error:
            raise _failed(f"{self.folders.name}/{path}", error) from None
        self.targets.add(path)

    def commit(self) -> None:
        """Put everything in its place."""
        while self.staged:
            descriptor, temporary, name, path = self.staged[0]
            try:
                os.rename(temporary, name, src_dir_fd=descriptor, dst_dir_fd=descriptor)
            except OSError as error:
                raise _failed(f"{self.folders.name}/{path}", error) from None
            self.staged.pop(0)


def _failed(path: str, error: OSError) -> WriteError:
    remedies = {
        errno.ENOSPC: "make room and run the command again; no file was left half written",
        errno.EDQUOT: "make room and run the command again; no file was left half written",
        errno.EACCES: "give yourself the right to read and write there, or choose another folder with --output",
        errno.EPERM: "give yourself the right to write there, or choose another folder with --output",
        errno.EROFS: "choose a folder that can be written with --output",
    }
    remedy = remedies.get(error.errno or 0, "see to it and run the command again")
    return WriteError(f"{path}: {error.strerror}; {remedy}")


def summary(changes: Iterable[Change]) -> Iterator[tuple[Kind, list[str]]]:
    """Yield each kind of change that occurred with its paths, in a fixed order; what is unchanged is left out."""
    by_kind: dict[Kind, list[str]] = {"new": [], "changed": [], "stale": [], "edited": [], "stale-edited": []}
    for change in changes:
        if change.kind != "unchanged":
            by_kind[change.kind].append(change.path)
    for kind, paths in by_kind.items():
        if paths:
            yield kind, paths
