"""Errors to Sentry, as document 004 sets it up; without SENTRY_DSN or without sentry-sdk nothing happens.

Needs the extra `specwatch[sentry]`.
"""

import importlib
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from specwatch.telemetry.context import current
from specwatch.telemetry.logs.context import context_fields
from specwatch.telemetry.settings import Settings, settings

Event = dict[str, Any]
Hint = Mapping[str, Any]
BeforeSend = Callable[[Event, Hint], Event | None]

_NOT_AN_ERROR: Final = frozenset({404})
_TAGS: Final = ("workspace_id",)
_MOST_BREADCRUMBS: Final = 50
_INTEGRATIONS: Final[tuple[tuple[str, str, Mapping[str, Any]], ...]] = (
    ("starlette", "StarletteIntegration", {"transaction_style": "endpoint"}),
    ("fastapi", "FastApiIntegration", {"transaction_style": "endpoint"}),
    ("sqlalchemy", "SqlalchemyIntegration", {}),
    ("redis", "RedisIntegration", {}),
    ("celery", "CeleryIntegration", {}),
)


def setup_sentry(
    *,
    dsn: str | None = None,
    before_send: BeforeSend | None = None,
    tags: Mapping[str, str] | None = None,
    tag_fields: Iterable[str] = _TAGS,
    ignored_statuses: Iterable[int] = _NOT_AN_ERROR,
    integrations: Iterable[Any] = (),
    switches: Settings | None = None,
    prefix: str = "",
    **options: Any,
) -> bool:
    """Send errors to Sentry, and return whether they are sent.

    Environment, release, sample rates and DSN come from the environment (see `Settings`), 10 % of transactions and profiles by default.
    Every event carries the tags `trace_id`, `request_id` and `service`, by which its log lines are found, and the user's id.

    Args:
        dsn: where to send; SENTRY_DSN when left out.
        before_send: called with what `filter_errors` lets through; returns the event to send, or None.
        tags: tags of every event.
        tag_fields: names of context fields that become tags where they are set (004's workspace_id).
        ignored_statuses: HTTP errors of these statuses are not sent.
        integrations: Sentry integrations beside FastAPI's, SQLAlchemy's, Redis' and Celery's, which are used when those are installed.
        switches: `settings(prefix)` when left out.
        prefix: see `specwatch.telemetry.settings.settings`.
        options: further options of `sentry_sdk.init`, or others in place of those chosen here.
    """
    switches = switches or settings(prefix)
    target = switches.sentry_dsn if dsn is None else dsn
    if not target:
        return False
    try:
        import sentry_sdk  # noqa: PLC0415  # an extra, and slow to import
    except ImportError:
        logging.getLogger(__name__).warning("SENTRY_DSN is set, but sentry-sdk is not installed: pip install 'specwatch[sentry]'")
        return False
    chosen: dict[str, Any] = {
        "environment": switches.environment,
        "release": switches.version,
        "integrations": [*_integrations(), *integrations],
        "traces_sample_rate": switches.sentry_traces_sample_rate,
        "profiles_sample_rate": switches.sentry_profiles_sample_rate,
        "before_send": error_filter(before_send, frozenset(ignored_statuses), tuple(tag_fields)),
        "attach_stacktrace": True,
        "send_default_pii": False,
        "max_breadcrumbs": _MOST_BREADCRUMBS,
    }
    try:
        sentry_sdk.init(dsn=target, **(chosen | options))
    except (ValueError, TypeError) as error:  # BadDsn is a ValueError
        logging.getLogger(__name__).warning("Sentry is off: %s: %s", type(error).__name__, error)
        return False
    everywhere = {"service": switches.service} if switches.service else {}
    for name, value in (everywhere | dict(tags or {})).items():
        sentry_sdk.set_tag(name, value)
    return True


def filter_errors(event: Event, hint: Hint) -> Event | None:
    """Return the event with user and tags, or None for one that is not worth sending: a 404 (004's `before_send`)."""
    return _filtered(event, hint, _NOT_AN_ERROR, _TAGS)


def error_filter(then: BeforeSend | None, ignored_statuses: frozenset[int], tag_fields: tuple[str, ...]) -> BeforeSend:
    """Return a `before_send` that filters as `filter_errors` does and hands what is left to `then`.

    Where the filter itself fails, the event goes out as it is: an error about an error must not hide it.
    """

    def before_send(event: Event, hint: Hint) -> Event | None:
        try:
            kept = _filtered(event, hint, ignored_statuses, tag_fields)
        except Exception:
            logging.getLogger(__name__).exception("Sentry's filter failed")
            kept = event
        return then(kept, hint) if then is not None and kept is not None else kept

    return before_send


def _filtered(event: Event, hint: Hint, ignored_statuses: frozenset[int], tag_fields: tuple[str, ...]) -> Event | None:
    error = (hint.get("exc_info") or (None, None, None))[1]
    if error is not None and _http_status(error) in ignored_statuses:
        return None
    fields = _fields()
    if fields.get("user_id") is not None:
        event["user"] = {**(event.get("user") or {}), "id": str(fields["user_id"])}
    tags = event.setdefault("tags", {})
    for name in ("trace_id", "request_id", *tag_fields):
        if fields.get(name):
            tags[name] = str(fields[name])
    return event


def _http_status(error: BaseException) -> int | None:
    """Return the status of an HTTPException of werkzeug (`code`), Starlette or FastAPI (`status_code`), else None."""
    if not any(each.__name__ == "HTTPException" for each in type(error).__mro__):
        return None
    status = getattr(error, "status_code", getattr(error, "code", None))
    return status if isinstance(status, int) else None


def _fields() -> dict[str, object]:
    """Return what is known of the request: Flask's `g` where one is being served (as 004 reads it), the log context, then its own."""
    found: dict[str, object] = {}
    flask = sys.modules.get("flask")
    if flask is not None and flask.has_app_context():
        found |= {name: value for name, value in vars(flask.g._get_current_object()).items() if not name.startswith("_")}  # noqa: SLF001  # werkzeug's documented way through a proxy
    found |= context_fields()
    context = current()
    if context is not None:
        found |= dict(context.fields)
        found |= {"trace_id": context.trace_id, "request_id": context.request_id}
        if context.user_id is not None:
            found["user_id"] = context.user_id
    return found


def _integrations() -> list[Any]:
    """Return 004's integrations, of those whose library is installed."""
    from sentry_sdk.integrations import DidNotEnable  # noqa: PLC0415  # see setup_sentry

    found = []
    for module, name, options in _INTEGRATIONS:
        try:
            found.append(getattr(importlib.import_module(f"sentry_sdk.integrations.{module}"), name)(**options))
        except (DidNotEnable, ImportError):
            continue
    return found
