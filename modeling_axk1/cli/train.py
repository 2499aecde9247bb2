"""`axk1 train`."""

import typer

app = typer.Typer(help="Train a small A.X K1.", no_args_is_help=True)
