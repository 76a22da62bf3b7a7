r"""Regular expressions that Go (Promtail, Alloy, the collector), Ruby (Fluentd) and Python read alike, so that one text means one thing.

Go's RE2 has no look-around, no back references and no possessive repetition; Ruby's `^` and `$` are about lines, Python's `$` also
matches in front of a final newline, and only Go's `\s` is without the vertical tab. What is left is what a spec may use; `to_ruby` and
`to_python` adapt the anchors and `\s`. One difference stays: where case is ignored, Go takes letters for each other that are no ASCII
(the Kelvin sign and k).
"""

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Final

_ESCAPES: Final = frozenset("dDwWsSbBntrfv")
_REPEAT: Final = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_GROUP: Final = re.compile(r"\((?:\?(?::|i:|P<[A-Za-z_]\w*>)|(?!\?))", re.ASCII)
_CAPTURE: Final = re.compile(r"\((?:(?!\?)|\?P<([^>]+)>)")
_HEX: Final = re.compile(r"x[0-9A-Fa-f]{2}")
_MOST_REPEATS: Final = 1000  # RE2's own limit, which nested repetitions must stay below together
_SPACES: Final = r"\t\n\f\r "
# `\W` and `\D` inside a class, without what ends a line.
_NO_DIGIT: Final = r"\x00-\x09\x0b\x0c\x0e-/:-\x{10FFFF}"
_NO_WORD: Final = r"\x00-\x09\x0b\x0c\x0e-/:-@\x5b-\x5e\x60\x7b-\x{10FFFF}"
# What may stand in front of, behind or between the characters of an expression that finds nothing at all.
_PROBES: Final = ("", "a", " ", "0", "a b", "=", "\n")


class NotPortableError(ValueError):
    """An expression that one of the languages does not read, or reads otherwise; the message says which part."""


