"""`specwatch logs` shows what a part of the stack wrote; `specwatch logs try` shows what becomes of lines on their way to Loki."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from specwatch.cli._project import Project, json_option, project_options
from specwatch.engines import compose, runtime
from specwatch.engines.native import logs
from specwatch.errors import UsageError


class _Logs(click.Group):
    """Takes what is no command of its own for the name of a part of the stack: `specwatch logs shop`."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        return super().resolve_command(ctx, args if args[0] in self.commands else ["show", *args])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Options before the name belong to `show`: `specwatch logs --follow shop`.
        if args and args[0].startswith("-") and args[0] not in {"-h", "--help"}:
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group("logs", cls=_Logs, subcommand_metavar="NAME | try FILE", epilog="`specwatch logs NAME --help` lists the options of the first.")
def command() -> None:
    """Show the last lines that a component or a service wrote; or try what becomes of lines on their way to Loki."""


@command.command("show", hidden=True)
@project_options
@click.argument("name")
@click.option("-n", "--lines", type=click.IntRange(0, 100_000), default=100, show_default=True, help="How many lines.")
@click.option("--follow", is_flag=True, help="Go on with each new line.")
@json_option
def show(project: Project, *, name: str, lines: int, follow: bool, as_json: bool) -> None:
    """Show the last lines that a component or a service wrote."""
    source = compose if runtime.running(project.folder) == "compose" else logs
    for line in source.logs(project.folder, name, lines, following=follow):
        if as_json:
            from specwatch.cli import _screen  # noqa: PLC0415  # only for machines

            _screen.as_json(name=name, line=line)
        else:
            click.echo(line)


@command.command("try")
@project_options
@click.argument("lines_file", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--service", default="", help="Whose lines they are; may be left out where only one service has logs.")
@click.option("-n", "--lines", "most", type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="How many entries.")
@json_option
def try_lines(project: Project, *, lines_file: Path, service: str, most: int, as_json: bool) -> None:
    """Show what becomes of the lines of FILE (- for standard input), stage by stage, as the spec has it."""
    from specwatch.cli import _journeys  # noqa: PLC0415  # `specwatch logs shop` does not need it

    stack = project.stack()
    chosen = _journeys.service_of(stack, service)
    journeys = _journeys.journeys(chosen, _lines(lines_file), time.time_ns())
    for index, journey in enumerate(journeys):
        if index == most:
            click.echo(f"… only the first {most} entries are shown; --lines shows more", err=True)
            break
        if as_json:
            from specwatch.cli import _screen  # noqa: PLC0415  # only for machines

            _screen.as_json(**_journeys.as_json(journey))
        else:
            click.echo(_journeys.as_text(journey))


def _lines(path: Path) -> Iterator[str]:
    if str(path) == "-":
        for line in sys.stdin.buffer:
            yield line.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")
        return
    try:
        with path.open("rb") as file:
            for line in file:
                yield line.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give a file with log lines, or - for standard input") from None
