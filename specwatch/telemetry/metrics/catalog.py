"""The metric catalog that `specwatch` writes from the spec, read back by the application."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from specwatch.telemetry.metrics.definition import Definition, MetricError


def load_catalog(path: str | os.PathLike[str]) -> tuple[Definition, ...]:
    """Return the metrics of a catalog file.

    The file is JSON: `{"service": "shop", "metrics": [{"name", "type", "help", "unit", "labels": {"status": ["paid"], "user": null},
    "buckets": [0.1, 1]}]}`; all but name and type may be left out, and a metric may have `mode` and `max_series` too.

    Raises:
        MetricError: the file is no such catalog; the message names the file and the entry.
        OSError: the file cannot be read.
    """
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))["metrics"]
    except (ValueError, KeyError, TypeError) as error:
        raise MetricError(
            f"{os.fspath(path)}: no metric catalog ({type(error).__name__}: {error}); write it by `specwatch codegen`"
        ) from None
    return tuple(_definition(entry, f"{os.fspath(path)}: metrics[{index}]") for index, entry in enumerate(entries))


def _definition(entry: Any, where: str) -> Definition:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str) or not isinstance(entry.get("type"), str):
        raise MetricError(f"{where}: expected an object with name and type, found {entry!r:.80}")
    optional = {key: entry[key] for key in ("help", "unit", "labels", "mode", "max_series") if entry.get(key) is not None}
    try:
        return Definition(entry["name"], entry["type"], buckets=tuple(map(float, entry.get("buckets") or ())), **optional)
    except (MetricError, TypeError, ValueError) as error:
        raise MetricError(f"{where}: {error}") from None
