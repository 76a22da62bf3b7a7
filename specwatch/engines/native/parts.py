"""How each component behaves as a process: how it says that it is ready, how it takes a new configuration, when it starts."""

from typing import Final

from msgspec import Struct

SERVICE_WAVE: Final = 4


class Part(Struct, frozen=True, kw_only=True):
    """One component as a process.

    `ready` is a path that answers 2xx, at the port named `ready_port` (the component's own when empty). `reload` says that POST
    /-/reload makes it read its files again; whatever does not lie below one of the folders in `live` needs a new start otherwise.
    `verify` are the words in front of and behind its arguments that make it check its configuration and end.
    """

    ready: str
    wave: int
    ready_port: str = ""
    reload: bool = False
    live: tuple[str, ...] = ()
    verify: tuple[tuple[str, ...], tuple[str, ...]] | None = None


# Receivers come before senders, so that nobody's first message meets a closed port, and what is shipped last is still taken.
PARTS: Final = {
    "inbox": Part(ready="health", wave=0),
    "loki": Part(ready="ready", wave=0, live=("loki/rules/",), verify=((), ("-verify-config",))),
    "tempo": Part(ready="ready", wave=0),
    "jaeger": Part(ready="", ready_port="jaeger-metrics", wave=0),
    "alertmanager": Part(ready="-/ready", wave=1, reload=True),
    "blackbox": Part(ready="-/healthy", wave=1, reload=True),
    "node": Part(ready="metrics", wave=1),
    "cadvisor": Part(ready="healthz", wave=1),
    "prometheus": Part(ready="-/ready", wave=2, reload=True),
    "grafana": Part(ready="api/health", wave=2, live=("grafana/dashboards/",)),
    "promtail": Part(ready="ready", wave=3),
    "alloy": Part(ready="-/ready", wave=3, reload=True),
    "otelcol": Part(ready="", ready_port="otelcol-health", wave=3, verify=(("validate",), ())),
    "fluentd": Part(ready="", wave=3),
}
