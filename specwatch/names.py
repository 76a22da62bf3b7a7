"""Every generated name in one place, and the notations that names and settings share."""

import hashlib
from typing import Final

from specwatch.stack import Stack

PROMETHEUS_UID: Final = "prometheus"
LOKI_UID: Final = "loki"
TEMPO_UID: Final = "tempo"
JAEGER_UID: Final = "jaeger"
ALERTMANAGER_UID: Final = "alertmanager"

COMPOSE_FILE: Final = "docker-compose.observability.yml"
LOCK_FILE: Final = "specwatch.lock"
SECRETS_FOLDER: Final = "secrets"
SERVICE_LABEL: Final = "specwatch.service"
PORT_LABEL: Final = "specwatch.port"

WATCHDOG: Final = "Watchdog"
WATCHDOG_RECEIVER: Final = "watchdog"
STACK_SERVICE: Final = "specwatch"
SELF_DASHBOARD: Final = "stack"

_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_READ_UNITS: Final = {"y": 31_536_000, "w": 604_800, **dict(_UNITS)}
_DASHBOARD_UID_LENGTH: Final = 40


def header(stack: Stack) -> str:
    """Return the comment that heads every generated file, without comment signs."""
    return f"Made by specwatch from {stack.spec_name}: edit that file and run `specwatch generate`, not this one."


def duration(seconds: int) -> str:
    """Return seconds in Prometheus' notation, such as "1h30m"; 0 is "0s"."""
    parts = []
    for unit, size in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def seconds(text: str) -> int:
    """Return the seconds of a duration in Prometheus' notation, such as "1h30m" or "90s" (whole seconds; a year has 365 days).

    The text must already have the right form (the spec's model checks it).
    """
    total, number = 0, ""
    for char in text:
        if char.isdigit():
            number += char
        else:
            total += int(number or 0) * _READ_UNITS[char]
            number = ""
    return total


def dashboard_uid(name: str) -> str:
    """Return the fixed uid of a service's dashboard."""
    return _uid(f"svc-{name}")


def own_dashboard_uid(name: str) -> str:
    """Return the fixed uid of a dashboard of the spec's own."""
    return _uid(f"own-{name}")


def _uid(text: str) -> str:
    """Return `text`, or where it is longer than the 40 characters that Grafana allows its beginning and a hash."""
    if len(text) <= _DASHBOARD_UID_LENGTH:
        return text
    return f"{text[:31]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def rule_group(service: str) -> str:
    """Return the name of the group that holds a service's alerts."""
    return f"{service}.alerts"


def combined_receiver(names: tuple[str, ...]) -> str:
    """Return the name of the receiver that delivers to all of `names`."""
    return "+".join(names)
