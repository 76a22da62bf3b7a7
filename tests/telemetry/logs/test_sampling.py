"""What is left out on purpose is counted."""

import logging
from collections import Counter
from typing import Any

import pytest

from specwatch.telemetry import RequestContext, bind
from specwatch.telemetry.logs import RateLimit, Sampling
from specwatch.telemetry.logs.sampling import Gate, LeftOut
from tests.telemetry.logs.lines import Log


def test_a_share_of_a_level_is_written_and_the_rest_counted() -> None:
    """Each record is written or counted, and the next one that is written says how many were not."""
    log = Log(sampling=Sampling(levels={"DEBUG": 0.5}))
    for _ in range(400):
        log.logger.debug("x")
    log.logger.info("whole")
    lines = log.lines()
    left_out = log.handler.left_out.counts()["test.logs", "DEBUG", "sampled"]
    written = [fields for fields in lines if fields["level"] == "DEBUG"]
    assert 100 < len(written) < 300
    assert len(written) + left_out == 400
    last = 400 - len(written) - sum(fields.get("left_out", 0) for fields in written)
    assert 0 <= last < 50
    assert "left_out" not in lines[-1]


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "record"])
def test_nothing_and_everything(direct: bool) -> None:
    """0 leaves all out, 1 nothing, on both ways."""
    log = Log(direct=direct, sampling=Sampling(levels={"debug": 0, "INFO": 1}))
    for _ in range(10):
        log.logger.debug("never")
        log.logger.info("always")
    assert [fields["message"] for fields in log.lines()] == ["always"] * 10
    assert log.handler.left_out.counts() == {("test.logs", "DEBUG", "sampled"): 10}


def test_the_longest_name_wins_and_warnings_stay() -> None:
    """A share for a logger holds for its children, below WARNING; a level that is named explicitly holds for all."""
    sampling = Sampling(loggers={"sqlalchemy": 0.1, "sqlalchemy.engine": 0.01}, levels={"INFO": 0.5, "ERROR": 0.9})
    assert sampling.share("sqlalchemy.engine.Engine", logging.INFO) == 0.01
    assert sampling.share("sqlalchemy.pool", logging.INFO) == 0.1
    assert sampling.share("sqlalchemyx", logging.INFO) == 0.5
    assert sampling.share("sqlalchemy", logging.WARNING) == 1
    assert sampling.share("sqlalchemy", logging.ERROR) == 0.9


def test_the_lines_of_one_request_stay_together() -> None:
    """Within a trace all records of a level are written or none."""
    written: Counter[str] = Counter()
    for number in range(200):
        log = Log(sampling=Sampling(levels={"INFO": 0.5}))
        with bind(RequestContext(f"{number * 0x1234567:032x}", "r", "b" * 16)):
            for _ in range(3):
                log.logger.info("x")
        written[str(len(log.lines()))] += 1
    assert set(written) == {"0", "3"}


@pytest.mark.parametrize("wrong", [{"levels": {"INFO": 2}}, {"loggers": {"a": -1}}, {"levels": {"LOUD": 0.5}}])
def test_a_share_that_is_none_is_an_error(wrong: dict[str, Any]) -> None:
    """A program's own mistake is told at once."""
    with pytest.raises(ValueError, match="sampling"):
        Sampling(**wrong)


@pytest.mark.parametrize("wrong", [{"per_second": 0}, {"per_second": 1, "burst": 0}])
def test_a_rate_that_is_none_is_an_error(wrong: dict[str, Any]) -> None:
    """A program's own mistake is told at once."""
    with pytest.raises(ValueError, match="rate limit"):
        RateLimit(**wrong)


def gate(limit: RateLimit, now: list[float]) -> tuple[Gate, LeftOut]:
    """Return a gate with a clock that stands still."""
    lock: Any = Log().handler.lock
    left_out = LeftOut(lock)
    return Gate(None, limit, left_out, lock, lambda: now[0]), left_out


def test_records_alike_are_limited() -> None:
    """So many at once, then so many a second, for each message without its arguments; CRITICAL is always written."""
    now = [0.0]
    door, left_out = gate(RateLimit(per_second=2, burst=3), now)
    admitted = [door.admit("a", logging.INFO, "one", None) for _ in range(5)]
    assert admitted == [0, 0, 0, -1, -1]
    assert door.admit("a", logging.INFO, "two", None) == 2
    assert door.admit("b", logging.INFO, "one", None) == 0
    assert door.admit("a", logging.CRITICAL, "one", None) == 0
    now[0] = 0.5
    assert [door.admit("a", logging.INFO, "one", None) for _ in range(2)] == [0, -1]
    now[0] = 100
    assert [door.admit("a", logging.INFO, "one", None) for _ in range(4)] == [1, 0, 0, -1]
    assert left_out.counts() == {("a", "INFO", "rate"): 4}


def test_a_rate_for_each_value_of_a_field() -> None:
    """As document 004 throttles each workspace."""
    door, _ = gate(RateLimit(per_second=10 / 60, burst=1, by="workspace_id"), [0.0])
    assert door.admit("a", logging.ERROR, "x", {"workspace_id": "w-1"}) == 0
    assert door.admit("a", logging.ERROR, "y", {"workspace_id": "w-1"}) == -1
    assert door.admit("a", logging.ERROR, "y", {"workspace_id": "w-2"}) == 1
    door, _ = gate(RateLimit(per_second=1, burst=1, by="logger"), [0.0])
    assert [door.admit("a", logging.INFO, text, None) for text in "ab"] == [0, -1]


def test_what_is_alike_is_bounded() -> None:
    """A message with an id in it does not make the limiter grow for ever, nor do many loggers the counter."""
    log = Log(rate_limit=RateLimit(per_second=0.001, burst=1))
    for number in range(5_000):
        log.logger.info(f"order {number}")  # noqa: G004 - as programs do
        log.handler.deliver(f"logger-{number}", logging.INFO, "same", (), None, None, None)
        log.handler.deliver(f"logger-{number}", logging.INFO, "same", (), None, None, None)
    counts = log.handler.left_out.counts()
    assert len(counts) <= 4_097
    assert sum(counts.values()) == 5_000


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "record"])
def test_a_line_says_how_many_were_left_out(direct: bool) -> None:
    """The field `left_out` stands in the next line of that logger and level."""
    log = Log(direct=direct, rate_limit=RateLimit(per_second=0.001, burst=1))
    for message in ["a", "a", "a", "b", "c"]:
        log.logger.info(message)
    assert [fields.get("left_out") for fields in log.lines()] == [None, 2, None]


def test_each_is_told_to_a_metric_and_a_broken_metric_costs_nothing() -> None:
    """What counts elsewhere is called with logger, level and reason."""
    told: list[tuple[str, str, str]] = []
    log = Log(sampling=Sampling(levels={"INFO": 0}), tell=lambda *key: told.append(key))
    log.logger.info("x")
    assert told == [("test.logs", "INFO", "sampled")]

    def broken(*_: object) -> None:
        raise RuntimeError("no")

    log = Log(sampling=Sampling(levels={"INFO": 0}), tell=broken)
    log.logger.info("x")
    assert sum(log.handler.left_out.counts().values()) == 1
