"""`specwatch reload`."""

import click

from specwatch.cli import _screen
from specwatch.cli._project import Project, json_option, project_options, warn_of_edits
from specwatch.engines import compose, runtime
from specwatch.engines.errors import NotRunningError
from specwatch.engines.native import control, plan


@click.command("reload")
@project_options
@json_option
@click.pass_context
def command(ctx: click.Context, project: Project, *, as_json: bool) -> None:
    """Bring the running stack to the generated files, and check that what runs is what they say.

    Prometheus and Alertmanager are asked for the configuration that is in force; one that refuses the new one keeps the old.
    """
    screen = _screen.Screen(quiet=as_json)
    under = runtime.running(project.folder)
    if under is None:
        raise NotRunningError("reload", "the stack is not up", "start it with `specwatch up`")
    edited = project.check_generated()
    stack = project.stack()
    if under == "compose":
        found = compose.reload(stack, project.folder, project.files(), screen.report)
    else:
        warn_of_edits(edited)
        found = control.reload(plan.plan(stack, project.folder), screen.report)
    screen.done()
    if as_json:
        _screen.as_json(runtime=under, components=found)
    else:
        _screen.outcomes(found)
    ctx.exit(3 if any(outcome.result == "failed" for outcome in found) else 0)
