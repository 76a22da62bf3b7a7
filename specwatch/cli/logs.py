"""`specwatch logs`."""

import click

from specwatch.cli._project import Project, json_option, project_options
from specwatch.engines import compose, runtime
from specwatch.engines.native import logs


@click.command("logs")
@project_options
@click.argument("name")
@click.option("-n", "--lines", type=click.IntRange(0, 100_000), default=100, show_default=True, help="How many lines.")
@click.option("--follow", is_flag=True, help="Go on with each new line.")
@json_option
def command(project: Project, *, name: str, lines: int, follow: bool, as_json: bool) -> None:
    """Show the last lines that a component or a service wrote."""
    source = compose if runtime.running(project.folder) == "compose" else logs
    for line in source.logs(project.folder, name, lines, following=follow):
        if as_json:
            from specwatch.cli import _screen  # noqa: PLC0415  # only for machines

            _screen.as_json(name=name, line=line)
        else:
            click.echo(line)
