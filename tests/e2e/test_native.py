"""The default stack as processes, from `generate` to `down --volumes`, through the command line alone."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

import pytest

from tests.e2e.conftest import Need
from tests.e2e.project import Project, post
from tests.tools import wait_for

pytestmark = pytest.mark.native

ALERT = "PaymentsFailing"
RUNNING = ("prometheus", "alertmanager", "loki", "otelcol", "blackbox", "node", "inbox")
MESSAGE_SECONDS = 60
RESOLVED_SECONDS = 180
OWN_RULE_FILE = "prometheus/rules/own.yml"


@dataclass(frozen=True)
class Incident:
    """The shop was broken: the id of a checkout that failed, and what arrived."""

    trace_id: str
    slack: dict[str, Any]
    mail: dict[str, Any]


@pytest.fixture(scope="module")
def generated(project: Project, need: Need) -> Project:
    """Give the project with its files made."""
    need(*RUNNING)
    project.must("generate")
    return project


@pytest.fixture
def stack(generated: Project) -> Project:
    """Give the project with its stack up: started once, and again only after a test that stopped it."""
    if not generated.status() or {part["state"] for part in generated.status().values()} - {"off"} == {"stopped"}:
        generated.must("up")
    return generated


@pytest.fixture
def editable(stack: Project) -> Iterator[Project]:
    """Give the stack to a test that changes what it runs; afterwards it runs what it did before."""
    before = (stack.folder / "spec.yaml").read_text(encoding="utf-8")
    yield stack
    (stack.folder / "spec.yaml").write_text(before, encoding="utf-8")
    (stack.folder / OWN_RULE_FILE).unlink(missing_ok=True)
    stack.must("generate")
    stack.must("reload")


@pytest.fixture(scope="module")
def incident(generated: Project) -> Incident:
    """Break the shop as the README says, buy until a payment fails, and wait for the messages."""
    generated.must("up")
    generated.faults("break")
    trace_id = wait_for("a checkout that fails", lambda: _failed_checkout(generated))
    arrived = wait_for(f"the messages of {ALERT}", lambda: _both(generated, "firing"), MESSAGE_SECONDS)
    return Incident(trace_id, *arrived)


def _failed_checkout(project: Project) -> str:
    _, cart = post(project.url("shop", "/cart"), {"product": "mug", "quantity": 1})
    status, answer = post(project.url("shop", "/checkout"), {"cart": json.loads(cart)["cart"]})
    return str(json.loads(answer)["trace_id"]) if status == 500 else ""


def _both(project: Project, status: str, about: str = "of the payments fail") -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return the first Slack message and the first e-mail about the alert, once both are there."""
    found = [
        next((message for message in project.messages(kind=kind, status=status) if about in message["title"]), None)
        for kind in ("slack", "mail")
    ]
    return (found[0], found[1]) if found[0] and found[1] else None


def _rules(project: Project) -> dict[str, dict[str, Any]]:
    groups = project.get("prometheus", "/api/v1/rules")["data"]["groups"]
    return {rule["name"]: rule for group in groups for rule in group["rules"]}


def _query(project: Project, expr: str, at: float) -> list[Any]:
    found: list[Any] = project.get("prometheus", f"/api/v1/query?query={quote(expr)}&time={at}")["data"]["result"]
    return found


def _lines(project: Project, selector: str, end: float) -> list[dict[str, Any]]:
    """Return the streams of log lines; their labels are those of the stream alone, what else is known of a line stands beside it."""
    path = f"/loki/api/v1/query_range?query={quote(selector)}&start={end - 600:.0f}&end={end:.0f}&limit=5000"
    found: list[dict[str, Any]] = project.get("loki", path, **{"X-Loki-Response-Encoding-Flags": "categorize-labels"})["data"]["result"]
    return found


def test_up_starts_every_program_that_is_there(stack: Project) -> None:
    """Ensure that all of the stack runs and that a part which cannot run here says why and what would help."""
    parts = stack.status()
    running = {name for name, part in parts.items() if part["state"] == "running"}
    assert running >= {*RUNNING, "shop", "load"}
    assert all("compose" in part["reason"] for part in parts.values() if part["state"] == "off")
    assert len(running) + sum(part["state"] == "off" for part in parts.values()) == len(parts)


