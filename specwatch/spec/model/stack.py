"""`stack:` — what holds for the whole stack."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from specwatch.components import ComponentName
from specwatch.spec.model.logs import Shipper
from specwatch.spec.model.values import Address, BaseUrl, Duration, HostPort, LabelName, Memory, Name, Port, SecretRef, Size, Text

Version = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(?!\n)$",
        title="an image tag",
        description="The tag of the component's image.",
        examples=["v3.13.2"],
    ),
]


class Retention(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long data is kept."""

    metrics: Annotated[Duration, Meta(description="How long Prometheus keeps samples.")] = "15d"
    metrics_size: Annotated[Size | None, Meta(description="At most this much on disk, whichever limit comes first.")] = None
    logs: Annotated[Duration, Meta(description="How long Loki keeps lines; 24h at the least.")] = "14d"
    traces: Annotated[Duration, Meta(description="How long traces are kept.")] = "3d"


class Smtp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The mail server that every e-mail receiver uses. Without it, mail goes to the inbox."""

    smarthost: Annotated[HostPort, Meta(description="The server's host:port.")]
    sender: Annotated[Address, Meta(description="The From address.")]
    username: Annotated[Text | None, Meta(description="The account, where the server wants one.")] = None
    password: Annotated[SecretRef | None, Meta(description="The account's password.")] = None
    require_tls: Annotated[bool, Meta(description="Refuse to send without TLS.")] = True


class Grafana(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Grafana's administrator."""

    admin_user: Annotated[Text, Meta(description="The administrator's name.")] = "admin"
    admin_password: Annotated[SecretRef, Meta(description="The password's secret; a random one is made when the file is missing.")] = (
        SecretRef("grafana_admin_password")
    )


class StackSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for the whole stack. Everything has a default."""

    name: Annotated[Name, Meta(description="The compose project's name, and Prometheus' external label `stack`.")] = "specwatch"
    environment: Annotated[Text, Meta(description="Prometheus' external label `environment`.")] = "production"
    retention: Annotated[Retention, Meta(description="How long data is kept.")] = Retention()
    scrape_interval: Annotated[Duration, Meta(description="How often targets are scraped.")] = "10s"
    evaluation_interval: Annotated[Duration, Meta(description="How often rules are evaluated.")] = "5s"
    shipper: Annotated[Shipper, Meta(description="What carries container logs to Loki.")] = "promtail"
    components: Annotated[
        dict[ComponentName, bool],
        Meta(
            description="Parts on or off. All are on, but of shippers and of what keeps traces the chosen one alone, and the collector "
            "where it is needed; fluentd and cadvisor wait in a compose profile until they are switched on."
        ),
    ] = {}
    versions: Annotated[dict[ComponentName, Version], Meta(description="Image tags other than the pinned ones.")] = {}
    ports: Annotated[
        dict[
            Literal[
                "prometheus",
                "alertmanager",
                "loki",
                "promtail",
                "alloy",
                "fluentd",
                "tempo",
                "jaeger",
                "grafana",
                "blackbox",
                "node",
                "cadvisor",
                "inbox",
                "inbox-smtp",
                "loki-grpc",
                "otelcol-health",
                "otelcol-metrics",
                "fluentd-metrics",
                "fluentd-monitor",
                "tempo-grpc",
                "jaeger-metrics",
                "otlp-grpc",
                "otlp-http",
                "backend-otlp-grpc",
                "backend-otlp-http",
            ],
            Port,
        ],
        Meta(description="Ports on the host other than the usual ones."),
    ] = {}
    memory: Annotated[dict[ComponentName, Memory], Meta(description="Memory limits of containers.")] = {}
    bind: Annotated[
        str,
        Meta(pattern=r"^[0-9a-fA-F.:]{2,45}(?!\n)$", title="an IP address", description="The host address that ports are published on."),
    ] = "127.0.0.1"
    links: Annotated[BaseUrl, Meta(description="Base of the links in messages, without a port: how people reach this host.")] = (
        "http://127.0.0.1"
    )
    runbooks: Annotated[
        Text | None,
        Meta(
            description="URL of an alert's runbook when it names none; `{alert}` stands for its name.",
            examples=["https://wiki.example.com/runbooks/{alert}"],
        ),
    ] = None
    external_labels: Annotated[dict[LabelName, Text], Meta(description="More external labels.")] = {}
    network: Annotated[Name | None, Meta(description="An existing Docker network to join, where your own application already is.")] = None
    smtp: Annotated[Smtp | None, Meta(description="The mail server.")] = None
    grafana: Annotated[Grafana, Meta(description="Grafana's administrator.")] = Grafana()
    watchdog: Annotated[Name | None, Meta(description="The receiver of the ever-firing Watchdog alert: a dead man's switch.")] = None
