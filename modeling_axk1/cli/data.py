"""`axk1 data`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modeling_axk1.cli.group import Group
from modeling_axk1.cli.output import print_json

if TYPE_CHECKING:
    from modeling_axk1.data.stats import Stats

app = typer.Typer(cls=Group, help="Build a dataset with provenance for every document.", no_args_is_help=True)


Out = Annotated[Path, typer.Option("--out", help="Folder to write; one that exists is replaced as a whole.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the measured numbers as JSON.")]
Cache = Annotated[Path | None, typer.Option(help="Folder that keeps downloaded packages.")]


@app.command()
def build(
    out: Out,
    source: Annotated[
        Path | None,
        typer.Argument(
            help="A recipe.toml, its folder, or a folder of .txt and .jsonl files (then say --language and --license)."
        ),
    ] = None,
    language: Annotated[str | None, typer.Option(help="Language of your texts (ISO 639): ko, ja, zh ...")] = None,
    license: Annotated[str | None, typer.Option(help="Licence of your texts (SPDX): Apache-2.0 ...")] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Also what the recipe holds back: for training, not for publishing.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; by default as many as there are cores, one for little text.")
    ] = None,
    work: Annotated[
        Path | None, typer.Option(help="Folder for work in progress, kept; by default beside OUT, and not kept.")
    ] = None,
    cache: Cache = None,
    keep_dropped: Annotated[
        bool, typer.Option("--keep-dropped", help="Write dropped documents, with reasons, to OUT.dropped.jsonl.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do the work in a temporary folder (or in --work), write no dataset.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Build a dataset: Parquet shards, card, licences and checksums.

    From a recipe or from your own texts: .txt files, one document each, or
    .jsonl files, a document {"text": ...} in each line. Without a source,
    from the sample corpus that ships with this package. What a step drops is counted
    by reason. A build that was stopped goes on where it was when the same
    command is given again, and the same recipe gives the same bytes.

    Examples:
      axk1 data build --out sample
      axk1 data build my-texts/ --language ko --license Apache-2.0 --out my-dataset
      axk1 data build data_cards/corpus --out corpus --work /scratch/corpus

    """
    from dataclasses import asdict

    from modeling_axk1.data.build import dry_run as run_dry
    from modeling_axk1.data.build import write
    from modeling_axk1.data.plan import Settings, plan_folder, plan_recipe, processes_for
    from modeling_axk1.data.recipe import read_recipe
    from modeling_axk1.errors import UsageError
    from modeling_axk1.shipped import shipped

    if language is not None and license is not None:
        if source is None or not source.is_dir():
            raise UsageError(f"--language and --license go with a folder of texts, got {source}")
        plan = plan_folder(source, language, license)
    elif language is not None or license is not None:
        raise UsageError("a folder of texts needs both --language and --license")
    else:
        plan = plan_recipe(read_recipe(source or shipped("data_cards/sample")), cache)
    settings = Settings(work, workers or processes_for(plan), whole, keep_dropped)
    stats = run_dry(plan, settings) if dry_run else write(plan, out, settings).stats
    if as_json:
        print_json({"out": None if dry_run else str(out), "stats": asdict(stats)})
        return
    _print_stats(stats)
    where = "nothing written (dry run)" if dry_run else f"-> {out}"
    typer.echo(f"{stats.kept.documents:,} documents, {stats.kept.bytes:,} bytes {where}")


Dataset = Annotated[Path, typer.Argument(help="A dataset folder, as `axk1 data build` writes it.")]


