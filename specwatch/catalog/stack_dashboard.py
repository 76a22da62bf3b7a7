"""The stack's own dashboard: is everything scraped, do rules evaluate, do messages leave, do log lines arrive, is there room.

Metric names were read from the programs' own answers: Prometheus 3.5.3, Alertmanager 0.33.1, Loki 3.7.8, node exporter 1.11.1, blackbox
exporter 0.28.0, OpenTelemetry Collector 0.149.0, Jaeger 1.76.0; Promtail's from its source as of Loki 3.7.8, the inbox's from
specwatch.inbox.tally, the collector's count of dropped spans from its source. What shippers do with log lines is drawn by
`specwatch.catalog.shipping_panels`.
"""

from typing import Final

from specwatch import names
from specwatch.catalog import shipping_panels
from specwatch.dashboards import BAD_FROM_ONE, GOOD_FROM_ONE, lines, matcher, stat
from specwatch.stack import Dashboard, Panel, Row, Stack
from specwatch.stack.traces import intake

_BYTES_PER_SECOND: Final = "Bps"
_PER_SECOND: Final = "cps"
_INTEGRATIONS: Final = {"Teams": "msteamsv2"}  # every other one is called like its class
_PSEUDO_FILESYSTEMS: Final = "tmpfs|ramfs|overlay|squashfs|iso9660|9p|fuse.*"


def stack_dashboard(stack: Stack) -> Dashboard:
    """Return the dashboard of the stack itself: a row for each component that is on and scraped."""
    # Some components serve their metrics at an endpoint of its own, which is then the job's owner.
    jobs = {job.owner.removesuffix("-metrics"): matcher("job", (job.name,)) for job in stack.jobs if job.component}
    parts = (
        ("prometheus", "Prometheus", _prometheus),
        ("alertmanager", "Alertmanager", _alertmanager),
        ("loki", "Loki", _loki),
        ("promtail", "Promtail", lambda job, _: shipping_panels.promtail(job)),
        ("alloy", "Alloy", lambda job, _: shipping_panels.alloy(job)),
        ("otelcol", "OpenTelemetry Collector", _otelcol),
        ("fluentd", "Fluentd", lambda job, _: shipping_panels.fluentd(job)),
        ("jaeger", "Jaeger", _jaeger),
        ("inbox", "Inbox", _inbox),
        ("node", "Host", _node),
    )
    rows = [Row(title="Overview", panels=_overview(bool(stack.probes))), Row(title="Scrapes", panels=_scrapes("otelcol" in jobs))]
    rows += [Row(title=title, panels=panels(jobs[name], stack)) for name, title, panels in parts if name in jobs]
    if stack.probes:
        rows.append(Row(title="Probes", panels=_probes()))
    return Dashboard(
        uid=names.SELF_DASHBOARD,
        title="The observability stack itself",
        rows=tuple(rows),
        tags=("stack",),
    )


def _overview(probes: bool) -> tuple[Panel, ...]:
    real = f'alertstate="firing",alertname!="{names.WATCHDOG}"'
    figures = [
        stat("Targets up", "sum(up) or vector(0)"),
        stat("Targets down", "count(up == 0) or vector(0)", thresholds=BAD_FROM_ONE),
        stat("Firing alerts", f"count(ALERTS{{{real}}}) or vector(0)", thresholds=BAD_FROM_ONE),
        stat(
            "Watchdog fires",
            f'count(ALERTS{{alertstate="firing",alertname="{names.WATCHDOG}"}}) or vector(0)',
            thresholds=GOOD_FROM_ONE,
        ),
        stat("Rule failures", "sum(increase(prometheus_rule_evaluation_failures_total[$__range])) or vector(0)", thresholds=BAD_FROM_ONE),
    ]
    if probes:
        figures.append(stat("Probes that fail", "count(probe_success == 0) or vector(0)", thresholds=BAD_FROM_ONE))
    return (
        *figures,
        Panel(
            title="Alerts pending and firing",
            kind="table",
            source="prometheus",
            queries=(("count by (alertname, severity, service, alertstate) (ALERTS)", "series"),),
            height=7,
        ),
        Panel(
            title="Targets down",
            kind="table",
            source="prometheus",
            queries=(("min by (job, instance, service) (up) == 0", "up"),),
            height=7,
        ),
    )


