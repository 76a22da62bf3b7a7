"""The user's application beside the stack in the three ways of the README, and its lines in Loki through the collector."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final
from urllib.parse import quote

import pytest
import yaml
from prometheus_client import CollectorRegistry, Counter, start_http_server

from specwatch.names import COMPOSE_FILE
from tests.e2e.docker.clone import Clone, Engine
from tests.e2e.docker.conftest import MakeClone
from tests.tools import wait_for

pytestmark = pytest.mark.docker

# What the README asks of a container: the label, and the option that puts it beside each log line.
APPLICATION: Final = {"image": "specwatch/shop:local", "logging": {"driver": "json-file", "options": {"labels": "specwatch.service"}}}
OFF: Final = dict.fromkeys(("grafana", "tempo", "blackbox", "node"), False)
INCLUDING: Final = "compose.yaml"
SECOND: Final = "worker.yaml"


def _application(service: str, **more: object) -> dict[str, Any]:
    return {**APPLICATION, "labels": {"specwatch.service": service}, **more}


@pytest.fixture(scope="module")
def backend(engine: Engine) -> Iterator[str]:
    """Give a network that was there before the stack, with another project's container `partner` in it."""
    engine.docker("network", "create", "backend")
    label, log = "specwatch.service=partner", "labels=specwatch.service"
    words = (
        "run",
        "--detach",
        "--name",
        "partner",
        "--network",
        "backend",
        "--label",
        label,
        "--log-driver",
        "json-file",
        "--log-opt",
        log,
    )
    engine.docker(*words, str(APPLICATION["image"]))
    yield "backend"
    engine.docker("rm", "--force", "partner")


@pytest.fixture(scope="module")
def legacy(engine: Engine) -> Iterator[int]:
    """Give the port of a program of the host's that listens where containers reach it: on the bridge, not on 127.0.0.1."""
    registry = CollectorRegistry()
    Counter("letters", "Letters sent.", registry=registry).inc(3)
    with closing(socket.socket()) as probe:
        probe.bind((engine.gateway, 0))
        port: int = probe.getsockname()[1]
    server, thread = start_http_server(port, engine.gateway, registry)
    yield port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def joined(make_clone: MakeClone, backend: str, legacy: int) -> Clone:
    """Give a stack that the application's own file includes, beside `api` in it, `partner` of a shared network and `legacy` on the host."""
    clone = make_clone()
    json_logs = {"logs": {"format": "json"}}
    clone.write_spec(
        {
            "version": 1,
            "stack": {"shipper": "otelcol", "network": backend, "components": OFF},
            "services": {
                "api": {"metrics": {"port": 8000}, **json_logs},
                "partner": {"metrics": {"port": 8000}, **json_logs},
                "legacy": {"host": "host.docker.internal", "metrics": {"port": legacy}},
                "worker": {"metrics": {"port": 8000}},
            },
            "receivers": {"ops": {"slack": {"channel": "#ops"}}},
        }
    )
    # Without the name, compose would call the project after its folder, and our commands would look for another.
    api = _application("api", ports=[f"127.0.0.1:{clone.ports['shop']}:8000"])
    own = {"name": f"shop{clone.ports['shop']}", "include": [COMPOSE_FILE], "services": {"api": api}}
    (clone.folder / INCLUDING).write_text(yaml.safe_dump(own), encoding="utf-8")
    (clone.folder / SECOND).write_text(yaml.safe_dump({"services": {"worker": _application("worker")}}), encoding="utf-8")
    clone.up(files=(INCLUDING,))
    return clone


def test_an_application_that_includes_the_stack_is_watched(joined: Clone) -> None:
    """Ensure that one `up` starts both, and that Prometheus reaches the application there, in a network made before, and on the host."""
    wait_for("the three targets", lambda: set(_up(joined)) == {"api", "partner", "legacy"}, 45)
    answer = joined.get("prometheus", f"/api/v1/query?query={quote('letters_total')}")
    assert [(series["metric"]["service"], series["value"][1]) for series in answer["data"]["result"]] == [("legacy", "3")]


def _up(clone: Clone) -> list[str]:
    return [name for name, target in clone.targets().items() if name in {"api", "partner", "legacy", "worker"} and target["health"] == "up"]


@pytest.mark.parametrize("service", ["api", "partner"])
def test_the_lines_of_a_container_are_in_loki(joined: Clone, service: str) -> None:
    """Ensure that the collector ships what an application's container writes, whoever started it, labelled service and level alone."""
    stream = wait_for(f"lines of {service}", lambda: next(iter(_lines(joined, f'{{service="{service}"}}')), None), 45)
    assert set(stream["stream"]) == {"service", "level"}


def test_a_line_is_found_by_its_trace_id(joined: Clone) -> None:
    """Ensure that a failed request's line is in Loki with its trace_id beside it, and the line is what the application wrote."""
    cart = joined.send("shop", "/cart", {"product": "mug", "quantity": 1})["cart"]
    trace_id = f"{0xC0FFEE:032x}"
    joined.send("shop", "/checkout", {"cart": cart}, traceparent=f"00-{trace_id}-{1:016x}-01")
    selector = f'{{service="api"}} | trace_id="{trace_id}"'
    stream = wait_for("the line in Loki", lambda: next(iter(_lines(joined, selector)), None), 30)
    _, line, beside = stream["values"][0]
    assert json.loads(line)["trace_id"] == trace_id
    assert beside["structuredMetadata"]["trace_id"] == trace_id


def _lines(clone: Clone, selector: str) -> list[dict[str, Any]]:
    """Return the streams that a selector finds; their labels are those of the stream alone."""
    headers = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
    answer = clone.get("loki", f"/loki/api/v1/query_range?query={quote(selector)}", **headers)
    found: list[dict[str, Any]] = answer["data"]["result"] if answer else []
    return found


def test_an_application_in_a_second_file_is_watched(joined: Clone) -> None:
    """Ensure that a file given beside ours adds its containers to the running project and changes no other."""
    before = joined.ids()
    joined.up(files=(COMPOSE_FILE, SECOND))
    assert joined.ids() == {**before, "worker": joined.ids()["worker"]}
    joined.wait_up("api", "partner", "legacy", "worker")


def test_the_commands_leave_the_users_containers_alone(joined: Clone) -> None:
    """Ensure that `up`, `reload` and `down` neither stop nor remove containers of the same project that came from the user's own files."""
    before = joined.ids()
    joined.specwatch("reload")
    joined.specwatch("up")
    assert joined.ids() == before
    joined.specwatch("down")
    assert set(joined.ids()) == {"api", "worker"}
