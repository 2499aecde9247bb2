"""`axk1 hub`."""

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Export, publish and verify a release; serve a hub of one's own.", no_args_is_help=True)


class RepositoryType(StrEnum):
    """What a repository holds."""

    model = "model"
    dataset = "dataset"


AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


@app.command()
def serve(
    root: Annotated[Path, typer.Option(help="Folder that holds the hub; made when missing.")],
    port: Annotated[int, typer.Option(help="TCP port; 0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on; the default lets only this machine in.")] = (
        "127.0.0.1"
    ),
) -> None:
    """Serve a hub that huggingface_hub, transformers and datasets use.

    Repositories are bare git repositories below ROOT; large files lie
    beside them by their SHA-256. There are no accounts: whoever reaches
    the port may read and change everything. Ctrl-C stops it.

    Example: axk1 hub serve --root ~/hub --port 8000
    """
    from ipaddress import ip_address

    from modeling_axk1.hub.server import run

    def announce(endpoint: str) -> None:
        typer.echo(f"hub {root} at {endpoint}")
        typer.echo(f"clients: export HF_ENDPOINT={endpoint} HF_HUB_DISABLE_XET=1")

    try:
        loopback = ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback:
        typer.echo(f"axk1: warning: whoever reaches {host} can read and change everything on this hub", err=True)
    run(root, host, port, announce)


@app.command()
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


@app.command()
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
        token=_token(),
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


@app.command()
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
        token=_token(),
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


def _token() -> str | None:
    """Return the token, which is no option: everybody who lists this machine's processes would read it."""
    return os.environ.get("HF_TOKEN") or None
