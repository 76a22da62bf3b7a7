"""The access log's own way of making lines writes what the formatter writes."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from specwatch.telemetry import wsgi
from specwatch.telemetry.access_log import LOGGER
from specwatch.telemetry.logs import LAYOUTS, JsonFormatter, Layout, LineHandler, LogContext, RateLimit, Redaction, configure_logging

PLACE = {"module", "function", "line", "timestamp"}


@pytest.fixture
def listener() -> Iterator[logging.Handler]:
    """A second handler: with it there is a record for each line, and the formatter makes it."""
    handler = logging.NullHandler()
    logging.getLogger(LOGGER).addHandler(handler)
    yield handler
    logging.getLogger(LOGGER).removeHandler(handler)


def requested(path: str = '/caf\xc3\xa9/"%(time)s"', status: str = "200 OK", **handler: Any) -> dict[str, Any]:
    """Return the access log line of one request, read strictly."""
    stream = io.StringIO()
    root = logging.getLogger()
    configure_logging("shop", stream=io.StringIO())
    [ours] = [each for each in root.handlers if isinstance(each, LineHandler)]
    root.removeHandler(ours)
    formatter = handler.pop("formatter", None) or JsonFormatter("shop")
    lines = LineHandler(stream, **handler)
    lines.setFormatter(formatter)
    root.addHandler(lines)
    try:

        def application(_environ: Any, start_response: Any) -> list[bytes]:
            start_response(status, [("Content-Type", "text/plain")])
            return [b"abc"]

        app = wsgi.instrument(application, metrics=False, templates=['/caf\u00e9/"%(time)s"'])
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            "HTTP_X_REQUEST_ID": "r-1",
            "HTTP_X_TRACE_ID": "0af7651916cd43dd8448eb211c80319c",
        }
        app(environ, lambda *_: print)
    finally:
        root.removeHandler(lines)
    [line] = stream.getvalue().splitlines()
    fields = json.loads(line, parse_constant=pytest.fail)
    assert isinstance(fields, dict)
    return fields


def without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return the fields but for those that differ from call to call."""
    inner = {key: without(value) if isinstance(value, dict) else value for key, value in fields.items()}
    return {key: value for key, value in inner.items() if key not in {*PLACE, "duration_ms", *names}}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_is_written_as_the_formatter_writes_it(layout: Layout, request: pytest.FixtureRequest) -> None:
    """The same fields with the same values in the same order, whatever the path holds."""
    formatter = JsonFormatter("shop", layout=layout, environment="100%", version="1")
    ours = requested(formatter=formatter)
    request.getfixturevalue("listener")
    theirs = requested(formatter=formatter)
    assert list(ours) == list(theirs)
    assert without(ours) == without(theirs)
    assert len(ours["timestamp"]) == len(theirs["timestamp"])


def test_what_looks_at_records_sees_this_one_too() -> None:
    """Redaction, sampling and context fields are obeyed."""
    assert "ann@example.com" not in json.dumps(requested("/users/ann@example.com", formatter=JsonFormatter("shop", redaction=Redaction())))
    assert requested(rate_limit=RateLimit(per_second=1))["message"] == "Request completed"
    with LogContext.bind(tenant="acme"):
        assert requested()["tenant"] == "acme"


def test_a_formatter_of_the_applications_own_is_used() -> None:
    """A subclass that adds fields adds them here too."""

    class Own(JsonFormatter):
        """Adds a field."""

        def add_fields(self, log_record: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:  # noqa: ARG002 - the formatter calls it so
            """Add it."""
            log_record["own"] = record.levelname

    assert requested(formatter=Own("shop"))["own"] == "INFO"


@pytest.mark.parametrize("status", ["ok", "", "2x0 Odd", "099 Odd", "²³¹ Odd"])
def test_a_status_that_is_none_is_a_failure(status: str) -> None:
    """The line stays valid JSON."""
    assert requested(status=status)["status_code"] == 500


def test_its_level_can_be_raised(listener: logging.Handler) -> None:
    """An application that wants no access log says so in the logging module's own way."""
    assert listener.level == logging.NOTSET
    logging.getLogger(LOGGER).setLevel(logging.WARNING)
    try:
        with pytest.raises(ValueError, match="not enough values"):
            requested()
    finally:
        logging.getLogger(LOGGER).setLevel(logging.NOTSET)
