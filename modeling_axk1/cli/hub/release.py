"""`axk1 hub`: make what is released, and check it before it leaves."""

import json
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from modeling_axk1.cli.hub.options import AsJson
from modeling_axk1.errors import UsageError

T = TypeVar("T")


def export(
    place: Annotated[Path, typer.Argument(help="Manifest (release/nano.toml), or one checkpoint folder.")],
    out: Annotated[Path | None, typer.Option(help="Folder to make; one that exists is replaced as a whole.")] = None,
    key: Annotated[
        Path | None, typer.Option(help="Private key (`axk1 weights keygen`) to sign every repository with.")
    ] = None,
    inputs: Annotated[Path | None, typer.Option(help="Folder that the manifest's input paths start from.")] = None,
    namespace: Annotated[str | None, typer.Option(help="Owner of the repositories, instead of the manifest's.")] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Of a manifest without weights: every file and its size, from facts.")
    ] = False,
    tokenizer: Annotated[Path | None, typer.Option(help="Of a checkpoint: its tokenizer folder.")] = None,
    data: Annotated[Path | None, typer.Option(help="Of a checkpoint: the dataset it was trained on.")] = None,
    repo: Annotated[str | None, typer.Option(help="Of a checkpoint: its name on the hub, NAMESPACE/NAME.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Of a checkpoint: the dataset's name on the hub.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make everything that is published: repositories with weights, code, cards, checksums.

    A manifest gives a release set: the dataset, and a model repository for
    each variant (bf16, FP8, INT4). A checkpoint folder gives one model
    repository. The weights are checked first; the same inputs give the same
    bytes. `axk1 hub check` looks at the result before it leaves.

    Example: axk1 hub export release/nano.toml --out release-set

    Example: axk1 hub export release/a.x-k1.toml --plan

    Example: axk1 hub export checkpoint --tokenizer tokenizer --data data --out export --repo me/nano --dataset me/text
    """
    from modeling_axk1.hub.export import export as export_checkpoint
    from modeling_axk1.hub.export import export_release
    from modeling_axk1.hub.release.manifest import read_manifest

    if place.suffix == ".toml":
        if tokenizer or data or repo or dataset:
            raise UsageError("--tokenizer, --data, --repo and --dataset go with a checkpoint; a manifest says them")
        manifest = read_manifest(place, inputs=inputs, namespace=namespace)
        if plan:
            _show_plan(manifest, out, dry_run, as_json)
            return
        report = export_release(manifest, _needed(out, "--out"), key=key, dry_run=dry_run)
    else:
        if key or inputs or namespace or plan:
            raise UsageError("--key, --inputs, --namespace and --plan go with a manifest (a .toml file)")
        report = export_checkpoint(
            place,
            _needed(tokenizer, "--tokenizer"),
            _needed(data, "--data"),
            _needed(out, "--out"),
            repo_id=_needed(repo, "--repo"),
            dataset_id=_needed(dataset, "--dataset"),
            dry_run=dry_run,
        )
    if as_json:
        typer.echo(json.dumps(report.as_dict(), ensure_ascii=False))
        return
    for name in report.files:
        typer.echo(name)
    typer.echo(f"would write {out}; nothing was written" if dry_run else f"{out} is ready for `axk1 hub publish`")


def _needed(value: T | None, option: str) -> T:
    if value is None:
        raise UsageError(f"{option} is missing")
    return value
