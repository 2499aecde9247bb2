"""`axk1 data`."""

import typer

app = typer.Typer(help="Build a dataset with provenance for every document.", no_args_is_help=True)
