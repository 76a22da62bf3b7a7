"""Prometheus' alerting and recording rules.

Each file is one YAML document: Prometheus reads the first of a file and silently ignores the rest.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from specwatch import names
from specwatch.stack import Alert, RecordingRule, Stack
from specwatch.textio import dump_yaml
from specwatch.topology import Topology

_VALUE: Final = '{{ printf "%.6g" $value }}'

_Rule = TypeVar("_Rule", Alert, RecordingRule)


def render(stack: Stack, topology: Topology) -> dict[str, str]:  # noqa: ARG001  # every renderer is called alike
    """Return the rule files; a kind of rule that the stack has none of has no file."""
    files: dict[str, str] = {}
    header = names.header(stack)
    if stack.recording_rules:
        files["prometheus/rules/recording.yml"] = dump_yaml(_groups(stack.recording_rules, _recording_rule), header=header)
    # Natively another part may stand in for one that the spec names, and is then watched in its place.
    alerts = tuple(alert for alert in stack.alerts if not alert.component or stack.has(alert.component))
    if alerts:
        files["prometheus/rules/alerts.yml"] = dump_yaml(_groups(alerts, alert_rule), header=header)
    return files


def alert_rule(alert: Alert) -> dict[str, Any]:
    """Return an alert as a rule file has it, for Prometheus and Loki's ruler alike. Empty labels and annotations are left out."""
    rule: dict[str, Any] = {"alert": alert.name, "expr": alert.expr}
    if alert.for_seconds:
        rule["for"] = names.duration(alert.for_seconds)
    if alert.keep_firing_for_seconds:
        rule["keep_firing_for"] = names.duration(alert.keep_firing_for_seconds)
    labels = {"severity": alert.severity, "service": alert.service, "team": alert.team, **alert.labels}
    annotations = {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": alert.runbook_url,
        "dashboard_url": alert.dashboard_url,
        **alert.annotations,
    }
    # Alertmanager never learns an alert's value, so it travels as an annotation unless the text already tells it.
    if "value" not in annotations and "$value" not in alert.summary and "$value" not in alert.description:
        annotations["value"] = _VALUE
    rule["labels"] = {name: text for name, text in labels.items() if text}
    rule["annotations"] = {name: text for name, text in annotations.items() if text}
    return rule


def _recording_rule(rule: RecordingRule) -> dict[str, Any]:
    written: dict[str, Any] = {"record": rule.record, "expr": rule.expr}
    if rule.labels:
        written["labels"] = rule.labels
    return written


def _groups(rules: Iterable[_Rule], write: Callable[[_Rule], Mapping[str, Any]]) -> dict[str, Any]:
    """Return the rules in groups that stand in the order in which their first rules do."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for rule in rules:
        groups.setdefault(rule.group, []).append(write(rule))
    return {"groups": [{"name": name, "rules": members} for name, members in groups.items()]}
