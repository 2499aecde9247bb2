"""`axk1 weights`."""

import typer

app = typer.Typer(help="Read and check safetensors checkpoints; torch is not imported.", no_args_is_help=True)
