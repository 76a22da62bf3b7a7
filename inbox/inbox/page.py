"""The page: the list of messages, one message whole, and what to tell senders when there is none yet."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Flask, Response, abort, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from .message import Message
from .services import MAIL, services
from .store import Filter, Store
from .tally import Tally

PAGE_SIZE = 50
PREVIEW_CHARACTERS = 600
PREVIEW_LINES = 10
REFRESH_SECONDS = 5
STATUSES = ("firing", "acknowledged", "resolved")
NAMES: Mapping[str, str] = {
    "slack": "Slack",
    "pagerduty": "PagerDuty",
    "webhook": "Webhook",
    "teams": "Teams",
    "discord": "Discord",
    "telegram": "Telegram",
    "opsgenie": "Opsgenie",
    MAIL: "Mail",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A filter that can be chosen: its label, its address, whether it is the one in force, how many it leaves."""

    label: str
    url: str
    is_chosen: bool
    count: int | None = None


def add_page(app: Flask, store: Store, tally: Tally, base_url: str, smtp_port: int) -> None:
    """Add the page to an application; its help names ``base_url``, by default the request's own, and the mail port."""
    app.add_template_filter(ago)
    app.add_template_filter(clock)
    app.add_template_filter(preview)
    app.jinja_env.globals["kind_name"] = lambda kind: NAMES.get(kind, kind)

    @app.get("/")
    def index() -> str:
        wanted = Filter(
            kind=request.args.get("kind", ""),
            status=request.args.get("status", ""),
            contains=request.args.get("contains", ""),
            before_id=_number(request.args.get("before_id", "")),
        )
        messages = list(reversed(store.find(wanted, PAGE_SIZE + 1).messages))
        shown, is_more = messages[:PAGE_SIZE], len(messages) > PAGE_SIZE
        counts = store.counts()
        refresh = _number(request.args.get("refresh", ""))
        return render_template(
            "index.html",
            messages=shown,
            total=sum(counts.values()),
            wanted=wanted,
            kinds=_kind_choices(wanted, counts),
            statuses=_status_choices(wanted),
            host=urlsplit(base_url or request.host_url).hostname or "localhost",
            smtp_port=smtp_port,
            is_filtered=any((wanted.kind, wanted.status, wanted.contains, wanted.before_id)),
            older=_url(wanted, before_id=shown[-1].id) if is_more else "",
            refresh=REFRESH_SECONDS if refresh else 0,
            refresh_url=_url(wanted, refresh=None if refresh else 1),
            refusals=tally.latest_refusals(),
            base_url=(base_url or request.host_url).rstrip("/"),
        )

    @app.get("/messages/<int:number>")
    def show(number: int) -> Response:
        message = store.get(number) if number < 2**63 else None
        if message is None:
            abort(404, f"there is no message {number}; the oldest are removed when new ones arrive")
        return _message_page(message)

    @app.post("/clear")
    def clear() -> AnyResponse:
        if request.headers.get("Sec-Fetch-Site") != "same-origin":
            abort(403, "only this page's own button may remove the messages")
        store.clear()
        tally.forget_refusals()
        return redirect("/", 303)


def ago(time: str) -> str:
    """Return how long ago a time in RFC 3339 was, in the largest whole unit."""
    past = datetime.now(UTC) - datetime.fromisoformat(time)
    for unit, length in (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1))):
        if past >= length:
            return f"{past // length} {unit} ago"
    return f"{max(0, past // timedelta(seconds=1))} s ago"


def clock(time: str) -> str:
    """Return a time in RFC 3339 as a person reads it, in UTC, to the second."""
    return datetime.fromisoformat(time).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def preview(message: Message) -> str:
    """Return the beginning of a message's text, without the title it may repeat."""
    lines = message.text.splitlines()
    if lines and lines[0].strip().startswith(message.title.removesuffix("…")):
        lines = lines[1:]
    text = "\n".join(lines[:PREVIEW_LINES]).strip()
    is_cut = len(lines) > PREVIEW_LINES or len(text) > PREVIEW_CHARACTERS
    return text[:PREVIEW_CHARACTERS].rstrip() + (" …" if is_cut else "")


def _message_page(message: Message) -> Response:
    html = message.payload.get("html") if message.kind == MAIL else ""
    without_html = {name: value for name, value in message.payload.items() if name not in {"html", "text"}}
    response = make_response(
        render_template(
            "message.html",
            message=message,
            html=_framed(html) if isinstance(html, str) and html.strip() else "",
            payload=json.dumps(without_html if message.kind == MAIL else message.payload, ensure_ascii=False, indent=2),
        )
    )
    if html:
        # The frame takes over this page's policy, and mails bring their styles as attributes.
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; "
            "frame-ancestors 'self'"
        )
    return response


def _framed(html: str) -> str:
    return f'<base target="_blank"><meta name="color-scheme" content="light">{html}'


def _kind_choices(wanted: Filter, counts: Mapping[str, int]) -> Sequence[Choice]:
    order = [*(service.kind for service in services()), MAIL]
    everything = Choice("All", _url(wanted, kind="", before_id=None), not wanted.kind, sum(counts.values()))
    return [everything] + [
        Choice(NAMES.get(kind, kind), _url(wanted, kind=kind, before_id=None), kind == wanted.kind, counts.get(kind, 0))
        for kind in order
        if kind in counts or kind == wanted.kind
    ]


def _status_choices(wanted: Filter) -> Sequence[Choice]:
    choices = [("Any status", ""), *((status.capitalize(), status) for status in STATUSES)]
    return [Choice(label, _url(wanted, status=value, before_id=None), value == wanted.status) for label, value in choices]


def _url(wanted: Filter, **changes: Any) -> str:
    now = {
        "kind": wanted.kind,
        "status": wanted.status,
        "contains": wanted.contains,
        "before_id": wanted.before_id,
        "refresh": request.args.get("refresh", ""),
    }
    query = urlencode({name: value for name, value in {**now, **changes}.items() if value})
    return f"/?{query}" if query else "/"


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < len(str(2**63)) else 0
