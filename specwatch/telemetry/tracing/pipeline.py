"""The way out of finished spans: a bounded queue and one thread, so that a collector that is down slows and stops nothing."""

import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from specwatch.telemetry.tracing.span import Span

Send = Callable[[Sequence[Span]], bool]
"""Sends spans and returns whether they arrived."""

_LATE_SECONDS: Final = 0.05


class SpanPipeline:
    """Collects finished spans and sends them in batches from a thread of its own.

    A full queue loses its oldest spans, and counts them. The thread starts with the first span, in each process anew, so
    that a server may fork its workers after set-up.

    Args:
        connect: called in the thread, once for each process: returns what sends, and what ends an unfinished sending.
        queue_size: how many spans may wait.
        batch_size: how many spans are sent together.
        delay_seconds: how long a span waits for others.
        exit_seconds: how long the end of the process may wait for the last spans.
        report: told now and then how many spans were sent, failed or dropped since it was told last.

    Attributes:
        dropped: how many spans were lost because the queue was full or the process ended.
        failed: how many spans were sent and did not arrive.
        sent: how many spans arrived.
    """

    def __init__(
        self,
        connect: Callable[[], tuple[Send, Callable[[], None]]],
        *,
        queue_size: int = 2048,
        batch_size: int = 512,
        delay_seconds: float = 5.0,
        exit_seconds: float = 2.0,
        report: Callable[[str, int], object] | None = None,
    ) -> None:
        self._connect = connect
        self._queue_size = max(1, queue_size)
        self._batch_size = max(1, min(batch_size, queue_size))
        self._delay_seconds = delay_seconds
        self._exit_seconds = exit_seconds
        self._report = report
        self._start_anew()
        reference = weakref.WeakMethod(self._start_anew)
        os.register_at_fork(after_in_child=lambda: (start := reference()) and start())
        atexit.register(_shut_down, weakref.ref(self))

    def _start_anew(self) -> None:
        # Spans that were waiting at the fork are the parent's to send.
        self._queue: deque[Span] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._idle = threading.Condition()
        self._busy = False
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], None] | None = None
        self._closed = False
        self._down = False
        self.dropped = 0
        self.failed = 0
        self.sent = 0
        self._reported = {"sent": 0, "failed": 0, "dropped": 0}

    def put(self, span: Span) -> None:
        """Take the span; never blocks and never raises."""
        queue = self._queue
        if self._closed:
            self.dropped += 1
            return
        queue.append(span)
        waiting = len(queue)
        if waiting > self._queue_size:
            try:
                queue.popleft()
                self.dropped += 1
            except IndexError:
                pass
        if self._thread is None:
            self._start()
        if waiting == self._batch_size:
            self._wake.set()

    def flush(self, timeout_seconds: float = 5.0) -> bool:
        """Send what waits and return whether that was done in time."""
        deadline = time.monotonic() + timeout_seconds
        with self._idle:
            if self._thread is None:
                return not self._queue
            self._wake.set()
            done = self._idle.wait_for(lambda: self._closed or not (self._queue or self._busy), max(0.0, deadline - time.monotonic()))
            return done and not self._queue

    def shutdown(self, timeout_seconds: float | None = None) -> None:
        """Send what waits and end the thread, within `timeout_seconds` (by default `exit_seconds`); what is left is lost."""
        if self._closed:
            return
        seconds = self._exit_seconds if timeout_seconds is None else timeout_seconds
        lost = self.dropped + self.failed
        self.flush(seconds)
        self._closed = True
        self._wake.set()
        if self._stop is not None:
            self._stop()  # ends a sending that waits for a collector which does not answer
        if self._thread is not None:
            self._thread.join(_LATE_SECONDS)
        self.dropped += len(self._queue)
        self._queue.clear()
        self._count()
        if (self._busy or self.dropped + self.failed > lost) and not self._down:
            logging.getLogger(__name__).warning("Spans did not arrive before the end", extra={"dropped": self.dropped})

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed:
                # Daemon: the end of the process waits in `shutdown` only, where the wait is bounded.
                self._thread = threading.Thread(target=self._run, name="specwatch-spans", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # no thread is to be had, or the interpreter is ending
                    self._thread, self._closed = None, True

    def _run(self) -> None:
        try:
            send, self._stop = self._connect()
        except Exception:
            logging.getLogger(__name__).exception("Spans cannot be exported")
            with self._idle:
                self._closed = True
                self._idle.notify_all()
            return
        while not self._closed:
            self._wake.wait(self._delay_seconds)
            self._wake.clear()
            self._drain(send)
            self._count()
            with self._idle:
                self._idle.notify_all()

    def _drain(self, send: Send) -> None:
        while self._queue and not self._closed:
            self._busy = True
            batch: list[Span] = []
            try:
                while len(batch) < self._batch_size:
                    batch.append(self._queue.popleft())
            except IndexError:
                pass
            arrived = send(batch)
            if arrived:
                self.sent += len(batch)
            else:
                self.failed += len(batch)
            self._tell(arrived=arrived)
            self._busy = False

    def _count(self) -> None:
        if self._report is None:
            return
        for outcome, before in self._reported.items():
            now = getattr(self, outcome)
            if now != before:
                self._reported[outcome] = now
                self._report(outcome, now - before)

    def _tell(self, *, arrived: bool) -> None:
        """Say once that the collector is down, and once that it is back: not with every batch."""
        if arrived and self._down:
            logging.getLogger(__name__).info("Spans arrive again", extra={"failed": self.failed})
        elif not arrived and self._closed:
            return  # `shutdown` tells it
        elif not arrived and not self._down:
            logging.getLogger(__name__).warning("Spans do not arrive; the service goes on without", extra={"failed": self.failed})
        self._down = not arrived


def _shut_down(reference: "weakref.ref[SpanPipeline]") -> None:
    pipeline = reference()
    if pipeline is not None:
        pipeline.shutdown()
