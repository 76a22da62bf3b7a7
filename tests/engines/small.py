"""A small stack on free ports, and its project folder: what the tests of the native runtime start."""

import sys
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from specwatch.components import COMPONENTS
from specwatch.engines.native import control, plan
from specwatch.engines.values import ComponentStatus, Event
from specwatch.stack import Stack
from tests.parts import receiver, routing, service, webhook
from tests.stacks import demo_stack
from tests.tools import free_port

EXTRA_PORTS = ("inbox-smtp", "loki-grpc", "otelcol-health", "otelcol-metrics", "fluentd-metrics", "otlp-grpc", "otlp-http")
SERVER = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1")


def small_stack(*components: str, command: tuple[str, ...] = (), **changes: Any) -> Stack:
    """Return a stack of the components and one service, `shop`, which runs `command` (by default a plain web server on its port)."""
    port = free_port()
    shop = service("shop", port=port)
    assert shop.run
    stack = demo_stack(
        components=components,
        optional=(),
        ports={name: free_port() for name in (*(component.name for component in COMPONENTS), *EXTRA_PORTS)},
        services=(replace(shop, run=replace(shop.run, command=command or (*SERVER, str(port)), environment={}, restart="unless-stopped")),),
        probes=(),
        receivers=(receiver("inbox", webhook(url="http://127.0.0.1:9/none")), receiver("nobody")),
        routing=routing(),
        secrets=(),
        inhibitions=(),
        mute_times=(),
    )
    jobs = tuple(job for job in stack.jobs if not job.component or job.owner in components)
    return replace(stack, **{"jobs": jobs, **changes})


def start(stack: Stack, project: Path, events: list[Event] | None = None) -> dict[str, ComponentStatus]:
    """Bring the stack up and return how each part is doing, by name."""
    report = events.append if events is not None else lambda _event: None
    return {part.name: part for part in control.up(plan.plan(stack, project), report)}


def status(project: Path) -> dict[str, ComponentStatus]:
    """Return how each part is doing, by name."""
    return {part.name: part for part in control.status(project)}
