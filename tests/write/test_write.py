"""What lands on disk: only what changed, whole, inside the folder, and never over a person's own edits."""

import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specwatch.errors import WriteError
from specwatch.names import LOCK_FILE
from specwatch.write import Change, compare, summary, write

_FILES: Final[Mapping[str, str]] = {"a.yml": "a\n", "sub/b.yml": "b\n", "sub/deep/c.json": "{}\n"}


def _kinds(changes: tuple[Change, ...]) -> dict[str, str]:
    return {change.path: change.kind for change in changes}


def _tree(folder: Path) -> dict[str, str]:
    """Return every file below the folder but the lock, with its text."""
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != LOCK_FILE
    }


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_ino) for path in (folder, *folder.rglob("*"))}


def test_first_writing_makes_every_file_and_folder(tmp_path: Path) -> None:
    """Ensure a folder that is not there yet is made, with everything in it, and that what was done is told."""
    folder = tmp_path / "new" / "out"
    assert _kinds(write(_FILES, folder)) == dict.fromkeys(_FILES, "new")
    assert _tree(folder) == _FILES


def test_a_second_run_touches_nothing(tmp_path: Path) -> None:
    """Ensure equal files are not written again, the lock included."""
    write(_FILES, tmp_path)
    before = _state(tmp_path)
    assert set(_kinds(write(_FILES, tmp_path)).values()) == {"unchanged"}
    assert _state(tmp_path) == before


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    """Ensure a changed file is replaced and its neighbours keep their time and inode."""
    write(_FILES, tmp_path)
    before = _state(tmp_path)
    changes = write({**_FILES, "a.yml": "new\n"}, tmp_path)
    assert _kinds(changes) == {"a.yml": "changed", "sub/b.yml": "unchanged", "sub/deep/c.json": "unchanged"}
    after = _state(tmp_path)
    assert {path for path in before if before[path] != after[path]} == {str(tmp_path), str(tmp_path / "a.yml"), str(tmp_path / LOCK_FILE)}


def test_compare_tells_and_touches_nothing(tmp_path: Path) -> None:
    """Ensure comparing names every kind of change, makes no folder and writes no file."""
    assert _kinds(compare(_FILES, tmp_path / "none")) == dict.fromkeys(_FILES, "new")
    assert not (tmp_path / "none").exists()
    write({**_FILES, "old.yml": "o\n", "kept.yml": "k\n"}, tmp_path)
    (tmp_path / "sub/b.yml").write_text("mine\n", encoding="utf-8")
    (tmp_path / "kept.yml").write_text("mine\n", encoding="utf-8")
    (tmp_path / "sub/deep/c.json").unlink()
    before = _state(tmp_path)
    changes = compare({**_FILES, "a.yml": "changed\n"}, tmp_path)
    assert _kinds(changes) == {
        "a.yml": "changed",
        "kept.yml": "stale-edited",
        "old.yml": "stale",
        "sub/b.yml": "edited",
        "sub/deep/c.json": "new",
    }
    assert _state(tmp_path) == before
    assert changes[0].diff() == "--- a.yml (on disk)\n+++ a.yml (generated)\n@@ -1 +1 @@\n-a\n+changed\n"
    assert [kind for kind, _ in summary(changes)] == ["new", "changed", "stale", "edited", "stale-edited"]


def test_a_hand_edited_file_is_kept_until_forced(tmp_path: Path) -> None:
    """Ensure an edit survives run after run, whatever the spec makes meanwhile, and that force replaces it."""
    write(_FILES, tmp_path)
    (tmp_path / "a.yml").write_text("mine\n", encoding="utf-8")
    for text in ("a\n", "b\n", "c\n"):
        assert _kinds(write({**_FILES, "a.yml": text}, tmp_path))["a.yml"] == "edited"
        assert (tmp_path / "a.yml").read_text(encoding="utf-8") == "mine\n"
    assert _kinds(write({**_FILES, "a.yml": "c\n"}, tmp_path, force=True))["a.yml"] == "edited"
    assert (tmp_path / "a.yml").read_text(encoding="utf-8") == "c\n"
    assert _kinds(compare({**_FILES, "a.yml": "c\n"}, tmp_path))["a.yml"] == "unchanged"
    assert _kinds(write({**_FILES, "a.yml": "d\n"}, tmp_path))["a.yml"] == "changed"


