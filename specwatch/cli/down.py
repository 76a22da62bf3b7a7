"""`specwatch down`."""

import click

from specwatch.cli import _screen
from specwatch.cli._project import Project, json_option, project_options
from specwatch.engines import compose, runtime
from specwatch.engines.errors import DockerError
from specwatch.engines.native import control
from specwatch.names import COMPOSE_FILE


@click.command("down")
@project_options
@click.option("--volumes", is_flag=True, help="Remove the data, too.")
@json_option
def command(project: Project, *, volumes: bool, as_json: bool) -> None:
    """Stop the stack. Its data stay, unless `--volumes` says otherwise."""
    screen = _screen.Screen(quiet=as_json)
    under = runtime.running(project.folder)
    stopped: tuple[str, ...] = ()
    # Data of a stack that is down already may be left under either runtime.
    if under == "compose" or (volumes and under is None and _docker_works(project)):
        compose.down(project.folder, screen.report, volumes=volumes)
    if under != "compose":
        stopped = control.down(project.folder, screen.report, volumes=volumes)
    screen.done()
    if as_json:
        _screen.as_json(runtime=under, stopped=stopped)
    elif under is None:
        click.echo("Nothing was up." + (" Its data are gone." if volumes else ""))
    else:
        click.echo("All of it is stopped." + (" Its data are gone." if volumes else " Its data stay; `down --volumes` removes them."))


def _docker_works(project: Project) -> bool:
    try:
        compose.check()
    except DockerError:
        return False
    return (project.folder / COMPOSE_FILE).exists()
