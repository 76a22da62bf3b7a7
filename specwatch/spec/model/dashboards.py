"""`dashboards:` — boards of your own, beside those that services and packs bring."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from specwatch.spec.model.values import Name, Number, Text

Colour = Literal["green", "yellow", "orange", "red", "blue", "purple", "text"]


class QuerySpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One query of a panel."""

    expr: Annotated[Text, Meta(description="PromQL, or LogQL with `source: loki`.")]
    legend: Annotated[str, Meta(max_length=400, description="Grafana's legend format.")] = ""


class PanelSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One panel: an `expr` or several `queries`."""

    title: Annotated[Text, Meta(description="Its title.")]
    kind: Annotated[
        Literal["timeseries", "stat", "gauge", "bargauge", "table", "heatmap", "logs", "text"], Meta(description="How it draws.")
    ] = "timeseries"
    expr: Annotated[Text | None, Meta(description="Its only query.")] = None
    queries: Annotated[tuple[QuerySpec, ...], Meta(description="Several queries.")] = ()
    source: Annotated[Literal["prometheus", "loki"], Meta(description="Where the query goes.")] = "prometheus"
    legend: Annotated[str, Meta(max_length=400, description="Grafana's legend format, with `expr`.")] = ""
    unit: Annotated[str, Meta(max_length=60, description="Grafana's id of the unit, such as `s`, `reqps`, `percentunit`, `bytes`.")] = (
        "short"
    )
    description: Annotated[str, Meta(max_length=4000, description="What it shows.")] = ""
    width: Annotated[int, Meta(ge=1, le=24, description="In twenty-fourths of the page.")] = 12
    height: Annotated[int, Meta(ge=2, le=40, description="In Grafana's grid rows.")] = 8
    thresholds: Annotated[dict[Colour, Number], Meta(description="From which value on the colour applies.")] = {}
    stacked: Annotated[bool, Meta(description="Stack the series.")] = False
    text: Annotated[str, Meta(max_length=20000, description="Markdown, for `kind: text`.")] = ""


class RowSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A titled group of panels."""

    title: Annotated[Text, Meta(description="Its title.")]
    panels: Annotated[tuple[PanelSpec, ...], Meta(min_length=1, description="Its panels.")]


class DashboardSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dashboard."""

    rows: Annotated[tuple[RowSpec, ...], Meta(min_length=1, description="Its rows.")]
    title: Annotated[Text | None, Meta(description="Its title; the name when left out.")] = None
    service: Annotated[Name | None, Meta(description="The service whose board it is.")] = None
    tags: Annotated[tuple[Text, ...], Meta(description="Grafana's tags.")] = ()
