"""What the declaration allows: mistakes are raised in development and counted in production; series have a limit."""

import json
from pathlib import Path
from typing import Any

import pytest

from specwatch.telemetry.metrics import Definition, MetricError, Metrics, load_catalog

ORDERS = Definition("orders_total", "counter", labels={"status": ("paid", "failed"), "user": None})


def errors(metrics: Metrics, kind: str) -> float | None:
    return metrics.get_sample_value("specwatch_telemetry_errors_total", {"kind": kind})


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"status": "payed", "user": "1"}, "expected one of paid, failed"),
        ({"status": "paid"}, "expected status, user"),
        ({"status": "paid", "user": "1", "extra": "x"}, "expected status, user"),
        ({}, "expected status, user"),
    ],
)
def test_development_refuses_what_is_not_declared(labels: dict[str, str], message: str) -> None:
    """An undeclared label or label value is an error that says what was expected."""
    metrics = Metrics([ORDERS], strict=True)
    with pytest.raises(MetricError, match=message):
        metrics.orders_total.inc(**labels)
    with pytest.raises(MetricError, match=message):
        metrics.orders_total.labels(**labels).inc()


def test_development_refuses_an_undeclared_metric() -> None:
    """With the name that was probably meant, and as an AttributeError, so that hasattr() works."""
    metrics = Metrics([ORDERS], strict=True)
    with pytest.raises(AttributeError, match="did you mean orders_total"):
        metrics.order_total.inc()
    assert not hasattr(metrics, "nothing")


def test_production_counts_what_is_not_declared() -> None:
    """Nothing is raised, the totals stay right, and what was not declared is counted as `other` or left out."""
    metrics = Metrics([ORDERS], strict=False)
    metrics.orders_total.inc(status="payed", user="1")
    metrics.orders_total.inc(status="paid", user="1", extra="x")
    metrics.orders_total.inc(user="1")
    metrics.nothing.labels("a").inc()
    assert metrics.get_sample_value("orders_total", {"status": "other", "user": "1"}) == 2
    assert metrics.get_sample_value("orders_total", {"status": "paid", "user": "1"}) == 1
    assert errors(metrics, "undeclared_value") == 2
    assert errors(metrics, "undeclared_label") == 2
    assert errors(metrics, "undeclared_metric") == 1


def test_right_use_is_no_mistake() -> None:
    """Making series by every way of calling counts nothing."""
    metrics = Metrics([ORDERS], strict=False)
    metrics.orders_total.labels("paid", "1").inc()
    metrics.orders_total.labels(user="2", status="paid").inc()
    metrics.orders_total.inc(user="3", status="failed")
    assert {errors(metrics, kind) for kind in ("undeclared_metric", "undeclared_label", "undeclared_value", "bad_value")} == {0}


