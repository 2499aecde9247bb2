"""`axk1 hub`: look after a hub: free space, check it, back it up, restore it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from modeling_axk1.cli.hub.options import AsJson, Root, seconds


def gc(
    root: Root,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be freed; remove nothing.")] = False,
    grace: Annotated[
        str, typer.Option(help="How long something stays after it was last uploaded, used or reachable, like 12h or 0.")
    ] = "1d",
    as_json: AsJson = False,
) -> None:
    """Free what no branch or tag of any repository reaches, and pack the rest.

    Safe while the hub serves: what is young stays, so a commit may still come
    for what was uploaded. Releases and everything they reach always stay.
    Run it every night; each commit makes a small file until then.

    Example: axk1 hub gc --root ~/hub --dry-run
    """
    from modeling_axk1.hub.server.gc import collect

    report = collect(root, grace=0 if grace == "0" else seconds(grace), dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps(report.as_dict()))
        return
    verb = "would free at least" if dry_run else "freed"
    large = report.blobs.files + report.xorbs.files
    typer.echo(f"{verb} {large} large files ({report.blobs.bytes + report.xorbs.bytes:,} bytes)")
    if not dry_run:
        typer.echo(f"packed {report.repositories} repositories: {report.git.files} files fewer")
    typer.echo(f"{report.reached} large files stay in use" + ("; nothing was removed" if dry_run else ""))


def fsck(root: Root, as_json: AsJson = False) -> None:
    """Check everything a hub holds: every byte, every pointer, every history.

    Large files are hashed again, each repository is checked by git, and
    each pointer must have its file. Names what is damaged and exits 1.

    Example: axk1 hub fsck --root ~/hub
    """
    from modeling_axk1.hub.server.fsck import check

    report = check(root)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        for damage in report.damaged:
            typer.echo(f"{damage.what}: {damage.why}", err=True)
        typer.echo(
            f"{report.repositories} repositories, {report.blobs} large files ({report.bytes:,} bytes): "
            + (f"{len(report.damaged)} damaged" if report.damaged else "all sound")
        )
    if report.damaged:
        raise typer.Exit(1)


def backup(
    root: Root,
    to: Annotated[Path, typer.Option(help="A folder, which may hold earlier backups, or a new file NAME.tar.")],
    as_json: AsJson = False,
) -> None:
    """Back up a hub while it serves: repositories, large files, tokens.

    Into a folder only what is new is copied; every backup there can be
    restored. It holds the tokens' file and private repositories, so only
    its owner can read it.

    Example: axk1 hub backup --root ~/hub --to /mnt/backups/hub
    """
    from modeling_axk1.hub.server.backup import backup as back_up

    report = back_up(root, to)
    if as_json:
        typer.echo(json.dumps(report.as_dict()))
        return
    typer.echo(
        f"backup {report.snapshot} in {to}: {report.repositories} repositories, {report.files} files, "
        f"{report.bytes:,} bytes, of which {report.copied:,} were copied now"
    )


def restore(
    origin: Annotated[Path, typer.Argument(help="Folder of backups, whose newest is taken, or a tar file.")],
    root: Annotated[Path, typer.Option(help="Folder to make; must be empty or not exist.")],
    as_json: AsJson = False,
) -> None:
    """Make a hub from a backup; every byte and every history is checked first.

    Example: axk1 hub restore /mnt/backups/hub --root ~/hub2
    """
    from modeling_axk1.hub.server.backup import restore as bring_back

    report = bring_back(origin, root)
    if as_json:
        typer.echo(json.dumps(report.as_dict()))
        return
    typer.echo(
        f"{root} is the hub of backup {report.snapshot}: {report.repositories} repositories, {report.files} files, "
        f"{report.bytes:,} bytes, every digest right"
    )
