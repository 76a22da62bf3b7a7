"""Regular expressions as Loki reads them: RE2's syntax in Go's dialect.

The rules are those of Go's package regexp/syntax (https://pkg.go.dev/regexp/syntax) with Perl's flags. Nothing is matched here; what a
LogQL query needs to know is whether an expression is one, the names of its groups, and whether it matches an empty text.
"""

import re
from typing import Final

from msgspec import Struct

_MOST_REPEATS: Final = 1000
_DEEPEST: Final = 900  # Go stops at a tree 1,000 high
_REPEAT: Final = re.compile(r"\{(0|[1-9][0-9]*)(?:(,)(0|[1-9][0-9]*)?)?\}")
_NAMED: Final = re.compile(r"\(\?P?<([^>]*)(>?)")
_FLAGS: Final = re.compile(r"\(\?[imsU]*(?:-[imsU]+)?([:)])")
_ESCAPE: Final = re.compile(
    r"\\(?:[afnrtv]|0[0-7]{0,2}|[1-7][0-7]{1,2}|x[0-9A-Fa-f]{2}|x\{[0-9A-Fa-f]+\}|[\x00-\x7f](?<![0-9A-Za-z]))", re.DOTALL
)
_CLASS_ESCAPE: Final = re.compile(r"\\(?:[dDsSwW]|[pP](?:\{\^?([^}]*)\}|(?!\{)(.)))", re.DOTALL)
_POSIX: Final = re.compile(r"\[:(.*?):\]", re.DOTALL)
_CONTROLS: Final = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_POSIX_NAMES: Final = re.compile(r"\^?(?:alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word|xdigit)")
# The general categories of Unicode, and the scripts that people write logs in.
_UNICODE_NAMES: Final = re.compile(
    r"Any|C[cfos]?|L[lmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?"
    r"|Arabic|Armenian|Bengali|Braille|Common|Cyrillic|Devanagari|Ethiopic|Georgian|Greek|Gujarati|Han|Hangul|Hebrew|Hiragana|Inherited"
    r"|Kannada|Katakana|Khmer|Lao|Latin|Malayalam|Mongolian|Myanmar|Sinhala|Syriac|Tamil|Telugu|Thai|Tibetan"
)


class RegexpError(ValueError):
    """The text is no regular expression of RE2; says which part of it is wrong."""


class Expression(Struct, frozen=True):
    """What is known of an expression: its named groups in order, and whether it matches an empty text."""

    groups: tuple[str, ...]
    matches_empty: bool


def examine(text: str) -> Expression:
    """Return what is known of the expression; raises RegexpError when it is none."""
    return _Reader(text).read()


class _Part(Struct):
    """A piece that may be repeated; `repeats` is the largest product of counted repetitions on the way to a leaf."""

    empty: bool
    repeats: int = 1


class _Group(Struct):
    """An open parenthesis: the branches that are read, and the one that is being read."""

    branches: list[_Part] = []
    parts: list[_Part] = []

    def close_branch(self) -> None:
        empty = all(part.empty for part in self.parts)
        self.branches.append(_Part(empty, max((part.repeats for part in self.parts), default=1)))
        self.parts = []

    def part(self) -> _Part:
        self.close_branch()
        return _Part(any(branch.empty for branch in self.branches), max(branch.repeats for branch in self.branches))


