"""Products, carts and orders in SQLite, so that every worker sees the same shop."""

import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

PRODUCTS = (
    ("mug", "Mug with a graph that only goes up", 1290),
    ("notebook", "Notebook for what the logs did not say", 990),
    ("poster", "Poster of the four golden signals", 1950),
    ("socks", "Socks, one of each pair", 790),
    ("keyboard", "Keyboard without a pause key", 8900),
)
"""Id, name and price in euro cents of everything on sale."""

CART_SECONDS = 900
"""A cart that nobody has touched for so long is abandoned."""

_FULL_SHELF = 200
_LOW_SHELF = 10
_KEPT_ORDERS = 10_000
_BUSY_SECONDS = 5.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS products (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, price_cents INTEGER NOT NULL, stock INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS carts (id TEXT PRIMARY KEY, touched REAL NOT NULL);
CREATE TABLE IF NOT EXISTS cart_lines (
    cart TEXT NOT NULL, product TEXT NOT NULL, quantity INTEGER NOT NULL, PRIMARY KEY (cart, product));
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, placed REAL NOT NULL, total_cents INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Product:
    """A thing on sale; `stock` is how many are on the shelf."""

    id: str
    name: str
    price_cents: int
    stock: int


@dataclass(frozen=True, slots=True)
class Cart:
    """What a customer is about to buy: (product id, quantity) pairs."""

    id: str
    lines: tuple[tuple[str, int], ...]
    total_cents: int


@dataclass(frozen=True, slots=True)
class Order:
    """A paid order; `placed` is in seconds since 1970."""

    id: str
    placed: float
    total_cents: int


class Store:
    """The shop's database; safe to use from any thread of any worker.

    Args:
        folder: where the database file is; made with the products on the shelf when it is not there.

    Every method raises sqlite3.Error when the database cannot be read or written within 5 s.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "shop.db"
        with self._connection() as db:
            db.executescript(_SCHEMA)
            db.executemany("INSERT OR IGNORE INTO products VALUES (?, ?, ?, ?)", [(*each, _FULL_SHELF) for each in PRODUCTS])

    def products(self) -> tuple[Product, ...]:
        """Return everything on sale, by id."""
        with self._connection() as db:
            return tuple(Product(*row) for row in db.execute("SELECT * FROM products ORDER BY id"))

    def product(self, product: str) -> Product | None:
        """Return one product, None when there is none of that id."""
        with self._connection() as db:
            row = db.execute("SELECT * FROM products WHERE id = ?", (product,)).fetchone()
        return Product(*row) if row else None

    def add_to_cart(self, cart: str | None, product: str, quantity: int) -> str | None:
        """Put a product into a cart (None: a new one) and return the cart's id, None when there is no such cart."""
        with self._transaction() as db:
            if cart is None:
                cart = secrets.token_hex(8)
                db.execute("INSERT INTO carts VALUES (?, ?)", (cart, time.time()))
            elif not db.execute("UPDATE carts SET touched = ? WHERE id = ?", (time.time(), cart)).rowcount:
                return None
            db.execute(
                "INSERT INTO cart_lines VALUES (?, ?, ?) ON CONFLICT (cart, product) DO UPDATE SET quantity = quantity + excluded.quantity",
                (cart, product, quantity),
            )
        return cart

    def cart(self, cart: str) -> Cart | None:
        """Return a cart with its total, None when there is none of that id."""
        with self._connection() as db:
            rows = db.execute(
                "SELECT product, quantity, quantity * price_cents FROM cart_lines "
                "JOIN products ON products.id = product WHERE cart = ? ORDER BY product",
                (cart,),
            ).fetchall()
        if not rows:
            return None
        return Cart(cart, tuple((product, quantity) for product, quantity, _ in rows), sum(row[2] for row in rows))

    def place(self, cart: Cart) -> Order | None:
        """Turn a paid cart into an order, None when it was ordered or abandoned meanwhile.

        What sells out is delivered at once: a demo that runs for days must not end with empty shelves.
        """
        order = Order(secrets.token_hex(8), time.time(), cart.total_cents)
        with self._transaction() as db:
            if not db.execute("DELETE FROM carts WHERE id = ?", (cart.id,)).rowcount:
                return None
            db.execute("DELETE FROM cart_lines WHERE cart = ?", (cart.id,))
            for product, quantity in cart.lines:
                db.execute("UPDATE products SET stock = stock - ? WHERE id = ?", (quantity, product))
            db.execute("UPDATE products SET stock = ? WHERE stock < ?", (_FULL_SHELF, _LOW_SHELF))
            number = db.execute(
                "INSERT INTO orders (id, placed, total_cents) VALUES (?, ?, ?)",
                (order.id, order.placed, order.total_cents),
            ).lastrowid
            db.execute("DELETE FROM orders WHERE number <= ?", ((number or 0) - _KEPT_ORDERS,))
        return order

    def order(self, order: str) -> Order | None:
        """Return one of the last 10,000 orders, None when there is none of that id."""
        with self._connection() as db:
            row = db.execute("SELECT id, placed, total_cents FROM orders WHERE id = ?", (order,)).fetchone()
        return Order(*row) if row else None

    def active_carts(self) -> int:
        """Forget the abandoned carts and return how many are left."""
        with self._transaction() as db:
            db.execute("DELETE FROM carts WHERE touched < ?", (time.time() - CART_SECONDS,))
            db.execute("DELETE FROM cart_lines WHERE cart NOT IN (SELECT id FROM carts)")
            return int(db.execute("SELECT count(*) FROM carts").fetchone()[0])

    def ping(self) -> None:
        """Return when the database answers."""
        with self._connection() as db:
            db.execute("SELECT 1 FROM products LIMIT 1").fetchone()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        # A connection for each use: SQLite's must not cross a fork or move between threads, and opening costs 0.1 ms.
        with closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)) as db:
            db.execute("PRAGMA synchronous = OFF")  # a demo's orders may be lost with the power
            yield db

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connection() as db:
            # IMMEDIATE: two workers that both read first and then want to write would lock each other out.
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")
