"""The metrics of one service as the data that `specwatch.telemetry.metrics.load_catalog` reads."""

from collections.abc import Iterable

from specwatch.stack import Metric


def catalog(service: str, metrics: Iterable[Metric]) -> dict[str, object]:
    """Return `{"service": …, "metrics": [{"name", "type", "help", "unit", "labels", "buckets"}]}`; an open label's values are null."""
    return {"service": service, "metrics": [_entry(metric) for metric in metrics]}


def _entry(metric: Metric) -> dict[str, object]:
    entry: dict[str, object] = {"name": metric.name, "type": metric.type, "help": metric.help, "unit": metric.unit}
    labels = {label: list(values) if values else None for label, values in metric.labels.items()}
    return entry | {"labels": labels, "buckets": list(metric.buckets)}
