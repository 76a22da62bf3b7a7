"""PromQL, built and parsed: nothing here edits an expression as text.

The parser is GreptimeTeam's promql-parser, a Rust port of Prometheus' own grammar.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import promql_parser
from msgspec import Struct

_HOLE: Final = "\ue000"
# Grafana puts a duration in the place of these; while we parse, an odd one of ours stands there.
_GRAFANA_DURATIONS: Final = {"$__rate_interval": "13m17s", "$__interval": "13m19s", "$__range": "13m23s"}
_encode: Final = json.JSONEncoder(ensure_ascii=False).encode
_COMPARISONS: Final = frozenset({">", "<", ">=", "<=", "==", "!="})


class PromqlError(ValueError):
    """The text is not PromQL; says why."""


class Template(Struct, frozen=True):
    """An expression whose selectors lack only the job: `bind(job)` completes it.

    Parsed and printed once by `template`, so that a thousand jobs cost a thousand joins.
    """

    segments: tuple[str, ...]

    def bind(self, job: str) -> str:
        """Return the expression with `job="…"` in every selector."""
        return quote(job)[1:-1].join(self.segments)


def template(text: str) -> Template:
    """Return `text` with a hole for the job in each of its selectors; raises PromqlError when it cannot be."""

    def add_job(node: Any) -> Any:
        # The selector inside a range selector is visited too. A changed node must be parsed again: the parser's tree is its own copy.
        return parse(str(_with_job(node))) if isinstance(node, promql_parser.VectorSelector) else None

    expression = parse(text)
    try:
        printed = str(promql_parser.transform(expression, post_visit=add_job))
        reread = str(parse(printed))
    except ValueError:
        printed, reread = text, ""
    if reread != printed:  # the parser prints strings without their escapes
        raise PromqlError(f"{text}: has a quote or a backslash inside a string, which a template cannot hold")
    for variable, duration in _GRAFANA_DURATIONS.items():
        printed = printed.replace(f"[{duration}", f"[{variable}").replace(f":{duration}", f":{variable}")
    return Template(tuple(printed.split(_HOLE)))


def _with_job(selector: Any) -> Any:
    matchers = selector.matchers
    matchers.matchers = [promql_parser.Matcher(promql_parser.MatchOp.Equal, "job", _HOLE), *matchers.matchers]
    selector.matchers = matchers
    return selector


def parse(text: str) -> Any:
    """Return the parsed expression (Grafana's durations such as `$__rate_interval` are allowed); raises PromqlError with the reason."""
    if "$__" in text:
        for variable, duration in _GRAFANA_DURATIONS.items():
            text = text.replace(f"[{variable}", f"[{duration}").replace(f":{variable}", f":{duration}")
    try:
        return promql_parser.parse(text)
    except ValueError as error:
        raise PromqlError(" ".join(str(error).split())) from None


def compare(value: str, operator: str, threshold: Decimal) -> str:
    """Return `value operator threshold`, with the value in parentheses where its own operators would bind less tightly."""
    if operator not in _COMPARISONS:
        raise PromqlError(f"{operator} is not a comparison")
    parsed = parse(value)
    left = f"({value})" if isinstance(parsed, promql_parser.BinaryExpr) else value
    comparison = f"{left} {operator} {threshold:f}"
    if not isinstance(parse(comparison), promql_parser.BinaryExpr):
        raise PromqlError(f"{value} cannot be compared: a comment hides what follows")
    return comparison


def quote(text: str) -> str:
    """Return `text` as a PromQL or LogQL string literal."""
    return _encode(text)


def metrics(expression: Any) -> Iterator[str]:
    """Yield the name of each metric that a parsed expression selects (selectors without a name are left out)."""
    names: list[str] = []

    def note(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector) and node.name:
            names.append(node.name)

    promql_parser.walk(expression, note)
    yield from names
