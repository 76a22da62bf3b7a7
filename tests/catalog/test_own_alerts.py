"""The alerts by which the stack watches itself: when they fire, and that what they and the shippers' panels look at is there."""

import importlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import msgspec
import pytest

from specwatch import promql, topology
from specwatch.catalog import own_alerts, shipping_panels
from specwatch.logs.defaults import completed
from specwatch.render import rules
from specwatch.resolve import resolve
from specwatch.spec.loader import parse
from specwatch.spec.source import Source
from specwatch.stack import Logs, Stack
from specwatch.stack.logs import Drop, Limit
from specwatch.textio import dump_yaml
from tests import stacks
from tests.logs.shipping import RealLoki, running, running_loki
from tests.tools import program, run, wait_for, write

SHIPPERS: Final = ("otelcol", "promtail", "alloy", "fluentd")
ENDPOINTS: Final = {"otelcol": "otelcol-metrics", "fluentd": "fluentd-metrics"}
# Those of a collector that stands before the traces' backend.
OF_SPANS: Final = {"otelcol_exporter_send_failed_spans_total", "otelcol_exporter_enqueue_failed_spans_total"}
OLD: Final = '{"timestamp": "2001-01-01T00:00:00Z", "level": "info", "message": "from a wrong clock"}'


def resolved(text: str) -> Stack:
    source = Source("spec.yaml", f"version: 1\n{text}")
    return resolve(parse(source), source)


def written(stack: Stack) -> set[str]:
    """Return the names of the alerts that are written for Prometheus."""
    text = "".join(rules.render(stack, topology.compose(stack)).values())
    return set(re.findall(r"- alert: (\w+)", text))


@pytest.mark.parametrize("shipper", ["promtail", "otelcol"])
def test_an_alert_of_a_part_that_is_off_is_not_there(shipper: str) -> None:
    """Ensure that of the shippers only the one that is on is watched, and that nothing is watched of a Loki that is off."""
    of = {component: {name for name, alert in own_alerts().items() if alert.component == component} for component in (*SHIPPERS, "loki")}
    names = written(resolved(f"stack: {{shipper: {shipper}}}\n"))
    assert of[shipper] | of["loki"] <= names
    assert not names & set().union(*(of[other] for other in SHIPPERS if other not in {shipper, "fluentd"}))
    off = written(resolved("stack: {components: {loki: false, alertmanager: false}}\n"))
    assert not off & ({"NotificationsFail"} | of["loki"] | of["promtail"] | of["fluentd"])
    assert "TargetDown" in off


def test_a_part_that_stands_in_for_another_is_watched_in_its_place() -> None:
    """Ensure that the alerts follow the parts that run, not those that the spec names."""
    stack = resolved("")
    instead = msgspec.structs.replace(stack, components=tuple("otelcol" if name == "promtail" else name for name in stack.components))
    assert "CollectorCannotDeliver" in written(instead)
    assert "PromtailLosesLines" not in written(instead)


