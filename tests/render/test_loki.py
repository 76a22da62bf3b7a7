import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
import yaml

from specwatch import topology
from specwatch.render import loki, prometheus
from specwatch.stack import LogLimits, LogMetric, Retention, Stack, StreamRetention
from tests import goldens, stacks
from tests.logs.shipping import RealLoki, running, running_loki
from tests.tools import program, run, wait_for, write

HOSTILE_ALERTS = tuple(
    stacks.alert(
        f"Hostile{index}",
        expr='sum(count_over_time({service="shop"} |= `a"b` [5m])) > 0',
        summary=stacks.literal(text),
        description=stacks.literal(text),
        labels={"note": stacks.literal(text)},
    )
    for index, text in enumerate(stacks.HOSTILE)
)

COUNTED: Final = LogMetric(
    name="orders_logged:count1h", expr='sum by (level) (count_over_time({service="counted"} |= "order" [1h]))', labels={"source": "logs"}
)
KEPT: Final = (
    StreamRetention(selector='{level="debug"}', seconds=stacks.DAY, priority=2),
    StreamRetention(selector='{service="audit", level!=""}', seconds=90 * stacks.DAY, priority=1),
)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealLoki]:
    folder = tmp_path_factory.mktemp("loki")
    with running_loki(folder, log_alerts=HOSTILE_ALERTS, log_metrics=(COUNTED,), evaluation_interval_seconds=1) as started:
        yield started


def ask(url: str, *, body: object = None) -> Any:
    """Return what a program answers to a GET, or to a POST with a JSON body, None when that is empty."""
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data=data, headers={"Content-Type": "application/json"}), timeout=10) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def push(real: RealLoki, labels: dict[str, str], lines: Sequence[str]) -> None:
    """Write lines into Loki as one stream, with the time of now."""
    values = [[str(time.time_ns()), line] for line in lines]
    ask(real.topology.url("loki", "loki/api/v1/push"), body={"streams": [{"stream": labels, "values": values}]})


def test_the_demo_is_what_a_person_can_read() -> None:
    """The demo's files, under compose, are the goldens."""
    stack = stacks.demo_stack()
    goldens.check("demo", loki.render(stack, topology.compose(stack)))


@pytest.mark.engine
@pytest.mark.parametrize(
    "stack",
    [
        stacks.demo_stack(),
        stacks.full_stack(log_alerts=()),
        stacks.hostile_stack(),
        stacks.demo_stack(log_metrics=(COUNTED,), stream_retention=KEPT),
    ],
    ids=["demo", "full", "hostile", "metrics-and-retention"],
)
@pytest.mark.parametrize("runtime", ["compose", "native"])
def test_loki_accepts_its_configuration(stack: Stack, runtime: str, tmp_path: Path) -> None:
    """Loki itself finds nothing wrong with what is rendered for either runtime."""
    where = topology.compose(stack) if runtime == "compose" else topology.native(stack, str(tmp_path))
    folder = write(tmp_path, loki.render(stack, where))
    run(program("loki"), "-verify-config", f"-config.file={folder}/loki/loki.yml")


def test_retention_deletes_and_is_never_shorter_than_a_day() -> None:
    """The compactor deletes what is older than the spec says, and a shorter time than Loki can keep becomes a day."""
    short = Retention(metrics_seconds=1, metrics_size="", logs_seconds=3600, traces_seconds=1)
    for stack, kept in ((stacks.demo_stack(), "14d"), (stacks.demo_stack(retention=short), "1d")):
        config = yaml.safe_load(loki.render(stack, topology.compose(stack))["loki/loki.yml"])
        assert config["limits_config"]["retention_period"] == kept
        assert config["compactor"]["retention_enabled"] is True
        assert config["compactor"]["delete_request_store"] == "filesystem"


def test_streams_are_kept_as_long_as_the_spec_says() -> None:
    """The first rule of the spec has the highest priority, and a line as old as the longest retention is still taken."""
    stack = stacks.demo_stack(stream_retention=KEPT)
    limits = yaml.safe_load(loki.render(stack, topology.compose(stack))["loki/loki.yml"])["limits_config"]
    assert [(rule["selector"], rule["priority"], rule["period"]) for rule in limits["retention_stream"]] == [
        ('{level="debug"}', 2, "1d"),
        ('{service="audit", level!=""}', 1, "90d"),
    ]
    assert (limits["retention_period"], limits["reject_old_samples_max_age"]) == ("14d", "90d")


def test_loki_takes_as_much_as_the_spec_says() -> None:
    """Rates and streams are the spec's, and a burst may be twice the rate."""
    stack = stacks.demo_stack(log_limits=LogLimits(rate_mb=8, stream_rate_mb=3, max_streams=77))
    limits = yaml.safe_load(loki.render(stack, topology.compose(stack))["loki/loki.yml"])["limits_config"]
    assert (limits["ingestion_rate_mb"], limits["ingestion_burst_size_mb"]) == (8, 16)
    assert (limits["per_stream_rate_limit"], limits["per_stream_rate_limit_burst"]) == ("3MB", "6MB")
    assert limits["max_global_streams_per_user"] == 77


