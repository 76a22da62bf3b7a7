from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from specwatch import topology
from specwatch.render import loki
from specwatch.stack import Retention, Stack
from tests import goldens, stacks
from tests.render.logship import RealLoki, running_loki
from tests.tools import program, run, write

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


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealLoki]:
    with running_loki(tmp_path_factory.mktemp("loki"), log_alerts=HOSTILE_ALERTS) as started:
        yield started


def test_the_demo_is_what_a_person_can_read() -> None:
    """The demo's files, under compose, are the goldens."""
    stack = stacks.demo_stack()
    goldens.check("demo", loki.render(stack, topology.compose(stack)))


@pytest.mark.engine
@pytest.mark.parametrize(
    "stack", [stacks.demo_stack(), stacks.full_stack(log_alerts=()), stacks.hostile_stack()], ids=["demo", "full", "hostile"]
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
    groups = real.get("prometheus/api/v1/rules")["data"]["groups"]
    loaded = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert set(loaded) == {alert.name for alert in HOSTILE_ALERTS}
    for alert in HOSTILE_ALERTS:
        assert loaded[alert.name]["labels"].get("note", "") == alert.labels["note"]
        assert loaded[alert.name]["annotations"].get("summary", "") == alert.summary


@pytest.mark.engine
def test_nothing_but_loopback_listens(real: RealLoki) -> None:
    """Natively every socket of Loki is bound to 127.0.0.1."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text(encoding="ascii").splitlines()[1:]]
    ports = {f"{real.stack.ports[name]:04X}" for name in ("loki", "loki-grpc")}
    bound = {row[1].rpartition(":")[0] for row in rows if row[3] == "0A" and row[1].rpartition(":")[2] in ports}
    assert bound == {"0100007F"}