# Series in promtool's notation, one value a minute, and the alerts that must fire at the fourth minute, with the labels that say of what.
FIRING: Final[tuple[tuple[dict[str, str], dict[str, dict[str, str]]], ...]] = (
    ({'loki_discarded_samples_total{reason="rate_limited"}': "_ _ _ 7 7"}, {"LokiRefusesLines": {"reason": "rate_limited"}}),
    ({'loki_discarded_samples_total{reason="rate_limited"}': "1 1 1 2 2"}, {"LokiRefusesLines": {"reason": "rate_limited"}}),
    ({"loki_ingester_wal_disk_full_failures_total": "0 0 0 0 1"}, {"LokiDiskFull": {}}),
    ({"loki_ingester_wal_disk_full_failures_total": "0x11"}, {}),
    (
        {
            'loki_request_duration_seconds_count{route="push",status_code="500"}': "0+10x11",
            'loki_request_duration_seconds_count{route="push",status_code="204"}': "0+90x11",
            'loki_request_duration_seconds_count{route="query",status_code="200"}': "0+90x11",
        },
        {"LokiRequestsFail": {"route": "push"}},
    ),
    ({'loki_prometheus_rule_evaluation_failures_total{rule_group="g"}': "0+1x11"}, {"LogRulesFail": {"rule_group": "g"}}),
    (
        {
            'loki_prometheus_notifications_errors_total{alertmanager="a"}': "0+1x11",
            'loki_prometheus_notifications_dropped_total{alertmanager="a"}': "0x11",
        },
        {"LogNotificationsFail": {"alertmanager": "a"}},
    ),
    ({'otelcol_receiver_refused_log_records_total{receiver="r"}': "0+5x11"}, {"CollectorRefusesLines": {"receiver": "r"}}),
    ({'otelcol_exporter_send_failed_log_records_total{exporter="e"}': "_ _ _ _ 3"}, {"CollectorLosesLines": {"exporter": "e"}}),
    ({'otelcol_exporter_send_failed_spans_total{exporter="e"}': "_ _ _ _ 3"}, {"CollectorLosesSpans": {"exporter": "e"}}),
    ({'otelcol_exporter_enqueue_failed_spans_total{exporter="e"}': "_ _ _ _ 3"}, {"CollectorDropsSpans": {"exporter": "e"}}),
    (
        {
            'otelcol_exporter_queue_size{exporter="e",data_type="logs"}': "0 5 5 5 5",
            'otelcol_exporter_queue_capacity{exporter="e",data_type="logs"}': "100x11",
            'otelcol_exporter_sent_log_records_total{exporter="e"}': "9x11",
        },
        {"CollectorCannotDeliver": {"exporter": "e"}},
    ),
    (
        {
            'otelcol_exporter_queue_size{exporter="e",data_type="logs"}': "0 5 5 5 5",
            'otelcol_exporter_queue_capacity{exporter="e",data_type="logs"}': "100x11",
            'otelcol_exporter_sent_log_records_total{exporter="e"}': "9+9x11",
        },
        {},
    ),
    (
        {
            'otelcol_exporter_queue_size{exporter="e",data_type="traces"}': "0 0 0 0 81",
            'otelcol_exporter_queue_capacity{exporter="e",data_type="traces"}': "100x11",
        },
        {"CollectorBufferNearlyFull": {"exporter": "e", "data_type": "traces"}},
    ),
    ({'promtail_dropped_entries_total{reason="ingester_error"}': "0 0 0 2 2"}, {"PromtailLosesLines": {"reason": "ingester_error"}}),
    ({'promtail_batch_retries_total{host="h"}': "0 0 1 2 3"}, {"PromtailCannotDeliver": {"host": "h"}}),
    (
        {'logentry_dropped_lines_total{job="promtail",reason="ratelimit_drop_stage"}': "_ _ _ 9 9"},
        {"PromtailLimitsLines": {"job": "promtail"}},
    ),
    ({'logentry_dropped_lines_total{job="promtail",reason="debug"}': "0+9x11"}, {}),
    ({'loki_write_dropped_entries_total{reason="queue_is_full"}': "0 0 0 2 2"}, {"AlloyLosesLines": {"reason": "queue_is_full"}}),
    ({'loki_write_batch_retries_total{host="h"}': "0 0 1 2 3"}, {"AlloyCannotDeliver": {"host": "h"}}),
    ({'loki_process_dropped_lines_total{job="alloy",reason="ratelimit_drop_stage"}': "_ _ _ 9 9"}, {"AlloyLimitsLines": {"job": "alloy"}}),
    (
        {'fluentd_output_status_num_errors{plugin_id="p",type="loki"}': "0 0 1 2 3"},
        {"FluentdCannotDeliver": {"plugin_id": "p", "type": "loki"}},
    ),
    (
        {'fluentd_output_status_buffer_available_space_ratio{plugin_id="p",type="loki"}': "100 100 90 60 19"},
        {"FluentdBufferNearlyFull": {"plugin_id": "p", "type": "loki"}},
    ),
)
# What must hold for five minutes, looked at after eleven.
FIRING_LATER: Final[tuple[tuple[dict[str, str], dict[str, dict[str, str]]], ...]] = (
    (
        {
            'otelcol_exporter_queue_size{exporter="e",data_type="traces"}': "30x11",
            'otelcol_exporter_queue_capacity{exporter="e",data_type="traces"}': "100x11",
        },
        {"CollectorFallsBehind": {"exporter": "e", "data_type": "traces"}},
    ),
    (
        {'promtail_file_bytes_total{path="/p"}': "20000000x11", 'promtail_read_bytes_total{path="/p"}': "5000x11"},
        {"PromtailFallsBehind": {"path": "/p"}},
    ),
    (
        {'loki_source_file_file_bytes_total{path="/p"}': "20000000x11", 'loki_source_file_read_bytes_total{path="/p"}': "5000x11"},
        {"AlloyFallsBehind": {"path": "/p"}},
    ),
    (
        {'fluentd_output_status_buffer_available_space_ratio{plugin_id="p",type="loki"}': "70x11"},
        {"FluentdFallsBehind": {"plugin_id": "p", "type": "loki"}},
    ),
    ({'loki_discarded_samples_total{reason="rate_limited"}': "_ _ _ 7x9"}, {}),
)


