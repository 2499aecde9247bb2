"""What commands print for machines."""

import json

import typer


def print_json(value: object) -> None:
    """Print a value as JSON, letters of every script as they are."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
