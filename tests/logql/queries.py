"""Queries built from the grammar, as lists of tokens, so that a test may also take one out or put another in."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from hypothesis import strategies as st

Tokens = list[str]
_Option = TypeVar("_Option")

_NAMES: Final = ("service", "level", "status", "took", "trace_id", "rate", "count", "bytes")
_EXPRESSIONS: Final = ('"shop|cart"', '".+"', "`err\\d+`", '"(?i)a{2,3}"', '"^x$"', "`[[:alpha:]]-?`")
_TEXTS: Final = ('"shop"', '"a\\"b\\n"', "`raw \\d`", '"日本"', '"x"')
_DURATIONS: Final = ("5m", "1h30m", "1.5s", "500ms", "2d")
_RANGES: Final = ("[5m]", "[1h30m]", "[1d]", "[90s]")
# What a mutation may put anywhere.
ANY_TOKEN: Final = (
    *("{", "}", "(", ")", ",", "=", "!=", "=~", "|", "|=", "|~", ">", "==", "+", "-", "/", "^", "or", "and", "unless", "by", "without"),
    *("bool", "on", "ignoring", "group_left", "json", "logfmt", "--strict", "unwrap", "drop", "label_format", "line_format", "offset"),
    *("rate", "sum", "topk", "vector", "ip", "bytes", "5", "0", "5m", "20MB", "[5m]", '"x"', '""', "`.*`", "name", "service"),
)


class _Grammar:
    """Draws one thing of the grammar with each method."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def query(self) -> Tokens:
        return self.numbers(3) if self._flip() else [*self.selector(), *self.stages()]

    def numbers(self, depth: int) -> Tokens:
        if not depth or self._flip():
            return self.ranged()
        return self._one_of(
            lambda: [self._pick("sum", "max", "count", "stddev", "SUM"), "(", *self.numbers(depth - 1), ")"],
            lambda: ["sum", *self.grouping(), "(", *self.numbers(depth - 1), ")"],
            lambda: ["avg", "(", *self.numbers(depth - 1), ")", *self.grouping()],
            lambda: ["topk", "(", "5", ",", *self.numbers(depth - 1), ")"],
            lambda: ["sort_desc", "(", *self.numbers(depth - 1), ")"],
            lambda: ["(", *self.numbers(depth - 1), ")"],
            lambda: [*self.numbers(depth - 1), self._pick(*"+-*/%^>", "==", "!=", "<="), *self.numbers(depth - 1)],
            lambda: [*self.numbers(depth - 1), self._pick(">", "<"), *self._pick((), ("bool",)), self._pick("0.5", "-1", "vector ( 0 )")],
            lambda: [*self.numbers(depth - 1), self._pick("and", "or", "unless"), *self.numbers(depth - 1)],
            lambda: [*self.numbers(depth - 1), "/", *self.matching(), *self.numbers(depth - 1)],
            lambda: ["label_replace", "(", *self.numbers(depth - 1), *[",", '"to"', ",", '"$1"', ",", '"from"', ",", '"(.*)"', ")"]],
        )

    def ranged(self) -> Tokens:
        of_lines = self._pick("rate", "count_over_time", "bytes_rate", "bytes_over_time", "absent_over_time")
        return self._one_of(
            lambda: [of_lines, "(", *self.counted(), ")"],
            lambda: [self._pick("rate", "sum_over_time", "rate_counter"), "(", *self.unwrapped(), ")"],
            lambda: [self._pick("avg_over_time", "max_over_time", "last_over_time"), "(", *self.unwrapped(), ")", *self.grouping()],
            lambda: ["quantile_over_time", "(", "0.99", ",", *self.unwrapped(), ")", *self.grouping()],
        )

    def counted(self) -> Tokens:
        selector, stages, range_ = self.selector(), self.stages(), self.range()
        return self._pick(
            [*selector, *stages, *range_],
            [*selector, *range_, *stages],
            ["(", *selector, *stages, ")", *range_],
            ["(", "(", *selector, *stages, *range_, ")", ")"],
        )

    def unwrapped(self) -> Tokens:
        selector, stages, range_ = self.selector(), self.stages(), self.range()
        unwrap = self._pick(["unwrap", "took"], ["unwrap", "duration", "(", "took", ")", "|", "__error__", "=", '""'], ["unwrap", "bytes"])
        return self._pick(
            [*selector, *stages, "|", *unwrap, *range_],
            [*selector, *range_, *stages, "|", *unwrap],
            ["(", *selector, *stages, "|", *unwrap, ")", *range_],
            ["(", *selector, ")", *range_, "|", *unwrap],
        )

    def range(self) -> Tokens:
        return [self._pick(*_RANGES), *self._pick((), ("offset", self._pick(*_DURATIONS)))]

    def grouping(self) -> Tokens:
        return [self._pick("by", "without", "BY"), *self.names()]

    def matching(self) -> Tokens:
        return [self._pick("on", "ignoring"), *self.names(), *self._pick((), ("group_left", *self.names()))]

    def names(self) -> Tokens:
        return ["(", *self._joined(lambda: [self._name()], ",", least=0), ")"]

    def selector(self) -> Tokens:
        first = self._pick([self._name(), "=", self._pick(*_TEXTS)], [self._name(), "=~", '".+"'])
        return ["{", *self._joined(self.matcher, ",", first=first), "}"]

    def matcher(self) -> Tokens:
        if self._flip():
            return [self._name(), self._pick("=", "!="), self._pick(*_TEXTS)]
        return [self._name(), self._pick("=~", "!~"), self._pick(*_EXPRESSIONS)]

    def stages(self) -> Tokens:
        return [token for _ in range(self._draw(st.integers(0, 3))) for token in self.stage()]

    def stage(self) -> Tokens:
        return self._one_of(
            lambda: [self._pick("|=", "!="), self._pick(*_TEXTS)],
            lambda: [self._pick("|~", "!~"), self._pick(*_EXPRESSIONS)],
            lambda: [self._pick("|=", "!="), "ip", "(", '"10.0.0.0/8"', ")"],
            lambda: ["|=", self._pick(*_TEXTS), "or", self._pick(*_TEXTS)],
            lambda: ["|>", '"<_> error <_>"'],
            lambda: ["|", *self.filter(2)],
            lambda: ["|", self._pick("json", "logfmt", "unpack", "decolorize", "JSON")],
            lambda: ["|", "json", self._name(), ",", self._name(), "=", '"a.b[0]"'],
            lambda: ["|", "logfmt", "--strict", self._name()],
            lambda: ["|", "pattern", '"<ip> <_> <path>"'],
            lambda: ["|", "regexp", "`(?P<path>\\S+)`"],
            lambda: ["|", "line_format", '"{{.message}}"'],
            lambda: ["|", "label_format", "a", "=", self._name(), ",", "b", "=", '"{{.c}}"'],
            lambda: ["|", self._pick("drop", "keep"), self._name(), ",", *self.matcher()],
        )

    def filter(self, depth: int) -> Tokens:
        if depth and self._flip():
            return self._one_of(
                lambda: ["(", *self.filter(depth - 1), ")"],
                lambda: [*self.filter(depth - 1), self._pick("and", "or", ",", "AND"), *self.filter(depth - 1)],
            )
        return self._one_of(
            self.matcher,
            lambda: [self._name(), self._pick("=", "==", "!=", ">", ">=", "<", "<="), *self._pick(("5",), ("-", "0.25"), ("1e3",))],
            lambda: [self._name(), self._pick(">", "<="), self._pick(*_DURATIONS, "20MB", "1.5GiB", "10k")],
            lambda: [self._name(), "=", "ip", "(", '"10.0.0.1-10.0.0.9"', ")"],
        )

    def _joined(self, make: Callable[[], Tokens], by: str, *, least: int = 1, first: Sequence[str] = ()) -> Tokens:
        found: Tokens = [*first]
        for _ in range(self._draw(st.integers(0 if first else least, 2))):
            found += [by, *make()] if found else make()
        return found

    def _name(self) -> str:
        return self._pick(*_NAMES)

    def _flip(self) -> bool:
        return self._draw(st.booleans())

    def _pick(self, *options: _Option) -> _Option:
        return self._draw(st.sampled_from(options))

    def _one_of(self, *makes: Callable[[], Tokens]) -> Tokens:
        return self._draw(st.sampled_from(makes))()


@st.composite
def queries(draw: st.DrawFn) -> Tokens:
    """Return a query of the grammar."""
    return _Grammar(draw).query()


@st.composite
def mutated(draw: st.DrawFn) -> Tokens:
    """Return a query of the grammar with one to three tokens taken out, doubled, swapped or put in."""
    tokens = _Grammar(draw).query()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(tokens) - 1))
        match draw(st.sampled_from(("out", "in", "double", "swap", "other"))):
            case "out":
                del tokens[at]
            case "in":
                tokens.insert(at, draw(st.sampled_from(ANY_TOKEN)))
            case "double":
                tokens.insert(at, tokens[at])
            case "swap":
                tokens[at], tokens[at - 1] = tokens[at - 1], tokens[at]
            case _:
                tokens[at] = draw(st.sampled_from(ANY_TOKEN))
        if not tokens:
            return ["{"]
    return tokens