def test_an_edit_taken_back_is_forgotten(tmp_path: Path) -> None:
    """Ensure a file that is again what we wrote, or what we would write, counts as ours."""
    write(_FILES, tmp_path)
    (tmp_path / "a.yml").write_text("mine\n", encoding="utf-8")
    write(_FILES, tmp_path)
    (tmp_path / "a.yml").write_text("a\n", encoding="utf-8")
    assert _kinds(write({**_FILES, "a.yml": "new\n"}, tmp_path))["a.yml"] == "changed"


def test_a_file_that_was_there_before_us_is_kept(tmp_path: Path) -> None:
    """Ensure a person's own file under a generated name is not overwritten."""
    (tmp_path / "a.yml").write_text("mine\n", encoding="utf-8")
    assert _kinds(write(_FILES, tmp_path)) == {"a.yml": "edited", "sub/b.yml": "new", "sub/deep/c.json": "new"}
    assert (tmp_path / "a.yml").read_text(encoding="utf-8") == "mine\n"


def test_stale_files_go_with_their_empty_folders_only(tmp_path: Path) -> None:
    """Ensure what the spec no longer makes is removed, an edited one kept, and a folder with somebody's file in it stays."""
    write({**_FILES, "x/y/z.yml": "z\n", "x/w.yml": "w\n", "mine/v.yml": "v\n"}, tmp_path)
    (tmp_path / "sub/own.txt").write_text("own\n", encoding="utf-8")
    (tmp_path / "mine/v.yml").write_text("edited\n", encoding="utf-8")
    changes = write({"a.yml": "a\n"}, tmp_path)
    assert _kinds(changes) == {
        "a.yml": "unchanged",
        "mine/v.yml": "stale-edited",
        "sub/b.yml": "stale",
        "sub/deep/c.json": "stale",
        "x/w.yml": "stale",
        "x/y/z.yml": "stale",
    }
    assert _tree(tmp_path) == {"a.yml": "a\n", "mine/v.yml": "edited\n", "sub/own.txt": "own\n"}
    assert not (tmp_path / "x").exists()
    assert not (tmp_path / "sub/deep").exists()
    assert _kinds(write({"a.yml": "a\n"}, tmp_path)) == {"a.yml": "unchanged", "mine/v.yml": "stale-edited"}
    write({"a.yml": "a\n"}, tmp_path, force=True)
    assert not (tmp_path / "mine").exists()


_LOCKS: Final[Mapping[str, str]] = {
    "torn": '{"files": {"a.yml": "12',
    "empty": "",
    "list": "[]",
    "no files": "{}",
    "numbers": '{"files": {"a.yml": 5, "sub/b.yml": [5], "sub/deep/c.json": []}}',
    "text": '{"files": "all"}',
    "deep": "[" * 200_000,
    "binary": "\x00\udcff\x01",
    "outside": json.dumps({"files": {"../victim": "x", "/etc/passwd": "x", "a/../../victim": "x", "": "x", "sub//b": "x", ".": "x"}}),
    "odd names": json.dumps({"files": {"nul\0": "x", "\ud800": "x", "n" * 5000: "x", "line\nbreak": "x", LOCK_FILE: "x", "a.yml/x": "x"}}),
}


