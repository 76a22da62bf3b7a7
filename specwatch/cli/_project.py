"""What every command shares: the spec's file, the output folder, and the way from one to the other."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from msgspec import Struct

from specwatch.errors import UsageError
from specwatch.names import COMPOSE_FILE
from specwatch.stack import Stack
from specwatch.write import compare

Command = TypeVar("Command", bound=Callable[..., Any])


class Project(Struct, frozen=True):
    """A spec's file and the folder of its stack."""

    spec_file: Path
    folder: Path

    def stack(self) -> Stack:
        """Return what the spec means; raises SpecError with everything that is wrong."""
        from specwatch.resolve import understand  # noqa: PLC0415  # `down` and `logs` work without a readable spec

        return understand(self.spec_file)[0]

    def files(self) -> dict[str, str]:
        """Return every file of the compose topology; raises SpecError for an override of a file that is not there."""
        from specwatch import topology  # noqa: PLC0415  # as above
        from specwatch.render import render  # noqa: PLC0415  # as above
        from specwatch.resolve import understand  # noqa: PLC0415  # as above
        from specwatch.spec.explain import did_you_mean  # noqa: PLC0415  # as above
        from specwatch.spec.source import Fault  # noqa: PLC0415  # as above

        stack, source = understand(self.spec_file)
        files = render(stack, topology.compose(stack))
        unknown = [path for path in stack.overrides if path not in files]
        if unknown:
            raise source.error(
                Fault(("overrides", path), f"no generated file is called {path}{did_you_mean(path, files)}", on_key=True)
                for path in unknown
            )
        return files

    def check_generated(self) -> tuple[str, ...]:
        """Return the generated files that were edited by hand; raises UsageError when any is not what the spec makes now.

        Whoever edits the spec expects to see that in what runs, so nothing starts or reloads from older files.
        """
        changes = compare(self.files(), self.folder)
        stale = [change.path for change in changes if change.kind in {"new", "changed", "stale"}]
        if stale:
            first = f"{stale[0]} and {len(stale) - 1} more" if len(stale) > 1 else stale[0]
            missing = COMPOSE_FILE in stale and not (self.folder / COMPOSE_FILE).exists()
            raise UsageError(f"{first}: {'not there yet' if missing else 'older than the spec'}; run `specwatch generate` first")
        return tuple(change.path for change in changes if change.kind in {"edited", "stale-edited"})


def warn_of_edits(paths: tuple[str, ...]) -> None:
    """Say that files edited by hand are not what the native runtime runs."""
    if paths:
        found = ", ".join(paths)
        click.echo(f"Edited by hand, without effect on the native runtime: {found}. Use `overrides:` of the spec instead.", err=True)


def project_options(command: Command) -> Command:
    """Give a command `--file` and `--output`, and hand it a Project as `project`."""

    @functools.wraps(command)
    def wrapped(*args: Any, file: Path, output: Path | None, **rest: Any) -> Any:
        return command(*args, project=Project(file, output or file.absolute().parent), **rest)

    with_file = click.option(
        "-f", "--file", type=click.Path(path_type=Path), default=Path("spec.yaml"), show_default=True, help="The spec."
    )
    with_output = click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        default=None,
        help="The folder of the generated files; the spec's own by default.",
    )
    return with_file(with_output(wrapped))  # type: ignore[return-value]  # click takes what it is given


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
runtime_option = click.option(
    "--runtime",
    "preference",
    type=click.Choice(["auto", "compose", "native"]),
    default="auto",
    show_default=True,
    envvar="SPECWATCH_RUNTIME",
    help="What runs the stack.",
)
