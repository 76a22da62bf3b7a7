"""What runs is compared with what was rendered, without false alarms and without missing a change."""

from pathlib import Path

import msgspec
import pytest

from specwatch.engines import effective
from specwatch.engines.native import control, plan
from specwatch.engines.native.model import run_folder
from specwatch.stack import Secret
from tests.engines.small import small_stack, start
from tests.stacks import full_stack
from tests.tools import program

pytestmark = pytest.mark.native


def test_everything_that_can_be_rendered_is_found_again(project: Path) -> None:
    """Ensure that no difference is reported for a stack with every kind of job, receiver, route and interval."""
    program("prometheus")
    program("alertmanager", "prometheus-alertmanager")
    program("blackbox_exporter", "prometheus-blackbox-exporter")
    full = full_stack()
    stack = small_stack(
        "prometheus",
        "alertmanager",
        "blackbox",
        "inbox",
        jobs=tuple(job for job in full.jobs if not job.component and job.discovery != "containers"),
        **{
            name: getattr(full, name)
            for name in ("alerts", "recording_rules", "receivers", "routing", "inhibitions", "mute_times", "probes")
        },
    )
    # Prometheus reads certificates when it loads its configuration; there are none here.
    passwords = tuple(Secret(name=name, components=("prometheus",), fallback="password") for name in ("legacy_password", "batch_token"))
    jobs = tuple(msgspec.structs.replace(job, tls=None) for job in stack.jobs)
    stack = msgspec.structs.replace(stack, jobs=jobs, secrets=passwords)
    (project / "health").write_text("what the shop's probe asks for")
    start(stack, project)
    outcomes = {outcome.name: outcome for outcome in control.reload(plan.plan(stack, project))}
    assert {name: (outcome.result, outcome.detail) for name, outcome in outcomes.items()} == dict.fromkeys(outcomes, ("unchanged", ""))


def test_a_difference_is_named_with_its_place(project: Path) -> None:
    """Ensure that a value, a rule's expression and a rule too many are each found, and that the rules of Loki's ruler are not missed."""
    program("prometheus")
    program("alertmanager", "prometheus-alertmanager")
    stack = small_stack("prometheus", "alertmanager")
    parts = start(stack, project)
    files = dict(plan.plan(stack, project).files)
    folder = str(run_folder(project).config / "prometheus")
    url = parts["prometheus"].url
    assert effective.prometheus(url, folder, files) == ()
    other = {
        **files,
        "prometheus/prometheus.yml": files["prometheus/prometheus.yml"].replace("scrape_interval: 15s", "scrape_interval: 16s"),
    }
    assert effective.prometheus(url, folder, other) == ("prometheus.yml: global: scrape_interval: rendered 16s, running 15s",)
    rules = next(path for path, text in files.items() if "> 0.05" in text)
    changed = {**files, rules: files[rules].replace("> 0.05", "> 0.06")}
    assert "PaymentsFailing: expression" in effective.prometheus(url, folder, changed)[0]
    assert effective.prometheus(url, folder, {**files, "loki/rules/fake/alerts.yml": files[rules]}) == ()
    assert "no longer rendered" in effective.prometheus(url, folder, {**files, rules: "groups: []\n"})[0]
    text = files["alertmanager/alertmanager.yml"].replace("group_wait: 10s", "group_wait: 11s")
    assert effective.alertmanager(parts["alertmanager"].url, text) == ("alertmanager.yml: route: group_wait: rendered 11s, running 10s",)
