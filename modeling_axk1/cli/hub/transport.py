"""`axk1 hub`: move a release to a hub, and prove what arrived."""

import json
from pathlib import Path
from typing import Annotated

import typer

from modeling_axk1.cli.hub.options import AsJson, RepositoryType, token


def publish(
    folder: Annotated[Path, typer.Argument(help="What to publish; its card, README.md, must be in it.")],
    repo: Annotated[str, typer.Option(help="Repository, NAMESPACE/NAME; made when missing.")],
    to: Annotated[str, typer.Option(help="Address of the hub.")],
    repository_type: Annotated[RepositoryType, typer.Option("--type", help="What the folder holds.")] = (
        RepositoryType.model
    ),
    tag: Annotated[str | None, typer.Option(help="Name of the release; created last, never moved.")] = None,
    message: Annotated[str | None, typer.Option(help="Commit message.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent; write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a repository on a hub equal to a folder: one commit, then a tag.

    Only what differs is sent. Safe to run again: an equal folder makes no
    commit, a killed publish is completed, a released tag stays where it is.
    A hub that asks for a token gets the one in HF_TOKEN.

    Example: axk1 hub publish out/model --repo me/nano --to http://127.0.0.1:8000 --tag v0.1
    """
    from modeling_axk1.hub.publish import publish as publish_folder

    report = publish_folder(
        folder,
        repo,
        endpoint=to,
        repo_type=repository_type.value,
        tag=tag,
        token=token(),
        dry_run=dry_run,
        message=message,
    )
    if as_json:
        typer.echo(json.dumps(report.as_dict(), ensure_ascii=False))
        return
    for sign, paths in (("+", report.uploaded), ("-", report.deleted)):
        for path in paths:
            typer.echo(f"{sign} {path}")
    unchanged = f"{len(report.unchanged)} unchanged"
    if dry_run:
        typer.echo(
            f"would publish {report.url}: {len(report.uploaded)} to send, {len(report.deleted)} to delete, "
            f"{unchanged}; nothing was written"
        )
        return
    named = f"commit {(report.commit or '')[:12]}" + (f", tag {tag}" if tag else "")
    if report.uploaded or report.deleted:
        typer.echo(
            f"published {report.url} ({named}): {len(report.uploaded)} sent, {len(report.deleted)} deleted, {unchanged}"
        )
    else:
        typer.echo(f"{report.url} holds this folder ({named}): {unchanged}")


def verify(
    repo: Annotated[str, typer.Argument(help="Model repository, NAMESPACE/NAME.")],
    origin: Annotated[str, typer.Option("--from", help="Address of the hub.")],
    revision: Annotated[str, typer.Option(help="Tag to prove (a branch or a commit id will do).")],
    dataset: Annotated[str | None, typer.Option(help="Dataset repository on the same hub to load too.")] = None,
    dataset_revision: Annotated[str | None, typer.Option(help="Its tag; without it, its main branch.")] = None,
    prompt: Annotated[str | None, typer.Option(help="Text the sample continues; default: the recorded one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Prove a release: fetch it fresh, check every byte, load it elsewhere.

    Every file must have the SHA-256 that SHA256SUMS says. Then a process
    that cannot import modeling_axk1 must load the model, get the recorded
    logits, load the dataset and write a sample.

    Example: axk1 hub verify me/nano --from http://127.0.0.1:8000 --revision v0.1
    """
    from modeling_axk1.hub.verify import verify as verify_release

    report = verify_release(
        repo,
        endpoint=origin,
        revision=revision,
        dataset_id=dataset,
        dataset_revision=dataset_revision,
        token=token(),
        prompt=prompt,
    )
    if as_json:
        typer.echo(json.dumps(report.as_dict(), ensure_ascii=False))
        return
    typer.echo(f"{repo} {revision} (commit {report.commit[:12]})")
    typer.echo(f"  {report.files_checked} files, {report.bytes_checked:,} bytes: every SHA-256 as published")
    typer.echo(f"  loads without this package; logits within {report.logits_max_abs_diff:.1e} of the recorded ones")
    if dataset:
        rows = ", ".join(f"{split} {count:,}" for split, count in report.dataset_rows.items())
        typer.echo(f"  dataset {dataset}: rows {rows}")
    if report.sample:
        typer.echo(f"  sample: {' '.join(report.sample.split())}")
