"""`traces:` — where spans go, which are kept, what is computed from them."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from specwatch.spec.model.values import Duration, Number, SecretRef, Url

Latency = Annotated[
    str,
    Meta(pattern=r"^[1-9][0-9]{0,6}(?:ms|s|m)(?!\n)$", title="a time such as 250ms, 1s or 2m", examples=["250ms"]),
]


class SamplingSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tail sampling: a trace is judged when it is over."""

    errors: Annotated[bool, Meta(description="Keep every trace with a failed span.")] = True
    slower_than: Annotated[Latency | None, Meta(description="Keep every trace that took this long or longer.")] = "1s"
    ratio: Annotated[Number, Meta(description="How many of the rest are kept, from 0 to 1.")] = 1
    wait: Annotated[Duration, Meta(description="How long a trace's spans are waited for.")] = "10s"


class TracesSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where spans go. Services with `traces: true` send them by OTLP."""

    backend: Annotated[
        Literal["tempo", "jaeger", "otlp"],
        Meta(description="Tempo, Jaeger 1 (without fixes since 2026), or somebody else's OTLP endpoint."),
    ] = "tempo"
    endpoint: Annotated[
        Url | None,
        Meta(
            description="Where OTLP over HTTP is taken, with `backend: otlp`; `/v1/traces` is added.", examples=["https://otlp.example.com"]
        ),
    ] = None
    token: Annotated[SecretRef | None, Meta(description="A bearer token for `endpoint`.")] = None
    sampling: Annotated[
        SamplingSpec | None, Meta(description="Keep what is worth keeping; the OpenTelemetry Collector then stands before the backend.")
    ] = None
    span_metrics: Annotated[
        bool,
        Meta(
            description="Rates, errors and durations from spans, and who calls whom. Tempo does it; before another backend, the collector."
        ),
    ] = True
