"""The demo shop under gunicorn with two workers."""

import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from exporter.state import state_dir
from exporter.store import PRODUCTS
from tests.exporter.shops import Shop, wait_until

ROUTES = (
    *(("GET", "/"), ("GET", "/products"), ("GET", "/products/<product>"), ("GET", "/orders/<order>")),
    *(("POST", "/cart"), ("POST", "/checkout"), ("GET", "/metrics"), ("GET", "/health")),
    *(("GET", "/faults"), ("POST", "/faults"), ("DELETE", "/faults")),
)


def test_every_series_that_an_alert_needs_stands_at_zero(own_shop: Shop) -> None:
    """Right after the start, before any failure, rate() finds what it will need."""
    for method, endpoint in ROUTES:
        assert own_shop.sample("http_requests_total", method=method, endpoint=endpoint, status="500") == 0
    for status in ("paid", "failed"):
        assert own_shop.sample("orders_total", status=status) == 0
    for collector in ("stock", "carts"):
        assert own_shop.sample("business_collector_failures_total", collector=collector) == 0
    assert own_shop.sample("order_value_euros_count") == 0


def test_the_workers_together_count_what_the_client_counted(shop: Shop) -> None:
    """Totals over both workers are exact, also under concurrent requests and scrapes."""
    before = shop.samples()

    def visit(number: int) -> tuple[str, str, str]:
        method, path, endpoint, body = (
            ("GET", "/products", "/products", None),
            ("GET", "/products/mug", "/products/<product>", None),
            ("GET", "/products/none", "/products/<product>", None),
            ("POST", "/cart", "/cart", {"product": "poster", "quantity": 2}),
            ("POST", "/cart", "/cart", {"product": "poster", "quantity": 0}),
            ("GET", "/nowhere", "unmatched", None),
        )[number % 6]
        if number % 20 == 0:
            shop.samples()
        return method, endpoint, str(shop.ask(method, path, body).status)

    with ThreadPoolExecutor(8) as customers:
        counted = Counter(customers.map(visit, range(300)))
    after = shop.samples()
    for (method, endpoint, status), count in counted.items():
        labels = frozenset({"method": method, "endpoint": endpoint, "status": status}.items())
        key = ("http_requests_total", labels)
        assert after[key] - before.get(key, 0) == count
    assert {status for _, _, status in counted} == {"200", "201", "400", "404"}
    assert after["http_requests_in_flight", frozenset()] == 1  # the scrape itself


def test_both_workers_are_at_work(shop: Shop) -> None:
    """Each worker has served requests."""

    def both_counted() -> bool:
        shop.ask("GET", "/products")
        workers = {dict(labels)["worker"] for name, labels in shop.samples() if name == "process_cpu_seconds_total"}
        return workers >= {"1", "2"}

    wait_until(both_counted, "both workers to have served a request")


def test_a_purchase_is_an_order(shop: Shop) -> None:
    """Cart, checkout, order: any worker knows it, and the business metrics tell of it."""
    before = shop.samples()
    cart = shop.ask("POST", "/cart", {"product": "mug", "quantity": 2}).json["cart"]
    assert shop.ask("POST", "/cart", {"product": "socks", "cart": cart}).status == 201
    bought = shop.ask("POST", "/checkout", {"cart": cart})
    assert bought.status == 201
    assert bought.json["total_euros"] == 33.7
    for _ in range(8):
        assert shop.ask("GET", f"/orders/{bought.json['order']}").json == bought.json
    assert shop.ask("POST", "/checkout", {"cart": cart}).status == 404
    after = shop.samples()
    paid = ("orders_total", frozenset({("status", "paid")}))
    assert after[paid] - before[paid] == 1
    value = ("order_value_euros_sum", frozenset[tuple[str, str]]())
    assert after[value] - before[value] == pytest.approx(33.7)