@pytest.mark.parametrize("lock", _LOCKS.values(), ids=_LOCKS)
def test_a_torn_or_hostile_lock_does_no_harm(tmp_path: Path, lock: str) -> None:
    """Ensure a lock that is torn, or that names what is not ours, leaves the files alone and is written anew."""
    victim, folder = tmp_path / "victim", tmp_path / "out"
    victim.write_text("precious\n", encoding="utf-8")
    write({path: text for path, text in _FILES.items() if path != "a.yml" or "a.yml/x" not in lock}, folder)
    (folder / LOCK_FILE).write_text(lock, encoding="utf-8", errors="surrogateescape")
    files = {path: text for path, text in _FILES.items() if (folder / path).exists()}
    assert set(_kinds(write(files, folder)).values()) <= {"unchanged", "new"}
    assert victim.read_text(encoding="utf-8") == "precious\n"
    assert _tree(folder) == files
    assert set(json.loads((folder / LOCK_FILE).read_text(encoding="utf-8"))["files"]) == set(files)


def test_without_the_lock_equal_files_are_ours_and_others_a_persons(tmp_path: Path) -> None:
    """Ensure a lock that was deleted costs nothing where the files are as generated, and overwrites nothing where they are not."""
    write(_FILES, tmp_path)
    (tmp_path / LOCK_FILE).unlink()
    assert _kinds(write({**_FILES, "a.yml": "new\n"}, tmp_path)) == {
        "a.yml": "edited",
        "sub/b.yml": "unchanged",
        "sub/deep/c.json": "unchanged",
    }
    assert _kinds(write({**_FILES, "sub/b.yml": "new\n"}, tmp_path))["sub/b.yml"] == "changed"


def _link_file(folder: Path, outside: Path) -> None:
    (folder / "a.yml").unlink()
    (folder / "a.yml").symlink_to(outside / "target")


def _link_folder(folder: Path, outside: Path) -> None:
    (folder / "sub").rename(outside / "sub")
    (folder / "sub").symlink_to(outside / "sub")


def _link_parent(folder: Path, outside: Path) -> None:
    (folder / "sub/deep").rename(outside / "deep")
    (folder / "sub/deep").symlink_to(outside / "deep")


def _link_lock(folder: Path, outside: Path) -> None:
    (folder / LOCK_FILE).unlink()
    (folder / LOCK_FILE).symlink_to(outside / "target")


def _dangling(folder: Path, outside: Path) -> None:
    (folder / "a.yml").unlink()
    (folder / "a.yml").symlink_to(outside / "nothing")


def _pipe(folder: Path, outside: Path) -> None:
    del outside
    (folder / "a.yml").unlink()
    os.mkfifo(folder / "a.yml")


def _folder_for_file(folder: Path, outside: Path) -> None:
    del outside
    (folder / "a.yml").unlink()
    (folder / "a.yml").mkdir()


def _file_for_folder(folder: Path, outside: Path) -> None:
    (folder / "sub").rename(outside / "sub")
    (folder / "sub").write_text("file\n", encoding="utf-8")


_OBSTACLES: Final[Mapping[str, tuple[Callable[[Path, Path], None], str]]] = {
    "file": (_link_file, "a.yml: is a symbolic link; generated files never go through one, so move it away"),
    "dangling": (_dangling, "a.yml: is a symbolic link"),
    "folder": (_link_folder, "sub: is a symbolic link or a file where a folder of generated files belongs; move it away"),
    "parent": (_link_parent, "sub/deep: is a symbolic link or a file where a folder"),
    "lock": (_link_lock, f"{LOCK_FILE}: is a symbolic link"),
    "pipe": (_pipe, "a.yml: is no ordinary file, but a generated one belongs there; move it away"),
    "folder for file": (_folder_for_file, "a.yml: Is a directory"),
    "file for folder": (_file_for_folder, "sub: is a symbolic link or a file where a folder"),
}


