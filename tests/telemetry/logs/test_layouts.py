"""The fields of a line, as each of the documents shows them."""

import io
import json
import logging
import re
from typing import Any

import pytest

from specwatch.telemetry import RequestContext, bind
from specwatch.telemetry.logs import (
    FLAT,
    BoundLogger,
    CustomJsonFormatter,
    LogContext,
    configure_logging,
    get_logger,
    get_logger_with_context,
    logger,
    setup_logging,
)
from tests.telemetry.logs.lines import one_line

MICROSECONDS = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
MILLISECONDS = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture
def stream() -> io.StringIO:
    """Where the lines of a test go."""
    return io.StringIO()


def test_000_flat_fields_beside_the_message(stream: io.StringIO) -> None:
    """What is given as `extra` stands beside the message, numbers as they were rounded."""
    configure_logging("skillmeat", stream=stream)
    log = logging.getLogger("skillmeat.core.importer")
    log.info("Bulk import completed: 3", extra={"imported_count": 3, "failed_count": 0, "duration_ms": round(234.5678, 2), "status": "ok"})
    fields = one_line(stream.getvalue())
    assert list(fields) == [
        *("timestamp", "level", "logger", "message", "module", "function", "line", "service"),
        *("imported_count", "failed_count", "duration_ms", "status"),
    ]
    assert re.fullmatch(MICROSECONDS, fields["timestamp"])
    assert (fields["duration_ms"], fields["service"]) == (234.57, "skillmeat")


def test_001_nested_fields_below_extra(stream: io.StringIO) -> None:
    """The ids stand beside the message, also one that is given as a field; everything else below `extra`."""
    configure_logging(stream=stream, preset="nested")
    log = get_logger_with_context("skillmeat.api.server")
    with bind(RequestContext("a" * 32, "req-789", "b" * 16)):
        LogContext.set_user_id("user-123")
        log.info(
            "Request completed",
            extra={"method": "GET", "path": "/api/v1/collections", "status_code": 200, "duration_ms": 45.67, "level": 1},
        )
    fields = one_line(stream.getvalue())
    assert list(fields) == [
        *("timestamp", "level", "logger", "message", "module", "function", "line", "trace_id", "request_id", "user_id", "extra"),
    ]
    assert re.fullmatch(MICROSECONDS, fields["timestamp"])
    assert (fields["level"], fields["logger"], fields["function"]) == ("INFO", "skillmeat.api.server", "test_001_nested_fields_below_extra")
    assert (fields["trace_id"], fields["request_id"], fields["user_id"]) == ("a" * 32, "req-789", "user-123")
    assert fields["extra"] == {"method": "GET", "path": "/api/v1/collections", "status_code": 200, "duration_ms": 45.67, "level": 1}


def test_001_a_record_without_fields_has_no_extra(stream: io.StringIO) -> None:
    """Nothing to nest, no field for it; an id that is given to the record is promoted."""
    configure_logging(stream=stream, preset="nested")
    logging.getLogger("a").info("x", extra={"user_id": "u-1"})
    fields = one_line(stream.getvalue())
    assert "extra" not in fields
    assert fields["user_id"] == "u-1"


def test_002_jobs_in_json(stream: io.StringIO) -> None:
    """Milliseconds, the level in lower case, message and fields, nothing else."""
    configure_logging("worker", stream=stream, preset="jobs")
    logger.log_job("created", "job-123", user_id="user-456", file_count=5, total_size_mb="125.50")
    fields = one_line(stream.getvalue())
    assert re.fullmatch(MILLISECONDS, fields.pop("timestamp"))
    assert list(fields.items()) == [
        ("level", "info"),
        ("message", "Job created"),
        ("job_id", "job-123"),
        ("user_id", "user-456"),
        ("file_count", 5),
        ("total_size_mb", "125.50"),
    ]


