"""Valid specs, mutated: whatever comes of it is a stack that renders, or a SpecError with its places, and nothing else.

`SPECWATCH_MUTATIONS=10000` runs more of them than the default 300, `SPECWATCH_MUTATION_SEED` others.
"""

import copy
import os
import random
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from specwatch import topology
from specwatch.components import BY_NAME
from specwatch.errors import SpecError
from specwatch.render import render
from specwatch.resolve import understand
from specwatch.spec.source import read
from specwatch.textio import dump_yaml
from tests.commandline import ROOT, in_process

_COUNT: Final = int(os.environ.get("SPECWATCH_MUTATIONS", "300"))
_SEED: Final = int(os.environ.get("SPECWATCH_MUTATION_SEED", "3"))
_SPECS: Final = (ROOT / "spec.yaml", *(Path(__file__).with_name(f"{name}.yaml") for name in ("rich", "sinks")))
_HOSTILE: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    65536,
    2**63,
    10**40,
    1.5,
    1e99,
    "",
    " ",
    "no",
    "~",
    "5m",
    "0s",
    "shop",
    "a b",
    "x\n",
    "line\nbreak: {}\n- [",
    "'\"`",
    "{{ .Labels.x }}",
    "{{",
    "${HOME} $$ $(id)",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "/dev/null",
    "é🦔\u202e\u2028\ufeff",
    "\x00\x07\x1b[31m\x7f\x85",
    "*alias &anchor !tag # comment",
    "x" * 5000,
    "(" * 500,
    "up{",
    '{service="a"}',
    "rate(up[5m])",
    "$__rate_interval",
    "http://[::1",
    "http://a/%zz",
    [],
    [[]],
    ["shop", "shop"],
    [None],
    {},
    {"": ""},
    {"<<": {}},
    {"secret": "s"},
    {"a": {"b": {"c": ["d"]}}},
)


class _Tree:
    """Plain data, and the places in it where something can be changed."""

    def __init__(self, data: Any) -> None:
        self.data = data
        self.places: list[tuple[Any, Any]] = []
        self._collect(data)

    def _collect(self, value: Any) -> None:
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in items:
            self.places.append((value, key))
            self._collect(item)


def _delete(tree: _Tree, dice: random.Random) -> None:
    holder, key = dice.choice(tree.places)
    del holder[key]


def _rename(tree: _Tree, dice: random.Random) -> None:
    holder, key = dice.choice([place for place in tree.places if isinstance(place[0], dict)])
    swapped = key[1:] + key[:1]
    new = dice.choice([key.upper(), key + "s", swapped, "", "shop", "for", "loki", str(dice.choice(_HOSTILE))])
    items = [(new if name == key else name, value) for name, value in holder.items()]
    holder.clear()
    holder.update(items)


def _replace(tree: _Tree, dice: random.Random) -> None:
    holder, key = dice.choice(tree.places)
    holder[key] = copy.deepcopy(dice.choice(_HOSTILE))


def _add(tree: _Tree, dice: random.Random) -> None:
    holder, _ = dice.choice(tree.places)
    value = copy.deepcopy(dice.choice(_HOSTILE))
    if isinstance(holder, dict):
        holder[str(dice.choice(_HOSTILE))] = value
    else:
        holder.insert(dice.randrange(len(holder) + 1), value)


def _copy(tree: _Tree, dice: random.Random) -> None:
    (_, _), (source, name) = target, _ = dice.choice(tree.places), dice.choice(tree.places)
    target[0][target[1]] = copy.deepcopy(source[name])


def _swap(tree: _Tree, dice: random.Random) -> None:
    (left, key), (right, name) = dice.choice(tree.places), dice.choice(tree.places)
    left[key], right[name] = copy.deepcopy(right[name]), copy.deepcopy(left[key])


def _nest(tree: _Tree, dice: random.Random) -> None:
    holder, key = dice.choice(tree.places)
    for _ in range(dice.choice([1, 1, 2, 70])):
        holder[key] = dice.choice([[holder[key]], {"a": holder[key]}])


def _toggle(tree: _Tree, dice: random.Random) -> None:
    chosen = {name: dice.random() < 0.5 for name in BY_NAME if dice.random() < 0.5}
    stack = tree.data.get("stack")
    tree.data["stack"] = {
        **(stack if isinstance(stack, dict) else {}),
        "components": chosen,
        "shipper": dice.choice(["promtail", "otelcol"]),
    }


_STRUCTURAL: Final[tuple[Callable[[_Tree, random.Random], None], ...]] = (
    _delete,
    _rename,
    _replace,
    _replace,
    _add,
    _copy,
    _swap,
    _nest,
    _toggle,
)