def check(expression: str) -> None:
    """Raise NotPortableError when the expression cannot be used everywhere."""
    for part, in_class in _parts(expression):
        _check_escape(part, in_class=in_class)
        if in_class and part == "[":
            raise NotPortableError("write \\[ for a bracket inside a class")
    if "&&" in expression:
        raise NotPortableError("&& means something else in Ruby; write &[&]")
    if re.search(r"\{,\d", expression):
        raise NotPortableError("write {0,n} for {,n}")
    try:
        compiled = re.compile(expression, re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise NotPortableError(str(error)) from None
    if _most_repeats(expression) > _MOST_REPEATS:
        raise NotPortableError(f"a repetition of more than {_MOST_REPEATS}, nested ones multiplied, is not understood everywhere")
    if compiled.match("") and compiled.match("a") and not expression:
        raise NotPortableError("it is empty")


def can_be_empty(expression: str) -> bool:
    """Return whether the expression finds an empty text somewhere: what to replace is then not the same in every language."""
    compiled = re.compile(expression, re.ASCII)
    return any(found.end() == found.start() for probe in _PROBES for found in compiled.finditer(probe))


def groups(expression: str) -> tuple[str, ...]:
    """Return the names of the named groups, in order."""
    return tuple(re.compile(expression).groupindex)


@functools.lru_cache(maxsize=512)
def to_python(expression: str) -> re.Pattern[str]:
    """Return the expression as Python matches it in the same way as Go."""
    return re.compile("".join(_like_go(part, r"\Z", in_class=in_class) for part, in_class in _parts(expression)), re.ASCII)


def to_ruby(expression: str) -> str:
    """Return the expression as Ruby reads it in the same way as Go, without the slashes."""
    text = "".join(
        r"\A" if part == "^" and not in_class else _like_go(part, r"\z", in_class=in_class) for part, in_class in _parts(expression)
    )
    return text.replace("(?P<", "(?<")


def regrouped(expression: str, names: Mapping[str, str] | None = None) -> str:
    """Return the expression with its named groups called by `names`; a group that is not in it captures nothing."""
    kept, at, end = "", 0, 0
    for part, in_class in _parts(expression):
        found = _CAPTURE.match(expression, at) if part == "(" and not in_class else None
        if found:
            end = found.end()
            name = (names or {}).get(found[1])
            kept += f"(?P<{name}>" if name else "(?:"
        elif at >= end:
            kept += part
        at += len(part)
    return kept


def to_lines(expression: str) -> str:
    """Return the expression as Go finds it in a text of many lines (with the flag m), where each line that it matches begins.

    A carriage return is taken for a part of the line's end, wherever it stands.
    """
    kept, before = "", ""
    for part, in_class in _parts(expression):
        kept += r"^\r\n" if before == "[" and part == "^" else _within_line(part, in_class=in_class)
        before = "" if in_class else part
    return f"^(?:{kept})" if _begins_with_anchor(expression) else f"^[^\\n]*?(?:{kept})"


def _like_go(part: str, end: str, *, in_class: bool) -> str:
    if part == r"\s":
        return _SPACES if in_class else f"[{_SPACES}]"
    if in_class:
        return part
    return {"$": end, r"\S": f"[^{_SPACES}]"}.get(part, part)


def _within_line(part: str, *, in_class: bool) -> str:
    if in_class:
        return {r"\s": r"\t\f ", r"\W": _NO_WORD, r"\D": _NO_DIGIT}.get(part, part)
    return {r"\s": r"[\t\f ]", r"\W": f"[{_NO_WORD}]", r"\D": f"[{_NO_DIGIT}]", ".": r"[^\r\n]", "$": r"\r?$"}.get(part, part)


def _begins_with_anchor(expression: str) -> bool:
    """Return whether the expression can only match at the beginning of a line: it begins with `^`, without alternatives outside groups."""
    depth = 0
    for part, in_class in _parts(expression):
        if not in_class:
            depth += (part == "(") - (part == ")")
            if part == "|" and not depth:
                return False
    return expression.startswith("^")


def _check_escape(part: str, *, in_class: bool) -> None:
    if len(part) < 2 or part[0] != "\\":  # noqa: PLR2004  # a backslash and what it is in front of
        return
    known = part[1] in _ESCAPES or _HEX.fullmatch(part[1:])
    if (part[1].isalnum() and not known) or not part.isascii() or (in_class and part[1] in "bB"):
        raise NotPortableError(f"{part} is not understood everywhere")


def _most_repeats(expression: str) -> int:
    """Return the largest number of times that anything is repeated by numbers, those of nested groups multiplied."""
    most, inner, open_ = 1, 1, [1]
    for found in re.finditer(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(\d+)(?:,(\d*))?\}|[()]|.", expression, re.DOTALL):
        part = found[0]
        if part == "(":
            open_.append(1)
        elif part == ")":
            inner = open_.pop() if len(open_) > 1 else 1
        elif found[1]:
            times = inner * max(int(found[1]), int(found[2] or 0))
            open_[-1] = max(open_[-1], times)
            most = max(most, times)
        if part != ")":
            inner = 1
        else:
            open_[-1] = max(open_[-1], inner)
    return most


def _parts(expression: str) -> Iterator[tuple[str, bool]]:
    """Yield each character or escape of the expression, and whether it stands inside a character class.

    Raises NotPortableError for groups and repetitions that are not portable.
    """
    at, in_class, first = 0, False, False
    while at < len(expression):
        char = expression[at]
        part = expression[at : at + 2] if char == "\\" else char
        if char == "\\" and expression[at + 1 : at + 2] == "x":
            part = expression[at : at + 4]
        if in_class:
            yield part, not (part == "]" and not first)
            in_class = first or part != "]"
            first = first and part == "^"
        else:
            if char == "(" and not _GROUP.match(expression, at):
                raise NotPortableError(f"{expression[at : at + 4]}… is not understood everywhere: no look-around, no flags but (?i:…)")
            if char in "*+?}" and expression[at + 1 : at + 2] == "+":
                raise NotPortableError(f"{expression[at : at + 2]} is not understood everywhere")
            yield part, False
            if part == "[":
                in_class, first = True, True
        at += len(part)
