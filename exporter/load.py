"""Customers for the demo shop: requests at a bounded rate, until the time is over.

python -m exporter.load --url http://127.0.0.1:8000 --rate 8 --for 1h
"""

import argparse
import ipaddress
import itertools
import json
import logging
import os
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from urllib.parse import SplitResult, urlsplit

from specwatch.telemetry import configure_logging

_MOST_REQUESTS_PER_SECOND = 200.0
_CUSTOMERS = 4
_TIMEOUT_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 5.0
_UNITS_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_PRODUCTS = ("mug", "notebook", "poster", "socks", "keyboard")
# Checkouts are nearly half of it, so that a broken checkout shows within seconds.
_MIX = ("products", "cart", "checkout", "cart", "checkout", "product", "cart", "checkout", "order", "cart", "checkout")


class Load:
    """A few customers, each with one connection, who together send `rate` requests a second.

    Args:
        host: name or address of the shop.
        port: its port.
        rate: requests a second.
        seconds: when to stop.
    """

    def __init__(self, host: str, port: int, rate: float, seconds: float) -> None:
        self._address = (host, port)
        self._rate = rate
        self._period_seconds = _CUSTOMERS / rate
        self._seconds = seconds
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._statuses: Counter[str] = Counter()
        self._down = False
        self._log = logging.getLogger(__name__)

    def run(self) -> Counter[str]:
        """Send requests until the time is over or a KeyboardInterrupt; return how many answers had each status."""
        with suppress(KeyboardInterrupt):
            self._log.info("Load started", extra={"rate": self._rate, "seconds": self._seconds})
            for number in range(_CUSTOMERS):
                threading.Thread(target=self._customer, args=(number,), daemon=True).start()
            self._stopped.wait(self._seconds)
        self._stopped.set()
        with self._lock:
            return Counter(self._statuses)

    def _customer(self, number: int) -> None:
        customer = _Customer(self._address, number)
        due = time.monotonic() + number * self._period_seconds / _CUSTOMERS
        pause = self._period_seconds
        for step in itertools.cycle(_MIX):
            if self._stopped.wait(max(0.0, due - time.monotonic())):
                return
            try:
                self._count(str(customer.take(step)))
                pause = self._period_seconds
            except (OSError, HTTPException) as error:
                customer.hang_up()
                self._count_down(error)
                pause = min(max(pause * 2, 0.5), _LONGEST_PAUSE_SECONDS)
            # A slow shop is not made to catch up afterwards: the rate is a bound.
            due = max(due + pause, time.monotonic())

    def _count(self, status: str) -> None:
        with self._lock:
            self._statuses[status] += 1
            answered_again, self._down = self._down, False
        if answered_again:
            self._log.info("The shop answers again")

    def _count_down(self, error: Exception) -> None:
        with self._lock:
            self._statuses["none"] += 1
            known, self._down = self._down, True
        if not known:
            self._log.warning("The shop does not answer, trying on", extra={"error": repr(error)})


class _Customer:
    """One connection and what its customer has in hand."""

    def __init__(self, address: tuple[str, int], number: int) -> None:
        self._connection = HTTPConnection(*address, timeout=_TIMEOUT_SECONDS)
        self._products = itertools.islice(itertools.cycle(_PRODUCTS), number, None)
        self._cart = ""
        self._order = ""

    def take(self, step: str) -> int:
        """Send one request of the mix and return the answer's status."""
        if step == "cart":
            status, body = self._ask("POST", "/cart", {"product": next(self._products), "quantity": 1})
            self._cart = body.get("cart", "")
        elif step == "checkout" and self._cart:
            status, body = self._ask("POST", "/checkout", {"cart": self._cart})
            self._order = body.get("order", self._order)
        elif step == "product":
            status, _ = self._ask("GET", f"/products/{next(self._products)}")
        elif step == "order" and self._order:
            status, _ = self._ask("GET", f"/orders/{self._order}")
        else:
            status, _ = self._ask("GET", "/products")
        return status

    def hang_up(self) -> None:
        self._connection.close()

    def _ask(self, method: str, path: str, body: dict[str, object] | None = None) -> tuple[int, dict[str, str]]:
        data = None if body is None else json.dumps(body)
        self._connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
        answer = self._connection.getresponse()
        content = answer.read()
        try:
            parsed = json.loads(content)
        except ValueError:
            parsed = {}
        return answer.status, parsed if isinstance(parsed, dict) else {}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the load and return 0; wrong arguments exit with 2."""
    parser = argparse.ArgumentParser(prog="python -m exporter.load", description="Send customers to the demo shop.")
    shop = os.environ.get("SHOP_URL", "http://127.0.0.1:8000")
    parser.add_argument("--url", type=_url, default=shop, help="the shop (default: SHOP_URL, or %(default)s)")
    parser.add_argument("--rate", type=_rate, default=8.0, help="requests a second, at most 200 (default: 8)")
    parser.add_argument("--for", type=_duration, default=3600.0, dest="seconds", help="such as 90s, 10m, 1h (the default)")
    chosen = parser.parse_args(arguments)
    configure_logging("load")
    load = Load(chosen.url.hostname, chosen.url.port or 80, chosen.rate, chosen.seconds)
    # Not an event set by the handler: it would run inside the wait for that very event, and could block on its lock.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    statuses = load.run()
    logging.getLogger(__name__).info("Load ended", extra={"requests": sum(statuses.values()), "statuses": statuses})
    return 0


def _url(value: str) -> SplitResult:
    url = urlsplit(value)
    try:
        fits = url.scheme == "http" and url.port != 0 and _is_near(url.hostname or "")
    except ValueError:  # a port that is none
        fits = False
    if not fits:
        raise argparse.ArgumentTypeError(f"{value}: expected http:// and this machine or a compose service, such as http://127.0.0.1:8000")
    return url


def _is_near(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        # A name without a dot is this machine or a neighbour in the compose network, never somebody's site.
        return bool(host) and "." not in host


def _rate(value: str) -> float:
    try:
        rate = float(value)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= _MOST_REQUESTS_PER_SECOND:
        raise argparse.ArgumentTypeError(f"{value}: expected a number above 0 and up to {_MOST_REQUESTS_PER_SECOND:g}")
    return rate


def _duration(value: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", value)
    if match is None:
        raise argparse.ArgumentTypeError(f"{value}: expected a duration such as 90s, 10m or 1h")
    return float(match[1]) * _UNITS_SECONDS[match[2]]


if __name__ == "__main__":
    sys.exit(main())
