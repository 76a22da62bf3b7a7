"""What happened since the start: accepted and refused messages, counted, and the latest refusals."""

import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from .message import Message

REFUSALS_KEPT = 20


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that was not taken: when (RFC 3339, UTC), by which service, under which path, why."""

    at: str
    kind: str
    path: str
    reason: str


class Tally:
    """Counts by kind and status; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accepted: Counter[tuple[str, str]] = Counter()
        self._refused: Counter[str] = Counter()
        self._latest: deque[Refused] = deque(maxlen=REFUSALS_KEPT)

    def accepted(self, message: Message) -> None:
        """Count a message that was stored."""
        with self._lock:
            self._accepted[message.kind, message.status] += 1

    def refused(self, kind: str, path: str, reason: str) -> None:
        """Count a message that was not taken, and remember why."""
        at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        with self._lock:
            self._refused[kind] += 1
            self._latest.append(Refused(at, kind, path[:200], reason[:300]))

    def latest_refusals(self) -> Sequence[Refused]:
        """Return the latest refusals, newest first."""
        with self._lock:
            return list(reversed(self._latest))

    def forget_refusals(self) -> None:
        """Empty the list of refusals; the counts stay."""
        with self._lock:
            self._latest.clear()

    def exposition(self, kinds: Iterable[str], kept: Mapping[str, int]) -> str:
        """Return the counts in Prometheus' text format 0.0.4.

        All label values are the program's own words, so nothing needs escaping.
        """
        kinds = list(kinds)
        with self._lock:
            accepted, refused = dict(self._accepted), dict(self._refused)
        for kind in kinds:
            for status in ("firing", "resolved"):
                accepted.setdefault((kind, status), 0)
        lines = [
            "# HELP inbox_messages_total Messages accepted since the start.",
            "# TYPE inbox_messages_total counter",
            *(f'inbox_messages_total{{kind="{kind}",status="{status}"}} {count}' for (kind, status), count in sorted(accepted.items())),
            "# HELP inbox_rejected_total Messages refused since the start.",
            "# TYPE inbox_rejected_total counter",
            *(f'inbox_rejected_total{{kind="{kind}"}} {refused.get(kind, 0)}' for kind in kinds),
            "# HELP inbox_stored_messages Messages kept now.",
            "# TYPE inbox_stored_messages gauge",
            *(f'inbox_stored_messages{{kind="{kind}"}} {kept.get(kind, 0)}' for kind in kinds),
        ]
        return "\n".join(lines) + "\n"
