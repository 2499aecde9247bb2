"""`axk1 train`: parse, call one function of modeling_axk1.train, print."""

import json
from pathlib import Path
from typing import Annotated

import typer

from modeling_axk1.cli.completion import one_of, presets
from modeling_axk1.cli.group import Group

app = typer.Typer(cls=Group, help="Train a small A.X K1 on a dataset.", no_args_is_help=True)


@app.command()
def pretrain(
    data: Annotated[Path, typer.Option(help="Dataset folder, as `axk1 data build` writes it.")],
    tokenizer: Annotated[Path, typer.Option(help="Tokenizer folder, as `axk1 tokenizer train` writes it.")],
    out: Annotated[Path, typer.Option(help="Checkpoint folder to write; it appears when all is done.")],
    preset: Annotated[
        str,
        typer.Option(
            help="Size of the model: quickstart (5 M parameters), nano (8 M, fits FP8) or tiny.",
            autocompletion=one_of(presets),
        ),
    ] = "quickstart",
    steps: Annotated[int, typer.Option(help="Optimiser steps.")] = 220,
    minutes: Annotated[float | None, typer.Option(help="Stop earlier, after so many minutes.")] = None,
    batch_size: Annotated[int, typer.Option(help="Windows a batch.")] = 16,
    length: Annotated[int, typer.Option(help="Tokens a window.")] = 256,
    learning_rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 3e-3,
    seed: Annotated[int, typer.Option(help="Seed of initial weights and batches.")] = 0,
    dtype: Annotated[
        str,
        typer.Option(help="Stored dtype: float32 or bfloat16.", autocompletion=one_of(("float32", "bfloat16"))),
    ] = "float32",
    shard_size: Annotated[str, typer.Option(help="Largest shard, e.g. 8MB or 5GB.")] = "5GB",
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the inputs, write nothing.")] = False,
) -> None:
    """Train from scratch: next-token loss, AdamW, cosine decay; the checkpoint has the released tensor names.

    An interrupted run goes on where it was when the same command is given again.

    Example: axk1 train pretrain --data data --tokenizer tokenizer --out checkpoint --steps 100
    """
    from modeling_axk1.train.loop import Settings
    from modeling_axk1.train.pretrain import plan, pretrain
    from modeling_axk1.weights.plan import parse_size

    settings = Settings(steps=steps, minutes=minutes, learning_rate=learning_rate, seed=seed)
    run = plan(data, tokenizer, settings, preset, batch_size, length)
    if dry_run:
        summary = {"parameters": run.parameters, "train_tokens": len(run.batches.stream), "steps": steps}
        print(json.dumps(summary) if as_json else f"would train {run.parameters:,} parameters for {steps} steps")
        return
    report = pretrain(run, out, dtype=dtype, max_shard_bytes=parse_size(shard_size))
    if as_json:
        print(json.dumps(report.as_dict()))
        return
    print(f"{out}: {report.parameters:,} parameters, {report.tokens:,} tokens in {report.seconds:.0f} s")
    print(f"  validation {report.validation_loss:.3f} nats a token, {report.bits_per_byte:.3f} bits a byte")
