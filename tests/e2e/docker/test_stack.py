"""The committed compose file on a fresh clone, through plain `docker compose` alone: nothing prepared, no Python."""

import os
import signal
import socket
import stat
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
import yaml

from specwatch.names import COMPOSE_FILE
from tests.commandline import ROOT, specwatch
from tests.e2e.docker.clone import Clone, Engine
from tests.e2e.docker.conftest import MakeClone, default_ports_are_free
from tests.tools import wait_for

pytestmark = pytest.mark.docker

MESSAGE_SECONDS: Final = 60
RESOLVED_SECONDS: Final = 180
ORDERS: Final = 'sum(orders_total{job="shop",status="paid"}) > 0'
PASSWORD: Final = "grafana_admin_password"  # noqa: S105 - the name of a file
# All that a container may have beyond the common settings, by service: root, capabilities, and folders of the host (True: writable).
GRANTS: Final[dict[str, dict[str, Any]]] = {
    "secrets": {"user": "0:0", "capabilities": ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER"], "folders": {"/secrets": True}},
    "promtail": {"user": "0:0", "folders": {"/var/lib/docker/containers": False}},
    "node": {"folders": {"/host": False}},
}
# Their images hold no shell, so nothing can be tried from within.
SHELLS: Final = ("prometheus", "alertmanager", "promtail", "tempo", "grafana", "blackbox", "node", "shop")


@pytest.fixture(scope="module")
def cloned(make_clone: MakeClone) -> Clone:
    """Give a fresh clone: with the committed file as it is where its ports are free, otherwise with other ports."""
    return make_clone(committed=default_ports_are_free())


@pytest.fixture
def stack(cloned: Clone) -> Clone:
    """Give the clone with its stack up: started once, and again only after a test that stopped it."""
    if not cloned.ids():
        cloned.up()
    return cloned


@pytest.fixture(scope="module")
def incident(cloned: Clone) -> tuple[dict[str, Any], dict[str, Any]]:
    """Break the shop over HTTP, wait for the Slack message and the e-mail, mend it, and give both."""
    cloned.up()
    cloned.send("shop", "/faults", {"errors": {"/checkout": 0.6}})
    messages = wait_for("both messages", lambda: _both(cloned, "firing"), MESSAGE_SECONDS)
    cloned.send("shop", "/faults", {}, method="DELETE")
    return messages


def _both(clone: Clone, status: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    slack, mail = (
        [message for message in clone.messages(kind=kind, status=status) if "of the payments fail" in message["title"]]
        for kind in ("slack", "mail")
    )
    return (slack[0], mail[0]) if slack and mail else None


def _kernel_says(body: dict[str, Any]) -> dict[str, str]:
    text = Path(f"/proc/{body['State']['Pid']}/status").read_text(encoding="utf-8")
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def test_the_committed_files_are_what_the_spec_makes(tmp_path: Path) -> None:
    """Ensure that the compose file in the repository, and all that it mounts, is byte for byte what `specwatch generate` makes."""
    done = specwatch("generate", "--file", ROOT / "spec.yaml", "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    made = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file() and path.name != "specwatch.lock"}
    assert Path(COMPOSE_FILE) in made
    assert [str(path) for path in made if (tmp_path / path).read_bytes() != (ROOT / path).read_bytes()] == []


def test_one_command_starts_everything(stack: Clone) -> None:
    """Ensure that on a clone where nothing is prepared `up --wait` ends well, with every container healthy."""
    found = stack.containers()
    assert {"prometheus", "alertmanager", "loki", "promtail", "tempo", "grafana", "blackbox", "node", "inbox", "shop"} <= set(found)
    health = {name: body["State"]["Health"]["Status"] for name, body in found.items() if "Health" in body["State"]}
    assert set(health.values()) == {"healthy"}
    assert set(found) - set(health) == {"secrets", "load"}
    assert (found["secrets"]["State"]["Status"], found["secrets"]["State"]["ExitCode"]) == ("exited", 0)
    assert found["load"]["State"]["Running"]
    assert [name for name, body in found.items() if body["RestartCount"]] == []


@pytest.mark.parametrize("kind", ["slack", "mail"])
def test_a_fault_reaches_a_person(incident: tuple[dict[str, Any], dict[str, Any]], stack: Clone, kind: str) -> None:
    """Ensure that within a minute a message says what is wrong, and links the dashboard and the runbook."""
    message = incident[0] if kind == "slack" else incident[1]
    assert "critical shop:" in message["title"]
    links = {link["url"] for link in message["links"]}
    assert {stack.url("grafana", "/d/svc-shop"), "https://example.com/runbooks/payments-failing"} <= links
    assert message["to"] == ("#ops" if kind == "slack" else "oncall@example.com")


def test_a_second_up_is_harmless(stack: Clone) -> None:
    """Ensure that `up` on a running stack leaves every container, and the password, as it is."""
    before, password = stack.ids(), (stack.folder / "secrets" / PASSWORD).read_bytes()
    stack.up()
    assert stack.ids() == before
    assert (stack.folder / "secrets" / PASSWORD).read_bytes() == password


def test_the_password_is_a_secret(stack: Clone, engine: Engine) -> None:
    """Ensure that Grafana's password is made for this clone, is its owner's alone, and stands in no file, setting or log."""
    file = stack.folder / "secrets" / PASSWORD
    password = file.read_text(encoding="utf-8")
    assert len(password) == 32
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)
    assert file.stat().st_uid == stack.folder.stat().st_uid
    said = [stack.compose("config"), stack.compose("logs"), str(stack.containers())]
    said += [engine.docker("image", "inspect", body["Image"]) for body in stack.containers().values()]
    assert [text for text in said if password in text] == []
    others = [path for path in stack.folder.rglob("*") if path.is_file() and path != file]
    assert [path for path in others if password.encode() in path.read_bytes()] == []
    assert stack.compose("exec", "grafana", "cat", f"/run/secrets/{PASSWORD}") == password


def test_every_target_is_scraped(stack: Clone) -> None:
    """Ensure that Prometheus reaches each part and the shop, and that the shop's own metrics are there."""
    stack.wait_up("shop", "probe-shop", "prometheus", "alertmanager", "loki", "blackbox", "node", "inbox")
    found = wait_for("the shop's orders", lambda: _query(stack, ORDERS, time.time()), 30)
    assert found


def _query(clone: Clone, expr: str, at: float) -> list[Any]:
    answer = clone.get("prometheus", f"/api/v1/query?query={quote(expr)}&time={at}")
    found: list[Any] = answer["data"]["result"] if answer else []
    return found


def test_ports_are_published_on_loopback_alone(stack: Clone, engine: Engine) -> None:
    """Ensure that each published port is bound to 127.0.0.1, answers there, and refuses at another address of this machine."""
    bound = [
        (address["HostIp"], int(address["HostPort"]))
        for body in stack.containers().values()
        for addresses in (body["NetworkSettings"]["Ports"] or {}).values()
        for address in addresses or ()
    ]
    assert sorted(bound) == sorted(("127.0.0.1", port) for port in stack.ports.values())
    for _, port in bound:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((engine.gateway, port), timeout=5).close()


def test_every_container_has_its_limits(stack: Clone) -> None:
    """Ensure that the engine took what the compose file says: limits, log rotation, no new rights, nothing of the host's."""
    for name, body in stack.containers().items():
        host = body["HostConfig"]
        assert host["CapDrop"] == ["ALL"], name
        assert host["ReadonlyRootfs"], name
        assert host["SecurityOpt"] == ["no-new-privileges:true"], name
        assert 0 < host["Memory"] <= 1 << 30, name
        assert 0 < host["PidsLimit"] <= 512, name
        assert host["LogConfig"] == {
            "Type": "json-file",
            "Config": {"labels": "specwatch.service", "max-file": "3", "max-size": "10m"},
        }, name
        assert not any(host.get(key) for key in ("Privileged", "Devices", "GroupAdd", "Sysctls", "PidMode", "UTSMode", "UsernsMode")), name
        assert host["IpcMode"] == "private", name


def test_grants_are_those_of_the_table(stack: Clone) -> None:
    """Ensure that root, capabilities and folders of the host are given to the three that need them, and that the file says why."""
    granted = {}
    for name, body in stack.containers().items():
        user, capabilities = body["Config"]["User"], sorted(body["HostConfig"]["CapAdd"] or ())
        folders = {mount["Destination"]: mount["RW"] for mount in body["Mounts"] if mount["Type"] == "bind"}
        # A part's own generated files are no grant.
        own = {mount["Destination"] for mount in body["Mounts"] if _is_generated(stack, mount) and not mount["RW"]}
        found = {"user": user if user.startswith("0") else "", "capabilities": capabilities}
        found["folders"] = {path: writable for path, writable in folders.items() if path not in own}
        if any(found.values()):
            granted[name] = {key: value for key, value in found.items() if value}
    assert granted == GRANTS
    services = yaml.safe_load((stack.folder / COMPOSE_FILE).read_text(encoding="utf-8"))["services"]
    assert all(services[name]["x-reason"] for name in granted)


def _is_generated(clone: Clone, mount: dict[str, Any]) -> bool:
    return Path(mount["Source"]).is_relative_to(clone.folder) and Path(mount["Source"]).name != "secrets"


def test_rights_are_really_dropped(stack: Clone) -> None:
    """Ensure that the kernel gives no process a capability or a way to one, and a root file system that cannot be written."""
    for name, body in stack.containers().items():
        if body["State"]["Running"]:
            status = _kernel_says(body)
            assert {int(status[key], 16) for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}, name
            assert status["NoNewPrivs"] == "1", name
            assert set(status["Uid"].split()) == {body["Config"]["User"].partition(":")[0]}, name
            mounts = Path(f"/proc/{body['State']['Pid']}/mountinfo").read_text(encoding="utf-8").splitlines()
            root = next(line.split() for line in mounts if line.split()[4] == "/")
            assert "ro" in root[5].split(","), name


@pytest.mark.parametrize("name", SHELLS)
def test_nothing_can_be_written_to_the_root(stack: Clone, name: str) -> None:
    """Ensure that a command inside a container can write neither to its root nor to its configuration."""
    for path in ("/written", "/etc/written"):
        done = stack.try_compose("exec", name, "touch", path)
        assert done.returncode != 0
        assert "Read-only file system" in done.stderr + done.stdout


def test_the_end_of_a_fault_reaches_the_same_people(incident: tuple[dict[str, Any], dict[str, Any]], stack: Clone) -> None:
    """Ensure that after the fault a resolved message follows on both ways."""
    slack, mail = wait_for("the resolved messages", lambda: _both(stack, "resolved"), RESOLVED_SECONDS)
    assert (slack["to"], mail["to"]) == (incident[0]["to"], incident[1]["to"])


def test_what_is_killed_comes_back(stack: Clone) -> None:
    """Ensure that parts that are killed are started anew by the engine, and are healthy again without anybody's help."""
    names = ("prometheus", "alertmanager", "loki", "inbox", "shop")
    before = stack.containers()
    assert all(before[name]["State"]["Pid"] > 1 for name in names)
    for name in names:
        # From outside, as the kernel does when memory is short: `docker kill` means that it is to stay down.
        os.kill(before[name]["State"]["Pid"], signal.SIGKILL)

    def back() -> bool:
        now = stack.containers()
        return all(
            now[name]["RestartCount"] > before[name]["RestartCount"] and now[name]["State"]["Health"]["Status"] == "healthy"
            for name in names
        )

    wait_for("all of them to be healthy again", back, 60)
    stack.wait_up("shop", *names)


def _stored(clone: Clone) -> float:
    """Return a time of which the orders are known, and for which no scrape is under way any more; 0 when there is none yet."""
    then = time.time() - 5
    return then if _query(clone, ORDERS, then) else 0.0


def test_data_outlive_down(stack: Clone) -> None:
    """Ensure that a series, a log line, a message and a silence of before `down` are there after the next `up`."""
    then = wait_for("the shop's orders", lambda: _stored(stack), 60)
    line = [[f"{time.time_ns()}", "kept line"]]
    stack.send("loki", "/loki/api/v1/push", {"streams": [{"stream": {"service": "kept"}, "values": line}]})
    stack.send("inbox", "/slack/ops", {"text": "kept message"})
    now = time.time()
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 3600))
    begins = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    matcher = {"name": "alertname", "value": "Nothing", "isRegex": False, "isEqual": True}
    silence = {"matchers": [matcher], "startsAt": begins, "endsAt": ends, "createdBy": "test", "comment": "kept silence"}
    stack.send("alertmanager", "/api/v2/silences", silence)
    series = _query(stack, ORDERS, then)
    stack.compose("down")
    assert stack.containers() == {}
    stack.up()
    assert _query(stack, ORDERS, then) == series != []
    assert [message for message in stack.messages() if "kept message" in str(message)]
    assert [each["comment"] for each in stack.get("alertmanager", "/api/v2/silences")] == ["kept silence"]
    kept = quote('{service="kept"}')
    path = f"/loki/api/v1/query_range?query={kept}&start={now - 600:.0f}"
    found = wait_for("the line", lambda: stack.get("loki", path)["data"]["result"], 30)
    assert found[0]["values"] == line


def test_down_with_volumes_leaves_nothing(stack: Clone, engine: Engine) -> None:
    """Ensure that `down --volumes` removes containers, networks and data of the stack, and leaves the user's secrets."""
    name = next(iter(stack.containers().values()))["Config"]["Labels"]["com.docker.compose.project"]
    project = f"label=com.docker.compose.project={name}"
    stack.compose("down", "--volumes")
    for kind in (("ps", "--all"), ("volume", "ls"), ("network", "ls")):
        assert engine.docker(*kind, "--quiet", "--filter", project) == ""
    assert (stack.folder / "secrets" / PASSWORD).exists()
