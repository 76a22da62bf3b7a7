"""The answers, whoever asks."""

import asyncio
import json
import logging
import math
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

from specwatch.telemetry.health import Checks, Health
from specwatch.telemetry.health.service import Aspect
from specwatch.telemetry.settings import Settings, settings

if TYPE_CHECKING:
    from specwatch.telemetry.metrics.exposition import Source
    from specwatch.telemetry.metrics.scrape import Scrape

Stats = Callable[[], object]
"""Returns what JSON can say, such as document 000's `discovery_metrics.get_stats`."""

_JSON: Final = "application/json"
_METHODS: Final = ("GET", "HEAD")
_NO_STORE: Final = ("Cache-Control", "no-store")
_DEEPEST: Final = 32


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; `headers` has everything but Content-Type and Content-Length."""

    status: int
    body: bytes
    content_type: str = _JSON
    headers: tuple[tuple[str, str], ...] = (_NO_STORE,)

    @property
    def reason(self) -> str:
        """The status as the first line of an answer has it, such as "200 OK"."""
        return f"{self.status} {HTTPStatus(self.status).phrase}"

    @property
    def all_headers(self) -> list[tuple[str, str]]:
        """Every header."""
        return [("Content-Type", self.content_type), ("Content-Length", str(len(self.body))), *self.headers]


NOT_FOUND: Final = Answer(404, b'{"error":"there is nothing here"}\n')
"""The answer for a path that is none of ours, where nobody else answers."""


class Endpoints:
    """What a program shows of itself over HTTP.

    Args:
        registry: the metrics that are shown, those of all workers where they share a folder: a `Metrics` (the default one when left out),
            a registry of prometheus-client, or the folder's path.
        health: a `Health` (or `HealthChecker`), or checks to make one of.
        stats: functions that return statistics, by the path under which they are shown (000's `/api/v1/artifacts/health/discovery`).
        metrics_path: the scrape, in Prometheus text or OpenMetrics as the Accept header says, gzip where Accept-Encoding allows it.
        json_path: the same as JSON (002).
        health_path: every check; `/live` below it the checks that say whether the process must be started anew (none by default), `/ready`
            below it those that say whether it can serve. 503 when unhealthy. Empty for none of them.
        fresh_seconds: how old a scrape may be that is given again at once; those who scrape at the same time share one in any case.
        switches: `settings()` when left out; with metrics off the two metrics paths answer 404.
    """

    def __init__(
        self,
        *,
        registry: object | None = None,
        health: Health | Checks | None = None,
        stats: Mapping[str, Stats] | None = None,
        metrics_path: str = "/metrics",
        json_path: str = "/api/metrics",
        health_path: str = "/health",
        fresh_seconds: float = 0.0,
        switches: Settings | None = None,
    ) -> None:
        self._switches = switches or settings()
        self._registry = registry
        self._fresh_seconds = fresh_seconds
        self._lock = threading.Lock()
        self._made: tuple[Source, Scrape] | None = None
        self.health = health if isinstance(health, Health) else Health(health, registry=_own(registry), switches=self._switches)
        self._stats = dict(stats or {})
        self._metrics_path = metrics_path
        self._json_path = json_path
        self._aspects: dict[str, Aspect] = (
            {health_path: "all", f"{health_path}/live": "live", f"{health_path}/ready": "ready"} if health_path else {}
        )

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that is answered."""
        return (self._metrics_path, self._json_path, *self._aspects, *self._stats)

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Answer | None:
        """Return the answer to a request, or None when the path is none of ours; blocks while checks run.

        Args:
            method: as HTTP has it, in capitals.
            path: below the place where the endpoints are mounted.
            headers: the request's, with names in small letters.
        """
        refused = self._refused(method, path)
        if refused or path not in self.paths:
            return refused
        if path in self._aspects:
            return self._health(path)
        return self._quick(path, headers)

    async def answer_async(self, method: str, path: str, headers: Mapping[str, str]) -> Answer | None:
        """Return the same for an event loop, which is never blocked: checks are awaited, scrapes are put together in a thread."""
        refused = self._refused(method, path)
        if refused or path not in self.paths:
            return refused
        if path in self._aspects:
            report = await self.health.report_async(self._aspects[path])
            return Answer(report.http_status, _json(report.as_json()))
        return await asyncio.to_thread(self._quick, path, headers)

    def _refused(self, method: str, path: str) -> Answer | None:
        if path not in self.paths or method in _METHODS:
            return None
        return Answer(405, _json({"error": f"found {method}, expected GET"}), headers=(_NO_STORE, ("Allow", ", ".join(_METHODS))))

    def _health(self, path: str) -> Answer:
        report = self.health.report(self._aspects[path])
        return Answer(report.http_status, _json(report.as_json()))

    def _quick(self, path: str, headers: Mapping[str, str]) -> Answer:
        answers: dict[str, Callable[[], Answer]] = {
            self._metrics_path: partial(self._scrape, headers),
            self._json_path: self._metrics_as_json,
        }
        try:
            return answers[path]() if path in answers else Answer(200, _json(self._stats[path]()))
        except Exception:
            # A broken statistic is its own answer, not an exception in whatever application serves it.
            logging.getLogger(__name__).exception("Endpoint failed", extra={"path": path})
            return Answer(500, _json({"error": "this endpoint failed; the log says why"}))

    def _scrape(self, headers: Mapping[str, str]) -> Answer:
        if not self._switches.metrics_enabled:
            return _switched_off()
        gzip = _accepts_gzip(headers.get("accept-encoding", ""))
        body, content_type, encoding = self._source()[1].answer(headers.get("accept", ""), gzip=gzip)
        encoded = (("Content-Encoding", encoding),) if encoding else ()
        return Answer(200, body, content_type, (_NO_STORE, ("Vary", "Accept, Accept-Encoding"), *encoded))

    def _metrics_as_json(self) -> Answer:
        if not self._switches.metrics_enabled:
            return _switched_off()
        from specwatch.telemetry.metrics.exposition import as_json  # noqa: PLC0415  # see _source

        source = self._source()[0]
        shown, foreign = as_json(source), source.foreign(openmetrics=False)
        if foreign:
            from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415  # only where its metrics are included

            from specwatch.telemetry.endpoints.foreign_json import add_foreign  # noqa: PLC0415  # as above

            add_foreign(shown, text_string_to_metric_families(foreign))
        return Answer(200, _json(shown))

    def _source(self) -> "tuple[Source, Scrape]":
        if self._made is None:
            # Imported when first asked: a gunicorn config imports this package before it says where the workers' metrics are.
            from specwatch.telemetry.metrics import Metrics, default_metrics  # noqa: PLC0415  # see above
            from specwatch.telemetry.metrics.render import source_of  # noqa: PLC0415  # as above
            from specwatch.telemetry.metrics.scrape import Scrape  # noqa: PLC0415  # as above

            registry = default_metrics() if self._registry is None else self._registry
            if not isinstance(registry, (Metrics, str, os.PathLike)):
                registry = Metrics(enabled=False, directory="").include(cast(Any, registry))
            source = source_of(registry)
            with self._lock:
                self._made = self._made or (source, Scrape(source, fresh_seconds=self._fresh_seconds))
        return self._made


def _own(registry: object | None) -> object | None:
    """Return the registry on which checks are metrics: a folder is only read, so that theirs are on the default one."""
    return None if isinstance(registry, (str, os.PathLike)) else registry


def _switched_off() -> Answer:
    return Answer(404, _json({"error": "metrics are off (METRICS_ENABLED=false)"}))


def _accepts_gzip(header: str) -> bool:
    """Return whether the client takes gzip (RFC 9110, section 12.5.3): named, or meant by `*`, and not refused with q=0."""
    weights: dict[str, float] = {}
    for part in header.lower().split(","):
        coding, _, parameters = part.partition(";")
        weight = parameters.strip().removeprefix("q=") or "1"
        try:
            weights[coding.strip()] = float(weight)
        except ValueError:
            weights[coding.strip()] = 0.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _json(value: object) -> bytes:
    return (json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n").encode("utf-8", "replace")


def _plain(value: object, depth: int = 0) -> object:
    """Return what JSON can say of the value: NaN and the infinities are null, what it has no word for is its text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {str(key): _plain(item, depth + 1) for key, item in cast(Mapping[object, object], value).items()}
    if depth < _DEEPEST and isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, depth + 1) for item in value]
    return str(value)
