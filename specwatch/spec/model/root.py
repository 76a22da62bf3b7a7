"""The root of spec.yaml."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from specwatch.spec.model.alerting import AlertSpec, InhibitionSpec, MuteInterval, ReceiverSpec, RouteSpec
from specwatch.spec.model.dashboards import DashboardSpec
from specwatch.spec.model.logs import LogMetricSpec, LogsSpec
from specwatch.spec.model.services import MetricSpec, RecordingRuleSpec, Service, SloSpec, Target
from specwatch.spec.model.stack import StackSpec
from specwatch.spec.model.traces import TracesSpec
from specwatch.spec.model.values import AlertName, MetricName, Name

OutputPath = Annotated[
    str,
    Meta(
        pattern=r"^(?!/)(?!.*\.\.)[A-Za-z0-9_./-]+\.(?:ya?ml|json)(?!\n)$",
        title="a generated file",
        description="The path of a generated YAML or JSON file.",
        examples=["loki/loki.yml"],
    ),
]


class Spec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """spec.yaml: what your services emit, what must never happen, and who must hear of it."""

    version: Annotated[Literal[1], Meta(description="The version of this format.")]
    stack: Annotated[StackSpec, Meta(description="What holds for the whole stack.")] = StackSpec()
    services: Annotated[dict[Name, Service], Meta(description="Your services, by name.")] = {}
    targets: Annotated[dict[Name, Target], Meta(description="Whatever else is scraped or probed.")] = {}
    metrics: Annotated[dict[MetricName, MetricSpec], Meta(description="What your code emits, beyond its packs.")] = {}
    recording_rules: Annotated[dict[MetricName, RecordingRuleSpec], Meta(description="Series that Prometheus computes.")] = {}
    alerts: Annotated[dict[AlertName, AlertSpec], Meta(description="Alerts on metrics.")] = {}
    log_alerts: Annotated[dict[AlertName, AlertSpec], Meta(description="Alerts on logs, through Loki's ruler.")] = {}
    log_metrics: Annotated[dict[MetricName, LogMetricSpec], Meta(description="Series computed from logs, by Loki's ruler.")] = {}
    logs: Annotated[LogsSpec, Meta(description="What holds for all log lines.")] = LogsSpec()
    traces: Annotated[TracesSpec, Meta(description="Where spans go.")] = TracesSpec()
    slos: Annotated[dict[Name, SloSpec], Meta(description="Service level objectives.")] = {}
    receivers: Annotated[dict[Name, ReceiverSpec], Meta(description="Who can be told.")] = {}
    routes: Annotated[tuple[RouteSpec, ...], Meta(description="Who is told of what.")] = ()
    inhibitions: Annotated[tuple[InhibitionSpec, ...], Meta(description="Which alerts silence which.")] = ()
    mute_times: Annotated[dict[Name, tuple[MuteInterval, ...]], Meta(description="Named times, for routes.")] = {}
    dashboards: Annotated[dict[Name, DashboardSpec], Meta(description="Boards of your own.")] = {}
    overrides: Annotated[
        dict[OutputPath, Any], Meta(description="The escape hatch: a merge patch (RFC 7386) on a generated YAML or JSON file.")
    ] = {}