class _Reader:
    """Reads an expression once, from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.open = [_Group()]
        self.names: list[str] = []

    def read(self) -> Expression:
        try:
            self.text.encode()
        except UnicodeEncodeError:
            raise RegexpError("it is not UTF-8") from None
        repeated = ""  # the repetition just read, which no other may follow
        while self.at < len(self.text):
            repeated = self._next(repeated)
        if len(self.open) > 1:
            raise RegexpError("a parenthesis is not closed")
        return Expression(tuple(self.names), self.open[0].part().empty)

    def _next(self, repeated: str) -> str:
        char = self.text[self.at]
        if char in "*+?" or (char == "{" and _REPEAT.match(self.text, self.at)):
            return self._repetition(repeated)
        match char:
            case "(":
                self._parenthesis()
            case ")":
                self._closing()
            case "|":
                self.open[-1].close_branch()
                self.at += 1
            case "[":
                self._class()
            case "\\":
                self._escape()
            case _:
                self._add(empty=char in "^$", length=1)
        return ""

    def _add(self, *, empty: bool, length: int) -> None:
        self.open[-1].parts.append(_Part(empty))
        self.at += length

    def _repetition(self, before: str) -> str:
        found = _REPEAT.match(self.text, self.at)
        sign = found[0] if found else self.text[self.at]
        self.at += len(sign)
        if self.text[self.at : self.at + 1] == "?":
            self.at += 1
        if before:
            raise RegexpError(f"{before}{sign} repeats a repetition")
        if not self.open[-1].parts:
            raise RegexpError(f"nothing stands before {sign}")
        part = self.open[-1].parts[-1]
        least = most = 0
        if found:
            least = int(found[1])
            most = int(found[3]) if found[3] else (0 if found[2] else least)
            if max(least, most) > _MOST_REPEATS or (found[3] and most < least):
                raise RegexpError(f"{sign} is no range of at most {_MOST_REPEATS} repetitions")
            part.repeats *= max(most or least, 1)
            if part.repeats > _MOST_REPEATS:
                raise RegexpError(f"{sign} makes more than {_MOST_REPEATS} repetitions in all")
        part.empty = part.empty or (sign in "*?" if not found else least == 0)
        return sign

    def _parenthesis(self) -> None:
        if not self.text.startswith("(?", self.at):
            self.at += 1
        elif named := _NAMED.match(self.text, self.at):
            name = named[1]
            if not named[2] or not re.fullmatch(r"[A-Za-z0-9_]+", name):
                raise RegexpError(f"{named[0]} is no named group, such as (?P<name>…)")
            self.names.append(name)
            self.at = named.end()
        elif flags := _FLAGS.match(self.text, self.at):
            self.at = flags.end()
            if flags[1] == ")":
                return  # flags alone open no group
        else:
            raise RegexpError(f"{self.text[self.at : self.at + 4]} is not known: RE2 has no look-around and no other kinds of groups")
        self.open.append(_Group())
        if len(self.open) > _DEEPEST:
            raise RegexpError("it is nested too deeply")

    def _closing(self) -> None:
        if len(self.open) == 1:
            raise RegexpError("a parenthesis is closed that was not opened")
        part = self.open.pop().part()
        self.open[-1].parts.append(part)
        self.at += 1

    def _escape(self) -> None:
        following = self.text[self.at + 1 : self.at + 2]
        if following == "Q":
            literal, _, _ = self.text[self.at + 2 :].partition("\\E")
            self.open[-1].parts += [_Part(empty=False) for _ in literal]
            self.at = min(self.at + 2 + len(literal) + 2, len(self.text))
        elif following and following in "AbBz":
            # In an empty text there is no word, so no boundary of one.
            self._add(empty=following != "b", length=2)
        elif end := self._class_escape():
            self._add(empty=False, length=end - self.at)
        else:
            _, end = self._character()
            self._add(empty=False, length=end - self.at)

    def _class_escape(self) -> int:
        """Return where a set of characters, such as a digit's escape, ends; 0 when none is here."""
        found = _CLASS_ESCAPE.match(self.text, self.at)
        if not found:
            return 0
        name = found[1] if found[1] is not None else found[2]
        if name is not None and not _UNICODE_NAMES.fullmatch(name):
            raise RegexpError(f"{found[0]} is no class of characters that is known")
        return found.end()

    def _character(self) -> tuple[int, int]:
        """Return the character here, which may be an escape, and where it ends."""
        if self.text[self.at] != "\\":
            return ord(self.text[self.at]), self.at + 1
        found = _ESCAPE.match(self.text, self.at)
        if not found:
            part = self.text[self.at : self.at + 2]
            raise RegexpError("it ends with a backslash" if part == "\\" else f"{part} is no escape; write \\\\ for a backslash")
        inner = found[0][1:]
        if inner[0] == "x":
            code = int(inner.strip("x{}"), 16)
        elif inner[0].isdigit():
            code = int(inner, 8)
        else:
            code = _CONTROLS.get(inner, ord(inner))
        if code > 0x10FFFF:  # noqa: PLR2004  # the last character that there is
            raise RegexpError(f"{found[0]} is no character")
        return code, found.end()

    def _class(self) -> None:
        begin = self.at
        self.at += 1
        if self.text[self.at : self.at + 1] == "^":
            self.at += 1
        first = True
        while first or self.text[self.at : self.at + 1] != "]":
            if self.at >= len(self.text):
                raise RegexpError(f"{self.text[begin:]} is not closed by ]")
            first = False
            self._member()
        self.at += 1
        self.open[-1].parts.append(_Part(empty=False))

    def _member(self) -> None:
        """Read one character, range or set inside a class."""
        named = _POSIX.match(self.text, self.at)
        if named:
            if not _POSIX_NAMES.fullmatch(named[1]):
                raise RegexpError(f"{named[0]} is no class of characters that is known")
            self.at = named.end()
            return
        if end := self._class_escape():
            self.at = end
            return
        begin = self.at
        low, self.at = self._character()
        if self.text[self.at : self.at + 1] == "-" and self.text[self.at + 1 : self.at + 2] not in {"]", ""}:
            self.at += 1
            high, self.at = self._character()
            if high < low:
                raise RegexpError(f"{self.text[begin : self.at]} is no range: its end comes before its beginning")
