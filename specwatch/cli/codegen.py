"""`specwatch codegen`."""

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click

from specwatch.cli._project import Project
from specwatch.codegen import MARK, files, services
from specwatch.codegen.identifiers import module_name
from specwatch.errors import UsageError, WriteError
from specwatch.stack import Stack

_CATALOG_KEYS = {"service", "metrics"}


@click.command("codegen")
@click.option("-f", "--file", type=click.Path(path_type=Path), default=Path("spec.yaml"), show_default=True, help="The spec.")
@click.option("--service", default="", help="Whose metrics; may be left out where only one service has some.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=None,
    help="The Python module; SERVICE_metrics.py beside the spec by default.",
)
@click.option("--check", is_flag=True, help="Write nothing; leave with 1 when a file is not what the spec makes.")
@click.pass_context
def command(ctx: click.Context, file: Path, service: str, output: Path | None, *, check: bool) -> None:
    """Make a service's metrics as Python: a module, its stubs (.pyi) and the catalog (.json) that it loads."""
    stack = Project(file, file.absolute().parent).stack()
    service = service or _only_service(stack)
    target = output or file.absolute().parent / f"{module_name(service)}.py"
    if target.suffix != ".py" or not target.stem.isidentifier():
        raise UsageError(f"{target}: expected the file of a Python module, such as {module_name(service)}.py")
    texts = {target.with_name(name): text for name, text in files(stack, service, target.stem).items()}
    stale = [path for path, text in texts.items() if _read(path) != text]
    for path in stale:
        if not check:
            _replace(path, texts[path])
        click.echo(f"  {_shown(path)}: {'would be written' if check else 'written'}")
    click.echo(f"{len(texts)} files, {len(stale)} {'differ' if check else 'touched'}." if stale else _unchanged(texts))
    ctx.exit(1 if check and stale else 0)


def _unchanged(texts: Mapping[Path, str]) -> str:
    return f"{len(texts)} files, all as the spec makes them."


def _only_service(stack: Stack) -> str:
    found = services(stack)
    if len(found) != 1:
        known = f"one of {', '.join(found)}" if found else "a service, and none has metrics"
        raise UsageError(f"{stack.spec_name}: --service is missing; expected {known}")
    return found[0]


def _read(path: Path) -> str | None:
    """Return the file's text, or None when there is none; raises WriteError for a file that specwatch did not make."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WriteError(f"{path}: {error.strerror}") from None
    if not (_is_catalog(text) if path.suffix == ".json" else MARK in text.partition("\n")[0]):
        raise WriteError(f"{path}: was not made by specwatch; move it away, or choose another --output")
    return text


def _is_catalog(text: str) -> bool:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.keys() == _CATALOG_KEYS


def _replace(path: Path, text: str) -> None:
    """Write the file whole or not at all."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise WriteError(f"{path}: {error.strerror}; choose another --output, or see to it and run the command again") from None


def _shown(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)