def _scrapes(otelcol: bool) -> tuple[Panel, ...]:
    memory = [("sum by (job) (process_resident_memory_bytes)", "{{job}}")]
    if otelcol:  # the one program with a name of its own for it
        memory.append(("sum by (job) (otelcol_process_memory_rss_bytes)", "{{job}}"))
    return (
        lines("Up, by job", ("sum by (job) (up)", "{{job}}")),
        lines("Slowest scrapes", ("topk(10, max by (job) (scrape_duration_seconds))", "{{job}}"), unit="s"),
        lines("Samples a scrape", ("topk(10, sum by (job) (scrape_samples_scraped))", "{{job}}")),
        lines("Memory", *memory, unit="bytes"),
    )


def _prometheus(job: str, _: Stack) -> tuple[Panel, ...]:
    return (
        lines(
            "Samples taken in",
            (f"sum(rate(prometheus_tsdb_head_samples_appended_total{{{job}}}[$__rate_interval]))", "samples"),
            unit=_PER_SECOND,
            width=8,
        ),
        lines("Series in the head block", (f"sum(prometheus_tsdb_head_series{{{job}}})", "series"), width=8),
        lines("Blocks on disk", (f"sum(prometheus_tsdb_storage_blocks_bytes{{{job}}})", "blocks"), unit="bytes", width=8),
        lines(
            "Rule evaluation failures",
            (f"sum by (rule_group) (rate(prometheus_rule_evaluation_failures_total{{{job}}}[$__rate_interval])) > 0", "{{rule_group}}"),
            unit=_PER_SECOND,
            width=8,
            description="Empty is good: a group is drawn only while one of its rules fails.",
        ),
        lines(
            "Slowest rule groups",
            (f"topk(10, sum by (rule_group) (prometheus_rule_group_last_duration_seconds{{{job}}}))", "{{rule_group}}"),
            unit="s",
            width=8,
        ),
        lines(
            "Alerts to Alertmanager",
            (f"sum(rate(prometheus_notifications_sent_total{{{job}}}[$__rate_interval]))", "sent"),
            (f"sum(rate(prometheus_notifications_errors_total{{{job}}}[$__rate_interval]))", "failed"),
            (f"sum(rate(prometheus_notifications_dropped_total{{{job}}}[$__rate_interval]))", "dropped"),
            unit=_PER_SECOND,
            width=8,
        ),
    )


def _alertmanager(job: str, stack: Stack) -> tuple[Panel, ...]:
    # Alertmanager counts every integration that it knows; only those that somebody configured are of interest.
    kinds = sorted({type(integration).__name__ for receiver in stack.receivers for integration in receiver.integrations})
    own = ",".join([job, *([matcher("integration", [_INTEGRATIONS.get(kind, kind.lower()) for kind in kinds])] if kinds else [])])
    return (
        lines(
            "Messages, by integration",
            (f"sum by (integration) (increase(alertmanager_notifications_total{{{own}}}[$__rate_interval]))", "{{integration}}"),
            width=8,
        ),
        lines(
            "Messages that failed, by integration",
            (
                f"sum by (integration, reason) (increase(alertmanager_notifications_failed_total{{{own}}}[$__rate_interval])) > 0",
                "{{integration}}: {{reason}}",
            ),
            width=8,
            description="Empty is good: an integration is drawn only while its messages fail.",
        ),
        lines("Alerts held, by state", (f"sum by (state) (alertmanager_alerts{{{job}}})", "{{state}}"), width=8),
    )


def _loki(job: str, _: Stack) -> tuple[Panel, ...]:
    return (
        lines(
            "Bytes taken in",
            (f"sum(rate(loki_distributor_bytes_received_total{{{job}}}[$__rate_interval]))", "bytes"),
            unit=_BYTES_PER_SECOND,
            width=8,
        ),
        lines(
            "Lines taken in",
            (f"sum(rate(loki_distributor_lines_received_total{{{job}}}[$__rate_interval]))", "lines"),
            unit=_PER_SECOND,
            width=8,
        ),
        lines(
            "Lines refused, by reason",
            (f"sum by (reason) (rate(loki_discarded_samples_total{{{job}}}[$__rate_interval]))", "{{reason}}"),
            unit=_PER_SECOND,
            width=8,
            description="Empty is good: Loki counts a reason from the first line that it refuses.",
        ),
        lines("Streams in memory", (f"sum(loki_ingester_memory_streams{{{job}}})", "streams"), width=8),
        lines(
            "Evaluations of alerts and metrics that fail",
            (f"sum by (rule_group) (rate(loki_prometheus_rule_evaluation_failures_total{{{job}}}[$__rate_interval]))", "{{rule_group}}"),
            unit=_PER_SECOND,
            width=8,
        ),
        lines(
            "Answer time (95 %), by route",
            (
                f"histogram_quantile(0.95, sum by (le, route) (rate(loki_request_duration_seconds_bucket{{{job}}}[$__rate_interval])))",
                "{{route}}",
            ),
            unit="s",
            width=8,
        ),
    )


