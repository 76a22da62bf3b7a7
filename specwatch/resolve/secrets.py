"""Which secrets a spec names, who reads each, and what stands in while it is missing."""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from specwatch.resolve.services import metrics_secrets
from specwatch.spec.model import Spec
from specwatch.spec.model.alerting import ReceiverSpec
from specwatch.spec.model.values import SecretRef
from specwatch.stack import Secret


class _Use(Struct, frozen=True):
    """One component's use of one secret."""

    secret: SecretRef
    component: str
    fallback: Literal["password", "inbox", "none"] = "none"
    inbox_path: str = ""


def secrets(spec: Spec, on: tuple[str, ...]) -> tuple[Secret, ...]:
    """Return every secret that a component which is on reads; one that is used twice has the first use's fallback."""
    uses: dict[str, list[_Use]] = {}
    for use in _uses(spec):
        if use.component in on:
            uses.setdefault(use.secret.secret, []).append(use)
    return tuple(
        Secret(
            name=name,
            components=tuple(dict.fromkeys(use.component for use in found)),
            fallback="none" if found[0].fallback == "inbox" and "inbox" not in on else found[0].fallback,
            inbox_path=found[0].inbox_path,
        )
        for name, found in uses.items()
    )


def _uses(spec: Spec) -> Iterator[_Use]:
    yield _Use(spec.stack.grafana.admin_password, "grafana", "password")
    for name, receiver in spec.receivers.items():
        yield from _receiver(name, receiver)
    smtp = spec.stack.smtp
    if smtp and smtp.password and any(receiver.email for receiver in spec.receivers.values()):
        yield _Use(smtp.password, "alertmanager")
    search = spec.logs.sinks.elasticsearch
    if search and search.password:
        yield _Use(search.password, "fluentd")
    if spec.traces.token:
        yield _Use(spec.traces.token, "otelcol")
    for source in (*(service.metrics for service in spec.services.values()), *(target.metrics for target in spec.targets.values())):
        yield from (_Use(secret, "prometheus") for secret in metrics_secrets(source))


def _receiver(name: str, receiver: ReceiverSpec) -> Iterator[_Use]:
    # A webhook's address is the secret itself, so the inbox's can stand in for it; a key cannot be anything else.
    for kind, address in (("slack", receiver.slack), ("teams", receiver.teams), ("discord", receiver.discord)):
        if address:
            yield _Use(address.webhook, "alertmanager", "inbox", f"{kind}/{name}")
    webhook = receiver.webhook
    if webhook and isinstance(webhook.url, SecretRef):
        yield _Use(webhook.url, "alertmanager", "inbox", f"webhook/{name}")
    keys = (
        webhook and webhook.bearer,
        receiver.pagerduty and receiver.pagerduty.key,
        receiver.telegram and receiver.telegram.token,
        receiver.opsgenie and receiver.opsgenie.key,
    )
    yield from (_Use(key, "alertmanager") for key in keys if key)
