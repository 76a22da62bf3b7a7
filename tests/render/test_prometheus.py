import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import msgspec
import pytest
import yaml

from specwatch import topology
from specwatch.render import prometheus, rules
from specwatch.stack import Job, Stack
from tests import goldens, stacks, tools

STACKS = {"demo": stacks.demo_stack, "full": stacks.full_stack, "hostile": stacks.hostile_stack}


def config_of(stack: Stack) -> Any:
    """Return the configuration as Prometheus reads it under compose."""
    return yaml.safe_load(prometheus.render(stack, topology.compose(stack))["prometheus/prometheus.yml"])


def job_of(job: Job) -> Any:
    """Return the scrape configuration of one job in the demo stack."""
    return config_of(stacks.demo_stack(jobs=(job,), probes=()))["scrape_configs"][0]


def test_the_demo_and_the_full_stack_read_as_their_goldens() -> None:
    """The file is, byte for byte, the one that a person has read and approved."""
    for name in ("demo", "full"):
        stack = STACKS[name]()
        goldens.check(name, prometheus.render(stack, topology.compose(stack)))


@pytest.mark.engine
@pytest.mark.parametrize("name", STACKS)
def test_promtool_accepts_what_is_rendered_for_native_processes_with_all_its_files(name: str, tmp_path: Path) -> None:
    """Promtool loads the configuration, the rule files that its patterns find and every secret file it names."""
    stack = STACKS[name]()
    where = topology.native(stack, str(tmp_path))
    tools.write(tmp_path / "config", prometheus.render(stack, where) | rules.render(stack, where))
    secrets = ("legacy_password", "legacy_ca", "legacy_cert", "legacy_key", "batch_token")
    tools.write(tmp_path / "secrets/prometheus", dict.fromkeys(secrets, "x"))
    said = tools.run(tools.program("promtool"), "check", "config", tmp_path / "config/prometheus/prometheus.yml")
    assert "2 rule files found" in said


@pytest.mark.engine
@pytest.mark.parametrize("name", STACKS)
def test_promtool_accepts_what_is_rendered_for_compose(name: str, tmp_path: Path) -> None:
    """Promtool finds no fault in the syntax of the configuration whose files only exist in containers."""
    stack = STACKS[name]()
    tools.write(tmp_path, prometheus.render(stack, topology.compose(stack)))
    tools.run(tools.program("promtool"), "check", "config", "--syntax-only", tmp_path / "prometheus/prometheus.yml")


def test_every_job_has_the_labels_of_its_owner() -> None:
    """Each way to find targets gives them the labels `service` and `team`; a component's is its own name."""
    for config in config_of(stacks.full_stack())["scrape_configs"]:
        labels: dict[str, str] = {}
        for group in config.get("static_configs", ()):
            labels |= group["labels"]
        labels |= {rule["target_label"]: rule["replacement"] for rule in config.get("relabel_configs", ()) if "replacement" in rule}
        assert labels["service"]
        assert labels["team"]
        assert "-metrics" not in labels["service"]


def test_secrets_are_files_below_prometheus_own_folder() -> None:
    """Passwords, tokens and keys are named by the file that holds them."""
    basic, bearer = (next(job for job in stacks.full_jobs() if job.name == name) for name in ("legacy", "batch"))
    assert job_of(basic)["basic_auth"] == {"username": "scraper", "password_file": "/run/secrets/legacy_password"}
    assert job_of(basic)["tls_config"] == {
        "ca_file": "/run/secrets/legacy_ca",
        "cert_file": "/run/secrets/legacy_cert",
        "key_file": "/run/secrets/legacy_key",
        "server_name": "legacy.internal",
    }
    assert job_of(bearer)["authorization"] == {"type": "Bearer", "credentials_file": "/run/secrets/batch_token"}


def test_a_metrics_port_of_its_own_is_scraped() -> None:
    """A service whose metrics are on another port than its pages is scraped there."""
    job = Job(name="shop", owner="shop", team="web", discovery="address", port=9102)
    assert job_of(job)["static_configs"][0]["targets"] == ["shop:9102"]


def test_the_flags_say_where_data_lies_and_how_long_it_stays() -> None:
    """Retention by time and by size, the listen address and the remote-write receiver follow from the stack."""
    stack = stacks.demo_stack(retention=msgspec.structs.replace(stacks.demo_stack().retention, metrics_size="10GB"))
    flags = prometheus.arguments(stack, topology.compose(stack))
    assert flags == (
        "--config.file=/etc/prometheus/prometheus.yml",
        "--storage.tsdb.path=/prometheus",
        "--storage.tsdb.retention.time=15d",
        "--storage.tsdb.retention.size=10GB",
        "--web.listen-address=0.0.0.0:9090",
        "--web.external-url=http://127.0.0.1:9090/",
        "--web.enable-lifecycle",
        "--enable-feature=exemplar-storage",
        "--web.enable-remote-write-receiver",
    )
    alone = stacks.demo_stack(components=("prometheus",))
    assert "--web.enable-remote-write-receiver" not in prometheus.arguments(alone, topology.compose(alone))