@app.command()
def check(
    dataset: Dataset,
    evaluation: Annotated[
        Path | None,
        typer.Option(help="A recipe of texts to evaluate on, or a dataset built of one: nothing of it may be in."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that compare; by default as many as there are cores.")
    ] = None,
    cache: Cache = None,
    write: Annotated[
        bool, typer.Option("--write", help="Put the proof into stats.json and renew the card, if nothing is found.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check that a dataset holds what it promises; exit 1 when it does not.

    Reads every file: checksums, columns, the hash of every text, licences,
    languages, texts that are there twice, and the numbers in stats.json.
    With --evaluation, also that no document shares 13 words in a row, or 25
    characters of Hangul, kana or Han, with texts to evaluate on.

    Examples:
      axk1 data check sample
      axk1 data check corpus --evaluation data_cards/evaluation --write

    """
    import os
    from dataclasses import asdict, replace

    from modeling_axk1.data.about import renew
    from modeling_axk1.data.check import check as check_dataset
    from modeling_axk1.data.compare import compare
    from modeling_axk1.data.stats import read_stats
    from modeling_axk1.errors import UsageError

    if write and evaluation is None:
        raise UsageError("--write goes with --evaluation: there is nothing else to write")
    problems = check_dataset(dataset)
    report: dict[str, object] = {"dataset": str(dataset), "problems": problems}
    says = [f"{dataset} holds what it promises"]
    if evaluation is not None and not problems:
        compared, shared = compare(dataset, evaluation, workers or os.cpu_count() or 1, cache)
        problems += map(str, shared)
        report |= {"compared": asdict(compared), "shared": [asdict(one) for one in shared]}
        says.append(f"no document shares a run with the {compared.documents:,} documents of {compared.name}")
        if write and not shared:
            renew(dataset, replace(read_stats(dataset), compared=compared))
    if as_json:
        print_json(report)
    else:
        for line in problems or says:
            typer.echo(line)
    if problems:
        raise typer.Exit(1)


@app.command()
def stats(
    dataset: Dataset,
    tokenizer: Annotated[
        Path | None, typer.Option(help="A tokenizer folder: count tokens too (reads all the text).")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Put the tokens into stats.json and renew the card.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a dataset's measured numbers, and count its tokens.

    Examples:
      axk1 data stats sample
      axk1 data stats sample --tokenizer tokenizer-4k --write

    """
    from dataclasses import asdict, replace

    from modeling_axk1.data.about import renew
    from modeling_axk1.data.stats import count_tokens, read_stats
    from modeling_axk1.errors import UsageError

    if write and tokenizer is None:
        raise UsageError("--write goes with --tokenizer: there is nothing else to write")
    measured = read_stats(dataset)
    if tokenizer is not None:
        measured = replace(measured, tokens=count_tokens(dataset, tokenizer))
        if write:
            renew(dataset, measured)
    if as_json:
        print_json(asdict(measured))
        return
    _print_stats(measured)
    typer.echo(f"{measured.kept.documents:,} documents, {measured.kept.bytes:,} bytes")


@app.command()
def card(
    dataset: Annotated[Path, typer.Argument(help="A dataset folder, or a recipe's folder that keeps a card.")],
    to: Annotated[
        Path | None, typer.Option(help="Keep card, plots, numbers and SHA256SUMS beside this recipe too.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 when the card lags.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the card, write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a dataset's card anew from its recipe and its stats.json.

    With it the plots, the licence notice, croissant.json and SHA256SUMS.
    A recipe's folder can keep them without the text: then --check says
    which files changed since the dataset was built.

    Examples:
      axk1 data card sample
      axk1 data card sample --check
      axk1 data card corpus --to data_cards/corpus

    """
    from modeling_axk1.data.about import about_dataset, keep, outdated, renew
    from modeling_axk1.errors import UsageError

    if to is not None and (check or dry_run):
        raise UsageError("--to writes: it goes neither with --check nor with --dry-run")
    if dry_run:
        typer.echo(about_dataset(dataset)["README.md"], nl=False)
        return
    names = outdated(dataset) if check else renew(dataset)
    if to is not None:
        names += [str(to / name) for name in keep(dataset, to)]
    if as_json:
        print_json({"dataset": str(dataset), "outdated" if check else "written": names})
    else:
        for name in names:
            typer.echo(f"{'outdated' if check else 'written'}: {name}")
        if not names:
            typer.echo("the card says what was measured")
    if check and names:
        raise typer.Exit(1)


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
        print_json({"out": str(out), "documents": counts, "sha256": file_digests(out)})
        return
    for name, count in counts.items():
        typer.echo(f"{name}: {count} documents")
    typer.echo(f"-> {out}")


def _print_stats(stats: "Stats") -> None:
    for language, splits in stats.by_language.items():
        parts = ", ".join(f"{amount.documents:,} documents {split}" for split, amount in splits.items())
        size = sum(amount.bytes for amount in splits.values())
        tokens = f"  {stats.tokens.by_language[language]:>12,} tokens" if stats.tokens else ""
        typer.echo(f"{language:>6}  {size:>12,} bytes{tokens}  {parts}")
    for step, reasons in stats.dropped.items():
        for reason, amount in reasons.items():
            typer.echo(f"dropped {amount.documents:,} ({step}): {reason}")
    for reason, amount in stats.held_back.items():
        typer.echo(f"held back {amount.documents:,}: {reason}")
