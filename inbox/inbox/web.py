"""The HTTP side: the services' endpoints, the JSON API, health and metrics; the page is in page.py."""

import logging
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, abort, jsonify, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException

from .message import Refusal, Reply
from .page import add_page
from .services import MAIL, Service, services
from .store import Filter, Store, StoreError
from .tally import Tally

MAX_BODY_BYTES = 1024 * 1024
MAX_LIMIT = 1000
MAX_NUMBER = 2**63 - 1


class _Json(DefaultJSONProvider):
    """JSON whose keys stand as they arrived."""

    sort_keys = False
    ensure_ascii = False


def create_app(store: Store, tally: Tally, *, smtp_port: int, base_url: str = "") -> Flask:
    """Return the web application.

    Args:
        store: where messages are kept.
        tally: where accepted and refused messages are counted.
        smtp_port: the port of the mail server, for the page to name.
        base_url: the address that the page tells senders to use; by default the one under which the page was asked for.
    """
    app = Flask(__name__)
    app.json = _Json(app)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.config["MAX_FORM_MEMORY_SIZE"] = MAX_BODY_BYTES
    for service in services():
        for method, rule in service.routes:
            app.add_url_rule(rule, f"{service.kind} {method} {rule}", _receiver(service, store, tally), methods=[method])
    _add_api(app, store)
    _add_operations(app, store, tally)
    add_page(app, store, tally, base_url, smtp_port)
    app.register_error_handler(StoreError, _on_store_error)
    app.register_error_handler(HTTPException, _on_http_error)
    app.after_request(_with_security_headers)
    return app


def is_from_own_page() -> bool:
    """Tell whether a request that removes something comes from this page or from a program, not from another site.

    Browsers say where a request comes from (``Sec-Fetch-Site``), and let no other site set ``X-Requested-By``.
    """
    return request.headers.get("Sec-Fetch-Site") == "same-origin" or "X-Requested-By" in request.headers


def _receiver(service: Service, store: Store, tally: Tally) -> Callable[..., Reply]:
    def receive(**path: str) -> Reply:
        log = logging.getLogger(__name__)
        try:
            message = store.add(service.read(request, path))
        except Refusal as refusal:
            body, status = refusal.reply
            tally.refused(service.kind, request.path, f"{status} {body}")
            log.info("refused %s on %r: %d %r", service.kind, request.path, status, body)
            return refusal.reply
        except (HTTPException, StoreError) as error:
            tally.refused(service.kind, request.path, str(error))
            raise
        tally.accepted(message)
        log.info("accepted %s %d for %r: %r", service.kind, message.id, message.to, message.title)
        return service.accept(message)

    return receive


def _add_api(app: Flask, store: Store) -> None:
    @app.get("/api/messages")
    def find_messages() -> Response:
        wanted = Filter(
            kind=request.args.get("kind", ""),
            status=request.args.get("status", ""),
            contains=request.args.get("contains", ""),
            since_id=_number("since_id", 0, MAX_NUMBER),
            before_id=_number("before_id", 0, MAX_NUMBER),
        )
        found = store.find(wanted, _number("limit", 100, MAX_LIMIT))
        return jsonify(messages=[message.as_json() for message in found.messages], last_id=found.last_id)

    @app.get("/api/messages/<int:number>")
    def get_message(number: int) -> Response:
        message = store.get(number) if number <= MAX_NUMBER else None
        if message is None:
            abort(404, f"there is no message {number}")
        return jsonify(message.as_json())

    @app.delete("/api/messages")
    def clear_messages() -> Response:
        if not is_from_own_page():
            abort(403, "send the header X-Requested-By, with any value, to remove messages")
        return jsonify(removed=store.clear())


def _number(name: str, default: int, highest: int) -> int:
    given = request.args.get(name, "")
    if not given:
        return default
    if not (given.isascii() and given.isdecimal()) or len(given) > len(str(MAX_NUMBER)) or int(given) > highest:
        abort(400, f"{name}: found {given[:40]!r}, expected a whole number from 0 to {highest}")
    return int(given)


def _add_operations(app: Flask, store: Store, tally: Tally) -> None:
    @app.get("/health")
    def health() -> dict[str, Any]:
        store.counts()
        return {"status": "healthy"}

    @app.get("/metrics")
    def metrics() -> Response:
        kinds = [*(service.kind for service in services()), MAIL]
        text = tally.exposition(kinds, store.counts())
        return Response(text, content_type="text/plain; version=0.0.4; charset=utf-8")


def _on_store_error(error: StoreError) -> Reply:
    logging.getLogger(__name__).error("the database failed: %s", error)
    status = 507 if error.is_full else 503
    return {"status": "unhealthy", "error": f"the inbox cannot use its database: {error}"}, status


def _on_http_error(error: HTTPException) -> Response | tuple[dict[str, Any], int]:
    if error.response is not None or error.code is None:
        return Response(error.get_body(), error.code or 500, error.get_headers())
    return {"error": error.description or error.name}, error.code


def _with_security_headers(response: Response) -> Response:
    response.headers.setdefault(
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers.setdefault("Cache-Control", "no-store")
    return response
