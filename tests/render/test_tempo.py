import yaml

from specwatch import topology
from specwatch.render import tempo
from tests import goldens, stacks


def test_the_demo_is_what_a_person_can_read() -> None:
    """The demo's file, under compose, is the golden."""
    stack = stacks.demo_stack()
    goldens.check("demo", tempo.render(stack, topology.compose(stack)))


def test_it_takes_spans_from_other_containers() -> None:
    """Under compose OTLP listens beyond the container's loopback, natively on the loopback alone."""
    stack = stacks.demo_stack()
    for where, host in ((topology.compose(stack), "0.0.0.0"), (topology.native(stack, "/run/stack"), "127.0.0.1")):  # noqa: S104  # in the container
        config = yaml.safe_load(tempo.render(stack, where)["tempo/tempo.yml"])
        protocols = config["distributor"]["receivers"]["otlp"]["protocols"]
        assert protocols == {"grpc": {"endpoint": f"{host}:4317"}, "http": {"endpoint": f"{host}:4318"}}


def test_retention_is_the_specs() -> None:
    """Blocks are kept as long as the spec says, in a notation that knows no days."""
    stack = stacks.demo_stack()
    config = yaml.safe_load(tempo.render(stack, topology.compose(stack))["tempo/tempo.yml"])
    assert config["backend_worker"]["compaction"]["block_retention"] == "48h"


def test_nothing_that_tempo_3_refuses_is_there() -> None:
    """The blocks of Tempo 2 on which Tempo 3 does not start are not written."""
    stack = stacks.demo_stack()
    config = yaml.safe_load(tempo.render(stack, topology.compose(stack))["tempo/tempo.yml"])
    assert not {"ingester", "compactor", "ingester_client", "metrics_generator_client"} & set(config)
    assert set(config["overrides"]) == {"defaults"}
    assert tempo.arguments(stack, topology.compose(stack)) == ("-target=all", "-config.file=/etc/tempo/tempo.yml")


def test_without_prometheus_no_metrics_are_made_of_spans() -> None:
    """The metrics generator is on only where there is a Prometheus to take what it makes."""
    stack = stacks.demo_stack(components=("tempo",))
    assert "metrics_generator" not in yaml.safe_load(tempo.render(stack, topology.compose(stack))["tempo/tempo.yml"])


def test_natively_it_writes_below_its_data_folder() -> None:
    """Natively every folder that Tempo writes to is below the one that the topology names."""
    stack = stacks.demo_stack()
    text = tempo.render(stack, topology.native(stack, "/run/stack"))["tempo/tempo.yml"]
    assert "/var/tempo" not in text
    assert yaml.safe_load(text)["backend_scheduler"]["local_work_path"] == "/run/stack/data/tempo/scheduler"
