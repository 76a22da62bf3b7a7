"""The answer to a scrape: made once for all who ask at the same time."""

import threading
import time
from dataclasses import dataclass, field

from specwatch.telemetry.metrics.exposition import OPENMETRICS, TEXT, Source, compress, text_of, wants_openmetrics
from specwatch.telemetry.metrics.forks import follow_forks

GZIP = "gzip"


@dataclass(slots=True)
class _Made:
    """An answer in one format."""

    began: float
    body: bytes
    packed: bytes | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def gzip(self) -> bytes:
        with self.lock:
            if self.packed is None:
                self.packed = compress(self.body)
            return self.packed


class Scrape:
    """Answers scrapes of one source.

    Those who ask while an answer is being made wait for one that was begun after they asked, and share it.

    Args:
        source: a registry, or a reader of a folder that workers share.
        fresh_seconds: how old an answer may be that is given again at once; 0 means never.
    """

    def __init__(self, source: Source, *, fresh_seconds: float = 0.0) -> None:
        self._source = source
        self._fresh_seconds = fresh_seconds
        self._lock = threading.Lock()
        self._made: dict[bool, _Made] = {}
        follow_forks(self)

    def answer(self, accept: str = "", *, gzip: bool = False) -> tuple[bytes, str, str]:
        """Return body, content type and content encoding (empty, or `gzip`) of an answer.

        Args:
            accept: the Accept header; decides between Prometheus text and OpenMetrics.
            gzip: whether the client takes gzip.
        """
        openmetrics = wants_openmetrics(accept)
        made = self._current(openmetrics=openmetrics)
        content_type = OPENMETRICS if openmetrics else TEXT
        return (made.gzip(), content_type, GZIP) if gzip else (made.body, content_type, "")

    def forked(self) -> None:
        """Be fit for use in a forked process."""
        self._lock = threading.Lock()
        self._made = {}

    def _current(self, *, openmetrics: bool) -> _Made:
        asked = time.monotonic()
        made = self._made.get(openmetrics)
        if made is not None and asked - made.began < self._fresh_seconds:
            return made
        with self._lock:
            made = self._made.get(openmetrics)
            if made is None or made.began < asked - self._fresh_seconds:
                began = time.monotonic()
                made = self._made[openmetrics] = _Made(began, text_of(self._source, openmetrics=openmetrics).encode())
            return made
