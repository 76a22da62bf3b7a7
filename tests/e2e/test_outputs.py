"""Every output of every spec that the tests know, under both topologies, put to the program that is to read it."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
import yaml
from msgspec import Struct
from msgspec.structs import replace

from specwatch import topology
from specwatch.names import COMPOSE_FILE
from specwatch.render import render, secrets
from specwatch.resolve import resolve
from specwatch.spec.loader import parse
from specwatch.spec.source import Source
from specwatch.stack import Stack
from specwatch.topology import Topology
from specwatch.write import write
from tests.e2e.conftest import Need
from tests.e2e.project import REPOSITORY
from tests.tools import program

pytestmark = pytest.mark.engine

TEN_LINES: Final = """\
version: 1
services:
  shop:
    metrics: {port: 8000}
    logs: {format: json}
    probe: /health
    uses: [http]
receivers:
  ops: {slack: {channel: "#ops"}}
"""
SMALL: Final = {
    "one line": "{}",
    "sampled traces in jaeger": "services: {shop: {traces: true}}\ntraces: {backend: jaeger, sampling: {ratio: 0.1}}",
    "ten lines": TEN_LINES,
    "shipper promtail": "stack: {shipper: promtail}\nservices: {a: {logs: {format: logfmt}}, b: {logs: {format: text}}}",
    "shipper otelcol": "stack: {shipper: otelcol}\nservices: {a: {logs: {format: logfmt}}, b: {logs: {format: text}}, c: {traces: true}}",
    "shipper otelcol, files": "stack: {shipper: otelcol}\nservices: {a: {logs: {format: json, files: [/var/log/a/*.log]}}}",
    "shipper alloy": "stack: {shipper: alloy}\nservices: {a: {logs: {format: logfmt}}, b: {logs: {files: [/var/log/b/*.log]}}}",
    "shipper fluentd, sinks": (
        "stack: {shipper: fluentd}\nservices: {a: {logs: {format: text}}, b: {logs: {format: json, files: [/var/log/b/*.log]}}}\n"
        "logs: {sinks: {elasticsearch: {url: 'https://search.example.com:9200', username: u, password: {secret: p}}, archive: {keep: 30d}}}"
    ),
    "fluentd beside promtail": "services: {a: {logs: {format: json, source: fluentd}}}",
    "fluentd beside otelcol": "stack: {shipper: otelcol}\nservices: {a: {logs: {format: text, source: fluentd}}}",
    "slack": 'receivers: {r: {slack: {channel: "#a", webhook: {secret: other}, send_resolved: false}}}',
    "email": (
        "stack: {smtp: {smarthost: 'mail.example.com:587', sender: a@example.com, username: u, password: {secret: p}}}\n"
        "receivers: {r: {email: {to: [a@example.com, b@example.com]}}}"
    ),
    "pagerduty": "receivers: {r: {pagerduty: {key: {secret: k}}}}",
    "webhook": "receivers: {r: {webhook: {url: 'http://hook.example.com/a'}}, s: {webhook: {url: {secret: u}, bearer: {secret: t}}}}",
    "teams": "receivers: {r: {teams: {}}}",
    "discord": "receivers: {r: {discord: {username: watch}}}",
    "telegram": "receivers: {r: {telegram: {chat_id: -100}}}",
    "opsgenie": "receivers: {r: {opsgenie: {}}}",
    "all receivers in one": (
        "receivers: {r: {slack: {channel: '#a'}, email: {to: [a@example.com]}, pagerduty: {}, webhook: {}, teams: {}, discord: {}, "
        "telegram: {chat_id: 1}, opsgenie: {}}}"
    ),
    "address": "services: {a: {metrics: {port: 9000, path: /m, interval: 5s, timeout: 2s}}}",
    "host": "services: {a: {host: host.docker.internal, metrics: {port: 9000}}}",
    "static targets": "targets: {a: {metrics: {targets: ['a.example.com:1', '[::1]:2']}}}",
    "file targets": "targets: {a: {metrics: {files: [targets/*.yml]}}}",
    "dns names": "targets: {a: {metrics: {dns: [tasks.a], port: 9100}}, b: {metrics: {dns: [b.example.com, c.example.com], port: 1}}}",
    "containers": "services: {a: {metrics: {containers: true}}, b: {metrics: {containers: true, port: 9000}}}",
    "credentials": (
        "services: {a: {metrics: {port: 1, bearer: {secret: b}}}, "
        "c: {metrics: {port: 2, scheme: https, basic: {username: u, password: {secret: p}}, "
        "tls: {ca: {secret: ca}, certificate: {secret: crt}, key: {secret: key}, server_name: c}}}}"
    ),
    "probes": "targets: {a: {probe: 'https://example.com/'}, b: {probe: 'db:5432'}}",
    "every component": "stack: {components: {cadvisor: true, fluentd: true, otelcol: true}}",
    "hardly a component": "stack: {components: {loki: false, promtail: false, tempo: false, grafana: false, node: false, blackbox: false}}",
    "log alerts": (
        "services: {a: {logs: true}}\n"
        "log_alerts: {Panics: {service: a, expr: 'sum(count_over_time({service=\"a\"} |= `panic` [5m])) > 0', for: 1m}}"
    ),
}


def _specs() -> Iterator[tuple[str, str]]:
    """Yield each spec: those that lie in the repository as files, and the small ones above."""
    for path in (
        REPOSITORY / "spec.yaml",
        *sorted((REPOSITORY / "tests").rglob("*.yaml")),
        *sorted((REPOSITORY / "examples").rglob("*.yaml")),
    ):
        text = path.read_text(encoding="utf-8")
        if "\nversion: 1\n" in f"\n{text}" and "goldens" not in path.parts:
            yield path.relative_to(REPOSITORY).as_posix(), text
    for name, text in SMALL.items():
        yield name, text if text.startswith("version") else f"version: 1\n{text if text != '{}' else ''}"


SPECS: Final = dict(_specs())


class Output(Struct, frozen=True):
    """A spec's files on the disk: `config` is the folder of the components' folders."""

    stack: Stack
    where: Topology
    config: Path
    files: Mapping[str, str]


@pytest.fixture(params=["compose", "native"])
def output(request: pytest.FixtureRequest, spec: str, tmp_path: Path) -> Output:
    """Give the files of a spec under one of the topologies; natively every path in them is there."""
    source = Source("spec.yaml", SPECS[spec])
    stack = resolve(parse(source), source)
    where = topology.native(stack, str(tmp_path)) if request.param == "native" else topology.compose(stack)
    if where.runtime == "compose" and stack.has("otelcol"):
        # The collector reads its secrets even where it only checks its configuration.
        where = replace(where, secrets={**where.secrets, "otelcol": str(tmp_path / "secrets")})
    files = render(stack, where)
    write(files, tmp_path / "config")
    if where.runtime == "native":
        for folder in (*where.data.values(), *where.secrets.values()):
            Path(folder).mkdir(parents=True, exist_ok=True)
    for copy in secrets.plan(stack, where):
        if where.runtime == "native" or copy.component == "otelcol":
            path = Path(where.secrets[copy.component]) / copy.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(copy.text or "text", encoding="utf-8")
    return Output(stack, where, tmp_path / "config", files)


def _commands(output: Output) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the component of each program that can check its files, and how it is called to do so."""
    config, has = output.config, output.stack.has
    if has("prometheus"):
        # The secrets that a container reads are not on this machine, so there the files' own form is all that is checked.
        words = ("--syntax-only",) if output.where.runtime == "compose" else ()
        yield "promtool", ("check", "config", "--lint=all", "--lint-fatal", *words, f"{config}/prometheus/prometheus.yml")
        rules = [f"{config}/{path}" for path in output.files if path.startswith("prometheus/rules/")]
        yield "promtool", ("check", "rules", "--lint=all", "--lint-fatal", *rules)
    if has("alertmanager"):
        yield "amtool", ("check-config", f"{config}/alertmanager/alertmanager.yml")
    if has("loki"):
        yield "loki", ("-verify-config", f"-config.file={config}/loki/loki.yml")
    if has("promtail"):
        yield "promtail", ("-check-syntax", f"-config.file={config}/promtail/promtail.yml")
    if has("alloy"):
        yield "alloy", ("validate", f"{config}/alloy/config.alloy")
    if has("otelcol"):
        yield "otelcol", ("validate", f"--config={config}/otelcol/otelcol.yml")
    if has("blackbox"):
        yield "blackbox", ("--config.check", f"--config.file={config}/blackbox/blackbox.yml")
    if output.where.runtime == "compose":
        yield "docker", ("compose", "--file", f"{config}/{COMPOSE_FILE}", "--profile", "*", "config", "--quiet")