def _structural(data: Any, dice: random.Random) -> bytes:
    changed = copy.deepcopy(data)
    for _ in range(dice.choice([1, 1, 1, 2, 4])):
        dice.choice(_STRUCTURAL)(_Tree(changed), dice)
    return dump_yaml(changed).encode("utf-8", "surrogatepass")


def _textual(text: bytes, dice: random.Random) -> bytes:
    changed = bytearray(text)
    for _ in range(dice.choice([1, 1, 2, 5])):
        way, at = dice.randrange(6), dice.randrange(len(changed) or 1)
        if way == 0:
            changed[at : at + 1] = bytes([dice.randrange(256)])
        elif way == 1:
            changed[at:at] = dice.choice(
                [b"\t", b"\n", b":", b"- ", b"{", b"]", b"'", b'"', b"&a ", b"*a", b"!!x ", b"<<: ", b"\x00", b"---\n", b"\xff"]
            )
        elif way == 2:
            del changed[at : at + dice.randrange(1, 40)]
        elif way == 3:
            lines = bytes(changed).splitlines(keepends=True)
            where = dice.randrange(len(lines) or 1)
            lines[where:where] = lines[where : where + dice.choice([1, 1, 3])]
            changed = bytearray(b"".join(lines))
        elif way == 4:
            lines = bytes(changed).splitlines(keepends=True)
            dice.shuffle(lines)
            changed = bytearray(b"".join(lines[: dice.randrange(len(lines) + 1)])) if dice.random() < 0.2 else changed
        else:
            del changed[at:]
            changed += b" " * dice.randrange(3)
    return bytes(changed)


def _outcome(spec: Path) -> dict[str, str] | SpecError:
    """Return what generate would write for the spec, or the error that it would print."""
    try:
        stack = understand(spec)[0]
        return render(stack, topology.compose(stack))
    except SpecError as error:
        return error


def _check_places(error: SpecError, raw: bytes) -> None:
    assert error.problems
    lines = (
        raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace("\u0085".encode(), b"\n").replace("\u2028".encode(), b"\n").count(b"\n")
        + 1
    )
    for problem in error.problems:
        assert 1 <= problem.line <= lines + 1, problem
        assert problem.column >= 1, problem
        assert problem.message.isprintable(), problem


@pytest.mark.parametrize("kind", ["structural", "textual"])
def test_a_mutated_spec_renders_or_is_refused_with_places(tmp_path: Path, kind: str) -> None:
    """Ensure no mutation of a valid spec brings anything but a stack that renders or problems that stand inside the file."""
    sources = [(read(file, file.name).data(), file.read_bytes()) for file in _SPECS]
    spec, seen, failures = tmp_path / "spec.yaml", Counter[str](), []
    for number in range(_COUNT // 2):
        dice = random.Random(f"{_SEED}/{kind}/{number}")  # noqa: S311  # a die for tests, not a secret
        data, text = dice.choice(sources)
        raw = _structural(data, dice) if kind == "structural" else _textual(text, dice)
        spec.write_bytes(raw)
        try:
            outcome = _outcome(spec)
            if isinstance(outcome, SpecError):
                _check_places(outcome, raw)
            seen["refused" if isinstance(outcome, SpecError) else "rendered"] += 1
        except Exception:  # noqa: BLE001  # any other exception is what this test looks for
            failures.append(f"{kind} {number} of seed {_SEED}:\n{traceback.format_exc()}")
            (Path(os.environ.get("SPECWATCH_MUTATION_FOLDER", tmp_path)) / f"failed-{kind}-{number}.yaml").write_bytes(raw)
    print(f"seed {_SEED}: {dict(seen)}")  # noqa: T201  # pytest shows it with a failure, so that it can be run again
    assert not failures, f"{len(failures)} of {_COUNT // 2} failed:\n" + "\n".join(failures[:5])
    assert min(seen["refused"], seen["rendered"]) > 0


def test_a_refused_mutation_leaves_the_generated_files_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ensure a wrong spec changes nothing on disk through the command line, and that its next good version is written whole."""
    data = read(_SPECS[0], "spec.yaml").data()
    spec, folder = tmp_path / "spec.yaml", tmp_path / "out"
    spec.write_text(dump_yaml(data), encoding="utf-8")
    assert in_process("generate", "-f", str(spec), "-o", str(folder)) == 0
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for number in range(30):
        spec.write_bytes(_structural(data, random.Random(f"{_SEED}/cli/{number}")))  # noqa: S311  # as above
        outcome = _outcome(spec)
        if not isinstance(outcome, SpecError):
            continue
        assert in_process("generate", "-f", str(spec), "-o", str(folder)) == 2
        assert str(outcome) in capsys.readouterr().err
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == files
    spec.write_text(dump_yaml(data), encoding="utf-8")
    assert in_process("generate", "-f", str(spec), "-o", str(folder), "--check") == 0
