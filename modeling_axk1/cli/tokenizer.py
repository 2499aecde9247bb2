"""`axk1 tokenizer`."""

import typer

app = typer.Typer(help="Train a byte-level BPE tokenizer with the chat template.", no_args_is_help=True)
