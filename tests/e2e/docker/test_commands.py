"""The command line over a Docker Engine that it finds by DOCKER_HOST."""

import json
from typing import Any

import pytest

from specwatch.engines import compose
from tests.e2e.docker.clone import Clone, Engine
from tests.e2e.docker.conftest import MakeClone
from tests.e2e.project import free_ports
from tests.tools import wait_for

pytestmark = pytest.mark.docker

OFF = dict.fromkeys(("promtail", "grafana", "tempo", "blackbox", "node"), False)


@pytest.fixture(scope="module")
def cloned(make_clone: MakeClone) -> Clone:
    """Give a clone of the demo without the parts that the commands here do not touch."""
    clone = make_clone()
    clone.edit(lambda spec: spec["stack"].update(components=OFF))
    return clone


@pytest.fixture
def stack(cloned: Clone) -> Clone:
    """Give the clone with its stack up."""
    if not cloned.ids():
        cloned.specwatch("up")
    return cloned


def _rules(clone: Clone) -> dict[str, dict[str, Any]]:
    groups = clone.get("prometheus", "/api/v1/rules")["data"]["groups"]
    return {rule["name"]: rule for group in groups for rule in group["rules"]}


def _reload(clone: Clone) -> dict[str, str]:
    return {outcome["name"]: outcome["result"] for outcome in json.loads(clone.specwatch("reload", "--json"))["components"]}


def test_up_takes_docker_where_it_answers(cloned: Clone) -> None:
    """Ensure that `up` by itself chooses compose, says why, and ends with everything healthy and where it is."""
    done = cloned.try_specwatch("up")
    assert done.returncode == 0, done.stderr
    assert "Runtime: compose, because Docker answers, and every image is here." in done.stderr
    for name in ("prometheus", "alertmanager", "loki", "inbox", "shop"):
        assert cloned.url(name) in done.stdout


def test_up_with_the_runtime_named_is_harmless(stack: Clone) -> None:
    """Ensure that a second `up`, with the runtime given, changes no container."""
    before = stack.ids()
    answer = json.loads(stack.specwatch("up", "--runtime", "compose", "--json"))
    assert (answer["runtime"], answer["reason"]) == ("compose", "it was asked for")
    assert stack.ids() == before


def test_status_tells_how_each_part_does(stack: Clone) -> None:
    """Ensure that `status` leaves with 0 while all is well, names each part with its process and address, and tells of one that is down."""
    answer = json.loads(stack.specwatch("status", "--json"))
    parts = {part["name"]: part for part in answer["components"]}
    assert answer["runtime"] == "compose"
    assert set(parts) == {"prometheus", "alertmanager", "loki", "inbox", "shop", "load"}
    assert {part["state"] for part in parts.values()} == {"running"}
    assert parts["shop"]["pid"] == stack.containers()["shop"]["State"]["Pid"]
    assert parts["shop"]["url"].rstrip("/") == stack.url("shop")
    stack.compose("stop", "inbox")
    done = stack.try_specwatch("status", "--json")
    assert done.returncode == 1
    assert {part["name"]: part["state"] for part in json.loads(done.stdout)["components"]}["inbox"] == "stopped"
    stack.compose("start", "inbox")


def test_logs_shows_what_a_service_wrote(stack: Clone) -> None:
    """Ensure that the last lines are shown as they were written, and that a wrong name is answered with the right ones."""
    lines = stack.specwatch("logs", "shop", "--lines", "3").splitlines()
    assert [json.loads(line)["service"] for line in lines] == ["shop"] * 3
    wrong = stack.try_specwatch("logs", "shopp")
    assert wrong.returncode == 3
    assert "shop" in wrong.stderr.replace("shopp", "")


def test_trace_asks_loki_and_says_what_is_off(stack: Clone) -> None:
    """Ensure that under Docker, too, an id of which nothing is known leaves with 1, and that a part that is off is named."""
    done = stack.try_specwatch("trace", "f" * 32)
    assert done.returncode == 1, done.stderr
    assert "No spans: tempo is not part of the stack" in done.stderr
    assert "Nothing is known of" in done.stderr