def test_a_second_up_is_harmless(stack: Project) -> None:
    """Ensure that `up` on a running stack succeeds and leaves every process as it is."""
    before = {name: part["pid"] for name, part in stack.status().items()}
    stack.must("up")
    assert {name: part["pid"] for name, part in stack.status().items()} == before


def test_every_target_is_scraped(stack: Project) -> None:
    """Ensure that Prometheus reaches each target that the stack has natively."""

    def healths() -> dict[str, str]:
        targets = stack.get("prometheus", "/api/v1/targets")["data"]["activeTargets"]
        return {target["labels"]["job"]: target["health"] for target in targets}

    wait_for("the first scrapes", lambda: set(healths().values()) == {"up"}, 30)
    assert {"shop", "prometheus", "alertmanager", "loki", "otelcol", "node", "inbox"} <= set(healths())


@pytest.mark.parametrize("kind", ["slack", "mail"])
def test_a_fault_reaches_a_person(incident: Incident, stack: Project, kind: str) -> None:
    """Ensure that the message says what is wrong, and links the dashboard and the runbook."""
    message = incident.slack if kind == "slack" else incident.mail
    assert "critical shop:" in message["title"]
    assert "% of the payments fail" in message["title"]
    assert "Look for the trace_id of a failed checkout" in message["text"]
    links = {link["url"] for link in message["links"]}
    assert {stack.url("grafana", "/d/svc-shop"), "https://example.com/runbooks/payments-failing"} <= links
    assert message["to"] == ("#ops" if kind == "slack" else "oncall@example.com")


def test_an_alert_on_log_lines_reaches_the_same_people(incident: Incident, stack: Project) -> None:
    """Ensure that error lines in Loki, counted by its ruler, become a message on both ways, with the way to the shop's dashboard."""
    messages = wait_for("the messages of ErrorsLogged", lambda: _both(stack, "firing", "errors within a minute"), MESSAGE_SECONDS)
    for message, sent in zip(messages, (incident.slack, incident.mail), strict=True):
        assert "critical shop: The shop logged" in message["title"]
        assert message["to"] == sent["to"]
        links = {link["url"] for link in message["links"]}
        assert {stack.url("grafana", "/d/svc-shop"), "https://example.com/runbooks/errors-logged"} <= links


def test_a_failed_request_is_found_by_its_trace_id(incident: Incident, stack: Project) -> None:
    """Ensure that the error line of a failed checkout is in Loki under its trace_id, with the labels service and level alone."""

    def error() -> dict[str, Any] | None:
        found = _lines(stack, f'{{service="shop"}} | trace_id="{incident.trace_id}"', time.time() + 60)
        return next((stream for stream in found if stream["stream"].get("level") == "error"), None)

    stream = wait_for("the error line in Loki", error)
    assert stream["stream"] == {"service": "shop", "level": "error"}
    _, line, beside = stream["values"][0]
    assert json.loads(line)["trace_id"] == incident.trace_id
    assert "PaymentDeclinedUpstreamError" in line
    assert beside["structuredMetadata"]["trace_id"] == incident.trace_id


def test_a_failed_request_is_a_trace_with_metrics_that_lead_to_it(incident: Incident, stack: Project, need: Need) -> None:
    """Ensure that Jaeger, in Tempo's place, has the failed checkout's spans, that they are counted, and that exemplars lead to traces."""
    need("jaeger")

    def spans(trace_id: str) -> list[dict[str, Any]]:
        try:
            return [span for trace in stack.get("jaeger", f"/api/traces/{trace_id}")["data"] for span in trace["spans"]]
        except HTTPError as error:
            error.close()
            return []

    found = {span["operationName"]: span for span in wait_for("the trace", lambda: spans(incident.trace_id))}
    assert {"POST /checkout", "charge"} <= set(found)
    assert {"key": "otel.status_code", "type": "string", "value": "ERROR"} in found["charge"]["tags"]
    failed = 'sum(traces_spanmetrics_calls_total{service="shop",span_name="charge",status_code="STATUS_CODE_ERROR"}) > 0'
    wait_for("failed spans, counted", lambda: stack.get("prometheus", f"/api/v1/query?query={quote(failed)}")["data"]["result"], 60)
    for series in ("http_request_duration_seconds_bucket", "traces_spanmetrics_latency_bucket"):
        asked = f"/api/v1/query_exemplars?query={series}&start={time.time() - 600}&end={time.time()}"
        (exemplar, *_) = (each for one in stack.get("prometheus", asked)["data"] for each in one["exemplars"])
        assert wait_for(f"the trace behind an exemplar of {series}", lambda found=exemplar: spans(found["labels"]["trace_id"]))


