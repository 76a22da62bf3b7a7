"""Dashboards as values: short constructors for panels, and the dashboard that every service gets.

PromQL here uses Grafana's own intervals: `$__rate_interval` for rates, `$__range` for "over all that is shown"; LogQL uses `$__auto`.
"""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from specwatch import names
from specwatch.stack import Dashboard, Panel, Row

Query = tuple[str, str]
Thresholds = tuple[tuple[Decimal, str], ...]

BAD_FROM_ONE: Final[Thresholds] = ((Decimal(1), "red"),)
GOOD_FROM_ONE: Final[Thresholds] = ((Decimal(1), "green"),)
AVAILABILITY: Final[Thresholds] = ((Decimal("0.99"), "yellow"), (Decimal("0.999"), "green"))

_PAGE: Final = 24
_REGEX_SIGNS: Final = re.compile(r"[.+*?()|\[\]{}^$\\]")


def matcher(label: str, values: Sequence[str]) -> str:
    """Return the matcher, of PromQL and LogQL alike, for a label that has one of `values`, such as `job=~"shop|worker"`."""
    if len(values) == 1:
        return f"{label}={_quoted(values[0])}"
    alternatives = "|".join(_REGEX_SIGNS.sub(r"\\\g<0>", value) for value in values)
    return f"{label}=~{_quoted(alternatives)}"


def stat(title: str, expr: str, *, unit: str = "short", thresholds: Thresholds = (), source: str = "prometheus", width: int = 4) -> Panel:
    """Return a panel that shows one figure as it is now."""
    return Panel(
        title=title,
        kind="stat",
        source="loki" if source == "loki" else "prometheus",
        queries=((expr, ""),),
        unit=unit,
        thresholds=thresholds,
        width=width,
        height=4,
    )


def lines(title: str, *queries: Query, unit: str = "short", width: int = 12, description: str = "", stacked: bool = False) -> Panel:
    """Return a panel of Prometheus series over time; `queries` are (expression, legend) pairs."""
    return Panel(
        title=title,
        kind="timeseries",
        source="prometheus",
        queries=queries,
        unit=unit,
        width=width,
        description=description,
        stacked=stacked,
    )


def service_dashboard(
    name: str, team: str, rows: Iterable[Row], *, has_logs: bool, has_probe: bool, jobs: Sequence[str], has_alerts: bool = True
) -> Dashboard:
    """Return the dashboard of the service `name`: an overview, then `rows` (its packs' and its own), then its logs.

    `jobs` are the names of the service's scrape jobs; the alerts and log streams shown are those whose label `service` is `name`.
    """
    mine = matcher("service", (name,))
    head = _overview(mine, has_logs=has_logs, has_probe=has_probe, jobs=jobs, has_alerts=has_alerts)
    all_rows = (*(Row(title="Overview", panels=panels) for panels in (head,) if panels), *rows)
    return Dashboard(
        uid=names.dashboard_uid(name),
        title=name,
        rows=(*all_rows, _logs(mine)) if has_logs else all_rows,
        tags=tuple(tag for tag in ("service", team) if tag),
        service=name,
    )


def _overview(mine: str, *, has_logs: bool, has_probe: bool, jobs: Sequence[str], has_alerts: bool) -> tuple[Panel, ...]:
    figures: list[tuple[str, str, str, Thresholds, str]] = []
    if jobs:
        up = f"up{{{matcher('job', jobs)}}}"
        figures += [
            ("Targets up", f"sum({up}) or vector(0)", "short", GOOD_FROM_ONE, "prometheus"),
            ("Availability", f"avg(avg_over_time({up}[$__range]))", "percentunit", AVAILABILITY, "prometheus"),
        ]
    if has_probe:
        figures.append(
            ("Probes succeed", f"avg(avg_over_time(probe_success{{{mine}}}[$__range]))", "percentunit", AVAILABILITY, "prometheus")
        )
    if has_alerts:
        firing = f'count(ALERTS{{{mine},alertstate="firing"}}) or vector(0)'
        figures.append(("Firing alerts", firing, "short", BAD_FROM_ONE, "prometheus"))
    if has_logs:
        errors = f'sum(count_over_time({{{mine},level=~"error|critical"}}[$__range])) or vector(0)'
        figures.append(("Error log lines", errors, "short", BAD_FROM_ONE, "loki"))
    width = _PAGE // len(figures) if figures else _PAGE
    panels = [
        stat(title, expr, unit=unit, thresholds=thresholds, source=source, width=width) for title, expr, unit, thresholds, source in figures
    ]
    if has_alerts:
        panels.append(
            Panel(
                title="Alerts pending and firing",
                kind="table",
                source="prometheus",
                queries=((f"count by (alertname, severity, alertstate) (ALERTS{{{mine}}})", "series"),),
                height=6,
                width=12 if jobs else _PAGE,
            )
        )
    if jobs:
        panels.append(
            Panel(
                title="Up, by target",
                kind="timeseries",
                source="prometheus",
                queries=((up, "{{instance}}"),),
                height=6,
                width=12 if has_alerts else _PAGE,
            )
        )
    return tuple(panels)


def _logs(mine: str) -> Row:
    return Row(
        title="Logs",
        panels=(
            Panel(
                title="Log lines, by level",
                kind="timeseries",
                source="loki",
                queries=((f"sum by (level) (count_over_time({{{mine}}}[$__auto]))", "{{level}}"),),
                stacked=True,
                width=_PAGE,
                height=6,
            ),
            Panel(title="Log", kind="logs", source="loki", queries=((f"{{{mine}}}", ""),), width=_PAGE, height=14),
        ),
    )


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
