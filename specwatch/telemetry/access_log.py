"""The access log: "Request completed" for each request, at about the price of writing it.

The line goes through `logging` as any other. Where nobody but our own JSON handler listens, though, all of it but six values
is the same for every request of a route: it is made once with the formatter itself, and then only filled in.
"""

import logging
from typing import TYPE_CHECKING, Final

from specwatch.telemetry._jsonline import one_line, quote
from specwatch.telemetry.context import RequestContext, attach
from specwatch.telemetry.logs.context import context_fields
from specwatch.telemetry.logs.handler import LineHandler
from specwatch.telemetry.logs.jsonformat import JsonFormatter
from specwatch.telemetry.logs.service_logger import ServiceLogger

if TYPE_CHECKING:
    from specwatch.telemetry.request import Exchange

LOGGER: Final = "specwatch.telemetry.access"
"""Name of the logger that writes the access log."""

PATH_CHARACTERS: Final = 1024
"""How much of a path is shown."""

_COMPLETED: Final = "Request completed"
_SAMPLE: Final = {
    "method": "@method@",
    "path": "@path@",
    "endpoint": "@endpoint@",
    "status_code": 987_654_301,
    "duration_ms": 987_654_302,
    "response_bytes": 987_654_303,
}
_SAMPLE_IDS: Final = RequestContext("@trace_id@", "@request_id@", "")
# Path and endpoint are quoted when they are filled in; what the others may hold needs no quoting.
_MARKS: Final = {name: f'"{mark}"' if name in {"path", "endpoint"} else str(mark) for name, mark in _SAMPLE.items()}
_FILLED: Final = {
    _SAMPLE_IDS.trace_id: "%s",
    _SAMPLE_IDS.request_id: "%s",
    _MARKS["path"]: "%s",
    _MARKS["duration_ms"]: "%.3f",
    _MARKS["response_bytes"]: "%d",
}
_MOST_ROUTES: Final = 4096


class AccessLog:
    """Writes the access log of one application.

    Attributes:
        logger: where its lines go.
    """

    __slots__ = ("_formatter", "_ids_first", "_routes", "_template", "logger")

    def __init__(self) -> None:
        self.logger = logging.getLogger(LOGGER)
        self._formatter: JsonFormatter | None = None
        self._template = ""
        self._ids_first = True
        self._routes: dict[tuple[str, str, str], str] = {}

    def completed(self, exchange: "Exchange", seconds: float) -> None:
        """Write that a request has been answered, `seconds` after it came in."""
        logger = self.logger
        if not logger.isEnabledFor(logging.INFO):
            return
        usual = not exchange.left and not exchange.is_websocket and exchange.user is None
        handler = logger._only_handler() if usual and isinstance(logger, ServiceLogger) else None  # noqa: SLF001 - see above
        plain = isinstance(handler, LineHandler) and handler.level <= logging.INFO and not context_fields()
        if isinstance(handler, LineHandler) and plain and self._template_of(handler):
            self._fill(handler, exchange, seconds)
            return
        fields: dict[str, object] = {
            "method": exchange.method,
            "path": exchange.path[:PATH_CHARACTERS],
            "endpoint": exchange.endpoint,
            "status_code": int(exchange.status_code),
            "duration_ms": round(seconds * 1000, 3),
            "response_bytes": exchange.response_bytes,
        }
        if exchange.left:
            fields["client_left"] = True
        logger.info("Websocket closed" if exchange.is_websocket else _COMPLETED, extra=fields)

    def _fill(self, handler: LineHandler, exchange: "Exchange", seconds: float) -> None:
        key = (exchange.method, exchange.endpoint, exchange.status_code)
        template = self._routes.get(key) or self._route(*key)
        path = exchange.path
        path = quote(path if len(path) <= PATH_CHARACTERS else path[:PATH_CHARACTERS])
        if self._ids_first:
            line = template % (exchange.trace_id, exchange.request_id, path, seconds * 1000, exchange.response_bytes)
        else:
            line = template % (path, seconds * 1000, exchange.response_bytes, exchange.trace_id, exchange.request_id)
        # The formatter's own, as the template is.
        line = self._formatter._timestamp(exchange.started_ns + int(seconds * 1e9)) + line  # type: ignore[union-attr] # noqa: SLF001
        handler._write(line if line.isascii() else one_line(line), LOGGER, logging.INFO)  # noqa: SLF001 - one line, as it writes all others

    def _route(self, method: str, endpoint: str, status: str) -> str:
        """Return the template with what all requests of a route with this answer have in common."""
        template = self._template.replace(_MARKS["method"], method).replace(_MARKS["status_code"], status)
        template = template.replace(_MARKS["endpoint"], quote(endpoint).replace("%", "%%"))
        if len(self._routes) < _MOST_ROUTES:
            self._routes[method, endpoint, status] = template
        return template

    def _template_of(self, handler: LineHandler) -> str:
        formatter = handler._json  # noqa: SLF001 - None where lines are not JSON or a subclass changes them
        if formatter is not self._formatter:
            self._template, self._ids_first = ("", True) if formatter is None else _template(formatter)
            self._formatter = formatter
            self._routes = {}
        # What samples, limits or makes unreadable has to see every record.
        return "" if handler._gate is not None else self._template  # noqa: SLF001 - as above


def _template(formatter: JsonFormatter) -> tuple[str, bool]:
    """Return what `%` fills in and whether the ids come first, made of a line that the formatter itself has written.

    The timestamp is left out; the marks of method, endpoint and status are still there. The template is empty where the line cannot be
    cut up.
    """
    if formatter._redaction is not None:  # noqa: SLF001 - what makes unreadable has to see every value
        return "", True
    before = attach(_SAMPLE_IDS)
    place = ("access_log", "completed", AccessLog.completed.__code__.co_firstlineno)
    try:
        line = formatter.line(0, LOGGER, logging.INFO, _COMPLETED, _SAMPLE, place)
    finally:
        attach(before)
    beginning = formatter._timestamp(0)  # noqa: SLF001 - the line begins with it
    marks = list(_MARKS.values())
    ids = [_SAMPLE_IDS.trace_id, _SAMPLE_IDS.request_id]
    template = line.removeprefix(beginning).replace("%", "%%")
    ids_first = template.find(ids[0]) < template.find(marks[0])
    at = -1
    for mark in ids + marks if ids_first else marks + ids:
        if template.count(mark) != 1 or template.find(mark) <= at:
            return "", True
        at = template.find(mark)
        template = template.replace(mark, _FILLED.get(mark, mark))
    return (template, ids_first) if line.startswith(beginning) else ("", True)
