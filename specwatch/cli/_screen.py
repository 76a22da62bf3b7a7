"""How events and states look on the screen."""

import json
import shutil
import sys
from collections.abc import Iterable

import click
import msgspec

from specwatch.components import BY_NAME
from specwatch.engines.values import (
    AlreadyRunning,
    ComponentStatus,
    Event,
    Off,
    Outcome,
    Ready,
    Restarted,
    Started,
    Step,
    Stopped,
    Substituted,
    Waiting,
)

_COLOURS = {
    "running": "green",
    "starting": "yellow",
    "restarting": "yellow",
    "off": "bright_black",
    "stopped": "red",
    "ended": "bright_black",
}
# Where there is something to see, for a component that has no page of its own.
_API_PATHS = {"loki": "ready"}
_OUTCOMES = {"failed": "red", "unchanged": "bright_black"}
END_OF_LIFE = (
    "Promtail is past its end of life (2026-03-02) and gets no fixes any more; "
    "`stack: {shipper: otelcol}` or `{shipper: alloy}` in the spec replaces it."
)


class Screen:
    """Prints events as they come; on a terminal the wait is one line that renews itself."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.moving = sys.stderr.isatty() and not quiet
        self.open_line = False
        self.off: dict[str, Off] = {}

    def report(self, event: Event) -> None:
        """Show one event."""
        if self.quiet:
            return
        if isinstance(event, Waiting):
            if self.moving:
                self._transient(f"  … {event.seconds:.0f} s, waiting for {', '.join(event.names)}")
            return
        line = _line(event)
        if line:
            self._clear()
            click.echo(line, err=True)

    def done(self) -> None:
        """End the line that renews itself."""
        self._clear()

    def _transient(self, text: str) -> None:
        width = shutil.get_terminal_size().columns
        click.echo(f"\r\x1b[2K{text[: width - 1]}", nl=False, err=True)
        self.open_line = True

    def _clear(self) -> None:
        if self.open_line:
            click.echo("\r\x1b[2K", nl=False, err=True)
            self.open_line = False


def _line(event: Event) -> str:  # noqa: PLR0911  # one line for each event
    match event:
        case Off(name, reason, cure):
            return f"  {name:<13} {click.style('off', fg='bright_black')}: {reason}; {cure}"
        case Substituted(old, new, reason):
            return f"  {old:<13} {new} takes its place: {reason}"
        case AlreadyRunning(names):
            return f"  up already: {', '.join(names)}" if names else ""
        case Ready(name, seconds):
            return f"  {name:<13} {click.style('ready', fg='green')} after {seconds:.1f} s"
        case Restarted(name, reason):
            return f"  {name:<13} started anew: {reason}"
        case Stopped(name):
            return f"  {name:<13} stopped"
        case Step(text):
            return f"  {text}"
        case Started() | Waiting():
            return ""


def statuses(found: Iterable[ComponentStatus]) -> None:
    """Print how each part is doing, one line each."""
    for part in found:
        title = BY_NAME[part.name].title if part.name in BY_NAME else part.name
        state = click.style(f"{part.state:<10}", fg=_COLOURS[part.state])
        facts = []
        if part.state in {"running", "starting"}:
            facts.append(f"up {_span(part.uptime_seconds)}")
        if part.pid:
            facts.append(f"pid {part.pid}")
        if part.restarts:
            facts.append(f"{part.restarts} restart{'s' if part.restarts > 1 else ''}")
        if part.reason and (part.restarts or part.state not in {"running", "starting"}):
            facts.append(part.reason)
        click.echo(f"  {title:<24} {state} {part.url:<24} {', '.join(facts)}".rstrip())


def where(found: Iterable[ComponentStatus]) -> None:
    """Print where everything is that a person can open, and what is off."""
    parts = list(found)
    for part in parts:
        title = BY_NAME[part.name].title if part.name in BY_NAME else part.name
        if part.url and part.state != "off":
            click.echo(f"  {title:<24} {part.url}{_API_PATHS.get(part.name, '')}")
    for part in parts:
        if part.state == "off":
            click.echo(f"  {BY_NAME[part.name].title if part.name in BY_NAME else part.name:<24} off: {part.reason}")


def outcomes(found: Iterable[Outcome]) -> None:
    """Print what a reload did to each part."""
    for outcome in found:
        word = click.style(outcome.result, fg=_OUTCOMES.get(outcome.result, "green"))
        detail = "".join(f"\n{'':<15} {line}" for line in outcome.detail.splitlines()) if outcome.detail else ""
        click.echo(f"  {outcome.name:<13} {word}{detail}")


def as_json(**values: object) -> None:
    """Print values as one JSON object."""
    click.echo(json.dumps(msgspec.to_builtins(values)))


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
