"""Everything that YAML can surprise a person with, and every file that is no spec at all."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from specwatch.errors import SpecError
from specwatch.spec.loader import load, parse
from specwatch.spec.source import MAX_ALIASED, MAX_DEPTH, Source
from tests.commandline import in_process

_BOMB = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 12)
)
_LONG_BOMB = f"a: &a {'x' * 1_000_000}\nb: [{', '.join(['*a'] * 100)}]\n"
_DEEP_BY_ALIAS = "a0: &a0 []\n" + "".join(f"a{level}: &a{level} [[[[[*a{level - 1}]]]]]\n" for level in range(1, 30))

# What follows `version: 1`, where the problem is, and what the message says.
_WRONG: list[tuple[str, str, str]] = [
    # The same key twice.
    ("version: 1\n", "2:1", '"version" is already there in line 1; keep one of the two'),
    ("stack:\n  name: a\n  environment: b\n  name: c\n", "5:3", '"name" is already there in line 3'),
    ("stack: {name: a, name: b}\n", "2:18", '"name" is already there in line 2'),
    ("stack: {name: a, 'name': b}\n", "2:18", '"name" is already there in line 2'),
    ("x: &x {name: a}\ny: {<<: *x, <<: *x}\n", "3:13", '"<<" is already there in line 3; write `<<: [*a, *b]`'),
    # Words and numbers that other readers take for something else.
    ("services: {a: {traces: yes}}\n", "2:24", 'found the text "yes", expected true or false; write true'),
    ("services: {a: {traces: off}}\n", "2:24", 'found the text "off", expected true or false; write false'),
    ("services: {a: {metrics: on}}\n", "2:25", 'found the text "on", expected true or false, or a mapping with port, path,'),
    ("alerts: {A: {expr: up, for: 1:30}}\n", "2:29", 'found the text "1:30", expected a duration in whole seconds, such as 30s'),
    ("alerts: {A: {expr: up, for: 90}}\n", "2:29", "found the number 90, expected a duration in whole seconds, such as 30s, 5m, 1h30m or"),
    ("alerts: {A: {expr: up, for: 90}}\n", "2:29", "; write 90s"),
    ("services: {a: {metrics: {port: 0123}}}\n", "2:32", 'found the text "0123", expected a port; a leading zero means octal'),
    ("services: {a: {metrics: {port: 0x1f}}}\n", "2:32", 'found the text "0x1f", expected a port'),
    ("services: {a: {metrics: {port: 1_000}}}\n", "2:32", 'found the text "1_000", expected a port; write 1000'),
    ("services: {a: {metrics: {port: 1e3}}}\n", "2:32", "found the number 1E+3, expected a port"),
    ("services: {a: {metrics: {port: .5}}}\n", "2:32", "found the number 0.5, expected a port"),
    ("services: {a: {metrics: {port: 8000.0}}}\n", "2:32", "found the number 8000.0, expected a port"),
    ("services: {a: {metrics: {port: '8000'}}}\n", "2:32", 'found the text "8000", expected a port; write 8000'),
    ("slos: {a: {service: a, objective: nan, good: up, total: up}}\n", "2:35", 'found the text "nan", expected a number'),
    ("slos: {a: {service: a, objective: 1e999999, good: up, total: up}}\n", "2:35", 'found the text "1e999999", expected a number'),
    ("stack: {environment: 5}\n", "2:22", 'found the number 5, expected text; as text it is written in quotes: "5"'),
    ("stack: {environment: true}\n", "2:22", 'found the boolean true, expected text; as text it is written in quotes: "true"'),
    ("stack: {environment: ~}\n", "2:22", "found nothing, expected text"),
    ("stack:\n  environment:\n  name: a\n", "3:15", "found nothing, expected text"),
    ("services:\n  shop:\n", "3:8", "found nothing, expected a mapping with metrics, logs,"),
    ("services:\n", "2:10", "found nothing, expected a mapping such as {shop: …}"),
    # Layout.
    ("stack:\n\tname: a\n", "3:1", "a tab; YAML is indented with spaces"),
    ("stack:\n  name: a\n \tenvironment: b\n", "4:2", "a tab; YAML is indented with spaces"),
    ("a:\n   b: 1\n  c: 2\n", "4:3", "not YAML: did not find expected key (while parsing a block mapping, begun at 1:1)"),
    ("stack: name: c\n", "2:12", "a second `:` in one line, or wrong indentation; quote the text when the colon belongs to it"),
    ("stack: 'x\n\n\n", "2:8", "what begins here never ends"),
    ("stack: {name: a\nalerts: {}\n", "3:7", "not YAML: did not find expected ',' or '}' (while parsing a flow mapping, begun at 2:8)"),
    ("stack: `x`\n", "2:8", "not YAML: found character that cannot start any token"),
    ('stack: "\\q"\n', "2:9", "not YAML: found unknown escape character"),
    (": 2\n", "2:1", "not YAML: did not find expected key"),
    # Documents.
    ("---\nversion: 1\n", "2:1", "a second document begins here; a spec is one document, so take out the `---`"),
    ("---\n", "2:1", "a second document begins here"),
    # Characters.
    ('stack: {environment: "a\x07b"}\n', "2:24", "the character U+0007 is not allowed; take it out"),
    ("stack: \x00\n", "2:8", "the character U+0000 is not allowed; take it out"),
    ("stack:\n  environment: é\x7f\n", "3:17", "the character U+007F is not allowed; take it out"),
    ("stack:\n  environment: é\ufffe\n", "3:17", "the character U+FFFE is not allowed; take it out"),
    # Aliases.
    ("stack: *x\n", "2:8", "*x names no anchor above; write &x before it"),
    ("stack: &x [*x]\n", "2:12", "*x stands inside what it names; that never ends"),
    ("stack: &x {name: *x}\n", "2:18", "*x stands inside what it names; that never ends"),
    (_BOMB, "7:25", f"the aliases up to here stand for more than {MAX_ALIASED:,} values"),
    (_LONG_BOMB, "3:129", f"the aliases up to here stand for more than {MAX_ALIASED:,} values"),
    (_DEEP_BY_ALIAS, "14:16", f"is nested more than {MAX_DEPTH} deep"),
    ("<<: 5\n", "2:1", "`<<` merges a mapping, or a list of mappings, as in `<<: *defaults`"),
    ("<<: [{stack: {}}, 5]\n", "2:1", "`<<` merges a mapping, or a list of mappings"),
    # Tags.
    ("stack: !!python/object:os.system x\n", "2:8", "the tag !!python/object:os.system is not understood; take it out, or quote the value"),
    ("stack: !!map {name: a}\n", "2:8", "the tag !!map is not understood; take it out"),
    ("stack: {name: !custom a}\n", "2:15", "the tag !custom is not understood"),
    ("stack: {environment: !!int 5}\n", "2:22", "the tag !!int is not understood"),
    ("!!int stack: {}\n", "2:1", "the tag !!int is not understood; take it out"),
    # Nesting, keys, the root.
    ("x: " + "[" * 10_000, "2:64", f"is nested more than {MAX_DEPTH} deep"),
    ("x: " + "{a: " * 10_000, "2:244", f"is nested more than {MAX_DEPTH} deep"),
    ("".join(f"{'  ' * level}a:\n" for level in range(200)), "63:123", f"is nested more than {MAX_DEPTH} deep"),
    ("? [a, b]\n: 1\n", "2:3", "a key is one word or one text, not a list, a mapping or an alias"),
    ("{a: b}: 1\n", "2:1", "a key is one word or one text"),
    ("1: 2\n", "2:1", 'unknown key "1"; expected version, stack,'),
    ("null: 2\n", "2:1", 'unknown key "null"; expected version, stack,'),
    ('"\\e[31mred\\n": 1\n', "2:1", r'unknown key "\x1b[31mred\n"; expected version, stack,'),
    (f'"{"k" * 500}": 1\n', "2:1", f'unknown key "{"k" * 59}…"; expected version, stack,'),
    ("# " + "x" * 100_000 + "\nstack: 5\n", "3:8", "found the number 5, expected a mapping with name, environment,"),
    ("stack:\r\n  name: 5\r\n", "3:9", "found the number 5, expected a name of lower-case letters"),
    ("stack: {name: 5}  # no line end", "2:15", "found the number 5, expected a name of lower-case letters"),
    ("stack: {environment: 🦔, name: 5}", "2:31", "found the number 5, expected a name of lower-case letters"),
]

_WRONG_ROOTS: list[tuple[str, str, str]] = [
    ("", "1:1", "is empty; the least is `version: 1`"),
    ("# only a comment\n\n", "1:1", "is empty; the least is `version: 1`"),
    ("---\n", "1:1", "is empty; the least is `version: 1`"),
    ("~", "1:1", "is empty; the least is `version: 1`"),
    ("[1, 2]\n", "1:1", "found a list, expected a mapping with version, stack,"),
    ("- version: 1\n", "1:1", "found a list, expected a mapping with version, stack,"),
    ("version\n", "1:1", 'found the text "version", expected a mapping with version, stack,'),
    ("5\n", "1:1", "found the number 5, expected a mapping with version, stack,"),
    ("{}\n", "1:1", '"version" is missing; write `version: 1`'),
    ("version: 2\n", "1:10", "found the number 2, expected 1"),
    ("version: '1'\n", "1:10", 'found the text "1", expected 1; write 1 without the quotes'),
    ("version: 1.0\n", "1:10", "found the number 1.0, expected 1"),
    ("version:\n", "1:9", "found nothing, expected 1"),
    ("%YAML 3.0\n---\nversion: 1\n", "1:1", "not YAML: found incompatible YAML document"),
    ("*a\n", "1:1", "*a names no anchor above"),
]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [*(("version: 1\n" + text, place, message) for text, place, message in _WRONG), *_WRONG_ROOTS],
    ids=lambda value: value[:40].encode("unicode_escape").decode() if isinstance(value, str) else None,
)
def test_every_trap_is_named_at_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, place: str, message: str) -> None:
    """Ensure a text that YAML or the model refuses leaves with 2, names line and column, and writes nothing."""
    spec = tmp_path / "spec.yaml"
    spec.write_bytes(text.encode())
    code = in_process("generate", "--file", str(spec))
    printed = capsys.readouterr()
    assert code == 2, printed
    assert not printed.out
    expected = f"{spec}:{place}: "
    found = [line for line in printed.err.splitlines() if line.startswith(expected) and message in line]
    assert found, printed.err[:2000]
    assert list(tmp_path.iterdir()) == [spec]


def _huge(file: Path) -> None:
    with file.open("wb") as opened:
        opened.write(b"version: 1\n")
        opened.truncate(50 * 1024 * 1024)


_FILES: list[tuple[str, Callable[[Path], object], str]] = [
    ("huge", _huge, "spec.yaml: is larger than 16 MB, the most that a spec may have"),
    ("folder", Path.mkdir, "spec.yaml: cannot be read: Is a directory"),
    ("missing", lambda _: None, "spec.yaml: no such file; write one"),
    ("loop", lambda file: file.symlink_to(file), "spec.yaml: cannot be read: Too many levels of symbolic links"),
    ("endless", lambda file: file.symlink_to("/dev/zero"), "spec.yaml: is larger than 16 MB"),
    ("utf-16", lambda file: file.write_text("version: 1\n", encoding="utf-16"), "spec.yaml:1:1: is UTF-16 or UTF-32; save it as UTF-8"),
    ("utf-32", lambda file: file.write_text("version: 1\n", encoding="utf-32"), "spec.yaml:1:1: is UTF-16 or UTF-32; save it as UTF-8"),
    ("utf-16-be", lambda file: file.write_text("version: 1\n", encoding="utf-16-be"), "spec.yaml:1:1: not YAML: the character U+0000"),
    (
        "latin-1",
        lambda file: file.write_bytes("version: 1\nstack:\n  environment: Größe\n".encode("latin-1")),
        "spec.yaml:3:18: byte 0xf6 is not UTF-8; save the file as UTF-8",
    ),
    (
        "half latin-1",
        lambda file: file.write_bytes("\ufeffversion: 1\n".encode() + "# ö ".encode() + b"\xff\n"),
        "spec.yaml:2:5: byte 0xff is not UTF-8",
    ),
]


@pytest.mark.parametrize(("make", "message"), [case[1:] for case in _FILES], ids=[case[0] for case in _FILES])
def test_a_file_that_cannot_be_a_spec_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], object], message: str
) -> None:
    """Ensure a file that is too large, unreadable or in another encoding leaves with 2 and says what to do."""
    spec = tmp_path / "spec.yaml"
    make(spec)
    before = sorted(tmp_path.iterdir())
    assert in_process("generate", "--file", str(spec)) == 2
    printed = capsys.readouterr()
    assert f"{tmp_path}/{message}" in printed.err
    assert not printed.out
    assert sorted(tmp_path.iterdir()) == before


def _environment(written: str) -> str:
    """Return what `stack.environment` means when it is written so."""
    return parse(Source("spec.yaml", f"version: 1\nstack:\n  environment: {written}\n")).stack.environment


@pytest.mark.parametrize(
    "written",
    [
        "no",
        "on",
        "yes",
        "off",
        "y",
        "n",
        "1:30",
        "0123",
        "0x1f",
        "0o17",
        "1_000",
        "12e03x",
        ".inf",
        ".nan",
        "2026-01-01",
        "=",
        "🦔",
        "é" * 4000,
    ],
)
def test_what_yaml_1_1_would_change_stays_text(written: str) -> None:
    """Ensure words and figures that old YAML reads as booleans, times, dates or octal numbers are the text that was written."""
    assert _environment(written) == written


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("'true'", "true"),
        ('"5"', "5"),
        ("!!str 5", "5"),
        ("! 5", "5"),
        ("|-\n    two\n    lines", "two\nlines"),
        (">-\n    one\n    line", "one line"),
        ('"\\t\\u00e9"', "\té"),
        ("a # no comment", "a"),
        ("'a # text'", "a # text"),
        ("&here x", "x"),
    ],
)
def test_quoted_and_tagged_scalars_are_text(written: str, meant: str) -> None:
    """Ensure quotes, block styles and the string tag give text."""
    assert _environment(written) == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [("99.9", "99.9"), ("0.1", "0.1"), (".5", "0.5"), ("1e1", "10"), ("5.", "5"), ("99", "99"), ("+7", "7")],
)
def test_numbers_are_exact(written: str, meant: str) -> None:
    """Ensure a number with a point is the decimal that was written, not a binary neighbour."""
    text = f"version: 1\nslos: {{a: {{service: a, objective: {written}, good: up, total: up}}}}\n"
    assert Decimal(parse(Source("spec.yaml", text)).slos["a"].objective) == Decimal(meant)


def test_anchors_and_merge_keys_work() -> None:
    """Ensure `<<` brings in what the mapping itself does not say, the first of several winning, and a quoted one is a plain key."""
    text = """\
