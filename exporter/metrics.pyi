# Made by specwatch from spec.yaml: edit that file and run `specwatch codegen`, not this one.
# fmt: off
# ruff: noqa
"""The metrics of shop."""
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal
from specwatch.telemetry.metrics import Metrics
from specwatch.telemetry.metrics.children import CounterChild, GaugeChild, HistogramChild, InProgress, Timer
CATALOG: Final[Path]

class _HttpRequestsTotal:
    """Requests answered, by route template."""

    def labels(self, /, *, method: Literal['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'OTHER'], endpoint: str | int, status: str | int) -> CounterChild:
        ...

    def inc(self, amount: float=..., /, exemplar: Mapping[str, str] | None=..., *, method: Literal['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'OTHER'], endpoint: str | int, status: str | int) -> None:
        ...

    def remove(self, *values: str) -> None:
        ...

    def clear(self) -> None:
        ...

    def get(self) -> float:
        ...

class _HttpRequestDurationSeconds:
    """Time from the request's arrival to the last byte of the answer."""

    def labels(self, /, *, method: Literal['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'OTHER'], endpoint: str | int) -> HistogramChild:
        ...

    def observe(self, value: float, /, exemplar: Mapping[str, str] | None=..., *, method: Literal['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'OTHER'], endpoint: str | int) -> None:
        ...

    def time(self, /, *, method: Literal['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'OTHER'], endpoint: str | int) -> Timer:
        ...

    def remove(self, *values: str) -> None:
        ...

    def clear(self) -> None:
        ...

    def get(self) -> float:
        ...

class _HttpRequestSizeBytes:
    """Length of the requests' bodies."""

    def labels(self, /, *, method: Literal['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'OTHER'], endpoint: str | int) -> HistogramChild:
        ...

    def observe(self, value: float, /, exemplar: Mapping[str, str] | None=..., *, method: Literal['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'OTHER'], endpoint: str | int) -> None:
        ...

    def time(self, /, *, method: Literal['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'OTHER'], endpoint: str | int) -> Timer:
        ...

    def remove(self, *values: str) -> None:
        ...

    def clear(self) -> None:
        ...

    def get(self) -> float:
        ...

class _HttpResponseSizeBytes:
    """Length of the answers' bodies."""

    def labels(self, /, *, method: Literal['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'OTHER'], endpoint: str | int) -> HistogramChild:
        ...

    def observe(self, value: float, /, exemplar: Mapping[str, str] | None=..., *, method: Literal['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'OTHER'], endpoint: str | int) -> None:
        ...

    def time(self, /, *, method: Literal['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'OTHER'], endpoint: str | int) -> Timer:
        ...

    def remove(self, *values: str) -> None:
        ...

    def clear(self) -> None:
        ...

    def get(self) -> float:
        ...

class _HttpRequestsInFlight:
    """Requests being answered now."""

    def set(self, value: float, /) -> None:
        ...

    def inc(self, amount: float=..., /) -> None:
        ...

    def dec(self, amount: float=..., /) -> None:
        ...

    def set_function(self, function: Callable[[], float], /) -> None:
        ...

    def time(self, /) -> Timer:
        ...

    def set_to_current_time(self) -> None:
        ...

    def track_inprogress(self) -> InProgress:
        ...

    def remove(self, *values: str) -> None:
        ...

    def clear(self) -> None:
        ...

    def get(self) -> float:
        ...

class _OrdersTotal:
    """Orders by outcome."""

    def labels(self, /, *, status: Literal['paid', 'failed']) -> CounterChild:
        ...

    def inc(self, amount: float=..., /, exemplar: Mapping[str, str] | None=..., *, status: Literal['paid', 'failed']) -> None:
        ...

    def remove(self, *values: str) -> None:
        ...

    def clear(self) -> None:
        ...

    def get(self) -> float:
        ...

class _OrderValueEuros:
    """Value of the paid orders, in euros."""

    def observe(self, value: float, /, exemplar: Mapping[str, str] | None=...) -> None:
        ...

    def time(self, /) -> Timer:
        ...

    def remove(self, *values: str) -> None:
        ...

    def clear(self) -> None:
        ...

    def get(self) -> float:
        ...

class _StockItems:
    """Items on the shelf, by product."""

    def labels(self, /, *, product: Literal['mug', 'notebook', 'poster', 'socks', 'keyboard']) -> GaugeChild:
        ...

    def set(self, value: float, /, *, product: Literal['mug', 'notebook', 'poster', 'socks', 'keyboard']) -> None:
        ...

    def inc(self, amount: float=..., /, *, product: Literal['mug', 'notebook', 'poster', 'socks', 'keyboard']) -> None:
        ...

    def dec(self, amount: float=..., /, *, product: Literal['mug', 'notebook', 'poster', 'socks', 'keyboard']) -> None:
        ...

    def set_function(self, function: Callable[[], float], /, *, product: Literal['mug', 'notebook', 'poster', 'socks', 'keyboard']) -> None:
        ...

    def time(self, /, *, product: Literal['mug', 'notebook', 'poster', 'socks', 'keyboard']) -> Timer:
        ...

    def remove(self, *values: str) -> None:
        ...

    def clear(self) -> None:
        ...

    def get(self) -> float:
        ...

class _ActiveCarts:
    """Carts that were touched within the last 15 minutes and not ordered yet."""

    def set(self, value: float, /) -> None:
        ...

    def inc(self, amount: float=..., /) -> None:
        ...

    def dec(self, amount: float=..., /) -> None:
        ...

    def set_function(self, function: Callable[[], float], /) -> None:
        ...

    def time(self, /) -> Timer:
        ...

    def set_to_current_time(self) -> None:
        ...

    def track_inprogress(self) -> InProgress:
        ...

    def remove(self, *values: str) -> None:
        ...

    def clear(self) -> None:
        ...

    def get(self) -> float:
        ...

class _BusinessCollectorFailuresTotal:
    """Runs of a business collector that raised or took too long."""

    def labels(self, /, *, collector: Literal['stock', 'carts']) -> CounterChild:
        ...

    def inc(self, amount: float=..., /, exemplar: Mapping[str, str] | None=..., *, collector: Literal['stock', 'carts']) -> None:
        ...

    def remove(self, *values: str) -> None:
        ...

    def clear(self) -> None:
        ...

    def get(self) -> float:
        ...

class ShopMetrics:
    """The metrics of shop."""
    registry: Metrics
    http_requests_total: _HttpRequestsTotal
    'Requests answered, by route template.'
    http_request_duration_seconds: _HttpRequestDurationSeconds
    "Time from the request's arrival to the last byte of the answer."
    http_request_size_bytes: _HttpRequestSizeBytes
    "Length of the requests' bodies."
    http_response_size_bytes: _HttpResponseSizeBytes
    "Length of the answers' bodies."
    http_requests_in_flight: _HttpRequestsInFlight
    'Requests being answered now.'
    orders_total: _OrdersTotal
    'Orders by outcome.'
    order_value_euros: _OrderValueEuros
    'Value of the paid orders, in euros.'
    stock_items: _StockItems
    'Items on the shelf, by product.'
    active_carts: _ActiveCarts
    'Carts that were touched within the last 15 minutes and not ordered yet.'
    business_collector_failures_total: _BusinessCollectorFailuresTotal
    'Runs of a business collector that raised or took too long.'

    def __init__(self, registry: Metrics | None=..., **options: Any) -> None:
        ...
