import contextlib
import os
import resource
import shutil
import signal
import smtplib
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import specwatch.inbox


def run(*options: str, **more: Any) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "specwatch.inbox", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, **more)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_clean_even_with_open_connections(start_inbox: Any, number: int) -> None:
    """Ensure the signal ends the process with 0 though idle clients hold connections to both ports."""
    inbox = start_inbox()
    with (
        socket.create_connection(("127.0.0.1", inbox.http)),
        socket.create_connection(("127.0.0.1", inbox.smtp)),
        socket.create_connection(("127.0.0.1", inbox.http)) as half,
    ):
        half.sendall(b"POST /slack/ops HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert inbox.get("/health").status == 200
        assert inbox.stop(number) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_keeps_the_messages(start_inbox: Any, tmp_path: Path, number: int) -> None:
    """Ensure every message that was answered is there after a stop and after a kill, and numbers go on."""
    database = tmp_path / "inbox.db"
    inbox = start_inbox("--database", str(database))
    for word in ("one", "two"):
        inbox.post("/slack/ops", {"text": word})
    inbox.send(b"Subject: three\r\n\r\n")
    inbox.stop(number)
    again = start_inbox("--database", str(database))
    assert [message["title"] for message in again.messages()] == ["one", "two", "three"]
    assert again.post("/webhook/x", {}).json["id"] == 4


def test_a_killed_inbox_leaves_its_ports_free(start_inbox: Any, tmp_path: Path) -> None:
    """Ensure the same ports can be taken at once after a kill: no second process holds them."""
    inbox = start_inbox()
    inbox.stop(signal.SIGKILL)
    ports = ("--http", f"127.0.0.1:{inbox.http}", "--smtp", f"127.0.0.1:{inbox.smtp}")
    again = start_inbox(*ports, "--database", str(tmp_path / "inbox.db"))
    assert (again.http, again.smtp) == (inbox.http, inbox.smtp)


def test_only_the_last_messages_are_kept(start_inbox: Any, tmp_path: Path) -> None:
    """Ensure the limit holds while running and when it is made smaller later."""
    database = str(tmp_path / "inbox.db")
    inbox = start_inbox("--database", database, "--keep", "5")
    for number in range(12):
        inbox.post("/webhook/x", {"title": str(number)})
    assert [message["title"] for message in inbox.messages()] == ["7", "8", "9", "10", "11"]
    inbox.stop()
    assert len(start_inbox("--database", database, "--keep", "2").messages()) == 2


def test_a_port_in_use_is_one_clear_line(inbox: Any) -> None:
    """Ensure the option and the address are named, and the exit code is 3."""
    for option, port in (("--http", inbox.http), ("--smtp", inbox.smtp)):
        ports = {"--http": "127.0.0.1:0", "--smtp": "127.0.0.1:0", option: f"127.0.0.1:{port}"}
        done = run(*(word for pair in ports.items() for word in pair))
        assert done.returncode == 3
        assert done.stderr.splitlines() == [
            f"inbox: {option}: 127.0.0.1:{port} is in use by another program; stop that program or choose another address"
        ]


@pytest.mark.parametrize(
    "options",
    [("--http", "8025"), ("--http", "127.0.0.1:99999"), ("--keep", "0"), ("--keep", "many"), ("--nonsense",)],
)
def test_a_wrong_command_line_ends_with_2(options: tuple[str, ...]) -> None:
    """Ensure wrong options are named and nothing is started."""
    done = run(*options)
    assert done.returncode == 2
    assert options[0] in done.stderr


def test_a_database_that_cannot_be_opened_ends_with_3(tmp_path: Path) -> None:
    """Ensure a missing folder and a file that is no database are told in one line each."""
    other = tmp_path / "notes.txt"
    other.write_text("these are my notes, and not a database at all\n" * 50)
    for database in (tmp_path / "missing" / "inbox.db", other, tmp_path):
        done = run("--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0", "--database", str(database))
        assert done.returncode == 3
        assert len(done.stderr.splitlines()) == 1
        assert str(database) in done.stderr
    assert other.read_text().startswith("these are my notes")


def test_a_disk_that_takes_no_more_is_no_crash(start_inbox: Any, tmp_path: Path) -> None:
    """Ensure senders are told to try later, what was kept can be read, and the process lives."""
    inbox = start_inbox("--database", str(tmp_path / "inbox.db"))
    resource.prlimit(inbox.process.pid, resource.RLIMIT_FSIZE, (200_000, 200_000))
    answers = [inbox.post("/webhook/x", {"title": "x" * 20_000}) for _ in range(30)]
    refused = [answer for answer in answers if answer.status != 200]
    assert answers[0].status == 200
    assert {answer.status for answer in refused} <= {503, 507}
    assert "database" in refused[0].json["error"]
    with pytest.raises(smtplib.SMTPDataError) as caught:
        inbox.send(b"Subject: late\r\n\r\n" + b"x" * 900 + b"\r\n")
    assert caught.value.smtp_code == 452
    assert inbox.process.poll() is None
    assert inbox.messages(limit=1)
    assert "could not be stored" in inbox.get("/").text


def test_a_locked_database_is_told_and_recovers(start_inbox: Any, tmp_path: Path) -> None:
    """Ensure a message gets 503 while another program holds the database, and 200 afterwards."""
    database = tmp_path / "inbox.db"
    inbox = start_inbox("--database", str(database))
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert inbox.post("/webhook/x", {}).status == 503
        other.execute("ROLLBACK")
    assert inbox.post("/webhook/x", {}).status == 200


def test_without_a_database_nothing_is_written(start_inbox: Any) -> None:
    """Ensure messages are kept in memory, and the first line says so."""
    inbox = start_inbox()
    inbox.post("/slack/ops", {"text": "x"})
    assert len(inbox.messages()) == 1
    assert "in memory only" in inbox.first_line


def test_the_package_runs_alone_under_a_plain_name(tmp_path: Path) -> None:
    """Ensure a copy of the sources named inbox works where specwatch cannot be imported, on an unwritable root."""
    source = Path(str(specwatch.inbox.__file__)).parent
    shutil.copytree(source, tmp_path / "inbox", ignore=shutil.ignore_patterns("__pycache__"))
    program = "import sys; sys.modules['specwatch'] = None; import runpy; runpy.run_module('inbox', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", program, "--help"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--smtp" in done.stdout
