"""What is read from a query, and what is said of a text that is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specwatch import logql
from specwatch.logql import LogqlError, Matcher, Pipeline
from tests.logql import queries

SHOP = Matcher("service", "=", "shop")


@pytest.mark.parametrize(
    ("text", "kind", "pipelines", "grouped_by"),
    [
        ('{service="shop"}', "selector", [Pipeline(matchers=(SHOP,))], ()),
        ('(({service="shop"}))', "selector", [Pipeline(matchers=(SHOP,))], ()),
        (
            '{service="shop", level=~"err.*"} |= `a\\b` or "c" !~ "d"',
            "log",
            [
                Pipeline(
                    matchers=(SHOP, Matcher("level", "=~", "err.*")),
                    filters=(("|=", "a\\b"), ("|=", "c"), ("!~", "d")),
                )
            ],
            (),
        ),
        (
            '{service="shop"} | json status, user="u.id" | logfmt | regexp "(?P<m>\\\\w+)" | unpack | label_format to=from',
            "log",
            [
                Pipeline(
                    matchers=(SHOP,),
                    parsers=("json", "logfmt", "regexp", "unpack"),
                    extracted=("status", "user", "m", "to"),
                )
            ],
            (),
        ),
        (
            '{service="shop"} | status >= 500 and (took > 1.5s or size < 20MB) | x != "y", z =~ "a" | addr = ip("10.0.0.1") | n > -5',
            "log",
            [
                Pipeline(
                    matchers=(SHOP,),
                    read=(
                        Matcher("status", ">=", "500"),
                        Matcher("took", ">", "1.5s"),
                        Matcher("size", "<", "20MB"),
                        Matcher("x", "!=", "y"),
                        Matcher("z", "=~", "a"),
                        Matcher("addr", "=", "10.0.0.1"),
                        Matcher("n", ">", "-5"),
                    ),
                )
            ],
            (),
        ),
        (
            'sum by (service, level) (rate({service="shop"} | json | level="error" [5m])) / on (service) sum(rate({level="info"}[5m]))',
            "metric",
            [
                Pipeline(matchers=(SHOP,), parsers=("json",), read=(Matcher("level", "=", "error"),)),
                Pipeline(matchers=(Matcher("level", "=", "info"),)),
            ],
            ("service", "level"),
        ),
        (
            'avg_over_time({service="shop"} | unwrap duration(took) | __error__="" [5m]) by (route)',
            "metric",
            [Pipeline(matchers=(SHOP,), read=(Matcher("__error__", "=", ""),), unwrapped="took")],
            ("route",),
        ),
        ('topk(3, sum without (pod) (count_over_time({service="shop"}[$__auto])))', "metric", [Pipeline(matchers=(SHOP,))], ()),
        ("vector(1)", "metric", [], ()),
        (
            '{service="shop"} | pattern "<ip> <_> <path>"',
            "log",
            [Pipeline(matchers=(SHOP,), parsers=("pattern",), extracted=("ip", "path"))],
            (),
        ),
        ('{service="\\u00e9\\x41\\101\\n\\xc3\\xa9"}', "selector", [Pipeline(matchers=(Matcher("service", "=", "éAA\né"),))], ()),
        ('{sum="x"} | rate = 3', "log", [Pipeline(matchers=(Matcher("sum", "=", "x"),), read=(Matcher("rate", "=", "3"),))], ()),
    ],
)
def test_a_query_is_read_as_it_was_meant(text: str, kind: str, pipelines: list[Pipeline], grouped_by: tuple[str, ...]) -> None:
    """Ensure the tree has every selector, filter, parser and label of the query, in the order in which they stand."""
    found = logql.parse(text)
    assert (found.kind, list(found.pipelines), found.grouped_by) == (kind, pipelines, grouped_by)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "character 1: it ends, expected {, a function or a number"),
        ("sum(up)", "character 5: found up, expected {, a function or a number"),
        (
            'increase({service="shop"}[5m])',
            "character 1: found increase, expected a function of LogQL, such as rate, count_over_time or sum",
        ),
        ('{service="shop"', "character 16: it ends, expected ,"),
        ('{service="shop}', "character 10: found a text that is not closed"),
        ('{json="x"}', "character 2: found json, expected a label's name: json is one of LogQL's own words"),
        (
            '{service=~".*"}',
            'character 1: {service=~".*"} selects every stream: one matcher must not match an empty value, as service=~".+" does',
        ),
        ('{service=~"["}', "character 11: [ is no regular expression of Loki's: [ is not closed by ]"),
        ('{service="\\d"}', 'character 10: "\\d" has an escape that is none of Go\'s; put it into backquotes'),
        (
            'rate({service="shop"}[90])',
            "character 22: found [90], expected a duration in whole numbers, such as [5m] or [1h30m]",
        ),
        ('rate({service="shop"})', "character 22: found ), expected a duration in brackets, such as [5m]"),
        (
            'sum_over_time({service="shop"}[5m])',
            "character 15: sum_over_time needs numbers: end the pipeline with | unwrap and a label",
        ),
        (
            'count_over_time({service="shop"} | unwrap x [5m])',
            "character 17: count_over_time counts lines and takes no unwrap; sum_over_time adds up numbers",
        ),
        (
            'rate({service="shop"}[5m]) by (level)',
            "character 28: found by, expected the end: rate cannot be grouped; put sum by (…) around it",
        ),
        ('sum({service="shop"})', "character 5: found a selector of streams, expected numbers, such as rate({…}[5m])"),
        ('topk(0, rate({service="shop"}[5m]))', "character 6: found 0, expected how many: a whole number above 0"),
        ('{service="a"} | level > "x"', 'character 25: found "x", expected a number, a duration or a size'),
        ('{service="a"} | unwrap x', "character 15: found |, expected the end: unwrap makes numbers, inside a function"),
        ('({service="a"}) | json', "character 17: found |, expected the end: stages stand inside the parentheses"),
        ('{service="a"} | pattern "x"', "character 25: pattern x captures nothing; name what it finds, as <name>"),
        ('rate({service="a"}[5m]) or 5', "character 25: or stands between numbers, not numbers and a number"),
        ("5", "it is a number and selects no stream"),
        ("(" * 2000, "it is nested too deeply"),
    ],
)
def test_what_is_no_query_is_told_with_its_place_and_what_would_be_right(text: str, message: str) -> None:
    """Ensure the error says at which character, what was found and what was expected."""
    with pytest.raises(LogqlError) as caught:
        logql.parse(text)
    assert message in str(caught.value)


@given(st.one_of(st.text(max_size=30), st.lists(st.sampled_from(queries.ANY_TOKEN), max_size=12).map("".join)))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    """Ensure whatever a person writes as LogQL is a query, or brings an error and no crash."""
    reason = ""
    try:
        logql.parse(text)
    except LogqlError as error:
        reason = str(error) or "none"
    assert reason != "none"