def test_a_part_without_a_port_on_the_host_is_asked_from_inside(stack: Clone, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ensure that a path of a part that Docker does not publish, as Tempo, is answered, and so are one that is not there and no part."""
    for name, value in engine.environment.items():
        monkeypatch.setenv(name, value)
    found = compose.fetch(stack.folder, "http://loki:3100/loki/api/v1/labels")
    assert (found.status, json.loads(found.text)["status"]) == (200, "success")
    assert compose.fetch(stack.folder, "http://loki:3100/nothing").status == 404
    assert compose.fetch(stack.folder, "http://nobody:1/").status == 0


def test_reload_puts_an_edited_spec_in_force(stack: Clone) -> None:
    """Ensure that a new alert and another threshold are in the running Prometheus afterwards, and that no container was replaced."""
    before = stack.ids()

    def change(spec: dict[str, Any]) -> None:
        fails = spec["alerts"]["PaymentsFailing"]
        fails["expr"] = fails["expr"].replace("> 0.1", "> 0.35")
        spec["alerts"]["NoCarts"] = {"service": "shop", "expr": 'active_carts{job="shop"} == 0', "for": "5m", "severity": "warning"}

    stack.edit(change)
    results = _reload(stack)
    assert (results["prometheus"], results["shop"], results["loki"]) == ("reloaded", "unchanged", "unchanged")
    rules = _rules(stack)
    assert rules["PaymentsFailing"]["query"].endswith("> 0.35")
    assert (rules["NoCarts"]["duration"], rules["NoCarts"]["labels"]["severity"]) == (300, "warning")
    assert stack.ids() == before


def test_reload_replaces_what_changed_and_nothing_else(stack: Clone) -> None:
    """Ensure that another memory limit and another port make new containers of just those two parts."""
    before = stack.ids()
    port = free_ports(1)[0]
    stack.ports = {**stack.ports, "inbox-smtp": port}
    stack.edit(lambda spec: spec["stack"].update(memory={"loki": "700m"}))
    results = _reload(stack)
    assert (results["loki"], results["inbox"], results["prometheus"]) == ("restarted", "restarted", "unchanged")
    after = stack.containers()
    assert {name for name, body in after.items() if name in before and body["Id"] != before[name]} == {"loki", "inbox"}
    assert after["loki"]["HostConfig"]["Memory"] == 700 << 20
    assert after["inbox"]["NetworkSettings"]["Ports"]["1025/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": f"{port}"}]


def test_reload_takes_away_what_the_spec_has_no_more(stack: Clone) -> None:
    """Ensure that a service that was taken out of the spec is stopped and removed, and the others go on."""
    stack.edit(lambda spec: spec["services"].pop("load"))
    assert _reload(stack)["load"] == "stopped"
    assert set(stack.containers()) - {"secrets"} == {"prometheus", "alertmanager", "loki", "inbox", "shop"}
    assert set(stack.ids()) == {"prometheus", "alertmanager", "loki", "inbox", "shop"}


def test_up_refuses_files_older_than_the_spec(stack: Clone) -> None:
    """Ensure that an edit without `generate` is not passed over: `up` leaves with 2 and says what to run."""
    spec = stack.folder / "spec.yaml"
    before = spec.read_text(encoding="utf-8")
    spec.write_text(before.replace("for: 10s", "for: 20s"), encoding="utf-8")
    done = stack.try_specwatch("up")
    spec.write_text(before, encoding="utf-8")
    assert done.returncode == 2
    assert "run `specwatch generate` first" in done.stderr


def test_a_dead_engine_is_one_clear_message(cloned: Clone) -> None:
    """Ensure that with compose asked for and no engine behind DOCKER_HOST, `up` leaves with 3, the reason and the remedy."""
    done = cloned.try_specwatch("up", "--runtime", "compose", DOCKER_HOST="unix:///nowhere/docker.sock")
    assert done.returncode == 3
    assert "unix:///nowhere/docker.sock" in done.stderr
    assert "start Docker, or use `--runtime native`" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3
    assert "Traceback" not in done.stderr


def test_down_keeps_the_data_and_down_volumes_does_not(stack: Clone, engine: Engine) -> None:
    """Ensure that `down` removes the containers alone, and `down --volumes` the data of a stack that is down already."""
    stack.send("inbox", "/slack/ops", {"text": "kept"})
    name = next(iter(stack.containers().values()))["Config"]["Labels"]["com.docker.compose.project"]
    volumes = ("volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={name}")
    stack.specwatch("down")
    assert stack.containers() == {}
    assert f"{name}_inbox-data" in engine.docker(*volumes).split()
    done = stack.try_specwatch("status")
    assert done.returncode == 1
    assert "The stack is not up" in done.stdout
    stack.specwatch("down", "--volumes")
    assert engine.docker(*volumes) == ""
    wait_for("the ports to be free", lambda: stack.get("inbox", "/health") is None, 5)