@pytest.fixture(scope="session")
def checkers(need: Need) -> Mapping[str, str]:
    """Give the paths of the programs that check."""
    return need("loki", "otelcol", "blackbox") | {name: program(name) for name in ("promtool", "amtool", "promtail", "alloy", "docker")}


@pytest.mark.parametrize("spec", SPECS)
def test_every_program_accepts_what_is_rendered_for_it(output: Output, checkers: Mapping[str, str]) -> None:
    """Ensure that promtool, amtool, Loki, the shippers, the blackbox exporter and Compose find nothing wrong."""
    refused = {words: said for name, words in _commands(output) if (said := _refusal(checkers[name], words, output))}
    assert not refused, "\n".join(f"{' '.join(words)}:\n{said}" for words, said in refused.items())


@pytest.mark.parametrize("spec", ["every component", "shipper alloy"])
def test_every_program_refuses_what_is_not_for_it(output: Output, checkers: Mapping[str, str]) -> None:
    """Ensure that no program only seems to check: a file with a key that none of them knows is refused by each."""
    for path in output.files:
        if path.endswith((".yml", ".alloy")):
            (output.config / path).write_text("no_such_key: true\n", encoding="utf-8")
    assert all(_refusal(checkers[name], words, output) for name, words in _commands(output))


def _refusal(path: str, words: tuple[str, ...], output: Output) -> str:
    """Return what the program says against its files, nothing when it accepts them."""
    done = subprocess.run(
        [path, *words], cwd=output.config, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    return f"exit code {done.returncode}: {done.stdout}{done.stderr}" if done.returncode else ""


@pytest.mark.parametrize("spec", SPECS)
def test_every_file_is_one_document(output: Output) -> None:
    """Ensure that each YAML and JSON file reads back as exactly one document."""
    for path, text in output.files.items():
        if path.endswith((".yml", ".yaml")):
            assert len(list(yaml.safe_load_all(text))) == 1, path
        elif path.endswith(".json"):
            json.loads(text)
