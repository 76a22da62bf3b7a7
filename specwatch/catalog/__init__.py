"""Packs: metrics, alerts and panels that come together for one kind of application; data in YAML beside this file."""

from collections.abc import Mapping
from decimal import Decimal
from importlib import resources
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from specwatch.spec.model.dashboards import RowSpec
from specwatch.spec.model.services import MetricSpec
from specwatch.spec.model.values import AlertName, Duration, MetricName, Text
from specwatch.spec.source import Source


class PackAlert(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"for_": "for"}):
    """An alert of a pack: `value` compared with `threshold`, so that a spec can tune the threshold alone.

    `component` is the part of the stack without which there is no such alert; empty for none.
    """

    value: Text
    operator: Literal[">", "<", ">=", "<=", "==", "!="]
    threshold: Decimal
    for_: Duration
    severity: Literal["critical", "warning", "info"]
    summary: Text
    description: Text
    component: str = ""


class Pack(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one pack brings. Its expressions leave the job out; it is added for each service that uses the pack."""

    description: Annotated[Text, Meta(description="What kind of application it is for.")]
    metrics: dict[MetricName, MetricSpec] = {}
    alerts: dict[AlertName, PackAlert] = {}
    rows: tuple[RowSpec, ...] = ()


PACK_NAMES = ("http", "jobs")


def packs(names: tuple[str, ...]) -> Mapping[str, Pack]:
    """Return the named packs (`names` must be among PACK_NAMES)."""
    return {name: _load(name) for name in names}


def own_alerts() -> Mapping[str, PackAlert]:
    """Return the alerts by which the stack watches itself, those of parts that are off included; their expressions are complete."""
    return _load("stack").alerts


def _load(name: str) -> Pack:
    text = resources.files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return msgspec.convert(Source(f"{name}.yaml", text).data(), Pack)
