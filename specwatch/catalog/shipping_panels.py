"""The panels of the log shippers: lines read, sent, dropped by reason, what waits, how far behind, and what is sent again.

Metric names were read from the programs' own answers (OpenTelemetry Collector 0.149.0, Promtail of Loki 3.7.8), Alloy's from the source
of 1.18.1, Fluentd's from that of fluent-plugin-prometheus 2.2.2.
"""

from typing import Final

from specwatch.dashboards import lines
from specwatch.stack import Panel

_PER_SECOND: Final = "cps"
_BY_REASON: Final = "Empty is good: a reason is counted from the first line that is dropped."


def otelcol(job: str) -> tuple[Panel, ...]:
    """Return the panels of the OpenTelemetry Collector's logs; `job` is the matcher of its metrics."""
    share = f"otelcol_exporter_queue_size{{{job}}} / otelcol_exporter_queue_capacity{{{job}}}"
    return (
        lines(
            "Lines",
            (f"sum(rate(otelcol_receiver_accepted_log_records_total{{{job}}}[$__rate_interval]))", "read"),
            (f"sum(rate(otelcol_receiver_refused_log_records_total{{{job}}}[$__rate_interval]))", "put off"),
            (f"sum(rate(otelcol_exporter_sent_log_records_total{{{job}}}[$__rate_interval]))", "sent"),
            unit=_PER_SECOND,
            width=8,
        ),
        lines(
            "Lines dropped, by reason",
            (f"sum by (filter) (rate(otelcol_processor_filter_logs_filtered_total{{{job}}}[$__rate_interval])) > 0", "{{filter}}"),
            (f"sum(rate(otelcol_exporter_send_failed_log_records_total{{{job}}}[$__rate_interval])) > 0", "refused by Loki"),
            unit=_PER_SECOND,
            width=8,
            description=_BY_REASON,
        ),
        lines("Sending queue", (f"max by (exporter, data_type) ({share})", "{{exporter}}: {{data_type}}"), unit="percentunit", width=8),
        lines("Files followed", (f"sum(otelcol_fileconsumer_open_files{{{job}}})", "files")),
    )


def promtail(job: str) -> tuple[Panel, ...]:
    """Return the panels of Promtail."""
    return _of_grafana(
        job,
        read="promtail_read_lines_total",
        sent="promtail_sent_entries_total",
        dropped=("logentry_dropped_lines_total", "promtail_dropped_entries_total"),
        size="promtail_file_bytes_total",
        position="promtail_read_bytes_total",
        files="promtail_files_active_total",
        retries="promtail_batch_retries_total",
        requests="promtail_request_duration_seconds_count",
    )


def alloy(job: str) -> tuple[Panel, ...]:
    """Return the panels of Alloy."""
    return _of_grafana(
        job,
        read="loki_source_file_read_lines_total",
        sent="loki_write_sent_entries_total",
        dropped=("loki_process_dropped_lines_total", "loki_write_dropped_entries_total"),
        size="loki_source_file_file_bytes_total",
        position="loki_source_file_read_bytes_total",
        files="loki_source_file_files_active_total",
        retries="loki_write_batch_retries_total",
        requests="loki_write_request_duration_seconds_count",
    )


def fluentd(job: str) -> tuple[Panel, ...]:
    """Return the panels of Fluentd."""
    output = "{{plugin_id}} ({{type}})"
    return (
        lines(
            "Lines, by output",
            (f"sum by (plugin_id, type) (rate(fluentd_output_status_emit_records{{{job}}}[$__rate_interval]))", output),
            unit=_PER_SECOND,
            width=8,
        ),
        lines(
            "Buffer that is free",
            (f"min by (plugin_id, type) (fluentd_output_status_buffer_available_space_ratio{{{job}}})", output),
            unit="percent",
            width=8,
        ),
        lines(
            "Errors of delivery",
            (f"sum by (plugin_id, type) (rate(fluentd_output_status_num_errors{{{job}}}[$__rate_interval]))", output),
            unit=_PER_SECOND,
            width=8,
        ),
        lines("Chunks that wait", (f"sum by (plugin_id, type) (fluentd_output_status_buffer_queue_length{{{job}}})", output)),
    )


def _of_grafana(  # what Promtail and Alloy count alike
    job: str,
    *,
    read: str,
    sent: str,
    dropped: tuple[str, str],
    size: str,
    position: str,
    files: str,
    retries: str,
    requests: str,
) -> tuple[Panel, ...]:
    by_stage, by_loki = dropped
    return (
        lines(
            "Lines",
            (f"sum(rate({read}{{{job}}}[$__rate_interval]))", "read"),
            (f"sum(rate({sent}{{{job}}}[$__rate_interval]))", "sent"),
            unit=_PER_SECOND,
            width=8,
        ),
        lines(
            "Lines dropped, by reason",
            (f"sum by (reason) (rate({by_stage}{{{job}}}[$__rate_interval])) > 0", "{{reason}}"),
            (f"sum by (reason) (rate({by_loki}{{{job}}}[$__rate_interval])) > 0", "not delivered: {{reason}}"),
            unit=_PER_SECOND,
            width=8,
            description=_BY_REASON,
        ),
        lines(
            "Bytes behind, by file",
            (f"topk(10, max by (path) ({size}{{{job}}} - {position}{{{job}}}))", "{{path}}"),
            unit="bytes",
            width=8,
        ),
        lines("Files followed", (f"sum({files}{{{job}}})", "files"), width=8),
        lines("Batches sent again", (f"sum by (host) (rate({retries}{{{job}}}[$__rate_interval]))", "{{host}}"), unit=_PER_SECOND, width=8),
        lines(
            "Requests, by answer",
            (f"sum by (status_code) (rate({requests}{{{job}}}[$__rate_interval]))", "{{status_code}}"),
            unit=_PER_SECOND,
            width=8,
        ),
    )
