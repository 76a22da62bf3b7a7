"""The words and signs of LogQL, as Loki's scanner cuts them (pkg/logql/syntax/lex.go of Loki 3.7)."""

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from specwatch.logql.tree import LogqlError

RANGE_AGGREGATIONS: Final = frozenset(
    {
        "absent_over_time",
        "avg_over_time",
        "bytes_over_time",
        "bytes_rate",
        "count_over_time",
        "first_over_time",
        "last_over_time",
        "max_over_time",
        "min_over_time",
        "quantile_over_time",
        "rate",
        "rate_counter",
        "stddev_over_time",
        "stdvar_over_time",
        "sum_over_time",
    }
)
VECTOR_AGGREGATIONS: Final = frozenset(
    {"approx_topk", "avg", "bottomk", "count", "max", "min", "sort", "sort_desc", "stddev", "stdvar", "sum", "topk"}
)
SWITCHED_OFF: Final = {"approx_topk": "topk"}
"""Functions that Loki refuses unless a setting of an experiment is on, and what does the same without."""
UNGROUPED: Final = frozenset(
    {"absent_over_time", "bytes_over_time", "bytes_rate", "count_over_time", "rate", "rate_counter", "sum_over_time"}
)
"""Range aggregations that take no `by`."""
OF_LINES: Final = frozenset({"absent_over_time", "bytes_over_time", "bytes_rate", "count_over_time", "rate"})
"""Range aggregations that count lines; the others need `unwrap`."""
OF_LINES_ALONE: Final = frozenset({"bytes_over_time", "bytes_rate", "count_over_time"})
"""Range aggregations that take no `unwrap`."""
WITH_COUNT: Final = frozenset({"bottomk", "topk"})
CONVERSIONS: Final = frozenset({"bytes", "duration", "duration_seconds"})
# Weakest first, as Prometheus has them; `^` alone binds to the right.
PRECEDENCE: Final = (
    frozenset({"or"}),
    frozenset({"and", "unless"}),
    frozenset({"==", "!=", ">", ">=", "<", "<="}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%"}),
    frozenset({"^"}),
)
SETS: Final = frozenset({"and", "or", "unless"})
LINE_FILTERS: Final = frozenset({"|=", "!=", "|~", "!~", "|>", "!>"})
LABEL_FILTERS: Final = frozenset({"=", "==", "!=", "=~", "!~", ">", ">=", "<", "<="})
TEXT_FILTERS: Final = frozenset({"=", "!=", "=~", "!~"})

# Words that are never a label's name.
_KEYWORDS: Final = frozenset(
    {
        *(
            "and",
            "bool",
            "by",
            "decolorize",
            "drop",
            "group_left",
            "group_right",
            "ignoring",
            "json",
            "keep",
            "label_format",
            "line_format",
        ),
        *("logfmt", "of", "offset", "on", "or", "pattern", "regexp", "unless", "unpack", "unwrap", "variants", "without"),
    }
)
# Words that mean something before a parenthesis; anywhere else each is a name like any other.
_FUNCTIONS: Final = RANGE_AGGREGATIONS | VECTOR_AGGREGATIONS | CONVERSIONS | {"ip", "label_replace", "vector"}

_TOKEN: Final = re.compile(
    r"""(?P<space>(?:[ \t\r\n]|\#[^\n]*|//[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)+)
    |(?P<string>"(?:[^"\\\n]|\\[^\n])*"|`[^`]*`)
    |(?P<range>\[[^\]]*\])
    |(?P<duration>-(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|ms|s|m|h)(?:[0-9.]+(?:ns|us|µs|ms|s|m|h))*(?![0-9.nuµmshdwy]))
    |(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<flag>--(?:strict|keep-empty)(?![A-Za-z-]))
    |(?P<sign>\|=|\|~|\|>|!=|!~|!>|=~|==|>=|<=|[|=<>{}(),+*/%^-])""",
    re.VERBOSE,
)
_IS_CALLED: Final = re.compile(r"\s*(?:\(|(?:by|without)\s*\()", re.IGNORECASE)
_DURATION_REST: Final = re.compile(r"[0-9nuµmshdwy.]+")
_BYTES_REST: Final = re.compile(r"[0-9BikKMGTP.]+")
_BYTES: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?(?:[kKMGTP]?i?B|[kKMGTP]i?)")
# Prometheus' notation has whole numbers, each unit once and the largest first; Go's has fractions, and nothing longer than an hour.
_PROMETHEUS: Final = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)
_GO: Final = re.compile(r"-?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|ms|s|m|h))+")
_MILLISECONDS: Final = (31_536_000_000, 604_800_000, 86_400_000, 3_600_000, 60_000, 1000, 1)
_LONGEST_MILLISECONDS: Final = 2**63 // 10**6
_GRAFANA: Final = frozenset({"$__auto", "$__interval", "$__range", "$__rate_interval"})
_ESCAPE: Final = re.compile(
    r'\\(?:[abfnrtv\\"]|x[0-9A-Fa-f]{2}|[0-3][0-7]{2}|u(?![dD][89a-fA-F])[0-9A-Fa-f]{4}|U(?:0010|000[0-9A-Fa-f])[0-9A-Fa-f]{4})'
)
_CONTROLS: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

