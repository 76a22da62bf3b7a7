"""A stack to files: one module for each component, all with the same call."""

from collections.abc import Callable, Mapping

from specwatch.render import (
    alertmanager,
    alloy,
    blackbox,
    compose,
    fluentd,
    grafana,
    inbox,
    loki,
    otelcol,
    prometheus,
    promtail,
    rules,
    secrets,
    tempo,
)
from specwatch.render.overrides import patched
from specwatch.stack import Stack
from specwatch.topology import Topology

Renderer = Callable[[Stack, Topology], Mapping[str, str]]

# Component (empty for what is always there) and its renderer.
RENDERERS: tuple[tuple[str, Renderer], ...] = (
    ("prometheus", prometheus.render),
    ("prometheus", rules.render),
    ("alertmanager", alertmanager.render),
    ("loki", loki.render),
    ("promtail", promtail.render),
    ("alloy", alloy.render),
    ("otelcol", otelcol.render),
    ("fluentd", fluentd.render),
    ("tempo", tempo.render),
    ("grafana", grafana.render),
    ("blackbox", blackbox.render),
    ("inbox", inbox.render),
)
COMPOSE_RENDERERS: tuple[Renderer, ...] = (secrets.render, compose.render)


def render(stack: Stack, topology: Topology) -> dict[str, str]:
    """Return every generated file, path to text; nothing is written."""
    files: dict[str, str] = {}
    for component, renderer in RENDERERS:
        if stack.has(component):
            files |= renderer(stack, topology)
    if topology.runtime == "compose":
        for renderer in COMPOSE_RENDERERS:
            files |= renderer(stack, topology)
    return patched(stack, files) if stack.overrides else files