def _otelcol(job: str, stack: Stack) -> tuple[Panel, ...]:
    is_sent_to = any(service.logs and service.logs.source == "otlp" for service in stack.services)
    return (
        *(_spans(job) if intake(stack.traces, stack.components) == "otelcol" else ()),
        *(shipping_panels.otelcol(job) if stack.shipper == "otelcol" or is_sent_to else ()),
    )


def _spans(job: str) -> tuple[Panel, ...]:
    decided = f"otelcol_processor_tail_sampling_global_count_traces_sampled_total{{{job}}}"
    return (
        lines(
            "Spans",
            (f"sum(rate(otelcol_receiver_accepted_spans_total{{{job}}}[$__rate_interval]))", "taken"),
            (f"sum(rate(otelcol_receiver_refused_spans_total{{{job}}}[$__rate_interval]))", "refused"),
            (f"sum(rate(otelcol_exporter_sent_spans_total{{{job}}}[$__rate_interval]))", "sent"),
            (f"sum(rate(otelcol_exporter_enqueue_failed_spans_total{{{job}}}[$__rate_interval]))", "dropped"),
            unit=_PER_SECOND,
        ),
        lines(
            "Traces, by decision",
            (f"sum by (decision) (rate({decided}[$__rate_interval]))", "{{decision}}"),
            unit=_PER_SECOND,
            description="Empty without sampling.",
        ),
    )


def _jaeger(job: str, _: Stack) -> tuple[Panel, ...]:
    return (
        lines(
            "Spans",
            (f"sum(rate(jaeger_collector_spans_received_total{{{job}}}[$__rate_interval]))", "taken"),
            (f"sum(rate(jaeger_collector_spans_dropped_total{{{job}}}[$__rate_interval]))", "dropped"),
            unit=_PER_SECOND,
        ),
        lines(
            "Spans that wait to be stored",
            (f"sum(jaeger_collector_queue_length{{{job}}})", "waiting"),
            (f"sum(jaeger_collector_queue_capacity{{{job}}})", "capacity"),
        ),
    )


def _inbox(job: str, _: Stack) -> tuple[Panel, ...]:
    return (
        lines("Messages taken", (f"sum by (kind) (increase(inbox_messages_total{{{job}}}[$__rate_interval]))", "{{kind}}"), width=8),
        lines("Messages refused", (f"sum by (kind) (increase(inbox_rejected_total{{{job}}}[$__rate_interval]))", "{{kind}}"), width=8),
        lines("Messages kept", (f"sum by (kind) (inbox_stored_messages{{{job}}})", "{{kind}}"), width=8),
    )


def _node(job: str, _: Stack) -> tuple[Panel, ...]:
    disks = f'{job},fstype!~"{_PSEUDO_FILESYSTEMS}"'
    return (
        lines(
            "Disk used",
            (f"1 - min by (device) (node_filesystem_avail_bytes{{{disks}}} / node_filesystem_size_bytes{{{disks}}})", "{{device}}"),
            unit="percentunit",
            width=8,
        ),
        lines(
            "Memory used",
            (f"1 - node_memory_MemAvailable_bytes{{{job}}} / node_memory_MemTotal_bytes{{{job}}}", "{{instance}}"),
            unit="percentunit",
            width=8,
        ),
        lines(
            "Processors busy",
            (f'1 - avg by (instance) (rate(node_cpu_seconds_total{{{job},mode="idle"}}[$__rate_interval]))', "{{instance}}"),
            unit="percentunit",
            width=8,
        ),
    )


def _probes() -> tuple[Panel, ...]:
    return (
        lines("Probes that succeed", ("min by (service, instance) (probe_success)", "{{service}} {{instance}}")),
        lines("Probe time", ("max by (service, instance) (probe_duration_seconds)", "{{service}} {{instance}}"), unit="s"),
    )
