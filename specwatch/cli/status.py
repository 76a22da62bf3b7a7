"""`specwatch status`."""

import click

from specwatch.cli import _screen
from specwatch.cli._project import Project, json_option, project_options
from specwatch.engines import compose, runtime
from specwatch.engines.native import control


@click.command("status")
@project_options
@json_option
@click.pass_context
def command(ctx: click.Context, project: Project, *, as_json: bool) -> None:
    """Show what runs, and where. Leaves with 1 when a part that should run does not."""
    under = runtime.running(project.folder)
    found = compose.status(project.stack(), project.folder) if under == "compose" else control.status(project.folder)
    if as_json:
        _screen.as_json(runtime=under, components=found)
    elif under is None:
        click.echo("The stack is not up; `specwatch up` starts it.")
    else:
        click.echo(f"Runtime: {under}.\n")
        _screen.statuses(found)
    ctx.exit(0 if under and all(part.state in {"running", "off", "ended"} for part in found) else 1)
