"""Commands that find out what is wrong, and record and sign what is right."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modeling_axk1.cli.weights.options import AsJson, DryRun, Folder, Memory, Workers, folder
from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.weights.sizes import counted

if TYPE_CHECKING:
    from modeling_axk1.weights.check import CheckReport
    from modeling_axk1.weights.survey import Reading

StateFile = Annotated[
    Path | None,
    typer.Option("--state", metavar="FILE", help="Where a run that is stopped remembers.  [default: the user's cache]"),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Read all, whatever an earlier run had read already.")]
_SHOWN = 1_000  # problems: a hostile index has a million


def verify(
    path: Folder,
    headers_only: Annotated[
        bool, typer.Option("--headers-only", help="Skip what reads all bytes: values and checksums.")
    ] = False,
    manifest: Annotated[
        Path | None,
        typer.Option("--manifest", metavar="FILE", help="A MANIFEST.json whose tensors must be here, in any shards."),
    ] = None,
    workers: Workers = None,
    memory: Memory = "1GiB",
    state: StateFile = None,
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> None:
    """List everything that is wrong with a checkpoint, a line each, and exit 1.

    Checked are headers and index, names, shapes and dtypes by config.json,
    every float for NaN and infinity, every file by SHA256SUMS if there is one.
    A run that is stopped goes on where it was when it is started again.

    Example: axk1 weights verify ./A.X-K1
    """
    from modeling_axk1.weights.verify import verify

    if headers_only and manifest:
        raise UsageError("--manifest compares tensors' bytes, which --headers-only does not read; give one of them")
    reading = _reading(folder(path), workers, memory, state, fresh)
    report = verify(path, values=not headers_only, checksums=not headers_only, manifest=manifest, reading=reading)
    if as_json:
        typer.echo(json.dumps({"ok": report.ok, **asdict(report)}, indent=2))
    _show_problems(report.problems)
    if not as_json:
        verdict = "sound" if report.ok else counted(len(report.problems), "problem")
        typer.echo(
            f"{verdict}: {counted(report.tensors, 'tensor')} in {counted(report.shards, 'shard')}, "
            f"{report.parameters:,} parameters, {report.bytes:,} bytes"
        )
        _show_notes(report.notes)
    if not report.ok:
        raise typer.Exit(1)


def manifest(
    path: Folder,
    check: Annotated[
        bool, typer.Option("--check", help="Compare files and tensors with MANIFEST.json instead of writing it.")
    ] = False,
    dry_run: DryRun = False,
    workers: Workers = None,
    memory: Memory = "1GiB",
    state: StateFile = None,
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> None:
    """Write MANIFEST.json and SHA256SUMS: the SHA-256 of every file and tensor.

    Every byte is read once. A tensor's digest is of its bytes alone, so that
    it stays the same in another shard.

    Example: axk1 weights manifest ./A.X-K1
    """
    from modeling_axk1.weights.check import check as compare
    from modeling_axk1.weights.record import record

    reading = _reading(folder(path), workers, memory, state, fresh)
    if check:
        if not (path / "MANIFEST.json").is_file():
            raise WeightsError(
                f"{path} must hold MANIFEST.json to be compared with; `axk1 weights manifest {path}` writes it"
            )
        _show_check(compare(path, tensors=True, reading=reading), as_json)
        return
    report = record(path, dry_run=dry_run, reading=reading)
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=2))
        return
    done = f"MANIFEST.json ({report.sha256})" if report.sha256 else "would write MANIFEST.json"
    typer.echo(f"{done} and SHA256SUMS: {report.files:,} files, {report.tensors:,} tensors, {report.bytes:,} bytes")
    _show_notes(report.notes)


def keygen(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Name of the pair, without an ending.")],
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make a key pair to sign with: OUT.pem to keep, OUT.pub.pem to publish.

    Needs the extra `sign`. Nothing that is there is overwritten.

    Example: axk1 weights keygen release
    """
    from modeling_axk1.weights.sign import generate_keys

    private, public = generate_keys(out, dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps({"private": str(private), "public": str(public), "written": not dry_run}, indent=2))
        return
    if dry_run:
        typer.echo("nothing written (dry run)")
    typer.echo(f"{private} signs and must stay secret; {public} checks and is for everybody")


def sign(
    path: Folder,
    key: Annotated[Path, typer.Option("--key", metavar="PRIVATE.pem", help="The private key.")],
    trust_manifest: Annotated[
        bool, typer.Option("--trust-manifest", help="Sign the digests in MANIFEST.json without reading files again.")
    ] = False,
    dry_run: DryRun = False,
    workers: Workers = None,
    memory: Memory = "1GiB",
    state: StateFile = None,
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> None:
    """Sign every file of a release with a key of your own: model.sig, offline.

    Needs the extra `sign`. The stock command checks it too: model_signing
    verify key PATH --signature PATH/model.sig --public_key PUBLIC.pem

    Example: axk1 weights sign ./A.X-K1 --key release.pem
    """
    from modeling_axk1.weights.sign import sign

    reading = _reading(folder(path), workers, memory, state, fresh)
    report = sign(path, key, trust_manifest=trust_manifest, dry_run=dry_run, reading=reading)
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=2))
        return
    done = "would sign" if dry_run else "model.sig signs"
    typer.echo(f"{done} {report.files:,} files, {report.bytes:,} bytes")
    if report.trusted:
        typer.echo(f"note: {report.trusted:,} files were not read: their digests are MANIFEST.json's")
    _show_notes(report.notes)


def check(
    path: Folder,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="PUBLIC.pem", help="The signer's public key, had from elsewhere.")
    ] = None,
    workers: Workers = None,
    memory: Memory = "1GiB",
    state: StateFile = None,
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> None:
    """Compare every file with SHA256SUMS, MANIFEST.json and model.sig, and exit 1.

    A file too many is a problem like one too few. It says what was checked
    and what was not: without a key nothing proves who made the files.

    Example: axk1 weights check ./A.X-K1 --key release.pub.pem
    """
    from modeling_axk1.weights.check import check

    reading = _reading(folder(path), workers, memory, state, fresh)
    _show_check(check(path, key=key, reading=reading), as_json)


def _show_check(report: "CheckReport", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"ok": report.ok, **asdict(report)}, indent=2))
    _show_problems(report.problems)
    if not as_json:
        verdict = "as recorded" if report.ok else counted(len(report.problems), "problem")
        typer.echo(f"{verdict}: {report.files:,} files, {report.bytes:,} bytes")
        for line in report.checked:
            typer.echo(f"compared with {line}")
        for line in report.unchecked:
            typer.echo(f"not checked: {line}")
        _show_notes(report.notes)
    if not report.ok:
        raise typer.Exit(1)


def _show_problems(problems: list[str]) -> None:
    for problem in problems[:_SHOWN]:
        typer.echo(problem, err=True)
    if len(problems) > _SHOWN:
        typer.echo(f"... and {len(problems) - _SHOWN:,} more: --json lists them", err=True)


def _show_notes(notes: list[str]) -> None:
    for note in notes:
        typer.echo(f"note: {note}")


def _reading(path: Path, workers: int | None, memory: str, state: Path | None, fresh: bool) -> "Reading":
    from modeling_axk1.weights.plan import parse_size
    from modeling_axk1.weights.state import default_state
    from modeling_axk1.weights.survey import Reading

    return Reading(workers, parse_size(memory), state or default_state(path), fresh)
