"""The shop is broken on purpose, and mended."""

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from exporter.faults import Faults, Latency, WrongFaultsError
from exporter.shop import ROUTES
from tests.exporter.shops import ROOT, Shop


@pytest.fixture(autouse=True)
def mended(shop: Shop) -> Iterator[None]:
    """Leave the shop mended for the next test."""
    yield
    shop.ask("DELETE", "/faults")


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m exporter.faults`."""
    return subprocess.run([sys.executable, "-m", "exporter.faults", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_fault_works_in_every_worker_at_once_and_so_does_mending(shop: Shop) -> None:
    """Whichever worker answers, the switch is on, and then off."""
    assert shop.ask("POST", "/faults", {"errors": {"/products": 1.0}}).status == 200
    assert {shop.ask("GET", "/products").status for _ in range(20)} == {500}
    assert shop.ask("GET", "/products/mug").status == 200
    assert shop.ask("DELETE", "/faults").status == 200
    assert {shop.ask("GET", "/products").status for _ in range(20)} == {200}


def test_a_failed_checkout_is_found_by_its_trace_id(shop: Shop) -> None:
    """The answer's trace id leads to one ERROR line with the traceback, and the order counts as failed."""
    failed = shop.sample("orders_total", status="failed")
    requests = shop.sample("http_requests_total", method="POST", endpoint="/checkout", status="500")
    shop.ask("POST", "/faults", {"errors": {"/checkout": 1}})
    answer = shop.buy()
    assert answer.status == 500
    trace = answer.headers["X-Trace-ID"]
    assert answer.json["trace_id"] == trace
    lines = [line for line in shop.lines() if line.get("trace_id") == trace]
    [error] = [line for line in lines if line["level"] == "ERROR"]
    assert "PaymentDeclinedUpstreamError: the payment provider answered 502" in error["exception"]
    [access] = [line for line in lines if line["message"] == "Request completed"]
    assert (access["endpoint"], access["status_code"]) == ("/checkout", 500)
    assert shop.sample("orders_total", status="failed") == failed + 1
    assert shop.sample("http_requests_total", method="POST", endpoint="/checkout", status="500") == requests + 1


def test_latency_makes_a_route_slow(shop: Shop) -> None:
    """The delay shows in the histogram, not only at the client."""
    shop.ask("POST", "/faults", {"latency": {"/products": {"rate": 1.0, "seconds": 0.3}}})
    labels = {"method": "GET", "endpoint": "/products"}
    before = shop.sample("http_request_duration_seconds_sum", **labels)
    started = time.monotonic()
    assert shop.ask("GET", "/products").status == 200
    assert time.monotonic() - started >= 0.3
    assert shop.sample("http_request_duration_seconds_sum", **labels) - before >= 0.3


def test_break_and_mend_say_what_they_did(shop: Shop) -> None:
    """The commands behind `make break` and `make mend` switch, and say what to expect."""
    broken = command("break", "--url", shop.url)
    assert (broken.returncode, broken.stderr) == (0, "")
    assert "60 %" in broken.stdout
    assert '"/checkout":0.6' in command("show", "--url", shop.url).stdout.replace(" ", "")
    mended = command("mend", "--url", shop.url)
    assert (mended.returncode, mended.stderr) == (0, "")
    assert shop.ask("GET", "/faults").json == {"errors": {}, "latency": {}}


def test_no_shop_is_one_clear_message() -> None:
    """Exit 3 and the cure when nothing answers, exit 2 for an address that is none."""
    nobody = command("break", "--url", "http://127.0.0.1:1")
    assert nobody.returncode == 3
    assert "make up" in nobody.stderr
    assert "Traceback" not in nobody.stderr
    assert command("break", "--url", "file:///etc/hostname").returncode == 2


def test_a_page_in_a_browser_cannot_break_the_shop(shop: Shop) -> None:
    """Without the JSON content type, which a foreign page cannot send, nothing is switched."""
    answer = shop.ask("POST", "/faults", {"errors": {"/products": 1}}, {"Content-Type": "text/plain"})
    assert answer.status == 415
    assert shop.ask("GET", "/faults").json == {"errors": {}, "latency": {}}


def test_a_foreign_switch_file_breaks_nothing(shop: Shop) -> None:
    """What is not ours counts as no fault."""
    (shop.folder / "faults.json").write_text('{"errors": {"/products"')
    assert shop.ask("GET", "/products").status == 200


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (None, "the body is null"),
        ([], "the body is []"),
        ({"error": {}}, "no switch for error"),
        ({"errors": 1}, "errors is 1"),
        ({"errors": {"/chekout": 1}}, "no switch for /chekout"),
        ({"errors": {"/checkout": 1.1}}, "from 0 to 1"),
        ({"errors": {"/checkout": -0.1}}, "from 0 to 1"),
        ({"errors": {"/checkout": True}}, "errors./checkout is true"),
        ({"errors": {"/checkout": float("nan")}}, "from 0 to 1"),
        ({"latency": {"/checkout": 1}}, "latency./checkout is 1"),
        ({"latency": {"/checkout": {"rate": 1}}}, "seconds is null"),
        ({"latency": {"/checkout": {"seconds": 31}}}, "from 0 to 30"),
    ],
)
def test_wrong_switches_are_refused_with_the_reason(data: object, told: str) -> None:
    """The message says what was found and what is possible."""
    with pytest.raises(WrongFaultsError) as error:
        Faults.parse(data, ROUTES)
    assert told in str(error.value)


def test_switches_survive_being_written() -> None:
    """What is written is what is read."""
    faults = Faults({"/checkout": 0.6}, {"/products": Latency(1.0, 0.5)})
    assert Faults.parse(faults.as_json(), ROUTES) == faults
