"""Streams of every kind, also those that fail."""

import io
import json
import logging
import os
import pty
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

import pytest

from specwatch.telemetry.logs import JsonFormatter, LineHandler, ServiceLogger, TextFormatter
from tests.telemetry.logs.lines import ROOT, read, run


def logger_to(stream: TextIO | None, formatter: logging.Formatter | None = None) -> tuple[ServiceLogger, LineHandler]:
    """Return a logger of its own that writes to `stream`."""
    handler = LineHandler(stream)
    handler.setFormatter(formatter or JsonFormatter("shop"))
    logger = ServiceLogger("test.stream", logging.DEBUG)
    logger.addHandler(handler)
    return logger, handler


def test_a_closed_stream_raises_nothing() -> None:
    """The caller goes on, and the handler knows how many records were lost, of which logger and level."""
    stream = io.StringIO()
    logger, handler = logger_to(stream)
    stream.close()
    logger.info("into the void")
    handler.handle(logging.makeLogRecord({"msg": "into the void", "levelno": 20, "name": "test.stream"}))
    assert handler.lost == 2
    assert handler.left_out.counts() == {("test.stream", "INFO", "lost"): 2}


def test_a_closed_file_is_not_written_to_by_its_old_number(tmp_path: Path) -> None:
    """Another file may have taken its number in the meantime."""
    first, second = tmp_path / "first.log", tmp_path / "second.db"
    stream = first.open("w")
    logger, handler = logger_to(stream)
    number = stream.fileno()
    stream.close()
    with second.open("w") as other:
        assert other.fileno() == number
        logger.info("x")
    assert (second.read_text(), handler.lost) == ("", 1)


def test_a_full_disk_is_counted_and_told_when_there_is_room_again(tmp_path: Path) -> None:
    """What could not be written is lost and counted; the first line that goes through is followed by one that says so."""
    log = tmp_path / "log"
    with log.open("w") as stream, open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123 - a device
        logger, handler = logger_to(stream)
        room = os.dup(stream.fileno())
        os.dup2(full.fileno(), stream.fileno())
        logger.info("lost")
        logger.info("lost too")
        os.dup2(room, stream.fileno())
        os.close(room)
        logger.info("there")
        logger.info("after")
    lines = [read(line) for line in log.read_text().splitlines()]
    assert [fields["message"] for fields in lines] == ["there", "Log records were lost", "after"]
    assert (lines[1]["lost"], lines[1]["level"], handler.lost) == (2, "ERROR", 2)


def test_a_line_after_half_a_line_is_whole(tmp_path: Path) -> None:
    """A disk that fills up in the middle of a line leaves a piece; the next line does not stick to it."""
    program = (
        "import logging, resource, signal, sys\n"
        "from specwatch.telemetry.logs import configure_logging\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "root = configure_logging('shop')\n"
        "limit = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))\n"
        "logging.info('x' * 2000)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, limit)\n"
        "logging.info('after')\n"
        "assert root.handlers[0].lost == 1\n"
    )
    log = tmp_path / "log"
    with log.open("w") as stream:
        run(program, stdout=stream, stderr=subprocess.PIPE, capture_output=False)
    piece, *lines = log.read_text().splitlines()
    assert len(piece) == 1000
    assert [read(line)["message"] for line in lines] == ["after", "Log records were lost"]


def test_a_reader_that_is_gone_raises_nothing() -> None:
    """A broken pipe is counted, also at exit."""
    program = (
        "import logging, os, sys\n"
        "reader, writer = os.pipe()\n"
        "os.dup2(writer, 1)\n"
        "os.close(writer)\n"
        "from specwatch.telemetry.logs import configure_logging\n"
        "root = configure_logging('shop')\n"
        "os.close(reader)\n"
        "logging.info('nobody reads this')\n"
        "assert root.handlers[0].lost == 1\n"
    )
    assert run(program).stderr == ""