@pytest.mark.parametrize(
    ("environment", "strict"),
    [({"ENVIRONMENT": "development"}, True), ({"ENVIRONMENT": "production"}, False), ({"SPECWATCH_STRICT": "true"}, True), ({}, False)],
)
def test_the_environment_says_whether_this_is_development(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], strict: bool
) -> None:
    """A program that nobody told where it runs counts mistakes and never raises them."""
    for name in ("ENVIRONMENT", "SPECWATCH_STRICT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert hasattr(Metrics([]), "nothing") is not strict


@pytest.mark.parametrize("value", ['ü\n"\\', "\ud800", "", " ", "%s%r%%", "{}", 200, None, b"x", ("a",), ["a"]])
def test_any_label_value_can_be_shown(value: Any) -> None:
    """Whatever the value is, the exposition is well-formed UTF-8, one line for each series."""
    metrics = Metrics(strict=True)
    metrics.counter("c", "", ["a"]).labels(value).inc()
    [line] = [line for line in metrics.render()[0].decode().splitlines() if line.startswith("c_total{")]
    assert line.endswith("} 1")


class Unprintable:
    """Raises when it is written out."""

    def __str__(self) -> str:
        raise RuntimeError


def test_a_label_value_that_raises_is_named_by_its_type() -> None:
    """Its own code cannot break the caller."""
    metrics = Metrics(strict=True)
    metrics.counter("c", "", ["a"]).labels(Unprintable()).inc()
    assert metrics.get_sample_value("c_total", {"a": "<unprintable Unprintable>"}) == 1


def test_too_many_series_share_one() -> None:
    """Beyond the limit the open labels are `__overflow__`, declared ones stay, the total stays right, and a counter says so."""
    metrics = Metrics([ORDERS], strict=True, max_series=10)
    for user in range(100):
        metrics.orders_total.inc(status="paid" if user % 2 else "failed", user=user)
    overflow = [metrics.get_sample_value("orders_total", {"status": status, "user": "__overflow__"}) for status in ("paid", "failed")]
    assert overflow == [45, 45]
    assert metrics.get_sample_value("specwatch_telemetry_series_overflow_total", {"metric": "orders_total"}) == 90
    assert sum(line.startswith("orders_total{") for line in metrics.render()[0].decode().splitlines()) == 12
    metrics.orders_total.inc(status="failed", user=0)
    assert metrics.get_sample_value("orders_total", {"status": "failed", "user": "0"}) == 2


def test_a_metric_has_its_own_limit() -> None:
    """max_series of a definition wins over the registry's."""
    metrics = Metrics([Definition("a_total", "counter", labels={"b": None}, max_series=2)], max_series=50)
    for index in range(5):
        metrics.a_total.inc(b=index)
    assert metrics.get_sample_value("a_total", {"b": "__overflow__"}) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "9lives", "type": "counter"},
        {"name": "a-b", "type": "counter"},
        {"name": "a", "type": "enum"},
        {"name": "a", "type": "gauge", "mode": "average"},
        {"name": "a", "type": "gauge", "labels": {"__name__": None}},
        {"name": "a", "type": "gauge", "labels": {"b-c": None}},
        {"name": "a", "type": "gauge", "labels": "status"},
        {"name": "a", "type": "histogram", "labels": {"le": None}},
        {"name": "a", "type": "summary", "labels": {"quantile": None}},
        {"name": "a", "type": "histogram", "buckets": (1, 0.5)},
        {"name": "a", "type": "histogram", "buckets": (1, 1)},
        {"name": "a", "type": "histogram", "buckets": (float("nan"),)},
        {"name": "a", "type": "histogram", "buckets": (float("inf"),)},
    ],
)
def test_a_definition_obeys_prometheus_rules(wrong: dict[str, Any]) -> None:
    """A name, label, type, mode or bucket that Prometheus could not read is refused where it is declared."""
    with pytest.raises(MetricError, match=r"expected|reserved"):
        Definition(**wrong)


def test_the_catalog_becomes_the_metrics(tmp_path: Path) -> None:
    """What the generator writes is read back with types, labels, values and buckets."""
    catalog = tmp_path / "metrics.json"
    entries = [
        {
            "name": "orders_total",
            "type": "counter",
            "help": "Orders.",
            "unit": "",
            "labels": {"status": ["paid"], "user": None},
            "buckets": [],
        },
        {"name": "job_seconds", "type": "histogram", "help": "Jobs.", "unit": "seconds", "labels": {}, "buckets": [0.5, 1]},
        {"name": "queue", "type": "gauge", "mode": "max"},
    ]
    catalog.write_text(json.dumps({"service": "shop", "metrics": entries}), encoding="utf-8")
    metrics = Metrics(load_catalog(catalog), strict=True)
    metrics.orders_total.inc(status="paid", user="7")
    metrics.job_seconds.observe(0.7)
    assert metrics.get_sample_value("job_seconds_bucket", {"le": "1.0"}) == 1
    assert metrics["queue"].definition.mode == "max"
    with pytest.raises(MetricError):
        metrics.orders_total.inc(status="lost", user="7")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"metrics": [{"name": "a"}]}', '{"metrics": [{"name": "a", "type": "x"}]}', '{"metrics": [3]}']
)
def test_a_broken_catalog_is_named(tmp_path: Path, text: str) -> None:
    """The error says which file, and which entry."""
    catalog = tmp_path / "metrics.json"
    catalog.write_text(text, encoding="utf-8")
    with pytest.raises(MetricError, match=r"metrics\.json"):
        load_catalog(catalog)