version: 1
services:
  one: &one {team: web, host: a}
  two: {<<: *one, host: b}
  three: {host: c, <<: [{team: data}, *one]}
  four: *one
"""
    services = parse(Source("spec.yaml", text)).services
    assert [(service.team, service.host) for service in services.values()] == [("web", "a"), ("web", "b"), ("data", "c"), ("web", "a")]
    with pytest.raises(SpecError, match=r'spec\.yaml:2:18: unknown key "<<"'):
        parse(Source("spec.yaml", "version: 1\nservices: {one: {'<<': {team: web}}}\n"))


def test_a_fault_inside_a_merged_value_is_placed_where_it_is_merged() -> None:
    """Ensure a fault in what an alias brings stands at a place inside the file, once for each use."""
    text = "version: 1\nservices:\n  one: &one {team: 5}\n  two: {<<: *one}\n"
    with pytest.raises(SpecError) as caught:
        parse(Source("spec.yaml", text))
    assert [(problem.line, problem.column) for problem in caught.value.problems] == [(3, 20), (4, 3)]


@pytest.mark.parametrize(
    "text", [b"\xef\xbb\xbfversion: 1\n", b"version: 1\r\n", b"version: 1", b"--- # here\nversion: 1\n...\n", b"{version: 1}"]
)
def test_other_ways_to_save_a_good_spec_are_read(tmp_path: Path, text: bytes) -> None:
    """Ensure a byte order mark, Windows line ends, a missing last line end and document marks do no harm."""
    file = tmp_path / "spec.yaml"
    file.write_bytes(text)
    assert load(file)[0].version == 1