def test_a_pipe_that_does_not_block_loses_nothing_to_a_slow_reader() -> None:
    """Somebody has made standard output non-blocking; lines wait for the reader."""
    program = (
        "import logging, os\n"
        "os.set_blocking(1, False)\n"
        "from specwatch.telemetry.logs import configure_logging\n"
        "root = configure_logging('shop')\n"
        "for number in range(300):\n"
        "    logging.info('x' * 5000, extra={'number': number})\n"
        "assert root.handlers[0].lost == 0\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert [read(line)["number"] for line in process.stdout] == list(range(300))
    assert process.returncode == 0


def test_a_reader_that_never_reads_does_not_stop_a_program_that_does_not_block() -> None:
    """After one wait in vain, records are counted as lost at once."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with os.fdopen(writer, "w") as stream, os.fdopen(reader) as out:
        logger, handler = logger_to(stream)
        for _ in range(100):
            logger.info("x" * 5_000)
        assert handler.lost > 50
        os.set_blocking(reader, False)
        out.read()
        logger.info("again")
        assert "again" in out.read()


def test_what_was_printed_before_comes_before() -> None:
    """Lines and the program's own output keep their order."""
    program = (
        "import logging\n"
        "from specwatch.telemetry.logs import configure_logging\n"
        "configure_logging('shop')\n"
        "print('one')\n"
        "logging.info('two')\n"
        "print('three')\n"
        "logging.info('four')\n"
    )
    lines = run(program).stdout.splitlines()
    assert (lines[0], read(lines[1])["message"], lines[2], read(lines[3])["message"]) == ("one", "two", "three", "four")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_lines_are_utf8_whatever_the_locale_says(encoding: str) -> None:
    """A machine without a locale gets the same lines."""
    program = (
        "import logging\n"
        "from specwatch.telemetry.logs import configure_logging\n"
        "configure_logging('shop')\n"
        "logging.info('caf\\u00e9 \\u2603 \\udc80')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": f"{encoding}:strict"},
    )
    assert json.loads(done.stdout.decode("utf-8"))["message"] == "café ☃ ?"


def test_a_stream_of_its_own_with_a_narrow_encoding_gets_escapes() -> None:
    """What sits above bytes that are not a file is written to as text; JSON has an escape for each character."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    logger, handler = logger_to(stream)
    logger.info("café 😀")
    assert json.loads(raw.getvalue().decode("ascii"))["message"] == "café 😀"
    assert handler.lost == 0


def test_a_stream_in_an_encoding_of_wide_characters_is_kept_whole(tmp_path: Path) -> None:
    """Bytes of UTF-8 in the middle of UTF-16 would spoil the file."""
    log = tmp_path / "log"
    with log.open("w", encoding="utf-16") as stream:
        logger, _ = logger_to(stream)
        logger.info("café")
    assert read(log.read_text("utf-16"))["message"] == "café"


def test_an_object_with_write_is_enough() -> None:
    """A stream need not have more than `write`."""
    written: list[str] = []

    class Sink:
        write = written.append

    logger, handler = logger_to(Sink())  # type: ignore[arg-type] # that is the point
    logger.info("x")
    assert (read("".join(written))["message"], handler.lost) == ("x", 0)


def test_without_standard_output_lines_go_to_standard_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What is closed cannot be written to, so the next best is taken."""
    monkeypatch.setattr(sys, "stdout", None)
    logger, _ = logger_to(None)
    logger.info("x")
    assert read(capsys.readouterr().err)["message"] == "x"


def test_no_stream_at_all_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program without standard output and error goes on."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    logger, handler = logger_to(None)
    logger.info("x")
    assert handler.lost == 1


def test_a_terminal_gets_lines() -> None:
    """Standard output may be a terminal."""
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream:
        logger, _ = logger_to(stream)
        logger.info("x")
        assert read(os.read(controller, 4_096).decode().strip())["message"] == "x"
    os.close(controller)


def test_another_stream_can_be_set() -> None:
    """`setStream` takes effect with the next record."""
    first, second = io.StringIO(), io.StringIO()
    logger, handler = logger_to(first)
    logger.info("one")
    assert handler.setStream(second) is first
    logger.info("two")
    assert (read(first.getvalue())["message"], read(second.getvalue())["message"]) == ("one", "two")


