"""LogQL, parsed: enough of a tree to know which streams a query selects, which fields it reads, and whether it yields lines or numbers.

The grammar is Loki 3's (https://grafana.com/docs/loki/latest/query/). Grafana's `$__auto`, `$__range`, `$__interval` and
`$__rate_interval` may stand for the duration of a range.
"""

from specwatch.logql.parser import Parser
from specwatch.logql.tree import LogqlError, Matcher, Pipeline, Query

__all__ = ["LogqlError", "Matcher", "Pipeline", "Query", "parse"]


def parse(text: str) -> Query:
    """Return the query; raises LogqlError when it is none that Loki takes."""
    try:
        parser = Parser(text)
        kind = parser.query()
    except RecursionError:
        raise LogqlError("it is nested too deeply") from None
    return Query(kind=kind, pipelines=tuple(parser.pipelines), grouped_by=tuple(dict.fromkeys(parser.grouped_by)))
