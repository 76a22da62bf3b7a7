"""The shop's own metrics: orders as they happen, stock and carts as the database has them."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from exporter.store import Store
from specwatch.telemetry.periodic import PeriodicCollectors

ORDER_VALUE_BUCKETS = (5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
"""Upper bounds of the order value histogram, in euros."""


class BusinessMetrics:
    """`orders_total` and `order_value_euros`, counted by the requests.

    Args:
        registry: where the metrics are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._orders = Counter("orders_total", "Orders by outcome.", ["status"], registry=registry)
        self._value = Histogram(
            "order_value_euros",
            "Value of the paid orders, in euros.",
            buckets=ORDER_VALUE_BUCKETS,
            registry=registry,
        )
        for status in ("paid", "failed"):
            self._orders.labels(status)

    def paid(self, total_cents: int) -> None:
        """Count a paid order of that value."""
        self._orders.labels("paid").inc()
        self._value.observe(total_cents / 100)

    def failed(self) -> None:
        """Count an order whose payment failed."""
        self._orders.labels("failed").inc()


def business_collectors(registry: CollectorRegistry, store: Store) -> PeriodicCollectors:
    """Return the collectors of `stock_items{product}` and `active_carts`, not started yet.

    Every worker runs them: all read the same database, and `livemostrecent` shows the freshest reading once, also
    after a worker died. They have no value before the first reading: a 0 would be a false "sold out".
    """
    stock = Gauge(
        "stock_items",
        "Items on the shelf, by product.",
        ["product"],
        multiprocess_mode="livemostrecent",
        registry=registry,
    )
    carts = Gauge(
        "active_carts",
        "Carts that were touched within the last 15 minutes and not ordered yet.",
        multiprocess_mode="livemostrecent",
        registry=registry,
    )

    def collect_stock() -> None:
        for product in store.products():
            stock.labels(product.id).set(product.stock)

    def collect_carts() -> None:
        carts.set(store.active_carts())

    return PeriodicCollectors(registry, (("stock", collect_stock), ("carts", collect_carts)))
