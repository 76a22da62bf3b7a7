"""For a batch job, which is gone before anybody scrapes it: its metrics go into a file for node_exporter, or to a Pushgateway."""

import contextlib
import logging
import os
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from specwatch.telemetry.metrics.registry import Metrics, default_metrics

_MODE = 0o644


class PushError(OSError):
    """The Pushgateway could not be reached, or refused the metrics; the message has its answer."""


def write_textfile(path: str | os.PathLike[str], metrics: Metrics | None = None) -> None:
    """Write the metrics as a file for node_exporter's textfile collector, whole or not at all.

    Args:
        path: a file whose name ends with `.prom`; its folder must be there.
        metrics: the registry; the default one when left out.

    Raises:
        OSError: the file cannot be written.
    """
    target = Path(path)
    body, _, _ = (metrics or default_metrics()).render()
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            # node_exporter runs as another user.
            os.fchmod(file.fileno(), _MODE)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def push(
    gateway: str,
    job: str,
    metrics: Metrics | None = None,
    *,
    grouping: Mapping[str, str] | None = None,
    method: Literal["PUT", "POST", "DELETE"] = "PUT",
    timeout_seconds: float = 10.0,
) -> None:
    """Send the metrics to a Pushgateway.

    Args:
        gateway: its address, such as `http://pushgateway:9091`.
        job: value of the label `job`.
        metrics: the registry; the default one when left out.
        grouping: further labels of the group.
        method: PUT replaces all metrics of the group, POST those with the same names, DELETE removes the group.
        timeout_seconds: how long to wait for each step of the exchange.

    Raises:
        PushError: it did not take them.
        ValueError: the address is not one of HTTP.
    """
    if urllib.parse.urlsplit(gateway).scheme not in {"http", "https"}:
        raise ValueError(f"push gateway {gateway!r}: expected http://host:port")
    path = "".join(_group(name, value) for name, value in {"job": job, **(grouping or {})}.items())
    body, content_type, _ = (metrics or default_metrics()).render() if method != "DELETE" else (b"", "text/plain", "")
    request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
        f"{gateway.rstrip('/')}/metrics{path}", data=body, method=method, headers={"Content-Type": content_type}
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds):  # noqa: S310 - as above
            pass
    except urllib.error.HTTPError as error:
        with error:
            answer = error.read(300).decode("utf-8", "replace").strip()
        raise PushError(f"{gateway} answered {error.code} to the metrics of job {job}: {answer}") from None
    except OSError as error:
        raise PushError(f"{gateway} did not take the metrics of job {job}: {error}") from error


@contextlib.contextmanager
def batch_job(
    job: str,
    metrics: Metrics | None = None,
    *,
    textfile: str | os.PathLike[str] | None = None,
    gateway: str = "",
    grouping: Mapping[str, str] | None = None,
) -> Iterator[Metrics]:
    """Run a batch job in a `with` block and hand its metrics on when it ends, also when it raises.

    Beside its own metrics there are `batch_job_duration_seconds`, `batch_job_last_run_timestamp_seconds`,
    `batch_job_last_success_timestamp_seconds` (0 until it first succeeds in this process) and `batch_job_failed` (0 or 1), each with the
    label `job_name`. A file or gateway that does not take them is logged; the job does not fail for it.

    Args:
        job: its name.
        metrics: the registry; the default one when left out.
        textfile: where to write them, if anywhere.
        gateway: the Pushgateway to send them to, if any.
        grouping: further labels of the gateway's group.
    """
    registry = metrics or default_metrics()
    duration = registry.gauge("batch_job_duration_seconds", "How long the job's last run took.", ["job_name"], unit="seconds")
    last_run = registry.gauge("batch_job_last_run_timestamp_seconds", "When the job last ended.", ["job_name"])
    success = registry.gauge("batch_job_last_success_timestamp_seconds", "When the job last succeeded.", ["job_name"])
    failed = registry.gauge("batch_job_failed", "Whether the job's last run failed.", ["job_name"])
    success.labels(job)
    failed.labels(job).set(1)
    begun = time.perf_counter()
    try:
        yield registry
        failed.labels(job).set(0)
        success.labels(job).set_to_current_time()
    finally:
        duration.labels(job).set(time.perf_counter() - begun)
        last_run.labels(job).set_to_current_time()
        _hand_on(job, registry, textfile, gateway, grouping)


def _hand_on(
    job: str, registry: Metrics, textfile: str | os.PathLike[str] | None, gateway: str, grouping: Mapping[str, str] | None
) -> None:
    try:
        if textfile is not None:
            write_textfile(textfile, registry)
        if gateway:
            push(gateway, job, registry, grouping=grouping)
    except (OSError, ValueError) as error:
        logging.getLogger(__name__).warning("The metrics of job %s were not handed on: %s", job, error)


def _group(name: str, value: str) -> str:
    """Return a label as the gateway's paths have it; base64 where the value holds what a path cannot (its README, section "URL")."""
    if not value or "/" in value:
        return f"/{name}@base64/{urlsafe_b64encode(value.encode()).decode() or '='}"
    return f"/{name}/{urllib.parse.quote(value, safe='')}"
