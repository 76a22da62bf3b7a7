"""A `Dashboard` of the stack as Grafana's classic dashboard JSON (schemaVersion 42, the last that file provisioning takes)."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from specwatch import names
from specwatch.dashboards import matcher
from specwatch.render._panels import REFERENCES, VARIABLES, Json, panel_json
from specwatch.stack import Dashboard, Panel, Row, Stack

TAG: Final = "specwatch"

_SCHEMA_VERSION: Final = 42
_PAGE: Final = 24
_SHARED_CROSSHAIR: Final = 1
_HIDDEN: Final = 2
_ON_LOAD: Final = 1
_ON_TIME_RANGE: Final = 2
_BY_NAME: Final = 1
_TITLES: Final = {"prometheus": "Prometheus", "loki": "Loki", "tempo": "Tempo"}
_UIDS: Final = {"prometheus": names.PROMETHEUS_UID, "loki": names.LOKI_UID, "tempo": names.TEMPO_UID}
_JOB: Final = re.compile(r'\bjob\s*=~?\s*"([^"]*)"')
_INSTANCE: Final = re.compile(r"\$instance\b|\$\{instance\b")
_BUILT_IN: Final = {
    "builtIn": 1,
    "datasource": {"type": "grafana", "uid": "-- Grafana --"},
    "enable": True,
    "hide": True,
    "iconColor": "rgba(0, 211, 255, 1)",
    "name": "Annotations & Alerts",
    "type": "dashboard",
}
_LINKS: Final = [
    {
        "asDropdown": True,
        "icon": "dashboard",
        "includeVars": False,
        "keepTime": True,
        "tags": [TAG],
        "targetBlank": False,
        "title": "Dashboards",
        "tooltip": "The other dashboards of this stack",
        "type": "dashboards",
        "url": "",
    }
]


class Jobs(Struct, frozen=True, kw_only=True):
    """What a dashboard must know of the scrape jobs: names by owner, and the intervals of those slower than the stack's (seconds)."""

    by_owner: Mapping[str, tuple[str, ...]]
    slow: Mapping[str, int]


def jobs_of(stack: Stack) -> Jobs:
    """Return what dashboards must know of the stack's scrape jobs."""
    by_owner: dict[str, tuple[str, ...]] = {}
    for job in stack.jobs:
        by_owner[job.owner] = (*by_owner.get(job.owner, ()), job.name)
    return Jobs(
        by_owner=by_owner,
        slow={job.name: job.interval_seconds for job in stack.jobs if job.interval_seconds > stack.scrape_interval_seconds},
    )


def dashboard_json(dashboard: Dashboard, jobs: Jobs) -> Json:
    """Return the dashboard's JSON; panel ids count from one, and panels flow from left to right below their row's title."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": list(dict.fromkeys((TAG, *dashboard.tags))),
        "editable": False,
        "schemaVersion": _SCHEMA_VERSION,
        "graphTooltip": _SHARED_CROSSHAIR,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "templating": {"list": list(_variables(dashboard, jobs))},
        "annotations": {"list": [_BUILT_IN, _firing(dashboard.service)]},
        "links": _LINKS,
        "panels": list(_panels(dashboard.rows, jobs, jobs.by_owner.get(dashboard.service, ()))),
    }


def _panels(rows: Iterable[Row], jobs: Jobs, own_jobs: Sequence[str]) -> Iterator[Json]:
    number, top = 1, 0
    own_interval = max((jobs.slow.get(job, 0) for job in own_jobs), default=0) if jobs.slow else 0
    for row in rows:
        if row.title:
            yield _row(row.title, number, top)
            number, top = number + 1, top + 1
        left = height = 0
        for panel in row.panels:
            width = min(max(panel.width, 1), _PAGE)
            if left + width > _PAGE:
                left, top, height = 0, top + height, 0
            high = max(panel.height, 1)
            interval = _interval(panel, jobs.slow, own_interval) if jobs.slow else ""
            yield panel_json(panel, number, {"h": high, "w": width, "x": left, "y": top}, interval)
            number, left, height = number + 1, left + width, max(height, high)
        top += height


def _row(title: str, number: int, top: int) -> Json:
    return {
        "id": number,
        "type": "row",
        "title": title,
        "collapsed": False,
        "gridPos": {"h": 1, "w": _PAGE, "x": 0, "y": top},
        "panels": [],
    }


def _interval(panel: Panel, slow: Mapping[str, int], own_interval: int) -> str:
    # $__rate_interval spans four scrapes of the datasource's interval: a job that is scraped less often would show nothing.
    if panel.source != "prometheus":
        return ""
    named = (name for expr, _ in panel.queries for jobs in _JOB.findall(expr) for name in jobs.split("|"))
    seconds = max((slow.get(name, 0) for name in named), default=0) or own_interval
    return names.duration(seconds) if seconds else ""


def _variables(dashboard: Dashboard, jobs: Jobs) -> Iterator[Json]:
    panels = [panel for row in dashboard.rows for panel in row.panels]
    used = {panel.source for panel in panels} | {"prometheus"}  # the annotation asks Prometheus
    for kind, name in VARIABLES.items():
        if kind in used:
            yield {
                "type": "datasource",
                "name": name,
                "label": _TITLES[kind],
                "query": kind,
                "current": {"text": _TITLES[kind], "value": _UIDS[kind]},
                "hide": _HIDDEN,
                "includeAll": False,
                "multi": False,
                "options": [],
                "refresh": _ON_LOAD,
                "regex": "",
            }
    if any(_INSTANCE.search(expr) for panel in panels for expr, _ in panel.queries):
        own_jobs = jobs.by_owner.get(dashboard.service, ())
        series = f"up{{{matcher('job', own_jobs)}}}" if own_jobs else "up"
        yield {
            "type": "query",
            "name": "instance",
            "label": "Instance",
            "datasource": REFERENCES["prometheus"],
            "query": {"qryType": 1, "query": f"label_values({series}, instance)", "refId": "instance"},
            "allValue": ".*",
            "current": {"text": ["All"], "value": ["$__all"]},
            "includeAll": True,
            "multi": True,
            "options": [],
            "refresh": _ON_TIME_RANGE,
            "regex": "",
            "sort": _BY_NAME,
        }


def _firing(service: str) -> Json:
    own = f",{matcher('service', (service,))}" if service else ""
    expr = f'ALERTS{{alertstate="firing",alertname!="{names.WATCHDOG}"{own}}}'
    return {
        "datasource": REFERENCES["prometheus"],
        "enable": True,
        "hide": False,
        "iconColor": "red",
        "name": "Firing alerts",
        "tagKeys": "severity,service,instance",
        "target": {"refId": "Anno", "expr": expr, "interval": "", "range": True, "instant": False},
        "textFormat": "{{severity}} {{instance}}",
        "titleFormat": "{{alertname}}",
    }
