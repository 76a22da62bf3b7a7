"""What a scrape gets, from a registry or from a folder that workers share."""

import functools
import os
from typing import Any

from specwatch.telemetry.metrics.exposition import Source, as_json
from specwatch.telemetry.metrics.registry import Metrics
from specwatch.telemetry.metrics.scrape import Scrape


def render(source: Metrics | str | os.PathLike[str], accept: str = "", gzip: bool = False) -> tuple[bytes, str, str]:  # noqa: FBT002 - a switch
    """Return what a scrape gets: body, content type and content encoding (empty, or `gzip`).

    Args:
        source: a registry, which shows all workers where it shares a folder with them; or such a folder.
        accept: the Accept header; decides between Prometheus text and OpenMetrics.
        gzip: whether the client takes gzip.
    """
    if isinstance(source, Metrics):
        return source.render(accept, gzip=gzip)
    return _folder_scrape(os.fspath(source)).answer(accept, gzip=gzip)


def render_json(source: Metrics | str | os.PathLike[str]) -> dict[str, Any]:
    """Return counters, gauges and histograms by name, with averages and quantiles; see `exposition.as_json`."""
    return as_json(source_of(source))


def source_of(source: Metrics | str | os.PathLike[str]) -> Source:
    """Return what can be scraped: a registry itself, or the reader of a folder that workers share."""
    if isinstance(source, Metrics):
        return source
    from specwatch.telemetry.metrics.multiprocess import shared_reader  # noqa: PLC0415 - a program with one process does not need it

    return shared_reader(os.fspath(source))


@functools.cache
def _folder_scrape(directory: str) -> Scrape:
    return Scrape(source_of(directory))