def test_stock_and_carts_follow_the_database(own_shop: Shop) -> None:
    """The gauges show one value, whichever worker read last."""
    own_shop.ask("POST", "/cart", {"product": "keyboard"})
    assert own_shop.buy().status == 201

    def followed() -> bool:
        samples = own_shop.samples()
        stock = {dict(labels)["product"]: value for (name, labels), value in samples.items() if name == "stock_items"}
        expected = {product: 200.0 for product, _, _ in PRODUCTS} | {"mug": 199.0}
        return stock == expected and samples.get(("active_carts", frozenset())) == 1

    wait_until(followed, "the gauges to follow the database")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/cart", None, 400),
        ("POST", "/cart", ["mug"], 400),
        ("POST", "/cart", {"product": 7}, 400),
        ("POST", "/cart", {"product": "mug", "quantity": True}, 400),
        ("POST", "/cart", {"product": "mug", "quantity": 11}, 400),
        ("POST", "/cart", {"product": "yacht"}, 404),
        ("POST", "/cart", {"product": "mug", "cart": "none"}, 404),
        ("POST", "/cart", {"product": "x" * 70_000}, 413),
        ("POST", "/checkout", {"cart": "none"}, 404),
        ("GET", "/orders/none", None, 404),
        ("DELETE", "/products", None, 405),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(shop: Shop, method: str, path: str, body: object, status: int) -> None:
    """A JSON error with the reason and the trace id, and no ERROR line in the log."""
    answer = shop.ask(method, path, body)
    assert answer.status == status
    assert answer.json["detail"]
    assert answer.json["trace_id"] == answer.headers["X-Trace-ID"]
    assert not [line for line in shop.lines() if line["level"] == "ERROR"]


def test_the_home_page_says_what_is_where(shop: Shop) -> None:
    """A visitor finds the shop's routes and the stack around it."""
    page = shop.ask("GET", "/")
    assert page.headers["Content-Type"].startswith("text/html")
    for link in ("/products", "/metrics", "/health", "http://127.0.0.1:9090", "http://127.0.0.1:8025"):
        assert f'href="{link}"'.encode() in page.body


def test_promtool_accepts_the_metrics(shop: Shop) -> None:
    """The naming rules of Prometheus are kept."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not on PATH: scripts/engines gets it")
    shop.buy()
    text = shop.ask("GET", "/metrics").body
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_counters_survive_a_killed_worker(own_shop: Shop) -> None:
    """`kill -9` of a worker loses no count, leaves nothing in flight, and gunicorn starts another."""
    for _ in range(20):
        own_shop.ask("GET", "/products")
    killed = own_shop.workers()[0]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in own_shop.workers() and len(own_shop.workers()) == 2, "a new worker")
    assert own_shop.sample("http_requests_total", method="GET", endpoint="/products", status="200") == 20
    assert own_shop.sample("http_requests_in_flight") == 1


def test_a_reload_keeps_the_counters(own_shop: Shop) -> None:
    """SIGHUP reads the config again and does not empty the metrics."""
    for _ in range(5):
        own_shop.ask("GET", "/products")
    old = set(own_shop.workers())
    own_shop.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(own_shop.workers()) == 2 and not old & set(own_shop.workers()), "new workers")
    assert own_shop.sample("http_requests_total", method="GET", endpoint="/products", status="200") == 5


def test_sigterm_ends_every_process(own_shop: Shop) -> None:
    """Nothing is left behind, and every line that was written, gunicorn's included, is JSON of this service."""
    own_shop.buy()
    workers = own_shop.workers()
    own_shop.process.send_signal(signal.SIGTERM)
    assert own_shop.process.wait(20) == 0
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "the workers to be gone")
    lines = own_shop.lines()
    assert {line["service"] for line in lines} == {"shop"}
    assert {"gunicorn.error", "specwatch.telemetry.access"} <= {line["logger"] for line in lines}


def test_a_state_folder_that_is_not_ours_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default folder's name can be guessed, so a link or an open folder in its place is not used."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = state_dir({})
    assert re.fullmatch(rf"specwatch-shop-{os.getuid()}", folder.name)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match="SHOP_STATE_DIR"):
        state_dir({})
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(PermissionError, match="SHOP_STATE_DIR"):
        state_dir({})
    assert state_dir({"SHOP_STATE_DIR": str(tmp_path / "own")}).is_dir()
