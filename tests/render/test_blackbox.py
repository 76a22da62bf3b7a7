from pathlib import Path

import pytest
import yaml

from specwatch import topology
from specwatch.render import blackbox, prometheus
from specwatch.stack import Stack
from tests import goldens, stacks, tools


def test_the_full_stack_reads_as_its_golden() -> None:
    """The file is, byte for byte, the one that a person has read and approved."""
    stack = stacks.full_stack()
    goldens.check("full", blackbox.render(stack, topology.compose(stack)))


@pytest.mark.engine
@pytest.mark.parametrize("stack", [stacks.demo_stack(), stacks.full_stack()], ids=["demo", "full"])
def test_the_exporter_accepts_what_is_rendered(stack: Stack, tmp_path: Path) -> None:
    """The blackbox exporter's own check takes the file."""
    tools.write(tmp_path, blackbox.render(stack, topology.compose(stack)))
    program = tools.program("blackbox_exporter", "prometheus-blackbox-exporter")
    tools.run(program, "--config.check", f"--config.file={tmp_path / 'blackbox/blackbox.yml'}")


def test_only_modules_that_are_used_are_there() -> None:
    """A stack that probes a TCP port has that module beside the default, and no other."""
    stack = stacks.demo_stack(probes=(stacks.probe("db", url="db.example.com:5432", module="tcp_connect"),))
    modules = yaml.safe_load(blackbox.render(stack, topology.compose(stack))["blackbox/blackbox.yml"])["modules"]
    assert modules.keys() == {"http_2xx", "tcp_connect"}


def test_every_probe_is_a_job_that_names_a_module_of_the_file() -> None:
    """Each probe's job asks the exporter for a module it has; a path is probed at the service's own address."""
    stack = stacks.full_stack()
    where = topology.native(stack, "/run/specwatch")
    modules = yaml.safe_load(blackbox.render(stack, where)["blackbox/blackbox.yml"])["modules"]
    configs = yaml.safe_load(prometheus.render(stack, where)["prometheus/prometheus.yml"])["scrape_configs"]
    jobs = {config["job_name"]: config for config in configs}
    for probe in stack.probes:
        job = jobs[prometheus.probe_job(probe)]
        assert set(job["params"]["module"]) <= modules.keys()
        assert job["relabel_configs"][-1] == {"target_label": "__address__", "replacement": "127.0.0.1:9115"}
    assert jobs["probe-shop-health"]["static_configs"][0]["targets"] == ["http://127.0.0.1:8000/health"]


def test_the_arguments_follow_the_topology() -> None:
    """The config file and the listen address are where the topology says."""
    stack = stacks.demo_stack()
    flags = ("--config.file=/etc/blackbox/blackbox.yml", "--web.listen-address=0.0.0.0:9115")
    assert blackbox.arguments(stack, topology.compose(stack)) == flags
