"""The parts of the stack that are not the user's: what each is called, where it listens, what its image needs.

The facts about images (user, health check, what is inside) were read from the images named by `DEFAULT_VERSIONS`.
"""

from typing import Final, Literal

from msgspec import Struct


class Component(Struct, frozen=True, kw_only=True):
    """A part of the stack.

    `port` is where it listens in its container, `host_port` where the host reaches it by default (0: the same number); `user` is
    the numeric user[:group] it runs as; `config` and `data` the folders it reads and keeps (empty for none);
    `program` its file name under the native runtime.
    """

    name: str
    title: str
    image: str
    version: str
    port: int
    user: str
    memory: str
    config: str = ""
    data: str = ""
    program: str = ""
    optional: bool = False
    host_port: int = 0


PROMETHEUS: Final = Component(
    name="prometheus",
    title="Prometheus",
    image="prom/prometheus",
    version="v3.13.2",
    port=9090,
    user="65534:65534",
    memory="1g",
    config="/etc/prometheus",
    data="/prometheus",
    program="prometheus",
)
ALERTMANAGER: Final = Component(
    name="alertmanager",
    title="Alertmanager",
    image="prom/alertmanager",
    version="v0.34.0",
    port=9093,
    user="65534:65534",
    memory="256m",
    config="/etc/alertmanager",
    data="/alertmanager",
    program="alertmanager",
)
LOKI: Final = Component(
    name="loki",
    title="Loki",
    image="grafana/loki",
    version="3.7.6",
    port=3100,
    user="10001:10001",
    memory="1g",
    config="/etc/loki",
    data="/loki",
    program="loki",
)
PROMTAIL: Final = Component(
    name="promtail",
    title="Promtail",
    image="grafana/promtail",
    version="3.6.11",
    port=9080,
    user="0:0",
    memory="256m",
    config="/etc/promtail",
    data="/var/lib/promtail",
    program="promtail",
)
ALLOY: Final = Component(
    name="alloy",
    title="Alloy",
    image="grafana/alloy",
    version="v1.18.1",
    port=12345,
    user="0:0",
    memory="512m",
    config="/etc/alloy",
    data="/var/lib/alloy/data",
    program="alloy",
)
OTELCOL: Final = Component(
    name="otelcol",
    title="OpenTelemetry Collector",
    image="otel/opentelemetry-collector-contrib",
    version="0.149.0",
    port=4318,
    user="0:0",
    memory="512m",
    config="/etc/otelcol",
    data="/var/lib/otelcol",
    program="otelcol",
)
FLUENTD: Final = Component(
    name="fluentd",
    title="Fluentd",
    image="specwatch/fluentd",
    version="v1.19.3-debian-2.2",
    port=24224,
    user="999:999",
    memory="512m",
    config="/fluentd/etc",
    data="/fluentd/buffer",
    program="fluentd",
    optional=True,
)
TEMPO: Final = Component(
    name="tempo",
    title="Tempo",
    image="grafana/tempo",
    version="3.0.3",
    port=3200,
    user="10001:10001",
    memory="1g",
    config="/etc/tempo",
    data="/var/tempo",
    program="tempo",
)
# The last release of Jaeger 1, whose end of life was 2025-12-31; its successor takes another configuration altogether. That the image
# has a shell's tools and a /var/tmp that everybody may write to comes from its base (Alpine); the image itself was not run.
JAEGER: Final = Component(
    name="jaeger",
    title="Jaeger",
    image="jaegertracing/all-in-one",
    version="1.76.0",
    port=16686,
    user="10001:10001",
    memory="1g",
    data="/var/tmp",  # noqa: S108  # a volume that Docker makes with this folder's rights, which let Jaeger's user write
    program="jaeger",
)
GRAFANA: Final = Component(
    name="grafana",
    title="Grafana",
    image="grafana/grafana",
    version="12.4.9",
    port=3000,
    host_port=3001,
    user="472:0",
    memory="512m",
    config="/etc/grafana/provisioning",
    data="/var/lib/grafana",
    program="grafana",
)
BLACKBOX: Final = Component(
    name="blackbox",
    title="Blackbox exporter",
    image="prom/blackbox-exporter",
    version="v0.28.0",
    port=9115,
    user="65534:65534",
    memory="128m",
    config="/etc/blackbox",
    program="blackbox_exporter",
)
NODE: Final = Component(
    name="node",
    title="Node exporter",
    image="prom/node-exporter",
    version="v1.12.1",
    port=9100,
    user="65534:65534",
    memory="128m",
    program="node_exporter",
)
CADVISOR: Final = Component(
    name="cadvisor",
    title="cAdvisor",
    image="ghcr.io/google/cadvisor",
    version="0.60.5",
    port=8080,
    user="0:0",
    memory="256m",
    program="cadvisor",
    optional=True,
)
INBOX: Final = Component(
    name="inbox",
    title="Inbox",
    image="specwatch/inbox",
    version="0.1.0",
    port=8025,
    user="10001:10001",
    memory="256m",
    data="/var/lib/inbox",
    program="python",
)

COMPONENTS: Final = (
    PROMETHEUS,
    ALERTMANAGER,
    LOKI,
    PROMTAIL,
    ALLOY,
    OTELCOL,
    FLUENTD,
    TEMPO,
    JAEGER,
    GRAFANA,
    BLACKBOX,
    NODE,
    CADVISOR,
    INBOX,
)
BY_NAME: Final = {component.name: component for component in COMPONENTS}
SHIPPERS: Final = ("promtail", "alloy", "otelcol")
"""What carries lines and does nothing else; Fluentd takes lines by its forward protocol besides."""
ComponentName = Literal[
    "prometheus",
    "alertmanager",
    "loki",
    "promtail",
    "alloy",
    "otelcol",
    "fluentd",
    "tempo",
    "jaeger",
    "grafana",
    "blackbox",
    "node",
    "cadvisor",
    "inbox",
]
INBOX_SMTP_PORT: Final = 1025
OTLP_PORTS: Final = {"otlp-grpc": 4317, "otlp-http": 4318}
# Natively a backend listens here when the collector stands before it and has the usual ports.
BACKEND_OTLP_PORTS: Final = {"backend-otlp-grpc": 14317, "backend-otlp-http": 14318}
JAEGER_METRICS_PORT: Final = 14269
# What a compose file publishes on the host: each component's endpoints, by the name under which the spec's `ports` knows them, and the
# port in the container. The other components talk only among themselves. `OTLP_PORTS` are besides with the one that services send to.
PUBLISHED: Final = {
    **{component.name: {component.name: component.port} for component in (PROMETHEUS, ALERTMANAGER, LOKI, FLUENTD, GRAFANA)},
    "inbox": {"inbox": INBOX.port, "inbox-smtp": INBOX_SMTP_PORT},
    "jaeger": {"jaeger": JAEGER.port},
}
