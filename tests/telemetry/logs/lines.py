"""What the tests of logs share: strict reading, and loggers of their own."""

import io
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from specwatch.telemetry.logs import JsonFormatter, LineHandler, ServiceLogger

ROOT = Path(__file__).parents[3]


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object, in which no name stands twice."""
    names = [name for name, _ in pairs]
    assert len(set(names)) == len(names), names
    return dict(pairs)


def read(line: str) -> dict[str, Any]:
    """Return one line, read as strictly as JSON can be."""
    fields = json.loads(line.encode("utf-8"), parse_constant=pytest.fail, object_pairs_hook=once)
    assert isinstance(fields, dict)
    return fields


def one_line(written: str) -> dict[str, Any]:
    """Return the only line that was written."""
    assert written.endswith("\n")
    assert len(written.splitlines()) == 1
    return read(written)


class Log:
    """A logger of its own that writes to a stream of its own.

    Args:
        formatter: makes the lines.
        direct: whether records go the short way, or through a `LogRecord` because another handler listens too.
        options: what `LineHandler` takes.
    """

    def __init__(self, formatter: logging.Formatter | None = None, *, direct: bool = True, **options: Any) -> None:
        self.stream = io.StringIO()
        self.handler = LineHandler(self.stream, **options)
        self.handler.setFormatter(formatter or JsonFormatter("shop"))
        self.logger = ServiceLogger("test.logs", logging.DEBUG)
        self.logger.addHandler(self.handler)
        if not direct:
            self.logger.addHandler(logging.NullHandler())

    def lines(self) -> list[dict[str, Any]]:
        """Return all lines."""
        return [read(line) for line in self.stream.getvalue().splitlines()]

    def line(self) -> dict[str, Any]:
        """Return the only line."""
        return one_line(self.stream.getvalue())


def logged(
    message: object, *args: object, formatter: logging.Formatter | None = None, direct: bool = True, **kwargs: Any
) -> dict[str, Any]:
    """Log one record at level ERROR and return its line."""
    log = Log(formatter, direct=direct)
    log.logger.error(message, *args, **kwargs)
    return log.line()


def run(program: str, *, code: int = 0, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a Python program in a process of its own and return what it wrote."""
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, text=True, cwd=ROOT, timeout=60, **{"capture_output": True, **options}
    )
    assert done.returncode == code, done.stderr
    return done