def test_without_alerts_over_logs_there_is_no_ruler() -> None:
    """A stack with no alerts over logs has neither a ruler nor rule files."""
    stack = stacks.demo_stack(log_alerts=())
    files = loki.render(stack, topology.compose(stack))
    assert list(files) == ["loki/loki.yml"]
    assert "ruler" not in yaml.safe_load(files["loki/loki.yml"])


def test_everything_that_loki_writes_lies_in_its_data_folder() -> None:
    """On a read-only root Loki writes below its data folder alone, and reads its rules from the configuration's folder."""
    stack = stacks.demo_stack()
    config = yaml.safe_load(loki.render(stack, topology.compose(stack))["loki/loki.yml"])
    written = [
        config["common"]["path_prefix"],
        *config["common"]["storage"]["filesystem"].values(),
        config["compactor"]["working_directory"],
        config["ingester"]["wal"]["dir"],
        config["ruler"]["rule_path"],
        config["ruler"]["wal"]["dir"],
    ]
    assert all(path == "/loki" or path.startswith("/loki/") for path in written)
    assert config["ruler"]["storage"]["local"]["directory"] == "/etc/loki/rules"


@pytest.mark.engine
def test_the_ruler_loads_every_alert_as_it_was_meant(real: RealLoki) -> None:
    """Whatever text an alert over logs carries, the real ruler has the alert, and its text unchanged."""

    def all_loaded() -> dict[str, Any]:
        groups = real.get("prometheus/api/v1/rules")["data"]["groups"]
        loaded = {rule["name"]: rule for group in groups for rule in group["rules"] if rule["type"] == "alerting"}
        return loaded if set(loaded) == {alert.name for alert in HOSTILE_ALERTS} else {}

    # Loki is ready before its ruler has read the rules.
    loaded = wait_for("the rules in Loki's ruler", all_loaded)
    for alert in HOSTILE_ALERTS:
        assert loaded[alert.name]["labels"].get("note", "") == alert.labels["note"]
        assert loaded[alert.name]["annotations"].get("summary", "") == alert.summary


@pytest.mark.engine
def test_a_metric_made_of_logs_arrives_in_prometheus(real: RealLoki) -> None:
    """What the ruler counts in log lines is a series of the real Prometheus, under the name and with the labels that the spec gives it."""
    stack = real.stack
    write(real.folder / "config", prometheus.render(stack, real.topology))
    push(real, {"service": "counted", "level": "info"}, ["order 1", "order 2", "a visit"])
    push(real, {"service": "counted", "level": "error"}, ["order 3"])

    def series() -> dict[str, Any]:
        try:
            found = ask(real.topology.url("prometheus", f"api/v1/query?{urlencode({'query': COUNTED.name})}"))["data"]["result"]
        except OSError:
            return {}  # it does not listen yet
        values = {each["metric"]["level"]: each for each in found}
        return values if {level: each["value"][1] for level, each in values.items()} == {"info": "2", "error": "1"} else {}

    with running("prometheus", prometheus.arguments(stack, real.topology), real.folder):
        found = wait_for("the metric in Prometheus", series, 40)
    assert found["error"]["metric"] == {"__name__": COUNTED.name, "level": "error", "source": "logs"}


@pytest.mark.engine
def test_lines_that_are_deleted_are_not_found_any_more(tmp_path: Path) -> None:
    """A delete request through Loki's own API takes the lines that it selects out of every later query, and no others."""
    with running_loki(tmp_path, log_alerts=()) as real:
        push(real, {"service": "shop", "level": "info"}, ["card 4111111111111111", "an order", "card 4222222222222222"])
        query = {"query": '{service="shop"} |= "card"', "start": int(time.time()) - 60}
        with urlopen(Request(f"{real.topology.url('loki', 'loki/api/v1/delete')}?{urlencode(query)}", method="POST"), timeout=10) as answer:
            assert answer.status == 204
        requests = real.get("loki/api/v1/delete")
        assert [(each["query"], each["status"]) for each in requests] == [(query["query"], "received")]
        assert [line.text for line in real.lines('{service="shop"}')] == ["an order"]


@pytest.mark.engine
def test_nothing_but_loopback_listens(real: RealLoki) -> None:
    """Natively every socket of Loki is bound to 127.0.0.1."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text(encoding="ascii").splitlines()[1:]]
    ports = {f"{real.stack.ports[name]:04X}" for name in ("loki", "loki-grpc")}
    bound = {row[1].rpartition(":")[0] for row in rows if row[3] == "0A" and row[1].rpartition(":")[2] in ports}
    assert bound == {"0100007F"}
