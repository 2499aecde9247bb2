"""`axk1 hub`: move a release, to a hub, from hub to hub, or into one file."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modeling_axk1.cli.hub.options import AsJson, RepositoryType, Transport, token
from modeling_axk1.errors import UsageError

if TYPE_CHECKING:
    from modeling_axk1.hub.publish import PublishReport

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be sent or written; change nothing.")]
Way = Annotated[Transport, typer.Option(help="How large files go to the hub.")]


def publish(
    place: Annotated[Path, typer.Argument(help="A folder, a release set (it holds release.json), or a bundle.")],
    to: Annotated[str, typer.Option(help="Address of the hub.")],
    repo: Annotated[str | None, typer.Option(help="Of a single folder: its repository, NAMESPACE/NAME.")] = None,
    repository_type: Annotated[RepositoryType, typer.Option("--type", help="Of a single folder: what it holds.")] = (
        RepositoryType.model
    ),
    tag: Annotated[str | None, typer.Option(help="Of a single folder: the release's name; never moved.")] = None,
    message: Annotated[str | None, typer.Option(help="Commit message.")] = None,
    transport: Way = Transport.lfs,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make repositories on a hub equal to folders: one commit each, then the tags.

    Only what differs is sent; every file must be what SHA256SUMS says. Safe
    to run again: what is equal makes no commit, a killed publish is completed,
    a released tag stays where it is, and of a set no repository is tagged
    before all hold their files. A hub that asks for a token gets HF_TOKEN.

    Example: axk1 hub publish out --to http://127.0.0.1:8000

    Example: axk1 hub publish out/model --repo me/nano --to http://127.0.0.1:8000 --tag v0.1
    """
    from modeling_axk1.hub.publish import publish as publish_folder
    from modeling_axk1.hub.publish import publish_set
    from modeling_axk1.hub.sets import is_set

    if is_set(place):
        if repo or tag:
            raise UsageError(f"{place} is a release set: its release.json gives --repo and --tag")
        reports = publish_set(
            place, endpoint=to, token=token(), dry_run=dry_run, message=message, transport=transport.value
        )
    else:
        if not repo:
            raise UsageError(f"{place} is no release set (it has no release.json): --repo must say where it goes")
        reports = [
            publish_folder(
                place,
                repo,
                endpoint=to,
                repo_type=repository_type.value,
                tag=tag,
                token=token(),
                dry_run=dry_run,
                message=message,
                transport=transport.value,
            )
        ]
    _say(reports, as_json=as_json, single=not is_set(place))


def mirror(
    origin: Annotated[str, typer.Option("--from", help="Address of the hub that has the release.")],
    to: Annotated[str, typer.Option(help="Address of another hub, or a folder.")],
    what: Annotated[
        list[str] | None, typer.Argument(help="NAMESPACE/NAME@TAG, or datasets/NAMESPACE/NAME@TAG; several.")
    ] = None,
    release: Annotated[Path | None, typer.Option(help="release.json, or the set it lies in, instead of names.")] = None,
    transport: Way = Transport.lfs,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Copy a release from one hub to another, or into a folder.

    Files stream from hub to hub, each checked against SHA256SUMS on its way;
    tags come last. Killed, it goes on where it was; run again, it sends
    nothing. Tags mean the same on both hubs, commit ids do not. A folder
    becomes a release set, as `axk1 hub publish` and `bundle` take it.
    Of two hubs the far one gets HF_TOKEN, the first one AXK1_FROM_TOKEN.

    Example: axk1 hub mirror me/nano@v0.1 datasets/me/text@v0.1 --from http://127.0.0.1:8000 --to http://127.0.0.1:9000
    """
    from modeling_axk1.cli.hub.options import origin_token
    from modeling_axk1.hub import mirror as mirrors
    from modeling_axk1.hub.release_set import read_release
    from modeling_axk1.hub.remote import Remote

    if bool(what) == bool(release):
        raise UsageError("say what to copy: either NAMESPACE/NAME@TAG ..., or --release")
    known = read_release(release.parent if release.is_file() else release) if release else None
    pins = mirrors.pins_of(known) if known else [mirrors.parse_pin(text) for text in what or ()]
    to_hub = "://" in to
    source = Remote(origin, origin_token() or (None if to_hub else token()))
    if to_hub:
        reports = mirrors.mirror(
            pins, source, Remote(to, token()), release=known, dry_run=dry_run, transport=transport.value
        )
        _say(reports, as_json=as_json, single=False)
        return
    report = mirrors.mirror_to_folder(pins, source, Path(to), release=known, dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), ensure_ascii=False))
        return
    for path in report.fetched:
        typer.echo(f"+ {path}")
    done = "would hold" if dry_run else "holds"
    typer.echo(f"{to} {done} {report.tag}: {len(report.fetched)} fetched, {len(report.unchanged)} unchanged")


def bundle(
    folder: Annotated[Path, typer.Argument(help="A release set: the folder with release.json.")],
    out: Annotated[Path, typer.Option(help="The tar to write; with volumes OUT.001, OUT.002 ...")],
    volume_size: Annotated[
        str | None, typer.Option(help="Most bytes in one file, like 4GB for sticks with FAT32.")
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Write a release as one file, or as volumes, for a site without a network.

    The same set gives the same bytes. There, `axk1 hub verify OUT` proves it
    and `axk1 hub publish OUT --to HUB` puts it on a hub, straight from the
    file; `cat OUT.0* | tar -x` unpacks it where this program is not at hand.

    Example: axk1 hub bundle out --out release.tar --volume-size 4GB
    """
    from modeling_axk1.hub.bundle import bundle as write
    from modeling_axk1.weights.plan import parse_size

    limit = parse_size(volume_size) if volume_size else None
    report = write(folder, out, volume_bytes=limit, dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), ensure_ascii=False))
        return
    for volume in report.volumes:
        typer.echo(volume)
    end = "; nothing was written" if dry_run else ""
    verb = "would hold" if dry_run else "holds"
    typer.echo(f"{report.name} {report.tag}: {verb} {report.files} files in {report.bytes:,} bytes{end}")


def _say(reports: "list[PublishReport]", *, as_json: bool, single: bool) -> None:
    if as_json:
        values = [report.as_dict() for report in reports]
        typer.echo(json.dumps(values[0] if single else {"repositories": values}, ensure_ascii=False))
        return
    for report in reports:
        for sign, paths in (("+", report.uploaded), ("-", report.deleted)):
            for path in paths:
                typer.echo(f"{sign} {path}")
        unchanged = f"{len(report.unchanged)} unchanged"
        counts = f"{len(report.uploaded)} to send, {len(report.deleted)} to delete, {unchanged}"
        named = f"commit {(report.commit or '')[:12]}" + (f", tag {report.tag}" if report.tag else "")
        if report.dry_run:
            typer.echo(f"would publish {report.url}: {counts}; nothing was written")
        elif report.uploaded or report.deleted:
            counts = f"{len(report.uploaded)} sent, {len(report.deleted)} deleted, {unchanged}"
            typer.echo(f"published {report.url} ({named}): {counts}")
        else:
            typer.echo(f"{report.url} holds this folder ({named}): {unchanged}")