def test_002_jobs_as_text(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """`LOG_FORMAT=text` gives the bracketed line."""
    monkeypatch.setenv("LOG_FORMAT", "text")
    configure_logging("worker", stream=stream, preset="jobs")
    logger.log_job("created", "job-123", user_id="user-456", file_count=5, total_size_mb="125.50")
    assert re.fullmatch(
        rf"\[{MILLISECONDS}\] \[INFO\] Job created job_id=job-123 user_id=user-456 file_count=5 total_size_mb=125\.50\n", stream.getvalue()
    )


def test_002_every_helper(stream: io.StringIO) -> None:
    """Basic logging, jobs and operations, as the Python worker calls them."""
    configure_logging("worker", stream=stream, preset="jobs")
    logger.info("Operation started", user_id="user123")
    logger.warn("Unusual condition", job_id="job456")
    logger.error("Operation failed", error="Connection timeout")
    logger.log_job("started", "j", file_count=5, object_key="s3://bucket/file.mp4")
    logger.log_job_complete("j", duration_ms=5000, status="success")
    try:
        raise ConnectionError(111, "refused")  # noqa: TRY301 - to have a traceback
    except ConnectionError as error:
        logger.log_job_failed("j", error, attempts=2, file_count=5)
    logger.log_operation("thumbnail_generation", duration_ms=2500, success=True, object_key="s3://bucket/thumb.jpg")
    logger.log_operation("thumbnail_generation", duration_ms=2500, success=False)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    for fields in lines:
        del fields["timestamp"]
    stack = lines[5].pop("error_stack")
    assert stack.startswith("Traceback")
    assert stack.endswith("refused")
    assert lines == [
        {"level": "info", "message": "Operation started", "user_id": "user123"},
        {"level": "warn", "message": "Unusual condition", "job_id": "job456"},
        {"level": "error", "message": "Operation failed", "error": "Connection timeout"},
        {"level": "info", "message": "Job started", "job_id": "j", "file_count": 5, "object_key": "s3://bucket/file.mp4"},
        {"level": "info", "message": "Job completed", "job_id": "j", "duration_ms": 5000, "status": "success"},
        {
            "level": "error",
            "message": "Job failed",
            "job_id": "j",
            "error": "[Errno 111] refused",
            "error_code": 111,
            "attempts": 2,
            "file_count": 5,
        },
        {
            "level": "info",
            "message": "Operation completed",
            "operation": "thumbnail_generation",
            "duration_ms": 2500,
            "success": True,
            "object_key": "s3://bucket/thumb.jpg",
        },
        {"level": "error", "message": "Operation failed", "operation": "thumbnail_generation", "duration_ms": 2500, "success": False},
    ]


def test_003_events(stream: io.StringIO) -> None:
    """The message is `event`; fields, those of the block first, come before trace_id and service."""
    configure_logging("autotrader", stream=stream, preset="event")
    log = get_logger("scanner")
    with bind(RequestContext("a" * 32, "", "b" * 16)), LogContext(log, token="BTC", operation="scan") as inner:  # noqa: S106 - the field of document 003, no secret
        inner.info("scan_completed", score=85.5)
    fields = one_line(stream.getvalue())
    assert re.fullmatch(MILLISECONDS, fields.pop("timestamp"))
    assert list(fields.items()) == [
        ("level", "INFO"),
        ("event", "scan_completed"),
        ("token", "BTC"),
        ("operation", "scan"),
        ("score", 85.5),
        ("trace_id", "a" * 32),
        ("service", "autotrader"),
    ]


def test_004_service_environment_and_version(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deployment is in each line, the ids that a middleware gives as `extra` too; chatty libraries are quiet."""
    monkeypatch.setenv("APP_VERSION", "1.2.3")
    root = setup_logging(service="analytics-backend", stream=stream)
    assert root is logging.getLogger()
    logging.getLogger("uvicorn").info("left out")
    logging.getLogger("sqlalchemy.engine").info("left out")
    log = logging.getLogger("backend.middleware")
    log.info("Request started", extra={"request_id": "r-1", "user_id": "u-1", "workspace_id": "w-1", "method": "GET"})
    fields = one_line(stream.getvalue())
    assert re.fullmatch(MICROSECONDS, fields.pop("timestamp"))
    assert list(fields.items()) == [
        ("level", "INFO"),
        ("name", "backend.middleware"),
        ("message", "Request started"),
        ("service", "analytics-backend"),
        ("environment", "development"),
        ("version", "1.2.3"),
        ("request_id", "r-1"),
        ("user_id", "u-1"),
        ("workspace_id", "w-1"),
        ("method", "GET"),
    ]


def test_004_a_formatter_with_fields_of_its_own(stream: io.StringIO) -> None:
    """The document's own class, with `add_fields` overridden and a format text, works on an ordinary handler."""

    class Own(CustomJsonFormatter):
        def add_fields(self, log_record: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
            super().add_fields(log_record, record, message_dict)
            log_record["service"] = "analytics-backend"

    handler = logging.StreamHandler(stream)
    handler.setFormatter(Own("%(timestamp)s %(level)s %(name)s %(message)s"))
    log = logging.Logger("backend")  # noqa: LOG001 - one that nobody else sees
    log.addHandler(handler)
    log.info("x")
    fields = one_line(stream.getvalue())
    assert (fields["service"], fields["name"], fields["level"], fields["message"]) == ("analytics-backend", "backend", "INFO", "x")


def test_a_preset_can_be_changed_piece_by_piece(stream: io.StringIO) -> None:
    """Single settings go before those of the preset."""
    configure_logging("shop", stream=stream, preset="flat", message_key="msg", nested=True, level_case="lower", timestamp_digits=3)
    logging.getLogger("a").warning("x", extra={"order": 7})
    fields = one_line(stream.getvalue())
    assert re.fullmatch(MILLISECONDS, fields["timestamp"])
    assert (fields["msg"], fields["level"], fields["extra"]) == ("x", "warn", {"order": 7})


def test_an_unknown_preset_or_setting_is_an_error() -> None:
    """A program's own mistake is told at once, with what would have been right."""
    with pytest.raises(ValueError, match="'flat5'; it can be flat, nested"):
        configure_logging("shop", preset="flat5")
    with pytest.raises(TypeError, match="colour"):
        configure_logging("shop", preset=FLAT, colour=True)


def test_text_lines_cannot_be_forged(stream: io.StringIO) -> None:
    """A line break or an escape sequence in a message or value stays within its line."""
    configure_logging("shop", stream=stream, log_format="text")
    logging.getLogger("a").info("one\ntwo\x1b[2J", extra={"a b": "c=d\ne", "empty": "", "list": [1, None], "lone": "\udc80"})
    written = stream.getvalue()
    assert len(written.splitlines()) == 1
    assert written.endswith('INFO     a: one\\ntwo\\x1b[2J a b="c=d\\ne" empty="" list=[1,null] lone=?\n')


def test_text_lines_show_the_traceback(stream: io.StringIO) -> None:
    """A traceback follows on lines of its own."""
    configure_logging("shop", stream=stream, log_format="text")
    logging.getLogger("a").error("failed", exc_info=ValueError("why"), stack_info=True)
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("ERROR    a: failed")
    assert rest[0] == "ValueError: why"
    assert any("test_text_lines_show_the_traceback" in line for line in rest)


def test_a_bound_logger_never_changes() -> None:
    """`bind` and `unbind` return another logger."""
    first = get_logger("a", token="BTC")  # noqa: S106 - the field of document 003, no secret
    second = first.bind(operation="scan").unbind("token")
    assert (first.fields, second.fields) == ({"token": "BTC"}, {"operation": "scan"})
    assert isinstance(second, BoundLogger)
    assert second.name == "a"


def test_keyword_loggers_take_what_logging_takes(stream: io.StringIO) -> None:
    """`exc_info`, `extra`, arguments and levels by name mean what they mean to `logging`; a field may have any name."""
    configure_logging("shop", stream=stream, level="debug")
    log = get_logger("a", token="BTC")  # noqa: S106 - the field of document 003, no secret
    log.debug("%d of %d", 1, 2, extra={"order": 7})
    log.log("warn", "x", token="ETH", self="s", event="e", name="n", level="l", msg="m", args="a")  # noqa: S106 - the field of document 003, no secret
    try:
        raise ValueError("why")  # noqa: TRY301 - to have a traceback
    except ValueError:
        log.exception("failed")
    log.critical("c", extra=[1])
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (lines[0]["message"], lines[0]["order"], lines[0]["token"], lines[0]["level"]) == ("1 of 2", 7, "BTC", "DEBUG")
    assert {key: lines[1][key] for key in ("token", "self", "event", "name", "msg", "args", "extra_level", "level")} == {
        "token": "ETH",
        "self": "s",
        "event": "e",
        "name": "n",
        "msg": "m",
        "args": "a",
        "extra_level": "l",
        "level": "WARNING",
    }
    assert lines[2]["exception"].endswith("ValueError: why")
    assert (lines[3]["level"], lines[3]["extra"]) == ("CRITICAL", [1])
    assert log.isEnabledFor(logging.DEBUG)
