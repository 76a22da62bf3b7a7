"""The request hook on a registry that the spec has declared the request metrics for."""

from pathlib import Path

import pytest
from flask import Flask

from specwatch.telemetry.flask import instrument
from specwatch.telemetry.metrics import Definition, MetricError, Metrics, load_catalog
from specwatch.telemetry.request_metrics import RequestMetrics, known_method
from tests.commandline import ROOT, in_process

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW")


@pytest.fixture
def declared(tmp_path: Path) -> Metrics:
    """What `specwatch codegen` makes of the demo's own spec, in development."""
    assert in_process("codegen", "--file", str(ROOT / "spec.yaml"), "--service", "shop", "--output", str(tmp_path / "metrics.py")) == 0
    return Metrics(load_catalog(tmp_path / "metrics.json"), strict=True, directory="", enabled=True)


def test_the_demos_catalog_has_all_that_the_hook_counts(declared: Metrics) -> None:
    """Its http pack declares every request metric of WSGI with the library's own buckets, so that both may come first."""
    names = set(declared.instruments())
    hook = RequestMetrics(declared)
    assert set(declared.instruments()) - names == {"http_websockets_open"}
    for method in METHODS:
        hook.begin()
        hook.observe(known_method(method), "/items", "200", 0.1)
    first = Metrics(strict=True, directory="", enabled=True)
    RequestMetrics(first)
    for definition in (declared[name].definition for name in names if name.startswith("http_")):
        first.define(definition)


def test_requests_are_counted_in_the_declared_metrics(declared: Metrics) -> None:
    """The help text is the spec's, the series are the hook's, and each metric is there once."""
    app = Flask("shop", static_folder=None)
    app.add_url_rule("/items/<int:item>", "item", lambda item: f"item {item}")
    instrument(app, registry=declared)
    declared["orders_total"].inc(status="paid")
    assert app.test_client().get("/items/7").status_code == 200
    text = app.test_client().get("/metrics").text
    assert 'http_requests_total{method="GET",endpoint="/items/<int:item>",status="200"} 1\n' in text
    assert "# HELP http_requests_total Requests answered, by route template.\n" in text
    assert text.count("# TYPE http_requests_total counter\n") == 1
    assert 'orders_total{status="paid"} 1\n' in text


def test_labels_may_be_declared_in_another_order() -> None:
    """What is counted is found by the labels' names."""
    metrics = Metrics(
        [Definition("http_requests_total", "counter", labels={"status": None, "endpoint": None, "method": None})], directory=""
    )
    RequestMetrics(metrics).observe("GET", "/items", "200", 0.1)
    assert metrics.get_sample_value("http_requests_total", {"method": "GET", "endpoint": "/items", "status": "200"}) == 1


@pytest.mark.parametrize(
    ("definition", "found"),
    [
        (Definition("http_requests_total", "counter", labels={"path": None}), "a counter with the labels path"),
        (
            Definition("http_request_duration_seconds", "summary", labels=("method", "endpoint")),
            "a summary with the labels method, endpoint",
        ),  # type: ignore[arg-type] # names become a mapping
    ],
)
def test_a_metric_that_is_declared_otherwise_is_an_error_at_the_start(definition: Definition, found: str) -> None:
    """It says what is declared, what is expected and what to do."""
    metrics = Metrics([definition], directory="")
    with pytest.raises(MetricError, match=f"metric {definition.name} is declared as {found}, expected a .*; change its declaration"):
        instrument(Flask("shop"), registry=metrics)


def test_a_declaration_that_comes_too_late_says_so() -> None:
    """Other buckets than the library's cannot be had once it counts."""
    metrics = Metrics(directory="")
    RequestMetrics(metrics)
    late = Definition("http_request_duration_seconds", "histogram", labels=("method", "endpoint"), buckets=(1, 2))  # type: ignore[arg-type] # as above
    with pytest.raises(MetricError, match="declare yours before the application is instrumented"):
        metrics.define(late)
