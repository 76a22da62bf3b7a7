"""`specwatch generate`."""

import json
from typing import Final

import click

from specwatch.cli._project import Project, json_option, project_options
from specwatch.write import Change, compare, summary, write

_WORDS: Final = {
    "new": "written",
    "changed": "changed",
    "stale": "removed",
    "edited": "kept, edited by hand",
    "stale-edited": "kept, edited by hand, though the spec no longer makes it",
}
_SHOWN: Final = 12


@click.command("generate")
@project_options
@click.option("--check", is_flag=True, help="Write nothing; leave with 1 when a file is not what the spec makes.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
@click.option("--force", is_flag=True, help="Replace files that were edited by hand, too.")
@json_option
@click.pass_context
def command(ctx: click.Context, project: Project, *, check: bool, diff: bool, force: bool, as_json: bool) -> None:
    """Make every file of the stack from spec.yaml: only what changed is written, and what you edited by hand is kept."""
    files = project.files()
    dry = check or diff
    changes = compare(files, project.folder) if dry else write(files, project.folder, force=force)
    pending = [change for change in changes if change.kind != "unchanged"]
    if as_json:
        click.echo(json.dumps({"files": len(files), "changes": [{"path": change.path, "kind": change.kind} for change in pending]}))
    elif diff:
        click.echo("".join(change.diff() for change in pending), nl=False)
    else:
        _print(files, pending, dry=dry, force=force)
    drift = bool(pending) if check else any(change.kind.endswith("edited") for change in pending) and not (force or diff)
    ctx.exit(1 if drift else 0)


def _print(files: dict[str, str], pending: list[Change], *, dry: bool, force: bool) -> None:
    for kind, paths in summary(pending):
        word = ("would be " if kind in {"new", "changed", "stale"} else "") + _WORDS[kind] if dry else _WORDS[kind]
        if force and kind == "edited":
            word = "replaced, was edited by hand"
        for path in paths[:_SHOWN]:
            click.echo(f"  {path}: {word}")
        if len(paths) > _SHOWN:
            click.echo(f"  … and {len(paths) - _SHOWN} more {word}")
    edited = [change.path for change in pending if change.kind.endswith("edited")]
    if edited and not force:
        click.echo(
            "`specwatch generate --diff` shows the difference, `--force` replaces; lasting changes belong into `overrides:` of the spec."
        )
    click.echo(
        f"{len(files)} files, {len(pending) if dry or force else len(pending) - len(edited)} {'differ' if dry else 'touched'}."
        if pending
        else f"{len(files)} files, all as the spec makes them."
    )