Kind = Literal["bytes", "duration", "end", "flag", "function", "keyword", "number", "range", "sign", "string", "word"]


class Token(NamedTuple):
    """A word or sign, its kind, and where it begins; keywords and functions are in lower case, whatever they were written in."""

    kind: Kind
    text: str
    at: int


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of a query; raises LogqlError for a character that begins none."""
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            what = "a text that is not closed" if text[at] in '"`' else "a [ that is not closed" if text[at] == "[" else text[at]
            raise LogqlError(f"character {at + 1}: found {what}")
        kind, token = str(found.lastgroup), found[0]
        if kind == "number":
            kind, token = _number(token, text, at)
        elif kind == "word":
            kind, token = _word(token, text, found.end())
        elif kind == "range":
            _check_range(token[1:-1], at)
        if kind != "space":
            yield Token(kind, token, at)  # type: ignore[arg-type]  # the expression's groups are called like the kinds
        at += len(token)


def _number(number: str, text: str, at: int) -> tuple[str, str]:
    """Return the kind of what begins with a number, and all of it: a duration and a size have their unit behind it."""
    end = at + len(number)
    rest = _DURATION_REST.match(text, end)
    if rest and _is_duration(number + rest[0]):
        return "duration", number + rest[0]
    rest = _BYTES_REST.match(text, end)
    if rest and _BYTES.fullmatch(number + rest[0]):
        return "bytes", number + rest[0]
    return "number", number


def _is_duration(text: str) -> bool:
    return _is_prometheus(text) or _GO.fullmatch(text) is not None


def _is_prometheus(text: str) -> bool:
    found = _PROMETHEUS.fullmatch(text) if text else None
    if not found:
        return text == "0"
    return sum(int(number or 0) * size for number, size in zip(found.groups(), _MILLISECONDS, strict=True)) < _LONGEST_MILLISECONDS


def _word(word: str, text: str, end: int) -> tuple[str, str]:
    lower = word.lower()
    if lower in _FUNCTIONS:
        return ("function", lower) if _IS_CALLED.match(text, end) else ("word", word)
    return ("keyword", lower) if lower in _KEYWORDS else ("word", word)


def _check_range(inner: str, at: int) -> None:
    if not _is_prometheus(inner) and inner not in _GRAFANA:
        raise LogqlError(f"character {at + 1}: found [{inner}], expected a duration in whole numbers, such as [5m] or [1h30m]")


def unquoted(token: Token) -> str:
    """Return the text that a quoted token means; raises LogqlError for an escape that Go does not know, and for what is not UTF-8."""
    inner = token.text[1:-1]
    if token.text[0] == "`":
        return inner.replace("\r", "")
    if "\\" in _ESCAPE.sub("", inner):
        raise LogqlError(f"character {token.at + 1}: {token.text} has an escape that is none of Go's; put it into backquotes")
    try:
        # \xff and \377 are bytes, and several may make one character.
        return _ESCAPE.sub(lambda found: _escaped(found[0][1:]), inner).encode("utf-8", "surrogateescape").decode()
    except UnicodeDecodeError:
        raise LogqlError(f"character {token.at + 1}: {token.text} is not UTF-8") from None


def _escaped(escape: str) -> str:
    if escape[0] in "uU":
        return chr(int(escape[1:], 16))
    if escape[0] == "x" or escape[0].isdigit():
        return bytes([int(escape[1:], 16) if escape[0] == "x" else int(escape, 8)]).decode("utf-8", "surrogateescape")
    return _CONTROLS.get(escape, escape)
