"""`axk1 hub`: make what is released, and check it before it leaves."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from modeling_axk1.cli.hub.options import AsJson
from modeling_axk1.errors import UsageError

if TYPE_CHECKING:
    from modeling_axk1.hub.release.plan import PlannedRepository

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
    from modeling_axk1.hub.release.plan import plan_release

    if place.suffix == ".toml":
        if tokenizer or data or repo or dataset:
            raise UsageError("--tokenizer, --data, --repo and --dataset go with a checkpoint; a manifest says them")
        manifest = read_manifest(place, inputs=inputs, namespace=namespace)
        if plan:
            _show_plan(plan_release(manifest, None if dry_run else out), None if dry_run else out, as_json)
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


def card(
    place: Annotated[Path, typer.Argument(help="Release set, model repository, or a plan's folder.")],
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 where a card is another.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the cards of a release from the files in it, English and Korean.

    A card has no figure of its own: each is a link to the results file that
    holds it. Digests and signature are those of the old card then: export
    anew to get them right.

    Example: axk1 hub card release-set --check
    """
    from modeling_axk1.hub.check import stale_cards

    stale = stale_cards(place, write=not check)
    if as_json:
        typer.echo(json.dumps(stale, ensure_ascii=False))
    else:
        for name in stale:
            typer.echo(f"{name} {'is not what its files give' if check else 'written'}")
        if not stale:
            typer.echo("every card is what its files give")
    if check and stale:
        raise typer.Exit(1)


def check(
    place: Annotated[Path, typer.Argument(help="Release set, one repository's folder, or a plan's folder.")],
    key: Annotated[
        Path | None, typer.Option(help="The signer's public key; everything must be signed with its other half.")
    ] = None,
    no_run: Annotated[bool, typer.Option("--no-run", help="Do not run the examples in the cards.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at a release before it leaves; exit 1 with a line for every finding.

    Links, metadata, licences, secrets and personal traces, pickles, limits,
    figures against results, tensors against the config, examples, digests
    and signature. Nothing is changed, and no network is reached.

    Example: axk1 hub check release-set --key release.pub.pem
    """
    from modeling_axk1.hub.check import check as check_release

    report = check_release(place, key=key, run=not no_run)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        for finding in report.findings:
            typer.echo(str(finding))
        for line in report.unchecked:
            typer.echo(f"not checked: {line}")
        typer.echo(
            f"{len(report.repositories)} repositories, rules {', '.join(report.rules)}: "
            + (f"{len(report.findings)} findings" if report.findings else "nothing found")
        )
    if report.findings:
        raise typer.Exit(1)


def _show_plan(planned: "list[PlannedRepository]", out: Path | None, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([one.as_dict() for one in planned], ensure_ascii=False))
        return
    for one in planned:
        counted = one.counted
        typer.echo(
            f"{one.repository} ({one.weights.upper()}): {counted['tensors']:,} tensors, {counted['parameters']:,} "
            f"parameters, {counted['bytes']:,} bytes in {counted['files']:,} shards"
        )
        for path, size in one.files.items():
            typer.echo(f"  {size:>17,}  {path}")
        for path, why in one.missing.items():
            typer.echo(f"  {'missing':>17}  {path}: {why}")
    typer.echo(f"{out} holds all but the weights and what is missing" if out else "nothing was written")


def _needed(value: T | None, option: str) -> T:
    if value is None:
        raise UsageError(f"{option} is missing")
    return value
