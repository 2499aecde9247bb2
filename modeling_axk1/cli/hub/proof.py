"""`axk1 hub verify`: prove a release, wherever it lies."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modeling_axk1.cli.hub.options import AsJson, token
from modeling_axk1.errors import UsageError

if TYPE_CHECKING:
    from modeling_axk1.hub.prove import Proof


def verify(
    what: Annotated[
        str | None,
        typer.Argument(help="NAMESPACE/NAME or a release set on a hub; else a folder, a set or a bundle here."),
    ] = None,
    origin: Annotated[str | None, typer.Option("--from", help="Address of the hub.")] = None,
    revision: Annotated[
        str | None, typer.Option(help="Of one repository: tag to prove (or branch, or commit).")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Dataset repository on the same hub to load too.")] = None,
    dataset_revision: Annotated[str | None, typer.Option(help="Its tag; without it, its main branch.")] = None,
    key: Annotated[Path | None, typer.Option(help="The signer's public key (PEM): checks model.sig, offline.")] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Read every byte, keep none, load nothing.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="With --stream: forget what a stopped run checked.")] = False,
    cache: Annotated[
        bool, typer.Option("--cache", help="Prove huggingface_hub's cache here: all of it, a repository, or a folder.")
    ] = False,
    prompt: Annotated[str | None, typer.Option(help="Text the sample continues; default: the recorded one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Prove a release: every byte against SHA256SUMS, and that it loads elsewhere.

    From a hub it is fetched fresh by its tag; then a process that cannot
    import modeling_axk1 must load the model, get the recorded logits, load
    the dataset and write a sample. For a terabyte, --stream reads and keeps
    nothing. A folder, a bundle and the cache are read where they lie.

    Example: axk1 hub verify me/nano --from http://127.0.0.1:8000 --revision v0.1

    Example: axk1 hub verify release.json --from http://127.0.0.1:8000 --stream --key release.pub.pem

    Example: axk1 hub verify release.tar --key release.pub.pem

    Example: axk1 hub verify --cache
    """
    if cache:
        from modeling_axk1.hub.cache import default_cache, prove_cache

        folder = Path(what) if what and Path(what).is_dir() else default_cache()
        repo = what if what and not Path(what).is_dir() else None
        _say_proofs(prove_cache(folder, repo, key=key), as_json=as_json)
        return
    if what is None:
        raise UsageError("say what to prove: NAMESPACE/NAME, a release set, a folder, a bundle, or --cache")
    if origin is None:
        from modeling_axk1.hub.verify import verify_here

        _say_proofs(verify_here(Path(what), key=key), as_json=as_json)
    elif stream or what.startswith("datasets/") or _release_of(what):
        _verify_several(what, origin, revision, key, stream=stream, fresh=fresh, as_json=as_json)
    elif revision is None:
        raise UsageError(f"--revision must say which tag of {what} to prove")
    else:
        from modeling_axk1.hub.verify import verify as verify_release

        report = verify_release(
            what,
            endpoint=origin,
            revision=revision,
            dataset_id=dataset,
            dataset_revision=dataset_revision,
            token=token(),
            prompt=prompt,
            key=key,
        ).as_dict()
        if as_json:
            typer.echo(json.dumps(report, ensure_ascii=False))
            return
        typer.echo(f"{what} {revision} (commit {report['commit'][:12]})")
        _say_checked(report["files_checked"], report["bytes_checked"], report["checked"], report["unchecked"])
        _say_loaded(report)


def _release_of(what: str) -> Path | None:
    """Return the folder of the release set that `what` names, by itself or by its release.json."""
    folder = Path(what).parent if Path(what).name == "release.json" else Path(what)
    return folder if (folder / "release.json").is_file() else None


def _verify_several(
    what: str, origin: str, revision: str | None, key: Path | None, *, stream: bool, fresh: bool, as_json: bool
) -> None:
    from modeling_axk1.hub.mirror import parse_pin, pins_of
    from modeling_axk1.hub.release_set import read_release
    from modeling_axk1.hub.remote import Remote
    from modeling_axk1.hub.verify import verify_set

    folder = _release_of(what)
    release = read_release(folder) if folder else None
    if release is None and revision is None:
        raise UsageError(f"--revision must say which tag of {what} to prove")
    pins = pins_of(release) if release else [parse_pin(f"{what}@{revision}")]
    reports = verify_set(pins, Remote(origin, token()), release=release, key=key, stream=stream, fresh=fresh)
    if as_json:
        values = {"repositories": [report.as_dict() for report in reports]}
        typer.echo(json.dumps(values, ensure_ascii=False))
        return
    for report in reports:
        typer.echo(f"{report.repo_id} {report.tag} (commit {report.commit[:12]})")
        _say_checked(report.proof.files, report.proof.bytes, report.proof.checked, report.proof.unchecked)
        if report.findings:
            _say_loaded({**report.findings, "dataset_id": report.repo_id if report.repo_type == "dataset" else None})


def _say_proofs(proofs: "list[Proof]", *, as_json: bool) -> None:
    """Print what was found; damage is a line for each file on stderr, and exit status 1."""
    damaged = [proof for proof in proofs if proof.problems]
    if as_json:
        typer.echo(json.dumps({"ok": not damaged, "proofs": [proof.as_dict() for proof in proofs]}, ensure_ascii=False))
    else:
        for proof in proofs:
            if not proof.problems:
                typer.echo(proof.name)
                _say_checked(proof.files, proof.bytes, proof.checked, proof.unchecked)
    for proof in damaged:
        for problem in proof.problems:
            typer.echo(f"axk1: error: {proof.name}: {problem}", err=True)
    if damaged:
        raise typer.Exit(1)


def _say_checked(files: int, nbytes: int, checked: Sequence[str], unchecked: Sequence[str]) -> None:
    typer.echo(f"  {files} files, {nbytes:,} bytes: every SHA-256 as published")
    for line in checked:
        typer.echo(f"  checked: {line}")
    for line in unchecked:
        typer.echo(f"  not checked: {line}")


def _say_loaded(report: dict[str, Any]) -> None:
    difference = report["logits_max_abs_diff"]
    if difference is not None:
        typer.echo(f"  loads without this package; logits within {difference:.1e} of the recorded ones")
    if report["dataset_id"]:
        rows = ", ".join(f"{split} {count:,}" for split, count in report["dataset_rows"].items())
        typer.echo(f"  dataset {report['dataset_id']}: rows {rows}")
    if report["sample"]:
        typer.echo(f"  sample: {' '.join(report['sample'].split())}")
