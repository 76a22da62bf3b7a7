"""What is drawn."""

from decimal import Decimal
from typing import Literal

from msgspec import Struct


class Panel(Struct, frozen=True, kw_only=True):
    """One dashboard panel. `queries` are (expression, legend) pairs in the language of `source`.

    `width` is in twenty-fourths of the page, `height` in Grafana's grid rows; `thresholds` are (value, colour) pairs.
    """

    title: str
    kind: Literal["timeseries", "stat", "gauge", "table", "logs", "text", "bargauge", "heatmap"]
    source: Literal["prometheus", "loki", "tempo", ""]
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    description: str = ""
    width: int = 12
    height: int = 8
    thresholds: tuple[tuple[Decimal, str], ...] = ()
    stacked: bool = False
    text: str = ""


class Row(Struct, frozen=True, kw_only=True):
    """A titled group of panels."""

    title: str
    panels: tuple[Panel, ...]


class Dashboard(Struct, frozen=True, kw_only=True):
    """One Grafana dashboard; `uid` is fixed so that links to it last."""

    uid: str
    title: str
    rows: tuple[Row, ...]
    tags: tuple[str, ...] = ()
    service: str = ""
