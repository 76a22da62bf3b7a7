"""Panels and queries: a `Panel` of the stack as Grafana's classic panel JSON, in the shapes of @grafana/schema 12.4.

Every panel is made of fresh small dicts and shared constants that nobody changes: a thousand dashboards must cost little.
"""

from collections.abc import Callable, Mapping
from typing import Final

from specwatch.stack import Panel

Json = Mapping[str, object]

# The version whose options these are: with it Grafana runs only the migrations that came later.
PLUGIN_VERSION: Final = "12.4.0"

# Dashboards name their datasources through variables, so that a copy in another Grafana finds that one's.
VARIABLES: Final = {"prometheus": "datasource", "loki": "loki_datasource", "tempo": "tempo_datasource"}
REFERENCES: Final = {kind: {"type": kind, "uid": f"${{{variable}}}"} for kind, variable in VARIABLES.items()}

_COUNT_OF_LETTERS: Final = 26
_NO_VALUE: Final = "no data"
_LAST: Final = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_NEUTRAL: Final = {"mode": "absolute", "steps": [{"color": "blue", "value": None}]}
_HIDDEN_LEGEND: Final = {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False}
_LIST_LEGEND: Final = {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True}
_TABLE_LEGEND: Final = {
    "calcs": ["lastNotNull", "max"],
    "displayMode": "table",
    "placement": "bottom",
    "showLegend": True,
    "sortBy": "Max",
    "sortDesc": True,
}
_TOOLTIP: Final = {"hideZeros": False, "mode": "multi", "sort": "desc"}
_LINES: Final = {
    "axisBorderShow": False,
    "axisPlacement": "auto",
    "axisSoftMin": 0,
    "drawStyle": "line",
    "fillOpacity": 10,
    "gradientMode": "none",
    "hideFrom": {"legend": False, "tooltip": False, "viz": False},
    "insertNulls": False,
    "lineInterpolation": "linear",
    "lineWidth": 1,
    "pointSize": 4,
    "scaleDistribution": {"type": "linear"},
    "showPoints": "auto",
    "spanNulls": False,
    "stacking": {"group": "A", "mode": "none"},
    "thresholdsStyle": {"mode": "off"},
}
_STACKED: Final = _LINES | {"fillOpacity": 60, "stacking": {"group": "A", "mode": "normal"}}
_DASHED: Final = {"mode": "dashed"}
_STAT: Final = {
    "colorMode": "value",
    "graphMode": "none",
    "justifyMode": "auto",
    "orientation": "auto",
    "percentChangeColorMode": "standard",
    "reduceOptions": _LAST,
    "showPercentChange": False,
    "textMode": "auto",
    "wideLayout": True,
}
_COLOURED_STAT: Final = _STAT | {"colorMode": "background"}
_GAUGE: Final = {
    "barShape": "flat",
    "barWidthFactor": 0.5,
    "effects": {},
    "endpointMarker": "point",
    "minVizHeight": 75,
    "minVizWidth": 75,
    "orientation": "auto",
    "reduceOptions": _LAST,
    "segmentCount": 1,
    "segmentSpacing": 0.3,
    "shape": "gauge",
    "showThresholdLabels": False,
    "showThresholdMarkers": True,
    "sizing": "auto",
    "sparkline": False,
    "textMode": "auto",
}
_BAR_GAUGE: Final = {
    "displayMode": "basic",
    "legend": _HIDDEN_LEGEND,
    "maxVizHeight": 300,
    "minVizHeight": 16,
    "minVizWidth": 8,
    "namePlacement": "auto",
    "orientation": "horizontal",
    "reduceOptions": _LAST,
    "showUnfilled": True,
    "sizing": "auto",
    "valueMode": "color",
}
_TABLE: Final = {"cellHeight": "sm", "frameIndex": 0, "showHeader": True}
_CELL: Final = {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": False}
_COLOURED_CELL: Final = _CELL | {"cellOptions": {"type": "color-text"}}
_LOGS: Final = {
    "dedupStrategy": "none",
    "detailsMode": "inline",
    "enableInfiniteScrolling": True,
    "enableLogDetails": True,
    "prettifyLogMessage": False,
    "showCommonLabels": False,
    "showLabels": False,
    "showLogContextToggle": True,
    "showTime": True,
    "sortOrder": "Descending",
    "syntaxHighlighting": True,
    "wrapLogMessage": True,
}
_HEATMAP_CELL: Final = {"hideFrom": {"legend": False, "tooltip": False, "viz": False}, "scaleDistribution": {"type": "linear"}}
_LIMITS: Final = {"percentunit": {"min": 0, "max": 1}, "percent": {"min": 0, "max": 100}}
_LEVEL_COLOURS: Final = {
    "critical": "dark-red",
    "error": "red",
    "warn": "orange",
    "info": "green",
    "debug": "blue",
    "unknown": "text",
}
_LEVEL_OVERRIDES: Final = [
    {
        "matcher": {"id": "byName", "options": level},
        "properties": [{"id": "color", "value": {"fixedColor": colour, "mode": "fixed"}}],
    }
    for level, colour in _LEVEL_COLOURS.items()
]
# One figure, as it is now: an instant query says "no data" when a series ends, the last value of a range does not.
_INSTANT: Final = frozenset({"stat", "gauge", "bargauge", "table"})


def panel_json(panel: Panel, number: int, position: Json, interval: str) -> Json:
    """Return the panel with the id `number`; `interval` is how often its series are scraped ("1m"), or empty for the datasource's own."""
    written: dict[str, object] = {"id": number, "type": panel.kind, "title": panel.title, "gridPos": position}
    if panel.description:
        written["description"] = panel.description
    if panel.kind == "text":
        written["options"] = {"content": panel.text, "mode": "markdown"}
    else:
        source = panel.source or "prometheus"
        written["datasource"] = REFERENCES[source]
        written["targets"] = [_target(panel, source, _ref_id(index), query, interval) for index, query in enumerate(panel.queries)]
        if panel.kind == "table" and source != "tempo":
            written["transformations"] = _transformations(panel)
        written["fieldConfig"] = _field_config(panel)
        written["options"] = _OPTIONS[panel.kind](panel)
    written["pluginVersion"] = PLUGIN_VERSION
    return written


def _ref_id(index: int) -> str:
    letters = chr(ord("A") + index % _COUNT_OF_LETTERS)
    return letters if index < _COUNT_OF_LETTERS else _ref_id(index // _COUNT_OF_LETTERS - 1) + letters


def _target(panel: Panel, source: str, ref_id: str, query: tuple[str, str], interval: str) -> Json:
    if source == "prometheus":
        return _prometheus(panel, ref_id, query, interval)
    return _loki(panel, ref_id, query) if source == "loki" else _tempo(panel, ref_id, query)


def _prometheus(panel: Panel, ref_id: str, query: tuple[str, str], interval: str) -> Json:
    expr, legend = query
    instant = panel.kind in _INSTANT
    target: dict[str, object] = {
        "refId": ref_id,
        "datasource": REFERENCES["prometheus"],
        "editorMode": "code",
        "expr": expr,
        "format": "heatmap" if panel.kind == "heatmap" else "table" if panel.kind == "table" else "time_series",
        "instant": instant,
        "legendFormat": legend or "__auto",
        "range": not instant,
    }
    if not instant and ("histogram_quantile" in expr or "_bucket" in expr):
        target["exemplar"] = True
    if interval:
        target["interval"] = interval
    return target


def _loki(panel: Panel, ref_id: str, query: tuple[str, str]) -> Json:
    expr, legend = query
    return {
        "refId": ref_id,
        "datasource": REFERENCES["loki"],
        "editorMode": "code",
        "expr": expr,
        "legendFormat": legend,
        "queryType": "instant" if panel.kind in _INSTANT else "range",
    }


def _tempo(panel: Panel, ref_id: str, query: tuple[str, str]) -> Json:
    return {
        "refId": ref_id,
        "datasource": REFERENCES["tempo"],
        "filters": [],
        "limit": 20,
        "metricsQueryType": "instant" if panel.kind in _INSTANT else "range",
        "query": query[0],
        "queryType": "traceql",
        "tableType": "traces",
    }


def _transformations(panel: Panel) -> list[Json]:
    # A query's values come under "Value", or "Value #A" beside others: the legend is what a person wants to read.
    renamed: dict[str, str] = {}
    for index, (_, legend) in enumerate(panel.queries):
        if legend and "{{" not in legend:
            renamed[f"Value #{_ref_id(index)}"] = legend
            if len(panel.queries) == 1:
                renamed["Value"] = legend
    hidden = {"Time": True, "__name__": True}
    return [
        *([{"id": "labelsToFields", "options": {"mode": "columns"}}] if panel.source == "loki" else []),
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": hidden, "includeByName": {}, "indexByName": {}, "renameByName": renamed}},
    ]


def _field_config(panel: Panel) -> Json:
    kind = panel.kind
    if kind == "logs":
        return {"defaults": {}, "overrides": []}
    defaults: dict[str, object] = {
        "unit": panel.unit,
        "noValue": _NO_VALUE,
        "color": {"mode": "palette-classic" if kind == "timeseries" else "thresholds"},
        "thresholds": _thresholds(panel) if panel.thresholds else _NEUTRAL,
        "mappings": [],
    }
    overrides: list[Json] = []
    if kind == "timeseries":
        custom = _STACKED if panel.stacked else _LINES
        defaults["custom"] = custom | {"thresholdsStyle": _DASHED} if panel.thresholds else custom
        if any(legend == "{{level}}" for _, legend in panel.queries):
            overrides = _LEVEL_OVERRIDES  # type: ignore[assignment]  # a constant list of the same shape
    elif kind == "table":
        defaults["custom"] = _COLOURED_CELL if panel.thresholds else _CELL
    elif kind == "heatmap":
        defaults["custom"] = _HEATMAP_CELL
    elif kind in {"gauge", "bargauge"}:
        defaults |= _LIMITS.get(panel.unit, {"min": 0})
    return {"defaults": defaults, "overrides": overrides}


def _thresholds(panel: Panel) -> Json:
    # A step at zero is what holds below the next one. Without it that is the opposite of where the steps lead: red when they end in green.
    (first, colour), *_ = steps = panel.thresholds
    if first == 0:
        below, steps = colour, steps[1:]
    else:
        below = "red" if steps[-1][1].endswith("green") else "green"
    return {"mode": "absolute", "steps": [{"color": below, "value": None}, *({"color": colour, "value": value} for value, colour in steps)]}


def _timeseries(panel: Panel) -> Json:
    many = len(panel.queries) > 2 or any(not legend or "{{" in legend for _, legend in panel.queries)  # noqa: PLR2004  # two lines need no table
    return {"legend": _TABLE_LEGEND if many else _LIST_LEGEND, "tooltip": _TOOLTIP}


def _heatmap(panel: Panel) -> Json:
    return {
        "calculate": False,
        "cellGap": 1,
        "color": {
            "exponent": 0.5,
            "fill": "dark-orange",
            "mode": "scheme",
            "reverse": False,
            "scale": "exponential",
            "scheme": "Oranges",
            "steps": 64,
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "showColorScale": True, "yHistogram": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": panel.unit},
    }


_OPTIONS: Final[Mapping[str, Callable[[Panel], Json]]] = {
    "timeseries": _timeseries,
    "stat": lambda panel: _COLOURED_STAT if panel.thresholds else _STAT,
    "gauge": lambda _: _GAUGE,
    "bargauge": lambda _: _BAR_GAUGE,
    "table": lambda _: _TABLE,
    "logs": lambda _: _LOGS,
    "heatmap": _heatmap,
}
