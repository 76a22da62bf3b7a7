"""`specwatch up`."""

import time

import click

from specwatch.cli import _screen
from specwatch.cli._project import Project, json_option, project_options, runtime_option, warn_of_edits
from specwatch.engines import compose, runtime
from specwatch.engines.native import control, plan
from specwatch.engines.values import ComponentStatus
from specwatch.stack import Stack


@click.command("up")
@project_options
@runtime_option
@click.option("--foreground", is_flag=True, help="Native only: stay, and stop everything at Ctrl-C.")
@click.option("--only", multiple=True, metavar="NAME", help="Native only: start this part only; may be given several times.")
@click.option("--build", is_flag=True, help="Compose only: build the images anew.")
@json_option
def command(
    project: Project, *, preference: runtime.Preference, foreground: bool, only: tuple[str, ...], build: bool, as_json: bool
) -> None:
    """Start the stack and wait until all of it is healthy.

    With `--runtime auto` Docker Compose is taken when an engine answers and the images are to be had, otherwise the same programs run
    as processes of yours on 127.0.0.1.
    """
    begun = time.monotonic()
    stack = project.stack()
    screen = _screen.Screen(quiet=as_json)
    edited = project.check_generated()
    choice = runtime.choose(preference, project.folder, screen.report)
    if not as_json:
        click.echo(f"Runtime: {choice.runtime}, because {choice.reason}.", err=True)
    if choice.runtime == "native":
        warn_of_edits(edited)
    try:
        found = (
            _compose(stack, project, screen, build=build)
            if choice.runtime == "compose"
            else _native(stack, project, screen, only=only, attached=foreground)
        )
    finally:
        screen.done()
    if as_json:
        _screen.as_json(runtime=choice.runtime, reason=choice.reason, seconds=round(time.monotonic() - begun, 2), components=found)
    else:
        click.echo(f"\nEverything is up, after {time.monotonic() - begun:.1f} s.\n")
        _screen.where(found)
        if any(part.name == "promtail" and part.state != "off" for part in found):
            click.echo(f"\n{_screen.END_OF_LIFE}")
    if foreground and choice.runtime == "native":
        click.echo("\nCtrl-C stops it.", err=True)
        control.hold(project.folder, screen.report)


def _compose(stack: Stack, project: Project, screen: _screen.Screen, *, build: bool) -> tuple[ComponentStatus, ...]:
    return compose.up(stack, project.folder, screen.report, build=build)


def _native(
    stack: Stack, project: Project, screen: _screen.Screen, *, only: tuple[str, ...], attached: bool
) -> tuple[ComponentStatus, ...]:
    return control.up(plan.plan(stack, project.folder, only), screen.report, attached=attached)
