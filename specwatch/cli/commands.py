"""The commands by name; each is imported only when it is asked for, so that `generate` does not pay for `up`."""

import importlib
import sys
from typing import Any

import click

from specwatch import __version__
from specwatch.errors import SpecwatchError

_COMMANDS = {
    "generate": "Make every file of the stack from spec.yaml.",
    "codegen": "Make a service's metrics as a Python module with types.",
    "up": "Start the stack and wait until all of it is healthy.",
    "down": "Stop the stack.",
    "status": "Show what runs, and where.",
    "logs": "Show a component's or a service's log; `logs try`: what becomes of lines.",
    "trace": "Show all that is known of one request: spans, log lines, samples.",
    "reload": "Bring the running stack to the generated files.",
    "schema": "Print the spec's JSON Schema.",
    "reference": "Print the spec's reference page.",
}


class _Lazy(click.Group):
    """A group whose commands live in modules of their own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        command: click.Command = importlib.import_module(f"specwatch.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in _COMMANDS:
            from specwatch.spec.explain import did_you_mean  # noqa: PLC0415  # only for a word that is wrong

            ctx.fail(f'no command is called "{name}"{did_you_mean(name, _COMMANDS)}')
        return super().resolve_command(ctx, args)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, "-V", "--version", message="specwatch %(version)s")
def specwatch() -> None:
    """One spec.yaml in, a whole observability stack out, proved to work."""


def run() -> None:
    """Run the command line and leave with its exit code: 0 fine, 1 findings or drift, 2 wrong input, 3 something outside failed."""
    try:
        # Without its standalone mode, click hands the code of `ctx.exit` back instead of leaving with it.
        result = specwatch(prog_name="specwatch", standalone_mode=False)
        code = result if isinstance(result, int) else 0
    except SpecwatchError as error:
        click.echo(str(error), err=True)
        code = error.exit_code
    except click.UsageError as error:
        error.show()
        code = 2
    except click.ClickException as error:
        error.show()
        code = 3
    except (click.Abort, KeyboardInterrupt):
        click.echo("specwatch: interrupted", err=True)
        code = 130
    except SystemExit:  # click's answer when whoever read our output has gone
        code = 141
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"specwatch: {where}{error.strerror or error}", err=True)
        code = 3
    sys.exit(code)
