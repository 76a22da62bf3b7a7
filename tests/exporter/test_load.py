"""Customers at a bounded rate."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.exporter.shops import ROOT, Shop


def load(*arguments: str) -> subprocess.Popen[str]:
    """Start `python -m exporter.load`."""
    environment = {key: value for key, value in os.environ.items() if key not in {"LOG_LEVEL", "LOG_FORMAT"}}
    return subprocess.Popen(
        [sys.executable, "-m", "exporter.load", *arguments],
        cwd=ROOT,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_stops_by_itself_and_keeps_its_rate(shop: Shop) -> None:
    """It ends after --for, sends no more than --rate, and a good part of them are orders."""
    before = shop.sample("orders_total", status="paid")
    written, errors = load("--url", shop.url, "--rate", "40", "--for", "2s").communicate(timeout=30)
    assert errors == ""
    started, ended = (json.loads(line) for line in written.splitlines())
    assert started["message"] == "Load started"
    assert 0 < ended["requests"] <= 40 * 2 + 4
    assert set(ended["statuses"]) == {"200", "201"}
    bought = shop.sample("orders_total", status="paid") - before
    assert ended["requests"] * 0.3 <= bought <= ended["statuses"]["201"] + 4


def test_sigterm_ends_it_at_once(shop: Shop) -> None:
    """An hour's load ends when it is told to, with its summary."""
    process = load("--url", shop.url, "--for", "1h")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    written, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert json.loads(written)["message"] == "Load ended"


def test_it_survives_a_shop_that_is_down_and_says_so_once(shop: Shop) -> None:
    """While nothing answers it tries on, more and more slowly; it notices when the shop is back."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        written, errors = load("--url", url, "--rate", "200", "--for", "3s").communicate(timeout=30)
    lines = [json.loads(line) for line in written.splitlines()]
    assert errors == ""
    assert [line["message"] for line in lines] == [
        "Load started",
        "The shop does not answer, trying on",
        "Load ended",
    ]
    assert set(lines[-1]["statuses"]) == {"none"}
    assert lines[-1]["requests"] < 50
    assert shop.ask("GET", "/health").status == 200


@pytest.mark.parametrize(
    "arguments",
    [
        ("--rate", "201"),
        ("--rate", "0"),
        ("--rate", "nan"),
        ("--rate", "many"),
        ("--for", "an hour"),
        ("--for", "1y"),
        ("--url", "http://shop.example.com"),
        ("--url", "http://192.0.2.7:8000"),
        ("--url", "ftp://127.0.0.1"),
        ("--url", "127.0.0.1:8000"),
        ("--url", "http://127.0.0.1:99999"),
    ],
)
def test_what_it_must_not_do_is_refused(arguments: tuple[str, str]) -> None:
    """Exit 2 and one message for a rate, a duration or an address that it does not take."""
    done = load(*arguments)
    written, errors = done.communicate(timeout=20)
    assert (done.returncode, written) == (2, "")
    assert f"argument {arguments[0]}: {arguments[1]}" in errors
    assert "Traceback" not in errors
