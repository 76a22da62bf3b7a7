"""`services:`, `targets:` and `metrics:` — what runs, how it is scraped, what it emits."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from specwatch.spec.model.logs import LogsSource
from specwatch.spec.model.values import (
    AlertName,
    Argument,
    Duration,
    HostPort,
    LabelName,
    Memory,
    Name,
    Number,
    Port,
    ProbeUrl,
    SecretRef,
    Text,
    Url,
    UrlPath,
)


class Basic(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """HTTP basic authentication."""

    username: Text
    password: SecretRef


class Tls(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """TLS of a scrape."""

    ca: Annotated[SecretRef | None, Meta(description="The authority's certificate, as a secret file.")] = None
    certificate: Annotated[SecretRef | None, Meta(description="The client's certificate.")] = None
    key: Annotated[SecretRef | None, Meta(description="The client's key.")] = None
    server_name: Annotated[Text | None, Meta(description="The name to expect in the server's certificate.")] = None
    insecure_skip_verify: Annotated[bool, Meta(description="Accept any certificate.")] = False


class MetricsSource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a service or target is scraped."""

    port: Annotated[Port | None, Meta(description="The port of the metrics endpoint at the service's own address.")] = None
    path: Annotated[UrlPath, Meta(description="The endpoint's path.")] = "/metrics"
    scheme: Annotated[Literal["http", "https"], Meta(description="http or https.")] = "http"
    targets: Annotated[tuple[HostPort, ...], Meta(description="Fixed addresses, instead of the service's own.")] = ()
    files: Annotated[
        tuple[
            Annotated[
                str,
                Meta(
                    pattern=r"^(?!/)(?!.*\.\.)[A-Za-z0-9_*./-]+\.(?:ya?ml|json)(?!\n)$",
                    title="a relative path",
                    description="A file or glob below `prometheus/`.",
                ),
            ],
            ...,
        ],
        Meta(description="Files (globs below `prometheus/`) that list targets, in Prometheus' file_sd form."),
    ] = ()
    dns: Annotated[tuple[Text, ...], Meta(description="Names whose A records are the targets; `port` goes with it.")] = ()
    containers: Annotated[
        bool, Meta(description="Find containers by their label `specwatch.service`; Prometheus then reads the Docker socket.")
    ] = False
    interval: Annotated[Duration | None, Meta(description="How often, when not as the stack does.")] = None
    timeout: Annotated[Duration | None, Meta(description="How long a scrape may take.")] = None
    labels: Annotated[dict[LabelName, Text], Meta(description="Labels on every series of the target.")] = {}
    basic: Annotated[Basic | None, Meta(description="HTTP basic authentication.")] = None
    bearer: Annotated[SecretRef | None, Meta(description="A bearer token.")] = None
    tls: Annotated[Tls | None, Meta(description="TLS settings.")] = None
    honor_labels: Annotated[bool, Meta(description="Keep the target's own job and instance labels.")] = False


class ProbeSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A check from outside, through the blackbox exporter."""

    url: Annotated[ProbeUrl, Meta(description="A URL, a path at the service's address, or host:port for TCP.")]
    module: Annotated[Literal["http_2xx", "tcp_connect"], Meta(description="How it is checked.")] = "http_2xx"
    interval: Annotated[Duration | None, Meta(description="How often, when not as the stack does.")] = None


class BuildSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How compose builds an image."""

    context: Annotated[Text, Meta(description="The build context's folder.")] = "."
    dockerfile: Annotated[Text, Meta(description="The Dockerfile, below the context.")] = "Dockerfile"
    args: Annotated[dict[str, str], Meta(description="Build arguments.")] = {}


class RunSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How specwatch starts the service. Leave it out when your own compose file does."""

    command: Annotated[tuple[Argument, ...], Meta(min_length=1, description="The program and its arguments; never through a shell.")]
    image: Annotated[Text | None, Meta(description="The image, for compose.")] = None
    build: Annotated[BuildSpec | None, Meta(description="How compose builds the image.")] = None
    environment: Annotated[
        dict[
            Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(?!\n)$", title="a variable", description="Letters, digits and `_`.")],
            Argument,
        ],
        Meta(description="Variables; OTEL_*, HOST, PORT and LOG_FORMAT are set for you."),
    ] = {}
    publish: Annotated[tuple[Port, ...], Meta(description="Ports published on the host under their own number.")] = ()
    health: Annotated[tuple[Argument, ...], Meta(description="A command that succeeds inside the container while it is healthy.")] = ()
    user: Annotated[str, Meta(pattern=r"^[0-9]{1,7}(?::[0-9]{1,7})?(?!\n)$", title="a numeric user", description="uid or uid:gid.")] = (
        "10001:10001"
    )
    memory: Annotated[Memory, Meta(description="The container's memory limit.")] = "512m"
    volumes: Annotated[
        tuple[
            Annotated[
                str,
                Meta(
                    pattern=r"^[a-z][a-z0-9_-]*:/[^:]+(?!\n)$",
                    title="a volume of the form name:/path",
                    description="A named volume and where it is mounted.",
                ),
            ],
            ...,
        ],
        Meta(description="Named volumes."),
    ] = ()
    depends_on: Annotated[tuple[Name, ...], Meta(description="Services that must be healthy first.")] = ()
    restart: Annotated[Literal["no", "always", "on-failure", "unless-stopped"], Meta(description="Docker's restart policy.")] = (
        "unless-stopped"
    )


class Tuning(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"for_": "for"}):
    """Other settings for an alert that a pack brings."""

    threshold: Annotated[Number | None, Meta(description="The limit it compares with.")] = None
    for_: Annotated[Duration | None, Meta(description="How long it must hold before it fires.")] = None
    severity: Annotated[Literal["critical", "warning", "info"] | None, Meta(description="Its severity.")] = None
    runbook: Annotated[Url | None, Meta(description="Its runbook.")] = None
    enabled: Annotated[bool, Meta(description="false leaves it out.")] = True


class Service(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of your services."""

    metrics: Annotated[MetricsSource | bool, Meta(description="How it is scraped; `true` for port 8000, path /metrics.")] = False
    logs: Annotated[LogsSource | bool, Meta(description="Its log lines; `true` for JSON on the container's output.")] = False
    traces: Annotated[bool, Meta(description="It sends OTLP traces.")] = False
    probe: Annotated[ProbeUrl | ProbeSpec | None, Meta(description="A path or URL checked from outside.")] = None
    uses: Annotated[tuple[Name, ...], Meta(description="Packs: metrics, alerts and panels that come together.")] = ()
    tune: Annotated[dict[AlertName, Tuning], Meta(description="Other settings for the packs' alerts.")] = {}
    team: Annotated[Name, Meta(description="Who looks after it.")] = "ops"
    host: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,253}(?!\n)$", title="a host name", description="A name or address.")] | None,
        Meta(description="Where it is, when not under its own name: another container, or `host.docker.internal` for a port on this host."),
    ] = None
    run: Annotated[RunSpec | None, Meta(description="How specwatch starts it.")] = None


class Target(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something watched that is not one of your services: a database's exporter, a web site."""

    metrics: Annotated[MetricsSource | None, Meta(description="How it is scraped.")] = None
    probe: Annotated[ProbeUrl | ProbeSpec | None, Meta(description="A URL or host:port checked from outside.")] = None
    team: Annotated[Name, Meta(description="Who looks after it.")] = "ops"


class MetricSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A metric that your code emits, beyond its packs."""

    type: Annotated[Literal["counter", "gauge", "histogram", "summary", "info"], Meta(description="Its Prometheus type.")]
    help: Annotated[Text, Meta(description="What it counts or measures.")]
    unit: Annotated[str, Meta(pattern=r"^[a-z_]*(?!\n)$", title="a unit", description="A base unit.", examples=["seconds"])] = ""
    labels: Annotated[
        dict[LabelName, tuple[str, ...] | None], Meta(description="Its labels; a list of values, or nothing for an open set.")
    ] = {}
    buckets: Annotated[tuple[Number, ...], Meta(description="A histogram's upper bounds, rising; +Inf is implied.")] = ()
    services: Annotated[tuple[Name, ...], Meta(description="Who emits it; every service when left out.")] = ()


class RecordingRuleSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A series that Prometheus computes and keeps."""

    expr: Annotated[Text, Meta(description="PromQL.")]
    labels: Annotated[dict[LabelName, Text], Meta(description="Labels of the result.")] = {}


class SloSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service level objective."""

    service: Annotated[Name, Meta(description="Whose objective.")]
    objective: Annotated[Number, Meta(description="Per cent of events that must be good.", examples=[99.9])]
    good: Annotated[Text, Meta(description="PromQL of good events, a counter.")]
    total: Annotated[Text, Meta(description="PromQL of all events, a counter.")]
    window: Annotated[Duration, Meta(description="The period.")] = "30d"
    description: Annotated[str, Meta(max_length=4000, description="What it promises.")] = ""
