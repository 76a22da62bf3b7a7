"""Reading tokens one after another."""

from specwatch.logql.tree import LogqlError, Matcher, Pipeline
from specwatch.logql.words import Token, tokens, unquoted


class Cursor:
    """Stands before a token; each method reads one thing there, or raises LogqlError."""

    def __init__(self, text: str) -> None:
        self._tokens = [*tokens(text), Token("end", "", len(text))]
        self._next = 0

    def _names(self) -> list[str]:
        self._expect("(")
        found: list[str] = []
        while not self._is(")"):
            if found:
                self._expect(",")
            found.append(self._word("a label's name"))
        self._expect(")")
        return found

    def _number(self, *, signed: bool) -> str:
        sign = self._take().text if signed and self._is("-", "+") else ""
        if self._peek().kind != "number":
            raise self._wrong("a number")
        return sign + self._take().text

    def _string(self) -> str:
        token = self._peek()
        if token.kind != "string":
            raise self._wrong("a text in quotes")
        self._take()
        return unquoted(token)

    def _in_parentheses(self) -> str:
        self._expect("(")
        text = self._string()
        self._expect(")")
        return text

    def _word(self, expected: str) -> str:
        if self._peek().kind == "keyword":
            raise self._wrong(f"{expected}: {self._peek().text} is one of LogQL's own words")
        if self._peek().kind != "word":
            raise self._wrong(expected)
        return self._take().text

    def _is(self, *texts: str) -> bool:
        return self._peek().kind in {"function", "keyword", "sign"} and self._peek().text in texts

    def _takes(self, text: str) -> bool:
        """Take the token if it is `text`, and return whether it was."""
        if self._is(text):
            self._take()
            return True
        return False

    def _peek(self, ahead: int = 0) -> Token:
        return self._tokens[min(self._next + ahead, len(self._tokens) - 1)]

    def _take(self) -> Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _expect(self, text: str) -> None:
        if not self._takes(text):
            raise self._wrong(text)

    def _wrong(self, expected: str) -> LogqlError:
        token = self._peek()
        found = f"found {token.text}" if token.text else "it ends"
        return LogqlError(f"character {token.at + 1}: {found}, expected {expected}")


class Reading:
    """A pipeline while it is read."""

    def __init__(self, matchers: tuple[Matcher, ...]) -> None:
        self.matchers = matchers
        self.filters: list[tuple[str, str]] = []
        self.parsers: list[str] = []
        self.extracted: list[str] = []
        self.read: list[Matcher] = []
        self.unwrapped = ""

    def pipeline(self) -> Pipeline:
        """Return what was read."""
        return Pipeline(
            matchers=self.matchers,
            filters=tuple(self.filters),
            parsers=tuple(self.parsers),
            extracted=tuple(dict.fromkeys(self.extracted)),
            read=tuple(self.read),
            unwrapped=self.unwrapped,
        )
