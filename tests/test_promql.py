"""PromQL, built and parsed."""

from decimal import Decimal
from typing import Final

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specwatch import promql
from specwatch.promql import PromqlError

_PIECES: Final = [
    "up",
    "(",
    ")",
    "{",
    "}",
    "[5m]",
    "rate",
    "sum",
    " by ",
    "+",
    "-",
    "==",
    '"',
    "'",
    'a="b"',
    ",",
    "1",
    ".5",
    "#",
    "\n",
    "é",
    "$__range",
    "@",
    "offset 5m",
    ":",
]


@given(st.one_of(st.text(max_size=20), st.lists(st.sampled_from(_PIECES), max_size=12).map("".join)))
def test_any_text_parses_or_says_why(text: str) -> None:
    """Ensure whatever a person writes as PromQL is parsed, or refused in one line."""
    reason = ""
    try:
        promql.parse(text)
    except PromqlError as error:
        reason = str(error) or "none"
    assert reason != "none"
    assert "\n" not in reason


@pytest.mark.parametrize(
    "text", ["(" * 2000 + "1" + ")" * 2000, "-" * 3000 + "1", "+".join(["up"] * 1300), "sum(" * 500 + "up" + ")" * 500]
)
def test_deep_expressions_parse(text: str) -> None:
    """Ensure an expression as long as the spec allows, however nested, brings no crash."""
    promql.parse(text)


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("up", 'up{job="a\\"b"}'),
        ('rate(x{l="v"}[5m])', 'rate(x{job="a\\"b",l="v"}[5m])'),
        (
            "sum by (job) (rate(x[$__rate_interval])) / sum(y)",
            'sum by (job) (rate(x{job="a\\"b"}[$__rate_interval])) / sum(y{job="a\\"b"})',
        ),
        ("max_over_time(sum(rate(x[5m]))[$__range:$__interval])", 'max_over_time(sum(rate(x{job="a\\"b"}[5m]))[$__range:$__interval])'),
        ('{__name__=~"x.*"}', '{job="a\\"b",__name__=~"x.*"}'),
        ("vector(1)", "vector(1)"),
    ],
)
def test_a_template_puts_the_job_into_every_selector(text: str, bound: str) -> None:
    """Ensure each selector, and nothing else, gets the job, quoted; Grafana's durations stay what they are."""
    found = promql.template(text).bind('a"b')
    assert found.replace(" ", "") == bound.replace(" ", "") or str(promql.parse(found)) == str(promql.parse(bound))
    assert found.count('job="a\\"b"') == bound.count('job="a\\"b"')
    for variable in ("$__rate_interval", "$__range", "$__interval"):
        assert found.count(variable) == text.count(variable)


@pytest.mark.parametrize(
    ("value", "operator", "threshold", "text"),
    [
        ("up", "==", "0", "up == 0"),
        ("a / b", ">", "0.05", "(a / b) > 0.05"),
        ("a or b", "<", "1E+3", "(a or b) < 1000"),
        ("sum(a) by (b)", ">=", "-1", "sum(a) by (b) >= -1"),
        ("a > 1", "!=", "0.001", "(a > 1) != 0.001"),
    ],
)
def test_a_comparison_takes_in_the_whole_value(value: str, operator: str, threshold: str, text: str) -> None:
    """Ensure operators inside the value bind before the comparison, and the threshold keeps its digits."""
    assert promql.compare(value, operator, Decimal(threshold)) == text
    assert isinstance(promql.parse(text), promql_parser.BinaryExpr)


@pytest.mark.parametrize(
    ("value", "operator"), [("up", "="), ("up", "+"), ("up", "> 0 or up >"), ("up[5m]", ">"), ("up # why", ">"), ("(", ">"), ("", ">")]
)
def test_what_cannot_be_compared_is_refused(value: str, operator: str) -> None:
    """Ensure neither a foreign operator nor half an expression gets into a rule."""
    with pytest.raises(PromqlError):
        promql.compare(value, operator, Decimal(1))


@pytest.mark.parametrize("text", ['x{l=~"\\\\d+"}', 'x{l="a\\"b"}', 'x{l="\\\\n"}', 'label_replace(x, "a", "$1", "b", "\\\\.")', "sum("])
def test_what_a_template_cannot_hold_is_refused(text: str) -> None:
    """Ensure an expression whose strings the parser would print wrongly is an error, not another expression."""
    with pytest.raises(PromqlError):
        promql.template(text)


@given(st.text(max_size=20))
def test_a_quoted_text_is_one_string(text: str) -> None:
    """Ensure no text breaks out of its quotes."""
    assert promql.parse(f"x{{l={promql.quote(text)}}}").matchers.matchers[0].value == text


def test_metrics_names_every_selector() -> None:
    """Ensure each metric of an expression is found, however deep."""
    assert list(promql.metrics(promql.parse('sum(rate(a[5m])) / b > on (x) {l="v"} unless c offset 5m'))) == ["a", "b", "c"]
