"""`axk1 hub`."""

import typer

app = typer.Typer(help="Export, publish and verify a release; serve a hub of one's own.", no_args_is_help=True)
