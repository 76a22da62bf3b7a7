"""The text that a scrape gets, from one process or from all workers of a server."""

import os
import struct

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

_ATTEMPTS = 3


def exposition(registry: CollectorRegistry, accept: str = "") -> tuple[bytes, str]:
    """Return the body and the content type of a scrape.

    Args:
        registry: what is shown in a single process; with `PROMETHEUS_MULTIPROC_DIR` set, what all workers have
            written into that folder is shown instead.
        accept: the scraper's Accept header, which decides between Prometheus text and OpenMetrics.

    Raises:
        struct.error: a file in the folder stays unreadable.
    """
    encoder, content_type = choose_encoder(accept)
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return encoder(registry), content_type
    for _ in range(_ATTEMPTS - 1):
        # A worker that is just starting has made its file and not yet written its header.
        try:
            return encoder(_all_workers()), content_type
        except (struct.error, RuntimeError):
            continue
    return encoder(_all_workers()), content_type


def _all_workers() -> CollectorRegistry:
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # prometheus-client leaves this one untyped
    return registry
