"""The programs that scripts/engines builds in a form of their own: that they do what their vendors' do."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from specwatch.textio import dump_yaml
from tests.tools import free_port, program, run, wait_for, write

pytestmark = pytest.mark.engine


class Promtail:
    """A Promtail in `folder` that prints the lines of `folder`/app.log with their labels instead of sending them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()

    def configure(self, *stages: dict[str, Any], **labels: str) -> Path:
        """Write its configuration: the stages and the labels of every line."""
        config = {
            "server": {
                "http_listen_address": "127.0.0.1",
                "http_listen_port": self.port,
                "grpc_listen_address": "127.0.0.1",
                "grpc_listen_port": 0,
                "log_level": "warn",
                "enable_runtime_reload": True,
                "health_check_target": False,
            },
            "positions": {"filename": f"{self.folder}/positions.yml"},
            "clients": [{"url": "http://127.0.0.1:9/loki/api/v1/push"}],
            "scrape_configs": [
                {
                    "job_name": "app",
                    "static_configs": [{"targets": ["localhost"], "labels": {"__path__": f"{self.folder}/app.log", **labels}}],
                    "pipeline_stages": list(stages),
                }
            ],
        }
        return write(self.folder, {"promtail.yml": dump_yaml(config)}) / "promtail.yml"

    def log(self, text: str) -> None:
        """Append a line to the file that it reads."""
        with (self.folder / "app.log").open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")

    def printed(self) -> str:
        """Return what it has printed."""
        return (self.folder / "promtail.out").read_text(encoding="utf-8", errors="replace")

    def ready(self) -> bool:
        """Return whether it says that it is ready."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, ConnectionError):
            return False

    @contextmanager
    def running(self) -> Iterator["subprocess.Popen[bytes]"]:
        """Run it, and end it when it has not ended by itself."""
        command = [program("promtail"), f"-config.file={self.folder}/promtail.yml", "-dry-run"]
        with (self.folder / "promtail.out").open("wb") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT) as process:
            try:
                wait_for("Promtail is ready", self.ready)
                yield process
            finally:
                process.kill()


def test_promtail_takes_a_changed_file_when_told(tmp_path: Path) -> None:
    """Ensure that lines pass the pipeline, that /reload and SIGHUP read the configuration anew, and that SIGTERM ends it well."""
    promtail = Promtail(tmp_path)
    promtail.configure(service="first")
    promtail.log("one")
    with promtail.running() as process:
        wait_for("the line", lambda: 'service="first"}' in promtail.printed() and "one" in promtail.printed())
        promtail.configure({"replace": {"expression": "(two)", "replace": "zwei"}}, service="second")
        urlopen(Request(f"http://127.0.0.1:{promtail.port}/reload", method="POST"), timeout=10).close()
        promtail.log("two")
        wait_for("the line as the changed file says", lambda: "zwei" in promtail.printed())
        promtail.configure(service="third")
        process.send_signal(signal.SIGHUP)
        promtail.log("three")
        wait_for("the line's third label", lambda: 'service="third"}' in promtail.printed())
        process.terminate()
        assert process.wait(20) == 0


def test_promtail_checks_what_a_pipeline_says(tmp_path: Path) -> None:
    """Ensure that -check-syntax builds the pipelines, and names the stage that cannot be built."""
    promtail = Promtail(tmp_path)
    run(program("promtail"), "-check-syntax", f"-config.file={promtail.configure({'labels': {'level': None}})}")
    bad = promtail.configure({"regex": {"expression": "(?P<level>"}})
    done = subprocess.run([program("promtail"), "-check-syntax", f"-config.file={bad}"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'scrape config "app": invalid regex stage config' in done.stderr


def test_the_collector_has_every_part_that_a_pipeline_may_name(tmp_path: Path) -> None:
    """Ensure that the collector takes a configuration with every processor, connector and exporter that it was built with."""
    otlp = {"endpoint": "127.0.0.1:9"}
    config = {
        "receivers": {
            "otlp": {"protocols": {"grpc": otlp, "http": otlp}},
            "file_log": {"include": [f"{tmp_path}/*.log"]},
            "fluentforward": {"endpoint": "127.0.0.1:9"},
        },
        "processors": {
            "memory_limiter": {"check_interval": "1s", "limit_mib": 100},
            "batch": {},
            "attributes": {"actions": [{"key": "a", "action": "delete"}]},
            "resource": {"attributes": [{"key": "a", "action": "delete"}]},
            "groupbyattrs": {"keys": ["level"]},
            "filter": {"log_conditions": ["log.body == nil"]},
            "probabilistic_sampler": {"sampling_percentage": 10},
            "transform": {},
            "tail_sampling": {"policies": [{"name": "all", "type": "always_sample"}]},
        },
        "connectors": {
            "forward": {},
            "routing": {"default_pipelines": ["logs/out"], "table": [{"statement": "route()", "pipelines": ["logs/out"]}]},
            "spanmetrics": {},
            "servicegraph": {},
        },
        "exporters": {
            "debug": {},
            "file": {"path": f"{tmp_path}/archive.json"},
            "otlp_grpc": otlp,
            "otlp_http": {"endpoint": "http://127.0.0.1:9"},
            "prometheus": otlp,
            "prometheusremotewrite": {"endpoint": "http://127.0.0.1:9/api/v1/write"},
        },
        "extensions": {"health_check": otlp, "file_storage": {"directory": str(tmp_path)}},
    }
    config["service"] = {
        "extensions": list(config["extensions"]),
        "pipelines": {
            "logs/in": {
                "receivers": ["otlp", "file_log", "fluentforward"],
                "processors": ["memory_limiter", "attributes", "resource", "groupbyattrs", "filter", "transform", "batch"],
                "exporters": ["routing", "forward"],
            },
            "logs/out": {"receivers": ["routing", "forward"], "exporters": ["file", "debug"]},
            "traces": {
                "receivers": ["otlp"],
                "processors": ["tail_sampling", "probabilistic_sampler"],
                "exporters": ["otlp_grpc", "otlp_http", "spanmetrics", "servicegraph"],
            },
            "metrics": {"receivers": ["spanmetrics", "servicegraph"], "exporters": ["prometheus", "prometheusremotewrite"]},
        },
    }
    file = write(tmp_path, {"otelcol.yml": dump_yaml(config)}) / "otelcol.yml"
    run(program("otelcol"), "validate", f"--config={file}")


def test_alloy_finds_what_is_wrong_in_a_pipeline(tmp_path: Path) -> None:
    """Ensure that Alloy brings a file into its form, takes one that is right, and says where another is wrong."""
    good = (
        'local.file_match "app" { path_targets = [{"__path__" = "/var/log/app.log"}] }\n'
        'loki.source.file "app" {\n targets = local.file_match.app.targets\n forward_to = [loki.process.app.receiver]\n}\n'
        'loki.process "app" {\n stage.json { expressions = {level = ""} }\n forward_to = [loki.write.app.receiver]\n}\n'
        'loki.write "app" { endpoint { url = "http://127.0.0.1:9/loki/api/v1/push" } }\n'
    )
    write(tmp_path, {"good.alloy": good, "bad.alloy": good.replace("stage.json", "stage.jason")})
    assert "\n\ttargets    = local.file_match.app.targets\n" in run(program("alloy"), "fmt", tmp_path / "good.alloy")
    run(program("alloy"), "validate", tmp_path / "good.alloy")
    done = subprocess.run([program("alloy"), "validate", tmp_path / "bad.alloy"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'bad.alloy:7:2: unrecognized block name "stage.jason"' in done.stderr
