"""The library's own metrics, on whichever registry an application uses."""

import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from specwatch.telemetry.metrics import Metrics

_FOREIGN: Final[weakref.WeakKeyDictionary[Any, dict[str, Any]]] = weakref.WeakKeyDictionary()
_LOCK: Final = threading.Lock()


class Meter:
    """A metric and its series."""

    def __init__(self, metric: Any, names: Sequence[str]) -> None:
        self._metric = metric
        self._names = names

    def at(self, *labels: str) -> Any:
        """Return the series of the labels' values, which is made when there is none yet."""
        # By name: a declaration may have the labels in another order.
        return self._metric.labels(**dict(zip(self._names, labels, strict=True))) if labels else self._metric


class Meters:
    """Makes metrics on a registry: a `Metrics` of this library (the default one when None), or a registry of prometheus-client.

    A metric that is there already is used as it is, whoever declared it: the spec, or another part of the program.

    Raises:
        MetricError: it is there, and of another type or with other labels.
    """

    def __init__(self, registry: Any = None) -> None:
        self._registry = registry

    def counter(self, name: str, about: str, *labels: str) -> Meter:
        """Return the counter."""
        return self._made("counter", name, about, labels, {})

    def gauge(self, name: str, about: str, *labels: str) -> Meter:
        """Return the gauge; of several workers, the one that set it last is shown."""
        return self._made("gauge", name, about, labels, {"mode": "mostrecent"})

    def histogram(self, name: str, about: str, *labels: str, buckets: Sequence[float]) -> Meter:
        """Return the histogram."""
        return self._made("histogram", name, about, labels, {"buckets": buckets})

    def _made(self, kind: str, name: str, about: str, labels: Sequence[str], options: Mapping[str, Any]) -> Meter:
        registry = _metrics(self._registry)
        if registry is None:
            return Meter(_foreign(self._registry, kind, name, about, labels, options), labels)
        from specwatch.telemetry.metrics import Definition  # noqa: PLC0415  # see _metrics

        return Meter(registry.adopt(Definition(name, kind, about, labels=labels, **options)), labels)  # type: ignore[arg-type]  # names become a mapping there


def _metrics(registry: Any) -> "Metrics | None":
    """Return the `Metrics` that is meant (the default one by None), or None for a registry of prometheus-client."""
    # Imported when first needed: a gunicorn config imports this package before it says where the workers' metrics are.
    from specwatch.telemetry.metrics import Metrics, default_metrics  # noqa: PLC0415  # see above

    if registry is None:
        return default_metrics()
    return registry if isinstance(registry, Metrics) else None


def _foreign(registry: Any, kind: str, name: str, about: str, labels: Sequence[str], options: Mapping[str, Any]) -> Any:
    import prometheus_client  # noqa: PLC0415  # as above: it decides on import whether it counts over several processes

    if "mode" in options:
        options = {"multiprocess_mode": options["mode"]}
    with _LOCK:
        known = _FOREIGN.setdefault(registry, {})
        if name not in known:
            known[name] = getattr(prometheus_client, kind.capitalize())(name, about, labels, registry=registry, **options)
        return known[name]