def _failed_exemplar(project: Project) -> str:
    """Return the id of a failed checkout that is an exemplar of the shop's request times, or nothing yet."""
    now = time.time()
    query = quote('http_request_duration_seconds_bucket{endpoint="/checkout"}')
    series = project.get("prometheus", f"/api/v1/query_exemplars?query={query}&start={now - 300}&end={now + 60}")["data"]
    ids = [sample["labels"]["trace_id"] for each in series for sample in each["exemplars"]]
    failed = (each for each in ids if _lines(project, f'{{service="shop", level="error"}} | trace_id="{each}"', now + 60))
    return next(failed, "")


def test_trace_shows_all_that_is_known_of_a_request(incident: Incident, stack: Project) -> None:
    """Ensure that a failed checkout's error line is shown, its spans and its sample where traces are kept, and what is missing is said."""
    traced = stack.status().get("jaeger", {}).get("state") == "running"
    trace_id = wait_for("an exemplar of a failed checkout", lambda: _failed_exemplar(stack), 40) if traced else incident.trace_id
    shown = stack.run("trace", trace_id)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith(trace_id)
    assert "ERROR shop: " in shown.stdout
    assert "PaymentDeclinedUpstreamError" in shown.stdout
    if traced:
        assert "shop POST /checkout" in shown.stdout
        assert "sample http_request_duration_seconds_bucket" in shown.stdout
        assert f"/trace/{trace_id}" in shown.stdout
        assert shown.stderr == ""
    else:
        assert "No spans: tempo is off: no `tempo`" in shown.stderr


def test_trace_tells_machines_the_same_and_nothing_of_a_stranger(incident: Incident, stack: Project) -> None:
    """Ensure that --json has the whole lines, that a UUID is the same id, and that an unknown one leaves with 1."""
    trace_id = incident.trace_id
    as_uuid = "-".join((trace_id[:8], trace_id[8:12], trace_id[12:16], trace_id[16:20], trace_id[20:]))
    found = json.loads(stack.must("trace", as_uuid, "--json"))
    assert (found["trace_id"], found["found"], found["services"]) == (trace_id, True, ["shop"])
    assert {json.loads(line["text"])["trace_id"] for line in found["lines"]} == {trace_id}
    assert "error" in {line["level"] for line in found["lines"]}
    stranger = stack.run("trace", "f" * 32)
    assert stranger.returncode == 1
    assert "Nothing is known of" in stranger.stderr


def test_the_end_of_a_fault_reaches_the_same_people(incident: Incident, stack: Project) -> None:
    """Ensure that after `mend` a resolved message follows on both ways."""
    stack.faults("mend")
    slack, mail = wait_for(f"the resolved messages of {ALERT}", lambda: _both(stack, "resolved"), RESOLVED_SECONDS)
    assert slack["id"] > incident.slack["id"]
    assert (slack["to"], mail["to"]) == (incident.slack["to"], incident.mail["to"])
    assert "resolved after" in slack["text"]


def test_an_edit_of_the_spec_is_put_in_force(editable: Project) -> None:
    """Ensure that after generate and reload the running Prometheus has the new alert and the new threshold, without a restart."""
    before = editable.status()["prometheus"]["pid"]

    def change(spec: dict[str, Any]) -> None:
        spec["alerts"][ALERT]["expr"] = spec["alerts"][ALERT]["expr"].replace("> 0.1", "> 0.35")
        spec["alerts"]["NoCarts"] = {"service": "shop", "expr": 'active_carts{job="shop"} == 0', "for": "5m", "severity": "warning"}

    editable.edit(change)
    editable.must("generate")
    outcomes = json.loads(editable.must("reload", "--json"))
    results = {outcome["name"]: outcome["result"] for outcome in outcomes["components"]}
    assert outcomes["runtime"] == "native"
    assert results["prometheus"] == "reloaded"
    assert results["shop"] == results["loki"] == "unchanged"
    rules = _rules(editable)
    assert rules[ALERT]["query"].endswith("> 0.35")
    assert (rules["NoCarts"]["duration"], rules["NoCarts"]["labels"]["severity"]) == (300, "warning")
    assert editable.status()["prometheus"]["pid"] == before


