"""Put the rendered files into the run folder, so that each can be taken back."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from specwatch.engines.native.model import replace


def current(root: Path) -> dict[str, str]:
    """Return the files below `root` as they are, by their relative paths."""
    return {
        path.relative_to(root).as_posix(): path.read_text(errors="surrogateescape")
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink() and not path.name.startswith(".")
    }


def write(root: Path, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Make the files below `root` those of `after`, each atomically, given that they are those of `before`; raises OSError."""
    for path in before.keys() - after.keys():
        (root / path).unlink(missing_ok=True)
    for path, text in after.items():
        if before.get(path) != text:
            (root / path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace(root / path, text.encode(errors="surrogateescape"))
    for folder in sorted((path for path in root.rglob("*") if path.is_dir() and not path.is_symlink()), reverse=True):
        with suppress(OSError):  # it is not empty
            folder.rmdir()


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> frozenset[str]:
    """Return the components (first folders) of which a file differs."""
    paths = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    return frozenset(path.split("/", 1)[0] for path in paths)


def mixed(before: Mapping[str, str], after: Mapping[str, str], keep: frozenset[str]) -> dict[str, str]:
    """Return the files of `after`, with those of the components in `keep` as they were `before`."""
    return {path: text for path, text in after.items() if path.split("/", 1)[0] not in keep} | {
        path: text for path, text in before.items() if path.split("/", 1)[0] in keep
    }
