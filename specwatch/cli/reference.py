"""`specwatch reference`."""

import click

from specwatch.spec.reference import reference_page


@click.command("reference")
def command() -> None:
    """Print the reference page of spec.yaml, as Markdown."""
    click.echo(reference_page(), nl=False)