@pytest.mark.engine
def test_each_alert_fires_when_it_should_and_at_the_first_loss(tmp_path: Path) -> None:
    """Ensure, by promtool, that every alert on logs fires on the series that it is about, from a counter's first value on, and else not."""
    alerts = {name: alert for name, alert in own_alerts().items() if alert.component in {*SHIPPERS, "loki"}}
    tested = {name for _, firing in (*FIRING, *FIRING_LATER) for name in firing}
    assert tested == set(alerts)
    group = [
        {"alert": name, "expr": promql.compare(alert.value, alert.operator, alert.threshold), "for": alert.for_}
        for name, alert in alerts.items()
    ]
    cases = [*((case, "4m") for case in FIRING), *((case, "11m") for case in FIRING_LATER)]
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": series, "values": values} for series, values in case[0].items()],
            "alert_rule_test": [
                {"eval_time": at, "alertname": name, "exp_alerts": [{"exp_labels": case[1][name]}] if name in case[1] else []}
                for name in alerts
            ],
        }
        for case, at in cases
    ]
    files = {"rules.yml": {"groups": [{"name": "own", "rules": group}]}, "test.yml": {"rule_files": ["rules.yml"], "tests": tests}}
    folder = write(tmp_path, {name: dump_yaml(content) for name, content in files.items()})
    run(program("promtool"), "test", "rules", folder / "test.yml")


@pytest.fixture(scope="module")
def loki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealLoki]:
    with running_loki(tmp_path_factory.mktemp("own-alerts")) as started:
        yield started


def metrics(real: RealLoki, name: str) -> set[str]:
    """Return the names of the metrics that the program tells."""
    with urlopen(f"http://127.0.0.1:{real.stack.ports[ENDPOINTS.get(name, name)]}/metrics", timeout=5) as answer:
        return set(re.findall(r"(?m)^([A-Za-z_:][\w:]*)[{ ]", answer.read().decode()))


def looked_at(component: str) -> set[str]:
    """Return the metrics that the alerts of the part are about, and its panels for log lines."""
    found = [alert.value for alert in own_alerts().values() if alert.component == component]
    if component in SHIPPERS:
        panels = getattr(shipping_panels, component)('job="x"')
        found += [expr for panel in panels for expr, _legend in panel.queries]
    return {name for value in found for name in promql.metrics(promql.parse(value))} - OF_SPANS


@pytest.mark.engine
def test_loki_has_every_metric_that_is_looked_at(loki: RealLoki) -> None:
    """Ensure that once Loki has refused a line and run its rules, no alert looks at something that is not there."""
    values: Mapping[str, Any] = {"streams": [{"stream": {"service": "x"}, "values": [["978307200000000000", "too old"]]}]}
    push = Request(loki.topology.url("loki", "loki/api/v1/push"), json.dumps(values).encode(), {"Content-Type": "application/json"})
    with pytest.raises(HTTPError):
        urlopen(push, timeout=10)
    wait_for("the metrics of Loki", lambda: looked_at("loki") <= metrics(loki, "loki"))


@pytest.mark.engine
@pytest.mark.parametrize("shipper", SHIPPERS)
def test_a_shipper_has_every_metric_that_is_looked_at(loki: RealLoki, shipper: str) -> None:
    """Ensure the same of each shipper whose program is here, once it has sent a line, had one refused and dropped one above a limit."""
    program(shipper)
    renderer = importlib.import_module(f"specwatch.render.{shipper}")
    drop = Drop(reason="debug", field="level", matches="debug")
    stages = completed((drop,) if shipper == "otelcol" else (Limit(rate=1, burst=1),), "json")
    service = stacks.service(f"by-{shipper}", logs=Logs(format="json", source="container", stages=stages))
    stack = msgspec.structs.replace(loki.stack, services=(service,), components=("loki", shipper), shipper=shipper)
    where = topology.native(stack, str(loki.folder))
    lines = Path(where.logs[service.name])
    lines.parent.mkdir(exist_ok=True)
    lines.write_text(f"{OLD}\n{json.dumps({'level': 'info', 'at': time.time()})}\n", encoding="utf-8")
    write(loki.folder / "config", renderer.render(stack, where))
    with running(shipper, renderer.arguments(stack, where), loki.folder):
        seen: set[str] = set()

        def complete() -> bool:
            with suppress(OSError):  # until it listens
                seen.update(metrics(loki, shipper))
            return looked_at(shipper) <= seen

        with suppress(AssertionError):
            wait_for(f"the metrics of {shipper}", complete)
        assert looked_at(shipper) - seen == set()
