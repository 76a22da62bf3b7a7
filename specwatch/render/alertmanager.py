"""Alertmanager: who hears of which alert, when, and what the message looks like.

Reference: https://prometheus.io/docs/alerting/latest/configuration/. Only `matchers` are written, never the deprecated `match`.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from specwatch import names
from specwatch.render._receivers import receiver
from specwatch.stack import Inhibition, Matcher, MuteTime, Route, Routing, Stack, TimeInterval
from specwatch.textio import dump_yaml
from specwatch.topology import Topology

_TEMPLATES: Final = Path(__file__).parent / "templates"
_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def render(stack: Stack, topology: Topology) -> dict[str, str]:
    """Return alertmanager.yml and the templates of its messages."""
    config: dict[str, Any] = {
        "route": _root(stack.routing),
        "receivers": [receiver(each, topology) for each in stack.receivers],
        "templates": ["templates/*.tmpl"],
    }
    if stack.inhibitions:
        config["inhibit_rules"] = [_inhibition(each) for each in stack.inhibitions]
    if stack.mute_times:
        config["time_intervals"] = [_mute_time(each) for each in stack.mute_times]
    comment = names.header(stack).replace("*/", "* /")
    template = (_TEMPLATES / "alertmanager.tmpl").read_text(encoding="utf-8")
    return {
        "alertmanager/alertmanager.yml": dump_yaml(config, header=names.header(stack)),
        "alertmanager/templates/specwatch.tmpl": f"{{{{/* {comment} */}}}}\n{template}",
    }


def arguments(stack: Stack, topology: Topology) -> tuple[str, ...]:
    """Return Alertmanager's command line: a single node, so clustering is off."""
    return (
        f"--config.file={topology.config['alertmanager']}/alertmanager.yml",
        f"--storage.path={topology.data['alertmanager']}",
        f"--web.listen-address={topology.listen['alertmanager']}",
        f"--web.external-url={stack.link('alertmanager')}",
        "--cluster.listen-address=",
    )


def matcher(value: Matcher) -> str:
    """Return a matcher as Alertmanager reads it, such as `severity="critical"`."""
    return f'{value.label}{value.operator}"{value.value.translate(_ESCAPES)}"'


def _matchers(matchers: Iterable[Matcher]) -> list[str]:
    return [matcher(each) for each in matchers]


def _root(routing: Routing) -> dict[str, Any]:
    route: dict[str, Any] = {
        "receiver": routing.receiver,
        "group_by": list(routing.group_by),
        "group_wait": names.duration(routing.group_wait_seconds),
        "group_interval": names.duration(routing.group_interval_seconds),
        "repeat_interval": names.duration(routing.repeat_interval_seconds),
    }
    if routing.routes:
        route["routes"] = [_route(each) for each in routing.routes]
    return route


def _route(route: Route) -> dict[str, Any]:
    waits = {
        "group_wait": route.group_wait_seconds,
        "group_interval": route.group_interval_seconds,
        "repeat_interval": route.repeat_interval_seconds,
    }
    lists = {"group_by": route.group_by, "mute_time_intervals": route.mute, "active_time_intervals": route.active}
    written: dict[str, Any] = {}
    if route.matchers:
        written["matchers"] = _matchers(route.matchers)
    written["receiver"] = route.receiver
    written |= {key: names.duration(seconds) for key, seconds in waits.items() if seconds}
    written |= {key: list(values) for key, values in lists.items() if values}
    if route.continue_:
        written["continue"] = True
    return written


def _inhibition(inhibition: Inhibition) -> dict[str, Any]:
    written: dict[str, Any] = {
        "source_matchers": _matchers(inhibition.source),
        "target_matchers": _matchers(inhibition.target),
    }
    if inhibition.equal:
        written["equal"] = list(inhibition.equal)
    return written


def _mute_time(mute_time: MuteTime) -> dict[str, Any]:
    return {"name": mute_time.name, "time_intervals": [_interval(each) for each in mute_time.intervals]}


def _interval(interval: TimeInterval) -> dict[str, Any]:
    lists = {
        "weekdays": interval.weekdays,
        "days_of_month": interval.days_of_month,
        "months": interval.months,
        "years": interval.years,
    }
    written: dict[str, Any] = {}
    if interval.times:
        written["times"] = [{"start_time": each.start, "end_time": each.end} for each in interval.times]
    written |= {key: list(values) for key, values in lists.items() if values}
    if interval.location:
        written["location"] = interval.location
    return written
