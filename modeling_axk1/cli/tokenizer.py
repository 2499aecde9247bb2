"""`axk1 tokenizer`."""

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Train a byte-level BPE tokenizer with the chat template.", no_args_is_help=True)


@app.callback()
def _noun() -> None:
    # A callback keeps `train` a subcommand: typer would merge a lone command into its noun.
    pass


@app.command()
def train(
    dataset: Annotated[Path, typer.Argument(help="A dataset folder, as `axk1 data build` writes it.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; one that exists is replaced as a whole.")],
    vocab_size: Annotated[
        int, typer.Option("--vocab-size", help="Entries in all, special tokens included; a multiple of 128.")
    ] = 4096,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the dataset and the size, write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Train a tokenizer on a dataset and measure it on held-out text.

    Writes what AutoTokenizer loads without any code from here
    (tokenizer.json, tokenizer_config.json, chat_template.jinja) and
    report.json: how many tokens a byte of text needs, per language.

    Example:
      axk1 tokenizer train sample --out tokenizer-4k --vocab-size 4096

    """
    from dataclasses import asdict

    from modeling_axk1.data.dataset import check_sums
    from modeling_axk1.tokenizer.train import check_vocab_size
    from modeling_axk1.tokenizer.train import train as train_tokenizer

    if dry_run:
        check_vocab_size(vocab_size)
        check_sums(dataset)
        typer.echo(json.dumps({"out": None, "vocab_size": vocab_size}) if as_json else "nothing written (dry run)")
        return
    report = train_tokenizer(dataset, out, vocab_size)
    if as_json:
        typer.echo(json.dumps({"out": str(out), "report": asdict(report)}, ensure_ascii=False, indent=2))
        return
    for language, measured in report.validation.items():
        typer.echo(f"{language:>6}  {measured.tokens_per_byte:.4f} tokens per byte over {measured.bytes:,} bytes")
    typer.echo(f"{report.vocab_size:,} entries, {report.merges:,} merges from {report.training_bytes:,} bytes -> {out}")
