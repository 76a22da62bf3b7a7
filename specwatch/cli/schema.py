"""`specwatch schema`."""

import click

from specwatch.spec.schema import json_schema
from specwatch.textio import dump_json


@click.command("schema")
def command() -> None:
    """Print the spec's JSON Schema, from which editors complete and check spec.yaml."""
    click.echo(dump_json(json_schema()), nl=False)
