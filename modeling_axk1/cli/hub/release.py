"""`axk1 hub`: make what is released, and check it before it leaves."""

import json
from pathlib import Path
from typing import Annotated

import typer

from modeling_axk1.cli.hub.options import AsJson


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint folder, as `axk1 train pretrain` writes it.")],
    tokenizer: Annotated[Path, typer.Option(help="Tokenizer folder, as `axk1 tokenizer train` writes it.")],
    data: Annotated[Path, typer.Option(help="Dataset folder that the model was trained on.")],
    out: Annotated[Path, typer.Option(help="Folder to make; one that exists is replaced as a whole.")],
    repo: Annotated[str, typer.Option(help="The model's name on the hub, NAMESPACE/NAME, for its card.")],
    dataset: Annotated[str, typer.Option(help="The dataset's name on the hub, NAMESPACE/NAME, for the card.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a model repository: weights, config, code, tokenizer, card, checksums.

    The weights are checked first. The card is written from what was measured
    while training; the folder is what `axk1 hub publish` sends.

    Example: axk1 hub export checkpoint --tokenizer tokenizer --data data --out export --repo me/nano --dataset me/text
    """
    from modeling_axk1.hub.export import export as make

    report = make(checkpoint, tokenizer, data, out, repo_id=repo, dataset_id=dataset, dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), ensure_ascii=False))
        return
    for name in report.files:
        typer.echo(name)
    typer.echo(f"would write {out}; nothing was written" if dry_run else f"{out} is ready for `axk1 hub publish`")
