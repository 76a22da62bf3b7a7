"""One call sets a program's logging up."""

import io
import json
import logging
import os
import re
import subprocess
import sys
import warnings

import pytest

from specwatch.telemetry.logs import BoundLogger, LineHandler, Redaction, Sampling, ServiceLogger, configure_logging, setup_logging
from tests.telemetry.logs.lines import ROOT, one_line, run


@pytest.fixture
def stream() -> io.StringIO:
    """Where the lines of a test go."""
    return io.StringIO()


def test_level_and_format_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> None:
    """LOG_LEVEL leaves out what is below it, LOG_FORMAT=text writes for a person."""
    monkeypatch.setenv("LOG_LEVEL", "warning")
    monkeypatch.setenv("LOG_FORMAT", "text")
    configure_logging("shop", stream=stream)
    logging.getLogger("a").info("left out")
    logging.getLogger("a").warning("kept", extra={"order": 7})
    assert re.fullmatch(r"\S+Z WARNING  a: kept order=7\n", stream.getvalue())


def test_a_prefix_of_the_application_wins(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> None:
    """SKILLMEAT_LOG_LEVEL goes before LOG_LEVEL (document 001)."""
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    monkeypatch.setenv("SKILLMEAT_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("SERVICE_NAME", "skillmeat")
    configure_logging(stream=stream, prefix="SKILLMEAT_")
    logging.getLogger("a").debug("kept")
    assert one_line(stream.getvalue())["service"] == "skillmeat"


@pytest.mark.parametrize("name", ["LOG_LEVEL", "LOG_FORMAT"])
def test_a_typing_error_in_the_environment_is_said_and_survived(name: str) -> None:
    """An unknown level or format is logged as a warning, and lines come as JSON from INFO on."""
    program = (
        "import logging\n"
        "from specwatch.telemetry.logs import configure_logging\n"
        "configure_logging('shop')\n"
        "logging.info('x')\n"
        "logging.debug('y')\n"
    )
    first, second = run(program, env={**os.environ, name: "loud"}).stdout.splitlines()
    fields = json.loads(first)
    assert fields["level"] == "WARNING"
    assert name in fields["message"]
    assert json.loads(second)["message"] == "x"


@pytest.mark.parametrize(("level", "log_format", "said"), [("loud", None, "loud"), (None, "xml", "xml")])
def test_a_typing_error_in_the_program_is_said_and_survived(
    stream: io.StringIO, level: str | None, log_format: str | None, said: str
) -> None:
    """The same for what is given to the call."""
    configure_logging("shop", stream=stream, level=level, log_format=log_format)
    assert said in one_line(stream.getvalue())["message"]


@pytest.mark.parametrize(("level", "number"), [("warn", 30), ("FATAL", 50), (" Debug ", 10), (15, 15)])
def test_levels_have_several_names(stream: io.StringIO, level: str | int, number: int) -> None:
    """Those of other languages, in any case, and numbers."""
    assert configure_logging("shop", stream=stream, level=level).level == number


def test_configuring_twice_logs_once(stream: io.StringIO) -> None:
    """The second call replaces the first, and somebody else's handler stays."""
    other = logging.NullHandler()
    logging.getLogger().addHandler(other)
    try:
        configure_logging("shop", stream=io.StringIO())
        configure_logging("shop", stream=stream)
        logging.getLogger("a").info("once")
        assert other in logging.getLogger().handlers
    finally:
        logging.getLogger().removeHandler(other)
    assert one_line(stream.getvalue())["message"] == "once"


def test_loggers_that_were_there_before_never_raise_either(stream: io.StringIO) -> None:
    """A module's logger, made when it was imported, takes names that a record needs; the root logger too."""
    before = logging.getLogger("made.before")
    configure_logging("shop", stream=stream)
    before.info("x", extra={"message": "mine", "name": "n"})
    logging.getLogger("made.after").info("x", extra={"message": "mine"})  # noqa: G101 - that is what is tested
    logging.info("x", extra={"message": "mine"})  # noqa: G101, LOG015 - as programs do; that is what is tested
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [fields["extra_message"] for fields in lines] == ["mine"] * 3
    assert isinstance(before, ServiceLogger)
    assert isinstance(logging.getLogger(), logging.RootLogger)


def test_a_logger_class_of_the_program_stays() -> None:
    """What a program has set with `logging.setLoggerClass` is not replaced, and its records are lines."""
    program = (
        "import logging\n"
        "class Own(logging.Logger): pass\n"
        "logging.setLoggerClass(Own)\n"
        "from specwatch.telemetry.logs import configure_logging\n"
        "configure_logging('shop')\n"
        "log = logging.getLogger('a')\n"
        "assert type(log) is Own and logging.getLoggerClass() is Own\n"
        "log.info('x', extra={'order': 7})\n"
    )
    assert json.loads(run(program).stdout)["order"] == 7


def test_server_logs_come_the_same_way(stream: io.StringIO) -> None:
    """What uvicorn and gunicorn have set up for the terminal goes, and a file that was asked for stays."""
    access, error = logging.getLogger("uvicorn.access"), logging.getLogger("gunicorn.error")
    asked_for = logging.FileHandler(os.devnull)
    access.addHandler(logging.StreamHandler(sys.stdout))
    error.addHandler(asked_for)
    error.addHandler(logging.StreamHandler(sys.stderr))
    access.propagate = error.propagate = False
    level = access.level  # a uvicorn in another test may have set it
    access.setLevel(logging.INFO)
    try:
        configure_logging("shop", stream=stream)
        access.info("GET /")
        assert one_line(stream.getvalue())["logger"] == "uvicorn.access"
        assert (error.handlers, error.propagate) == ([asked_for], False)
    finally:
        access.setLevel(level)
        error.removeHandler(asked_for)
        asked_for.close()
        error.propagate = True


def test_single_loggers_have_levels_of_their_own(stream: io.StringIO) -> None:
    """`levels` names them; setup_logging adds its own to those of document 004."""
    setup_logging("shop", stream=stream, levels={"uvicorn": "ERROR", "noisy": 30})
    assert [logging.getLogger(name).level for name in ("uvicorn", "sqlalchemy", "noisy")] == [40, 30, 30]
    logging.getLogger("noisy").setLevel(logging.NOTSET)


def test_warnings_become_records(stream: io.StringIO) -> None:
    """A warning does not break into the stream of JSON lines."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logging("shop", stream=stream)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert one_line(stream.getvalue())["logger"] == "py.warnings"


def test_redaction_is_one_switch(stream: io.StringIO) -> None:
    """True hides all that `Redaction` can find; without it nothing is hidden."""
    for redact, shown in ((True, "[redacted]"), (Redaction(allow={"password"}), "x"), (False, "x")):
        stream.seek(stream.truncate(0))
        configure_logging("shop", stream=stream, redact=redact)
        logging.info("x", extra={"password": "x"})  # noqa: LOG015 - as programs do
        assert one_line(stream.getvalue())["password"] == shown


def test_what_is_left_out_is_a_metric() -> None:
    """`specwatch_log_records_left_out_total` counts by logger, level and reason on the registry that is given."""
    program = (
        "import logging\n"
        "from specwatch.telemetry.logs import Sampling, configure_logging\n"
        "from specwatch.telemetry.metrics import Metrics, render\n"
        "registry = Metrics()\n"
        "configure_logging('shop', sampling=Sampling(levels={'INFO': 0}), metrics=registry)\n"
        "logging.getLogger('a').info('x')\n"
        "print(render(registry)[0].decode())\n"
    )
    assert 'specwatch_log_records_left_out_total{logger="a",level="INFO",reason="sampled"} 1' in run(program).stdout


def test_logging_is_light() -> None:
    """Importing it loads neither a web framework nor a metrics, tracing or error library."""
    program = "import sys, specwatch.telemetry.logs\nprint(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True, cwd=ROOT)
    assert not set(done.stdout.split()) & {
        "flask",
        "gunicorn",
        "prometheus_client",
        "opentelemetry",
        "sentry_sdk",
        "orjson",
        "msgspec",
        "pythonjsonlogger",
    }


def test_the_usual_case_takes_the_short_way(stream: io.StringIO) -> None:
    """With one handler of ours no LogRecord is made: a factory that would be called is not."""
    root = configure_logging("shop", stream=stream, sampling=Sampling())
    handler = next(each for each in root.handlers if isinstance(each, LineHandler))
    assert handler.direct
    assert isinstance(BoundLogger(logging.getLogger("a")).logger, ServiceLogger)
