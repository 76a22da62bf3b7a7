# Made by specwatch from spec.yaml: edit that file and run `specwatch codegen`, not this one.
# fmt: off
# ruff: noqa
"""The metrics of shop."""
from pathlib import Path
from specwatch.telemetry.metrics import Metrics, load_catalog
CATALOG = Path(__file__).with_name('metrics.json')

class ShopMetrics:
    """The metrics of shop, each an attribute.

    Args:
        registry: where they are registered; a registry of their own when left out.
        options: for that registry; see `specwatch.telemetry.metrics.Metrics`.
    """

    def __init__(self, registry=None, **options):
        self.registry = Metrics(**options) if registry is None else registry
        for definition in load_catalog(CATALOG):
            self.registry.define(definition)
        self.http_requests_total = self.registry['http_requests_total']
        self.http_request_duration_seconds = self.registry['http_request_duration_seconds']
        self.http_request_size_bytes = self.registry['http_request_size_bytes']
        self.http_response_size_bytes = self.registry['http_response_size_bytes']
        self.http_requests_in_flight = self.registry['http_requests_in_flight']
        self.orders_total = self.registry['orders_total']
        self.order_value_euros = self.registry['order_value_euros']
        self.stock_items = self.registry['stock_items']
        self.active_carts = self.registry['active_carts']
        self.business_collector_failures_total = self.registry['business_collector_failures_total']