def test_long_lines_of_several_processes_do_not_mix_in_a_pipe() -> None:
    """Workers that share standard output write whole lines, also beyond the 4,096 bytes that a pipe keeps together."""
    program = (
        "import logging, os\n"
        "from specwatch.telemetry import configure_logging\n"
        "child = os.fork()\n"
        "configure_logging('shop')\n"
        "for number in range(100):\n"
        "    logging.getLogger().info('x', extra={'long': ('a' if child else 'b') * (50_000 if number % 2 else 10)})\n"
        "if child:\n"
        "    os.waitpid(child, 0)\n"
    )
    lines = Counter(read(line)["long"] for line in run(program).stdout.splitlines())
    assert lines == {letter * times: 50 for letter in "ab" for times in (10, 50_000)}


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")  # that is what is tested
def test_a_fork_while_other_threads_log_neither_hangs_nor_repeats() -> None:
    """A child that is forked in the middle of other threads' records writes its own, and no line comes twice."""
    program = (
        "import logging, os, sys, threading, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "from specwatch.telemetry.logs import Sampling, configure_logging\n"
        "configure_logging('shop', sampling=Sampling(levels={'DEBUG': 0}), level='DEBUG')\n"
        "stop = threading.Event()\n"
        "counts = [0] * 4\n"
        "def work(me):\n"
        "    while not stop.is_set():\n"
        "        logging.debug('left out')\n"
        "        logging.info('thread', extra={'me': me, 'number': counts[me]})\n"
        "        counts[me] += 1\n"
        "threads = [threading.Thread(target=work, args=(me,)) for me in range(4)]\n"
        "for thread in threads: thread.start()\n"
        "for number in range(30):\n"
        "    sys.stdout.write(f'printed {number}\\n')\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        logging.debug('left out')\n"
        "        logging.info('child', extra={'number': number})\n"
        "        os._exit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "stop.set()\n"
        "for thread in threads: thread.join()\n"
        "logging.info('counts', extra={'counts': counts})\n"
    )
    lines = [read(line) for line in run(program).stdout.splitlines() if not line.startswith("printed")]
    assert [fields["number"] for fields in lines if fields["message"] == "child"] == list(range(30))
    seen = Counter((fields["me"], fields["number"]) for fields in lines if fields["message"] == "thread")
    assert seen == {(me, number): 1 for me, count in enumerate(lines[-1]["counts"]) for number in range(count)}


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    """Many threads, one file, each record once."""
    log = tmp_path / "log"
    with log.open("w") as stream:
        logger, _ = logger_to(stream)

        def work(me: int) -> None:
            for number in range(200):
                logger.info("x" * (number * 50), extra={"me": me, "number": number})

        threads = [threading.Thread(target=work, args=(me,)) for me in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    seen = Counter((fields["me"], fields["number"]) for fields in map(read, log.read_text().splitlines()))
    assert seen == {(me, number): 1 for me in range(8) for number in range(200)}


def test_records_while_the_interpreter_ends_are_written() -> None:
    """From `atexit`, from a destructor, and after `logging.shutdown`: nothing raises, nothing is said on standard error."""
    program = (
        "import atexit, logging\n"
        "from specwatch.telemetry.logs import configure_logging, get_logger\n"
        "log = get_logger('a')\n"
        "class Last:\n"
        "    def __del__(self):\n"
        "        log.info('destructor', order=7)\n"
        "last = Last()\n"
        "atexit.register(lambda: log.info('atexit'))\n"
        "configure_logging('shop')\n"
        "logging.shutdown()\n"
        "log.info('after shutdown')\n"
    )
    done = run(program)
    assert [read(line)["message"] for line in done.stdout.splitlines()] == ["after shutdown", "atexit", "destructor"]
    assert done.stderr == ""


def test_a_signal_handler_may_log_in_the_middle_of_a_record() -> None:
    """The lock may be taken again by the thread that holds it."""
    program = (
        "import logging, os, signal, sys\n"
        "from specwatch.telemetry.logs import configure_logging\n"
        "configure_logging('shop')\n"
        "signal.signal(signal.SIGALRM, lambda *_: logging.info('signal'))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)\n"
        "for _ in range(5000): logging.info('x', extra={'order': 7})\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)\n"
    )
    lines: list[dict[str, Any]] = [read(line) for line in run(program).stdout.splitlines()]
    assert sum(fields["message"] == "x" for fields in lines) == 5_000


def test_a_lost_record_is_told_as_text_too() -> None:
    """In text the number follows its name."""

    class Moody(io.StringIO):
        broken = True

        def write(self, text: str, /) -> int:
            if self.broken:
                raise RuntimeError("not now")
            return super().write(text)

    stream = Moody()
    logger, handler = logger_to(stream, TextFormatter())
    logger.info("lost")
    stream.broken = False
    logger.info("there")
    assert stream.getvalue().endswith("Log records were lost lost=1\n")
    assert handler.lost == 1
