"""The shop's own figures: orders as they happen, stock and carts as the database has them."""

from exporter.metrics import ShopMetrics
from exporter.store import Store
from specwatch.telemetry.collectors import PeriodicCollectors


class Orders:
    """Counts orders, paid and failed, and what they were worth.

    Args:
        metrics: the shop's.
    """

    def __init__(self, metrics: ShopMetrics) -> None:
        self._paid = metrics.orders_total.labels(status="paid")
        self._failed = metrics.orders_total.labels(status="failed")
        self._value = metrics.order_value_euros

    def paid(self, total_cents: int) -> None:
        """Count a paid order of that value."""
        self._paid.inc()
        self._value.observe(total_cents / 100)

    def failed(self) -> None:
        """Count an order whose payment failed."""
        self._failed.inc()


def business_collectors(metrics: ShopMetrics, store: Store) -> PeriodicCollectors:
    """Return the collectors of `stock_items{product}` and `active_carts`, not started yet.

    One of the workers runs them. The gauges have no value before the first reading: a 0 would be a false "sold out".
    """

    def collect_stock() -> None:
        for product in store.products():
            metrics.stock_items.set(product.stock, product=product.id)  # type: ignore[arg-type]  # the database has the products that the spec names

    def collect_carts() -> None:
        metrics.active_carts.set(store.active_carts())

    return PeriodicCollectors(metrics.registry, (("stock", collect_stock), ("carts", collect_carts)))