@pytest.mark.parametrize(("obstacle", "message"), _OBSTACLES.values(), ids=_OBSTACLES)
@pytest.mark.parametrize("force", [False, True])
def test_nothing_is_written_through_what_is_no_file_of_ours(
    tmp_path: Path, obstacle: Callable[[Path, Path], None], message: str, *, force: bool
) -> None:
    """Ensure a link, a pipe or a folder in the way is named and refused before anything is written, here or elsewhere."""
    folder, outside = tmp_path / "out", tmp_path / "outside"
    outside.mkdir()
    (outside / "target").write_text("precious\n", encoding="utf-8")
    write(_FILES, folder)
    obstacle(folder, outside)
    before = _state(tmp_path)
    with pytest.raises(WriteError) as caught:
        write(dict.fromkeys(_FILES, "new\n"), folder, force=force)
    assert str(caught.value).startswith(f"{folder}/{message}")
    assert caught.value.exit_code == 3
    assert _state(tmp_path) == before


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a//b", "", ".", "a/.", "a/", "x\0y", "n" * 300])
def test_paths_that_leave_the_folder_are_refused(tmp_path: Path, path: str) -> None:
    """Ensure no path can name a file outside the output folder, nor one that no file can have."""
    folder = tmp_path / "out"
    for act in (write, compare):
        with pytest.raises(WriteError, match="leaves the output folder"):
            act({"good.yml": "x", path: "x"}, folder)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def test_an_output_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    """Ensure the output folder's own trouble is an error with a path."""
    (tmp_path / "out").write_text("x", encoding="utf-8")
    for act in (write, compare):
        with pytest.raises(WriteError, match=r"/out: (?:File exists|Not a directory)"):
            act(_FILES, tmp_path / "out")


def test_what_a_killed_run_left_is_swept(tmp_path: Path) -> None:
    """Ensure half-written copies beside their targets go with the next run, even when that writes something else."""
    write(_FILES, tmp_path)
    left = [tmp_path / ".specwatch-a.yml.tmp", tmp_path / "sub/.specwatch-other.yml.tmp", tmp_path / f".specwatch-{LOCK_FILE}.tmp"]
    for file in left:
        file.write_text("half", encoding="utf-8")
    write(_FILES, tmp_path)
    assert not any(file.exists() for file in left)
    assert _tree(tmp_path) == _FILES


_TEXTS: Final = st.dictionaries(st.sampled_from(["a", "b", "d/a", "d/b", "d/e/a"]), st.sampled_from(["1\n", "2\n", "3\n"]), max_size=5)
_STEPS: Final = st.lists(st.tuples(st.sampled_from(["write", "force", "edit", "delete"]), _TEXTS), max_size=6)


@given(_STEPS)
def test_no_sequence_of_runs_and_edits_loses_an_edit(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, dict[str, str]]]
) -> None:
    """Ensure after any sequence each file is what a simple model says: ours as last generated, or a person's last edit."""
    folder = tmp_path_factory.mktemp("steps")
    disk: dict[str, str] = {}
    ours: dict[str, str] = {}
    for act, files in steps:
        if act in {"write", "force"}:
            write(files, folder, force=act == "force")
            for path in {*files, *disk}:
                untouched = (
                    path not in disk
                    or disk[path] in (ours.get(path), files.get(path))
                    or (act == "force" and (path in files or path in ours))
                )
                if untouched and path in files:
                    disk[path] = ours[path] = files[path]
                elif untouched and path in ours:
                    del disk[path], ours[path]
            ours = {path: text for path, text in ours.items() if path in disk}
        for path, text in files.items():
            if act == "edit" and (folder / path).is_file():
                (folder / path).write_text(f"by hand {text}", encoding="utf-8")
                disk[path] = f"by hand {text}"
            elif act == "delete" and (folder / path).is_file():
                (folder / path).unlink()
                del disk[path]
        assert _tree(folder) == disk


def test_files_are_readable_whatever_the_umask(tmp_path: Path) -> None:
    """Ensure containers, which run as other users, can read what was written under a strict umask."""
    before = os.umask(0o077)
    try:
        write({"loki/rules/alerts.yml": "a: 1\n"}, tmp_path)
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / path).stat().st_mode) for path in ("loki", "loki/rules", "loki/rules/alerts.yml")] == [
        0o755,
        0o755,
        0o644,
    ]
