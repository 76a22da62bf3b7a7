"""What is left out of the logs on purpose, and how much that was."""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from specwatch.telemetry._jsonline import text
from specwatch.telemetry.context import current

Reason = Literal["sampled", "rate", "lost"]
"""Why a record is not in the logs: sampling, the rate limit, or a stream that could not be written to."""

LEFT_OUT: Final = "left_out"
"""The field that says how many records of the same logger and level were left out since the last one that was written."""

_MOST_KEYS: Final = 4_096
_ALIKE_CHARACTERS: Final = 256
_OTHERS: Final = "(others)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Which share of the records is written.

    Inside of a request the trace id decides, so that the lines of one request are there or not there together.

    Args:
        levels: a share from 0 to 1 for each level by name; a level that is not named is written whole.
        loggers: a share for each logger by name, its children included; the longest name wins. It goes before that of the level and
            holds below WARNING only: what went wrong is never left out unless `levels` says so.

    Raises:
        ValueError: a share is no number from 0 to 1, or there is no such level.
    """

    levels: Mapping[str, float] = field(default_factory=dict)
    loggers: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, share in [*self.levels.items(), *self.loggers.items()]:
            if not 0 <= share <= 1:
                raise ValueError(f"sampling of {name!r}: {share!r} is no share from 0 to 1")
        for name in self.levels:
            if name.upper() not in logging.getLevelNamesMapping():
                raise ValueError(f"sampling: there is no level {name!r}; it can be DEBUG, INFO, WARNING, ERROR or CRITICAL")

    def share(self, logger: str, level: int) -> float:
        """Return the share of this logger's records of this level that is written."""
        if level < logging.WARNING:
            while logger:
                if logger in self.loggers:
                    return self.loggers[logger]
                logger = logger.rpartition(".")[0]
        numbers = logging.getLevelNamesMapping()
        return next((share for name, share in self.levels.items() if numbers.get(name.upper()) == level), 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """How many records alike are written.

    Args:
        per_second: how many in the long run.
        burst: how many at once.
        by: what makes records alike, besides logger and level: "logger" nothing, "message" the message without its arguments, anything else
            the field of that name (such as document 004's throttle by workspace_id).
        below: records of this level and above are always written.

    Raises:
        ValueError: `per_second` or `burst` is not positive.
    """

    per_second: float
    burst: int = 10
    by: str = "message"
    below: int = logging.CRITICAL

    def __post_init__(self) -> None:
        if self.per_second <= 0 or self.burst < 1:
            raise ValueError(f"rate limit: per_second {self.per_second!r} and burst {self.burst!r} have to be positive")


class LeftOut:
    """Counts the records that are not in the logs, by logger, level and reason.

    Args:
        lock: held while counting.
        tell: called with (logger, level, reason) for each of them, for a metric.
    """

    def __init__(self, lock: threading.RLock, tell: Callable[[str, str, Reason], None] | None = None) -> None:
        self._lock = lock
        self._counts: dict[tuple[str, str, Reason], int] = {}
        self._tell = tell

    def add(self, logger: str, level: int, reason: Reason) -> None:
        """Count one record. Never raises an Exception."""
        name = logging.getLevelName(level)
        with self._lock:
            key = (logger, name, reason)
            if key not in self._counts and len(self._counts) >= _MOST_KEYS:
                key = (_OTHERS, name, reason)
            self._counts[key] = self._counts.get(key, 0) + 1
        if self._tell is not None:
            try:
                self._tell(*key)
            except Exception:  # noqa: BLE001 - a metric that cannot be counted must not cost the caller anything
                self._tell = None

    def counts(self) -> dict[tuple[str, str, Reason], int]:
        """Return how many records were left out for each (logger, level, reason)."""
        with self._lock:
            return dict(self._counts)


class Gate:
    """Decides for each record whether it is written.

    Args:
        sampling: the shares that are written; all without it.
        limit: the rate; no limit without it.
        left_out: where is counted what is not.
        lock: held while a rate is looked at.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        sampling: Sampling | None,
        limit: RateLimit | None,
        left_out: LeftOut,
        lock: threading.RLock,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sampling = sampling
        self._limit = limit
        self._left_out = left_out
        self._clock = clock
        self._lock = lock
        self._shares: dict[tuple[str, int], float] = {}
        self._buckets: dict[tuple[str, int, str], tuple[float, float]] = {}
        self._since: dict[tuple[str, int], int] = {}

    def admit(self, logger: str, level: int, message: object, fields: Mapping[str, object] | None) -> int:
        """Return -1 for a record to leave out, else how many of its logger and level were left out since the last one."""
        reason: Reason | None = None
        alike = self._alike(message, fields)
        if self._sampling is not None and not self._chosen(logger, level):
            reason = "sampled"
        with self._lock:
            if reason is None and not self._in_rate(logger, level, alike):
                reason = "rate"
            key = (logger, level)
            if reason is None:
                return self._since.pop(key, 0) if self._since else 0
            if len(self._since) < _MOST_KEYS:
                self._since[key] = self._since.get(key, 0) + 1
        self._left_out.add(logger, level, reason)
        return -1

    def _chosen(self, logger: str, level: int) -> bool:
        share = self._shares.get((logger, level))
        if share is None:
            share = self._sampling.share(logger, level) if self._sampling is not None else 1.0
            if len(self._shares) < _MOST_KEYS:
                self._shares[logger, level] = share
        if share >= 1:
            return True
        request = current()
        if request is None:
            return random.random() < share  # noqa: S311 - nothing secret
        try:
            return int(request.trace_id[-8:], 16) < share * 0x1_0000_0000
        except ValueError:
            return random.random() < share  # noqa: S311 - nothing secret

    def _alike(self, message: object, fields: Mapping[str, object] | None) -> str:
        # Outside of the lock: what a value's own __str__ does may log.
        if self._limit is None or self._limit.by == "logger":
            return ""
        return text(message if self._limit.by == "message" else (fields or {}).get(self._limit.by))[:_ALIKE_CHARACTERS]

    def _in_rate(self, logger: str, level: int, alike: str) -> bool:
        limit = self._limit
        if limit is None or level >= limit.below:
            return True
        key = (logger, level, alike)
        now = self._clock()
        left, at = self._buckets.get(key, (float(limit.burst), now))
        left = min(left + (now - at) * limit.per_second, float(limit.burst))
        if len(self._buckets) >= _MOST_KEYS and key not in self._buckets:
            self._buckets.pop(next(iter(self._buckets)))
        self._buckets[key] = (left - 1, now) if left >= 1 else (left, now)
        return left >= 1
