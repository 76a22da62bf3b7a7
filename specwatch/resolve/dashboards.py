"""What `dashboards:` means: one board for each service, from its packs, and the spec's own."""

from collections.abc import Mapping
from decimal import Decimal

from specwatch import dashboards as boards
from specwatch import names, promql
from specwatch.catalog import Pack
from specwatch.resolve.faults import Faults
from specwatch.resolve.logs import check_logql
from specwatch.spec.model import Spec
from specwatch.spec.model.dashboards import PanelSpec, RowSpec
from specwatch.spec.source import Path
from specwatch.stack import Dashboard, Job, Panel, Probe, Row, Service


def dashboards(
    spec: Spec, known: Mapping[str, Pack], jobs: tuple[Job, ...], probes: tuple[Probe, ...], services: tuple[Service, ...], faults: Faults
) -> tuple[Dashboard, ...]:
    """Return the services' boards, then the spec's own."""
    templates = {name: tuple(_RowTemplate(row) for row in pack.rows) for name, pack in known.items()}
    scraped = {job.owner for job in jobs}
    probed = {probe.owner for probe in probes}
    found = [
        boards.service_dashboard(
            service.name,
            service.team,
            [row.bind(service.name) for pack in service.packs for row in templates.get(pack, ())],
            has_logs=service.logs is not None,
            has_probe=service.name in probed,
            jobs=(service.name,) if service.name in scraped else (),
        )
        for service in services
    ]
    for name, board in spec.dashboards.items():
        path: Path = ("dashboards", name)
        if board.service:
            faults.reference((*path, "service"), "service", board.service, spec.services)
        rows = tuple(
            Row(
                title=row.title,
                panels=tuple(_panel(panel, (*path, "rows", index, "panels", place), faults) for place, panel in enumerate(row.panels)),
            )
            for index, row in enumerate(board.rows)
        )
        uid = names.own_dashboard_uid(name)
        found.append(Dashboard(uid=uid, title=board.title or name, rows=rows, tags=board.tags, service=board.service or ""))
    return tuple(found)


class _RowTemplate:
    """A pack's row whose expressions lack only the job; parsed once, however many services use the pack."""

    def __init__(self, row: RowSpec) -> None:
        self.title = row.title
        self.panels = [(_values(panel), [(promql.template(expr), legend) for expr, legend in _queries(panel)]) for panel in row.panels]

    def bind(self, job: str) -> Row:
        return Row(
            title=self.title,
            panels=tuple(
                Panel(queries=tuple((template.bind(job), legend) for template, legend in queries), **values)  # type: ignore[arg-type]  # as _values made them
                for values, queries in self.panels
            ),
        )


def _panel(panel: PanelSpec, path: Path, faults: Faults) -> Panel:
    queries = _queries(panel)
    if panel.kind == "text":
        if queries:
            faults.add(path, "a text panel has `text` and no query", on_key=True)
    elif not queries:
        faults.add(path, '"expr" is missing: what the panel draws')
    if panel.expr and panel.queries:
        faults.add((*path, "queries"), "goes not with `expr`; keep one of the two", on_key=True)
    for index, (expr, _) in enumerate(queries):
        place = (*path, "expr") if panel.expr else (*path, "queries", index, "expr")
        if panel.source == "prometheus":
            check_promql(expr, place, faults, panel=True)
        elif panel.source == "loki":
            check_logql(expr, place, faults, kind="log" if panel.kind == "logs" else "metric", panel=True)
    return Panel(queries=queries, **_values(panel))  # type: ignore[arg-type]  # as _values made them


def check_promql(expr: str, path: Path, faults: Faults, *, panel: bool = False) -> bool:
    """Return whether `expr` parses; note a fault when it does not. Only a panel's may hold Grafana's durations."""
    if "$__" in expr and not panel:
        faults.add(path, "is not PromQL: `$__…` is Grafana's and goes into panels alone; write a duration such as [5m]")
        return False
    try:
        promql.parse(expr)
    except promql.PromqlError as error:
        faults.add(path, f"is not PromQL: {error}")
        return False
    return True


def _queries(panel: PanelSpec) -> tuple[tuple[str, str], ...]:
    if panel.expr:
        return ((panel.expr, panel.legend),)
    return tuple((query.expr, query.legend) for query in panel.queries)


def _values(panel: PanelSpec) -> dict[str, object]:
    """Return every field of the panel but its queries."""
    thresholds: list[tuple[Decimal, str]] = sorted((Decimal(value), colour) for colour, value in panel.thresholds.items())
    return {
        "title": panel.title,
        "kind": panel.kind,
        "source": "" if panel.kind == "text" else panel.source,
        "unit": panel.unit,
        "description": panel.description,
        "width": panel.width,
        "height": panel.height,
        "thresholds": tuple(thresholds),
        "stacked": panel.stacked,
        "text": panel.text,
    }
