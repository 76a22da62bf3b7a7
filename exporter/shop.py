"""The shop's routes."""

import logging
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, abort, jsonify, request

from exporter.business import Orders
from exporter.faults import FaultFile, PaymentDeclinedUpstreamError
from exporter.store import Order, Product, Store
from specwatch.telemetry.tracing import trace_operation

ROUTES = ("/products", "/products/<product>", "/cart", "/checkout", "/orders/<order>")
"""The routes that have fault switches."""

_LOG = logging.getLogger(__name__)
_MOST_ITEMS = 10


def catalogue_blueprint(store: Store, faults: FaultFile) -> Blueprint:
    """Return what can be looked at: products and orders, as JSON."""
    catalogue = Blueprint("catalogue", __name__)

    @catalogue.get("/products")
    def products() -> Response:
        faults.read().strike("/products")
        return jsonify([_product(each) for each in store.products()])

    @catalogue.get("/products/<product>")
    def one_product(product: str) -> Response:
        faults.read().strike("/products/<product>")
        return jsonify(_product(_existing_product(store, product)))

    @catalogue.get("/orders/<order>")
    def one_order(order: str) -> Response:
        faults.read().strike("/orders/<order>")
        found = store.order(order)
        if found is None:
            abort(404, "there is no such order")
        return jsonify(_order(found))

    return catalogue


def buying_blueprint(store: Store, orders: Orders, faults: FaultFile) -> Blueprint:
    """Return what a customer does: filling a cart and paying for it, as JSON."""
    buying = Blueprint("buying", __name__)

    @buying.post("/cart")
    def add_to_cart() -> tuple[Response, int]:
        faults.read().strike("/cart")
        body = _body({"product": "mug", "quantity": 1})
        product = _existing_product(store, _word(body, "product"))
        quantity = body.get("quantity", 1)
        if not isinstance(quantity, int) or isinstance(quantity, bool) or not 1 <= quantity <= _MOST_ITEMS:
            abort(400, f"quantity is {quantity!r}, expected a whole number from 1 to {_MOST_ITEMS}")
        cart = store.add_to_cart(_word(body, "cart") if "cart" in body else None, product.id, quantity)
        if cart is None:
            abort(404, "there is no such cart; leave cart out to get a new one")
        return jsonify({"cart": cart}), 201

    @buying.post("/checkout")
    def checkout() -> tuple[Response, int]:
        cart = store.cart(_word(_body({"cart": "the id that POST /cart returned"}), "cart"))
        if cart is None:
            abort(404, "there is no such cart, or it is empty; POST /cart makes one")
        try:
            with trace_operation("charge", total_cents=cart.total_cents):
                faults.read().strike("/checkout")
        except PaymentDeclinedUpstreamError:
            orders.failed()
            raise
        with trace_operation("place order"):
            order = store.place(cart)
        if order is None:
            abort(409, "this cart was ordered already")
        orders.paid(order.total_cents)
        _LOG.info("Order placed", extra={"order": order.id, "total_euros": order.total_cents / 100})
        return jsonify(_order(order)), 201

    return buying


def faults_blueprint(faults: FaultFile) -> Blueprint:
    """Return the fault switches: `GET`, `POST` and `DELETE /faults`."""
    switches = Blueprint("faults", __name__)

    @switches.get("/faults")
    def show() -> Response:
        return jsonify(faults.read().as_json())

    @switches.post("/faults")
    def switch() -> Response:
        # Only JSON by its content type: a page in the user's browser cannot send that without being allowed to.
        if not request.is_json:
            abort(415, "send the switches with Content-Type: application/json")
        try:
            chosen = faults.parse(request.get_json())
        except ValueError as error:
            abort(400, str(error))
        faults.write(chosen)
        return jsonify(chosen.as_json())

    @switches.delete("/faults")
    def clear() -> Response:
        faults.clear()
        return jsonify(faults.read().as_json())

    return switches


def _body(example: dict[str, Any]) -> dict[str, Any]:
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        abort(400, f"send a JSON object such as {example}, with Content-Type: application/json")
    return body


def _word(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str):
        abort(400, f"{key} is {value!r}, expected text")
    return value


def _existing_product(store: Store, product: str) -> Product:
    found = store.product(product)
    if found is None:
        abort(404, "there is no such product; GET /products lists them")
    return found


def _product(product: Product) -> dict[str, Any]:
    return {
        "id": product.id,
        "name": product.name,
        "price_euros": product.price_cents / 100,
        "stock": product.stock,
    }


def _order(order: Order) -> dict[str, Any]:
    placed = datetime.fromtimestamp(order.placed, UTC).isoformat(timespec="seconds")
    return {"order": order.id, "placed": placed, "total_euros": order.total_cents / 100}
