"""`axk1 data`."""

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Build a dataset with provenance for every document.", no_args_is_help=True)


Out = Annotated[Path, typer.Option("--out", help="Folder to write; one that exists is replaced as a whole.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the measured numbers as JSON.")]


@app.command()
def build(
    out: Out,
    source: Annotated[
        Path | None,
        typer.Argument(
            help="A recipe.toml, its folder, or a folder of .txt files (then say --language and --license)."
        ),
    ] = None,
    language: Annotated[str | None, typer.Option(help="Language of your .txt files (ISO 639): ko, ja, zh ...")] = None,
    license: Annotated[str | None, typer.Option(help="Licence of your .txt files (SPDX): Apache-2.0 ...")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and run the steps, write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build a dataset: Parquet shards, card, licences and checksums.

    From a recipe or from your own text files; without a source, from the
    sample corpus that ships with this package. Texts that a step drops are
    counted by reason and kept aside in OUT.dropped.jsonl.

    Examples:
      axk1 data build --out sample
      axk1 data build my-texts/ --language ko --license Apache-2.0 --out my-dataset

    """
    from dataclasses import asdict

    from modeling_axk1.data.build import plan_folder, plan_recipe, write
    from modeling_axk1.data.recipe import read_recipe
    from modeling_axk1.errors import UsageError
    from modeling_axk1.shipped import shipped

    if language is not None and license is not None:
        if source is None or not source.is_dir():
            raise UsageError(f"--language and --license go with a folder of .txt files, got {source}")
        plan = plan_folder(source, language, license)
    elif language is not None or license is not None:
        raise UsageError("a folder of .txt files needs both --language and --license")
    else:
        plan = plan_recipe(read_recipe(source or shipped("data_cards/sample")))
    if not dry_run:
        write(plan, out)
    stats = plan.stats
    if as_json:
        _print_json({"out": None if dry_run else str(out), "stats": asdict(stats)})
        return
    for language_code, splits in stats.by_language.items():
        parts = ", ".join(f"{amount.documents:,} documents {split}" for split, amount in splits.items())
        size = sum(amount.bytes for amount in splits.values())
        typer.echo(f"{language_code:>6}  {size:>12,} bytes  {parts}")
    for reason, count in stats.dropped_by_reason.items():
        typer.echo(f"dropped {count:,}: {reason}")
    where = "nothing written (dry run)" if dry_run else f"-> {out}"
    typer.echo(f"{stats.kept.documents:,} documents, {stats.kept.bytes:,} bytes {where}")


@app.command()
def sample(
    out: Out,
    recipe: Annotated[
        Path | None, typer.Argument(help="A recipe.toml or its folder; by default the shipped sample's.")
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option("--source", help="Only this source of the recipe; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Extract a recipe's documents from the packages that it pins.

    This is how the shipped sample was made. Needs a Debian system and its
    package servers: packages come by apt-get and must have the recipe's SHA-256.

    Example:
      axk1 data sample data_cards/sample/recipe.toml --out documents

    """
    from modeling_axk1.data.ingest import sample as make_sample
    from modeling_axk1.files import file_digests
    from modeling_axk1.shipped import shipped

    counts = make_sample(recipe or shipped("data_cards/sample"), out, source or ())
    if as_json:
        _print_json({"out": str(out), "documents": counts, "sha256": file_digests(out)})
        return
    for name, count in counts.items():
        typer.echo(f"{name}: {count} documents")
    typer.echo(f"-> {out}")


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
