"""The demo shop as a WSGI application."""

import os
from pathlib import Path

from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException

from exporter.business import Orders, business_collectors
from exporter.faults import FaultFile
from exporter.metrics import ShopMetrics
from exporter.page import PAGE
from exporter.shop import ROUTES, buying_blueprint, catalogue_blueprint, faults_blueprint
from exporter.state import state_dir
from exporter.store import Store
from specwatch.telemetry.context import current
from specwatch.telemetry.flask import instrument
from specwatch.telemetry.metrics import default_metrics

_BODY_BYTES = 64 * 1024


def create_app(folder: Path | None = None) -> Flask:
    """Return the shop, instrumented, with its business collectors running.

    Args:
        folder: the state folder; by default `exporter.state.state_dir` of the environment.

    Raises:
        OSError: the state folder cannot be used.
        sqlite3.Error: the database in it cannot be used.
    """
    folder = folder or state_dir(os.environ)
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _BODY_BYTES
    metrics = ShopMetrics(default_metrics())
    store = Store(folder)
    faults = FaultFile(folder, ROUTES)
    instrument(app, service="shop", registry=metrics.registry, checks={"database": store.ping})
    app.register_blueprint(catalogue_blueprint(store, faults))
    app.register_blueprint(buying_blueprint(store, Orders(metrics), faults))
    app.register_blueprint(faults_blueprint(faults))
    app.register_error_handler(HTTPException, _error)
    app.add_url_rule("/", "home", lambda: PAGE, methods=["GET"])
    business_collectors(metrics, store).start()
    return app


def _error(error: HTTPException) -> Response:
    """Every error as JSON, with the id under which its log lines are found."""
    context = current()
    response = jsonify({"error": error.name, "detail": error.description, "trace_id": context.trace_id if context else None})
    response.status_code = error.code or 500
    for name, value in error.get_headers():
        if name.lower() not in {"content-type", "content-length"}:
            response.headers[name] = value
    return response
