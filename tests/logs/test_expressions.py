"""Regular expressions that every shipper's language reads alike: what is refused, and how the rest is adapted."""

import re

import pytest

from specwatch.logs.expressions import NotPortableError, can_be_empty, check, groups, regrouped, to_lines, to_python, to_ruby

REFUSED = {
    "(?=x)": "look-around",
    "(?!x)": "look-around",
    "(?<=x)y": "look-around",
    "(?<name>x)": "look-around",
    "(?i)x": "no flags but",
    "(?s:x)": "no flags but",
    "(?#x)": "no flags but",
    "(?P=x)": "no flags but",
    r"(x)\1": r"\1 is not understood",
    r"\Ax": r"\A is not understood",
    r"x\Z": r"\Z is not understood",
    r"\pL": r"\p is not understood",
    r"\é": "is not understood",
    r"[\b]": r"\b is not understood",
    "x++": "++ is not understood",
    "x*+": "*+ is not understood",
    "x{2}+": "}+ is not understood",
    "[[:alpha:]]": r"write \[",
    "[a&&b]": "&& means something else",
    "x{,5}": "write {0,n}",
    "x{1001}": "more than 1000",
    "(x{100}){100}": "more than 1000",
    "((?:x{11}y){10}){10}": "more than 1000",
    "(x": "missing",
    "[x": "unterminated",
    "x**": "multiple repeat",
    "": "empty",
}


@pytest.mark.parametrize("expression", REFUSED)
def test_what_is_not_read_everywhere_is_refused(expression: str) -> None:
    """Ensure that the message says which part of the expression it is about."""
    with pytest.raises(NotPortableError, match=re.escape(REFUSED[expression])):
        check(expression)


@pytest.mark.parametrize(
    "expression",
    [
        r"^a|b$",
        r"(?i:Ä)",
        r"(?P<x>[^\s\]\[]+)",
        r"[]a]",
        r"\d{1,3}(?:\.\d{1,3}){3}",
        r"x{1000}",
        r"(a{30}|b)(x{50}y){20}",
        r"\x41\.\-\/\"",
        "日本|🛒",
    ],
)
def test_what_is_read_everywhere_is_taken(expression: str) -> None:
    """Ensure that the usual things are not refused."""
    check(expression)


@pytest.mark.parametrize(
    ("expression", "text", "wanted"),
    [
        ("a$", "a\n", False),
        ("^b", "a\nb", False),
        ("a.b", "a\nb", False),
        (r"^\w$", "é", False),
        (r"^\d$", "٣", False),
        (r"a\sb", "a\x0bb", False),
        (r"a\Sb", "a\x0bb", True),
        (r"a[\s]b", "a\x0bb", False),
        (r"a[^\s]b", "a\x0bb", True),
        ("(?i:É)", "é", False),
        ("[$]", "$", True),
    ],
)
def test_python_matches_like_go(expression: str, text: str, *, wanted: bool) -> None:
    """Ensure that anchors are about the text, classes about ASCII, and that the vertical tab is no space."""
    assert bool(to_python(expression).search(text)) is wanted


def test_ruby_gets_its_own_anchors_and_groups() -> None:
    """Ensure that Ruby's anchors are about the text as well, and its named groups named."""
    assert to_ruby(r"^(?P<a>[^$^]\s)$") == r"\A(?<a>[^$^][\t\n\f\r ])\z"
    assert groups(r"(?P<a>x)(y)(?P<b>z)") == ("a", "b")


@pytest.mark.parametrize("expression", ["x*", "x?", "|x", "(?:)", r"\b", "^", "$", "x{0,3}", r"(?:a|b*)"])
def test_what_can_be_empty_is_known(expression: str) -> None:
    """Ensure that an expression that finds places, and not text, is told from others."""
    assert can_be_empty(expression)
    assert not can_be_empty(f"z(?:{expression})z")


LINES = ("", "a", "a b", "[x", "y]", "ERROR x", "2026-01-01", "x=1 y=2", "\t at", "é", "\r", "a\r", "$", "_", "  ")


@pytest.mark.parametrize(
    "expression",
    [
        "^a",
        "a",
        "^a|^y",
        "^(?:a|E)",
        r"^\[\S+\s*\w",
        r"^\W",
        r"^[^x]+\]",
        r"[\W_]$",
        r"^\D*$",
        "^$",
        r"\s",
        r"^[\s\w]+=",
        "ERROR|2026",
        "^a$",
    ],
)
def test_lines_are_found_in_a_text_of_many(expression: str) -> None:
    """Ensure that with Go's flag m (Python's stands for it here) matches begin where exactly those lines begin that match by themselves."""
    # Python has no such escape.
    first, adapted = to_python(expression), re.compile(to_lines(expression).replace(r"\x{10FFFF}", "\U0010ffff"), re.ASCII | re.MULTILINE)
    text, starts, at = "\n".join(LINES), [], 0
    for line in LINES:
        starts += [at] if first.search(line.removesuffix("\r")) else []
        at += len(line) + 1
    assert [found.start() for found in adapted.finditer(text)] == starts


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        (r"(?P<a>x)(?P<b>y)(z)", r"(?P<f_a>x)(?:y)(?:z)"),
        (r"(?:x)(?i:y)\(z\)", r"(?:x)(?i:y)\(z\)"),
        (r"[(?P<a>](?P<a>(q))", r"[(?P<a>](?P<f_a>(?:q))"),
        (r"\\(x)", r"\\(?:x)"),
    ],
)
def test_groups_are_called_otherwise_or_capture_nothing(expression: str, wanted: str) -> None:
    """Ensure that a group gets its new name, one without a name captures nothing, and what only looks like a group stays."""
    assert regrouped(expression, {"a": "f_a"}) == wanted
