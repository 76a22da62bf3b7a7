"""What `traces:` means."""

import re
from decimal import Decimal

from specwatch.resolve.faults import Faults
from specwatch.spec.model import Spec
from specwatch.spec.model.services import Service
from specwatch.spec.model.traces import SamplingSpec
from specwatch.stack import SecretFile
from specwatch.stack.traces import Sampling, Traces

_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000}


def traces(spec: Spec, faults: Faults) -> Traces:
    """Return where spans go."""
    wanted = spec.traces
    if wanted.backend == "otlp" and not wanted.endpoint:
        faults.add(("traces",), '"endpoint" is missing: where OTLP over HTTP is taken, such as https://otlp.example.com', on_key=True)
    for key in ("endpoint", "token"):
        if wanted.backend != "otlp" and getattr(wanted, key):
            faults.add(("traces", key), f"goes with `backend: otlp`; {wanted.backend} is part of the stack", on_key=True)
    endpoint = (wanted.endpoint or "").rstrip("/")
    if endpoint.endswith("/v1/traces"):
        faults.add(("traces", "endpoint"), "leave out /v1/traces, which is added")
    return Traces(
        backend=wanted.backend,
        endpoint=endpoint,
        token=SecretFile(wanted.token.secret) if wanted.token else None,
        sampling=_sampling(wanted.sampling, faults) if wanted.sampling else None,
        span_metrics=wanted.span_metrics,
        through_collector=needs_collector(spec),
    )


def _sampling(wanted: SamplingSpec, faults: Faults) -> Sampling:
    path = ("traces", "sampling")
    if not 0 <= wanted.ratio <= 1:
        faults.add((*path, "ratio"), f"found {wanted.ratio}, expected a number from 0 to 1")
    if not (wanted.errors or wanted.slower_than or wanted.ratio):
        faults.add(path, "this keeps no trace at all; say what is kept, or `traces: false` at the services", on_key=True)
    number, unit = re.fullmatch(r"(\d+)(\D+)", wanted.slower_than or "0s").groups()  # type: ignore[union-attr]  # the model has checked it
    return Sampling(
        errors=wanted.errors,
        slower_than_milliseconds=int(number) * _MILLISECONDS[unit],
        ratio=Decimal(wanted.ratio),
        wait_seconds=faults.positive(wanted.wait, (*path, "wait")),
    )


def needs_collector(spec: Spec) -> bool:
    """Return whether the OpenTelemetry Collector stands between the services and the backend.

    It samples, computes what Tempo would, sends to somebody else, or takes a service's log lines, for which OpenTelemetry has the same
    endpoint as for spans.
    """
    return why_collector(spec) != ""


def why_collector(spec: Spec) -> str:
    """Return why the collector must be on, beside carrying logs; an empty text when it need not be."""
    for name, service in spec.services.items():
        if _logs_by_otlp(service) and _on(spec, "loki"):
            return f"takes the log lines that the service {name} sends by OTLP"
    wanted = spec.traces
    if not any(service.traces for service in spec.services.values()) or not (wanted.backend == "otlp" or _on(spec, wanted.backend)):
        return ""
    if wanted.sampling is not None:
        return "samples traces"
    if wanted.backend == "otlp":
        return "sends spans to `traces.endpoint`"
    if wanted.backend == "jaeger" and wanted.span_metrics and _on(spec, "prometheus"):
        return "computes metrics from spans (`traces.span_metrics`), which Jaeger does not"
    return ""


def _logs_by_otlp(service: Service) -> bool:
    return not isinstance(service.logs, bool) and service.logs.source == "otlp"


def _on(spec: Spec, component: str) -> bool:
    return {str(name): on for name, on in spec.stack.components.items()}.get(component, True)
