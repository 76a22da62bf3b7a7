"""The real Loki says of each query what our parser says."""

import json
import time
from collections.abc import Iterator
from typing import Final
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from hypothesis import HealthCheck, given, settings

from specwatch import logql
from specwatch.logql import LogqlError
from tests.logql import corpus, mistakes, queries
from tests.logs.shipping import RealLoki, running_loki

pytestmark = pytest.mark.engine
# The corpus tests ask Loki hundreds of times; so many more of each built kind are enough.
BUILT: Final = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def loki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealLoki]:
    with running_loki(tmp_path_factory.mktemp("logql"), log_alerts=()) as started:
        yield started


def refusal(real: RealLoki, path: str, **query: object) -> str:
    """Return why Loki refuses the request, nothing when it does not."""
    try:
        with urlopen(f"{real.topology.url('loki', f'loki/api/v1/{path}')}?{urlencode(query)}", timeout=10):
            return ""
    except HTTPError as error:
        with error:
            return error.read().decode(errors="replace").strip() or str(error)


def parsed(real: RealLoki, text: str) -> str:
    """Return why Loki's parser refuses the text, nothing when it does not."""
    return refusal(real, "format_query", query=text)


def run(real: RealLoki, text: str) -> str:
    """Return why Loki does not run the query, nothing when it does: only then are pipelines built and what is in quotes read."""
    now = int(time.time())
    return refusal(real, "query_range", query=text, start=now - 60, end=now, step=30, limit=1)


def ours(text: str) -> str:
    """Return why we refuse the text, nothing when we do not."""
    try:
        logql.parse(text)
    except LogqlError as error:
        return str(error)
    return ""


def test_the_corpus_is_as_large_as_it_should_be() -> None:
    """Ensure no query stands in it twice."""
    every = (*corpus.ACCEPTED, *mistakes.REFUSED, *mistakes.REFUSED_WHEN_RUN, *corpus.STRICTER)
    assert len(set(every)) == len(every) > 350


def test_what_we_accept_loki_parses_and_runs(loki: RealLoki) -> None:
    """Ensure no query that passes us fails in a rule or a panel."""
    assert {text: why for text in corpus.ACCEPTED if (why := ours(text) or parsed(loki, text) or run(loki, text))} == {}


def test_what_lokis_parser_refuses_we_refuse(loki: RealLoki) -> None:
    """Ensure each kind of mistake is found, and that Loki finds it to be one, too."""
    assert [text for text in mistakes.REFUSED if not (ours(text) and parsed(loki, text))] == []


def test_what_loki_refuses_only_when_it_runs_we_refuse_before(loki: RealLoki) -> None:
    """Ensure mistakes inside the quotes, which Loki's parser lets pass, are found before a rule is written."""
    found = [text for text in mistakes.REFUSED_WHEN_RUN if not (ours(text) and not parsed(loki, text) and run(loki, text))]
    assert found == []


def test_what_we_alone_refuse_is_what_is_listed(loki: RealLoki) -> None:
    """Ensure Loki's parser still takes what we refuse for reasons of our own."""
    assert [text for text in corpus.STRICTER if not (ours(text) and not parsed(loki, text))] == []


@BUILT
@given(tokens=queries.queries())
def test_every_query_of_the_grammar_is_a_query(loki: RealLoki, tokens: queries.Tokens) -> None:
    """Ensure we and Loki accept whatever is built by the rules."""
    text = " ".join(tokens)
    assert (ours(text), parsed(loki, text)) == ("", ""), json.dumps(text)


@BUILT
@given(tokens=queries.mutated())
def test_a_query_with_a_mistake_is_refused_by_both_or_by_none(loki: RealLoki, tokens: queries.Tokens) -> None:
    """Ensure a token too many, too few or in a wrong place is to us what it is to Loki."""
    text = " ".join(tokens)
    assert bool(ours(text)) == bool(parsed(loki, text) or run(loki, text)), f"{text}\n{ours(text)}\n{parsed(loki, text)}"