def test_a_stack_without_alertmanager_or_blackbox_asks_for_neither() -> None:
    """What is off is not mentioned."""
    config = config_of(stacks.demo_stack(components=("prometheus",), jobs=()))
    assert "alerting" not in config
    assert config["scrape_configs"] == []


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of a Prometheus that runs a stack of hostile text and scrapes an exporter of this test."""
    program = tools.program("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    exporter = ThreadingHTTPServer(("127.0.0.1", 0), _Exporter)
    threading.Thread(target=exporter.serve_forever, daemon=True).start()
    port = tools.free_port()
    stack = _live_stack(port, exporter.server_address[1])
    where = topology.native(stack, str(folder))
    files = prometheus.render(stack, where) | rules.render(stack, where)
    tools.write(folder / "config", files | _containers(files["prometheus/prometheus.yml"], exporter.server_address[1]))
    url = f"http://127.0.0.1:{port}"
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen((program, *prometheus.arguments(stack, where)), stdout=log, stderr=log) as process,
    ):
        try:
            tools.wait_for(f"Prometheus ({folder}/log)", lambda: process.poll() is None and _ask(url, "targets"), 30)
            yield url
        finally:
            process.terminate()
            process.wait(20)
            exporter.shutdown()
            exporter.server_close()


class _Exporter(BaseHTTPRequestHandler):
    """Answers without a Content-Type, as small exporters do."""

    def do_GET(self) -> None:  # http.server's name for it
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"demo_metric 1\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _live_stack(port: int, exporter: int) -> Stack:
    hostile = stacks.hostile_stack()
    labels = hostile.jobs[0].labels
    return stacks.demo_stack(
        ports=stacks.ports() | {"prometheus": port},
        components=("prometheus",),
        scrape_interval_seconds=1,
        evaluation_interval_seconds=1,
        external_labels=labels,
        jobs=(
            Job(name="static", owner="shop", team="web", discovery="static", targets=(f"127.0.0.1:{exporter}",), labels=labels),
            Job(name="containers", owner="shop", team="web", discovery="containers", port=9, labels=labels),
        ),
        alerts=tuple(msgspec.structs.replace(alert, expr="vector(1)", for_seconds=0) for alert in hostile.alerts),
        recording_rules=(),
    )


def _containers(text: str, port: int) -> dict[str, str]:
    """Return the configuration with Docker's discovery replaced by a file that says what Docker would."""
    config = yaml.safe_load(text)
    del config["scrape_configs"][1]["docker_sd_configs"]
    config["scrape_configs"][1]["file_sd_configs"] = [{"files": ["docker.json"]}]
    meta = {"__meta_docker_network_ip": "127.0.0.1", "__meta_docker_container_name": "/shop-1"}
    exposed = [
        {"targets": [f"127.0.0.1:{each}"], "labels": meta | {"__meta_docker_container_label_specwatch_port": str(port)}}
        for each in (80, 443)
    ]
    unlabelled = {"targets": ["127.0.0.1:80"], "labels": meta | {"__meta_docker_container_name": "/shop-2"}}
    return {"prometheus/prometheus.yml": yaml.safe_dump(config), "prometheus/docker.json": json.dumps([*exposed, unlabelled])}


def _ask(url: str, what: str) -> Any:
    try:
        with urlopen(f"{url}/api/v1/{what}", timeout=5) as answer:
            return json.load(answer)["data"]
    except (URLError, ConnectionError):
        return None


def _targets(url: str, job: str) -> list[Any]:
    return [each for each in _ask(url, "targets")["activeTargets"] if each["labels"]["job"] == job]


@pytest.mark.engine
def test_a_target_without_content_type_is_up_and_has_exactly_its_labels(running: str) -> None:
    """Prometheus scrapes it, and every label value reads back as it was given, an empty one as none."""
    (target,) = tools.wait_for("a scrape", lambda: [each for each in _targets(running, "static") if each["health"] == "up"])
    labels = {name: text for name, text in target["labels"].items() if name.startswith("label_")}
    assert labels == {f"label_{n}": text for n, text in enumerate(stacks.HOSTILE) if text}


@pytest.mark.engine
def test_a_container_is_one_target_at_its_labelled_port(running: str) -> None:
    """Several exposed ports make one target; the container's own port label wins over the job's; labels arrive unharmed."""
    targets = {each["labels"]["instance"]: each for each in _targets(running, "containers")}
    assert targets.keys() == {"shop-1", "shop-2"}
    assert targets["shop-2"]["scrapeUrl"] == "http://127.0.0.1:9/metrics"
    assert targets["shop-1"]["scrapeUrl"] != targets["shop-2"]["scrapeUrl"]
    labels = {name: text for name, text in targets["shop-1"]["labels"].items() if name.startswith("label_")}
    assert labels == {f"label_{n}": text for n, text in enumerate(stacks.HOSTILE) if text}


@pytest.mark.engine
def test_an_alert_carries_its_text_unharmed(running: str) -> None:
    """Labels and annotations of a firing alert are what the stack says, whatever characters they have."""
    wanted = {f"Hostile{n}": text for n, text in enumerate(stacks.HOSTILE) if text}
    firing = tools.wait_for("alerts", lambda: _firing(running, len(stacks.HOSTILE)))
    for name, text in wanted.items():
        assert firing[name]["annotations"]["summary"] == firing[name]["annotations"]["description"] == text
        assert firing[name]["labels"]["note"] == firing[name]["annotations"]["more"] == text
        assert firing[name]["annotations"]["value"] == "1"
    assert firing["Hostile1"]["annotations"].keys() == {"runbook_url", "dashboard_url", "value"}


def _firing(url: str, number: int) -> dict[str, Any] | None:
    alerts = {each["labels"]["alertname"]: each for each in _ask(url, "alerts")["alerts"]}
    return alerts if len(alerts) == number else None


@pytest.mark.engine
def test_external_labels_are_not_expanded(running: str) -> None:
    """A dollar sign in an external label stands for itself; the program is asked for what it runs."""
    config = yaml.safe_load(_ask(running, "status/config")["yaml"])
    labels = {name: text for name, text in config["global"]["external_labels"].items() if name.startswith("label_")}
    assert labels == {f"label_{n}": text for n, text in enumerate(stacks.HOSTILE)}