def test_a_refused_reload_says_why_and_changes_nothing(editable: Project) -> None:
    """Ensure that a rule file of the user's that does not parse leaves with 3, is named, and leaves the old configuration running."""
    before = {name: rule["query"] for name, rule in _rules(editable).items()}
    own = '{groups: [{name: own, rules: [{alert: Mine, expr: "sum(up"}]}]}'
    (editable.folder / OWN_RULE_FILE).write_text(own, encoding="utf-8")
    done = editable.run("reload")
    assert done.returncode == 3
    assert "failed" in done.stdout
    assert "own.yml" in done.stdout
    assert "parse error" in done.stdout
    assert {name: rule["query"] for name, rule in _rules(editable).items()} == before
    assert editable.status()["prometheus"]["state"] == "running"
    (editable.folder / OWN_RULE_FILE).write_text(own.replace("sum(up", "up == 0"), encoding="utf-8")
    editable.must("reload")
    assert _rules(editable)["Mine"]["query"] == "up == 0"


@pytest.mark.parametrize("name", ["prometheus", "shop"])
def test_what_is_killed_comes_back(stack: Project, name: str) -> None:
    """Ensure that a killed component, or service, is started anew and that `status` tells of it."""
    before = stack.status()[name]
    os.kill(before["pid"], signal.SIGKILL)

    def back() -> dict[str, Any] | None:
        part = stack.status()[name]
        return part if part["restarts"] > before["restarts"] and part["state"] == "running" else None

    after = wait_for(f"{name} to come back", back)
    assert after["reason"] == "ended by SIGKILL"
    assert "ended by SIGKILL" in stack.run("status").stdout


def test_logs_shows_what_a_service_wrote(stack: Project) -> None:
    """Ensure that the last lines are shown as they were written, and that a wrong name is answered with the right ones."""
    lines = stack.must("logs", "shop", "--lines", "3").splitlines()
    assert [json.loads(line)["service"] for line in lines] == ["shop"] * 3
    wrong = stack.run("logs", "shopp")
    assert wrong.returncode != 0
    assert "shop" in wrong.stderr.replace("shopp", "")


def test_down_leaves_nothing_but_the_data(stack: Project) -> None:
    """Ensure that no process and no port is left, and that the metrics, lines and messages of before are there after the next `up`."""
    wait_for("a log line in Loki", lambda: _lines(stack, '{service="shop"}', time.time() + 60), 30)
    wait_for("a scrape", lambda: _query(stack, 'up{job="shop"}', time.time()), 30)
    post(stack.url("inbox", "/slack/ops"), {"text": "kept"})
    then = time.time()
    before = _query(stack, "orders_total", then), len(_lines(stack, '{service="shop"}', then)), len(stack.messages())
    stack.must("down")
    wait_for("the last process to end", lambda: not stack.processes(), 5)
    for port in stack.ports.values():
        with socket.create_server(("127.0.0.1", port)):
            pass
    stack.must("up")
    assert _query(stack, "orders_total", then) == before[0] != []
    assert len(_lines(stack, '{service="shop"}', then)) == before[1] > 0
    assert len(stack.messages()) == before[2] > 0


def test_down_with_volumes_removes_the_data(stack: Project) -> None:
    """Ensure that after `down --volumes` a new stack begins with nothing."""
    then = time.time()
    post(stack.url("inbox", "/slack/ops"), {"text": "to be lost"})
    stack.must("down", "--volumes")
    assert not (stack.folder / ".specwatch/native/data").exists()
    stack.must("up")
    assert _query(stack, "up", then) == []
    assert stack.messages() == []
