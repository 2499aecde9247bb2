"""`axk1 weights`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from modeling_axk1.errors import UsageError

app = typer.Typer(help="Read and check safetensors checkpoints; torch is not imported.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="PATH", help="Folder with the weights and their config.json.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@app.command()
def inspect(path: Folder, as_json: AsJson = False) -> None:
    """Say what a checkpoint holds, and what is missing or extra by its config.

    Only headers are read, so a terabyte takes a moment.

    Example: axk1 weights inspect ./A.X-K1
    """
    from modeling_axk1.weights.inspect import inspect

    found = inspect(_folder(path))
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
        return
    typer.echo(f"{found.tensors:,} tensors in {found.shards:,} shards, {found.bytes:,} bytes, layout {found.layout}")
    active = f", {found.active_parameters:,} active per token" if found.active_parameters is not None else ""
    typer.echo(f"{found.parameters:,} parameters{active}")
    typer.echo("dtypes: " + ", ".join(f"{dtype} ({count:,})" for dtype, count in found.dtypes.items()))
    if found.missing is None or found.extra is None:
        typer.echo("no config.json of A.X K1 here: missing and extra tensors are not known")
        return
    for title, names in (("missing", found.missing), ("extra", found.extra)):
        typer.echo(f"{title}: {len(names):,}" + "".join(f"\n  {name}" for name in names))


@app.command()
def verify(
    path: Folder,
    headers_only: Annotated[
        bool, typer.Option("--headers-only", help="Skip what reads all bytes: values and checksums.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List everything that is wrong with a checkpoint, a line each, and exit 1.

    Checked are headers and index, names, shapes and dtypes by config.json,
    every float for NaN and infinity, every file by SHA256SUMS if there is one.

    Example: axk1 weights verify ./A.X-K1
    """
    from modeling_axk1.weights.verify import verify

    report = verify(_folder(path), values=not headers_only, checksums=not headers_only)
    if as_json:
        typer.echo(json.dumps({"ok": report.ok, **asdict(report)}, indent=2))
    for problem in report.problems:
        typer.echo(problem, err=True)
    if not as_json:
        verdict = "sound" if report.ok else f"{len(report.problems):,} problems"
        typer.echo(
            f"{verdict}: {report.tensors:,} tensors in {report.shards:,} shards, "
            f"{report.parameters:,} parameters, {report.bytes:,} bytes"
        )
        for note in report.notes:
            typer.echo(f"note: {note}")
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def plan(
    path: Folder,
    shard_size: Annotated[
        str, typer.Option("--shard-size", help="Most bytes of tensors in one shard, like 5GB, 500MB or 1GiB.")
    ] = "5GB",
    as_json: AsJson = False,
) -> None:
    """Show the shards a checkpoint would have at another size, writing nothing.

    Example: axk1 weights plan ./A.X-K1 --shard-size 20GB
    """
    from modeling_axk1.weights.checkpoint import open_checkpoint
    from modeling_axk1.weights.plan import parse_size, plan_shards

    limit = parse_size(shard_size)
    checkpoint = open_checkpoint(_folder(path))
    shards = plan_shards({name: tensor.nbytes for _, name, tensor in checkpoint.tensors()}, limit)
    if as_json:
        typer.echo(json.dumps({"shards": [asdict(shard) for shard in shards]}, indent=2))
        return
    for shard in shards:
        typer.echo(f"{shard.file_name}  {len(shard.tensors):>5,} tensors  {shard.nbytes:>17,} bytes")


@app.command()
def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="Folder with a checkpoint.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Folder with the checkpoint to compare it with.")],
    tolerance: Annotated[
        float | None,
        typer.Option(help="Weights cast or quantised are equal up to this relative RMS; 0: the same values."),
    ] = None,
    allow_renamed: Annotated[
        bool, typer.Option("--allow-renamed", help="Weights are equal under another name too.")
    ] = False,
    headers_only: Annotated[
        bool, typer.Option("--headers-only", help="Compare names, shapes and dtypes, and read no weights.")
    ] = False,
    tensors: Annotated[
        bool, typer.Option("--tensors", help="A line for each weight, not for a group of layers and experts.")
    ] = False,
    memory: Annotated[str, typer.Option(help="Most memory to use, like 1GiB.")] = "1GiB",
    as_json: AsJson = False,
) -> None:
    """Compare two checkpoints weight by weight; exit 0 when they are equal and 1 when they are not.

    Equal are the same bytes under the same names, whatever the shards and the layout of experts.
    Differences of config.json are shown and do not count.

    Example: axk1 weights diff ./A.X-K1 ./A.X-K1-FP8 --tolerance 0.03
    """
    from modeling_axk1.weights.diff import diff
    from modeling_axk1.weights.diff_report import check_tolerance
    from modeling_axk1.weights.plan import parse_size

    check_tolerance(tolerance)
    if headers_only and tolerance is not None:
        raise UsageError("a tolerance is about values, and --headers-only reads none")
    for path in (a, b):
        if not path.is_dir():
            raise UsageError(f"A and B must be folders with a checkpoint, got {path}")
    report = diff(a, b, headers_only=headers_only, memory=parse_size(memory))
    unequal = report.unequal(tolerance, allow_renamed=allow_renamed)
    if as_json:
        typer.echo(json.dumps({"equal": not unequal, **report.to_json()}, indent=2))
    else:
        found = report.remarkable() if tensors else report.groups()
        for line in (f"A {report.a}", f"B {report.b}", *report.notes, *report.differences_of_config(), *found):
            typer.echo(line)
        typer.echo(f"{'not equal' if unequal else 'equal'}: {report.summary()}")
    if unequal:
        raise typer.Exit(1)


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise UsageError(f"PATH must be a folder with a checkpoint, got {path}")
    return path
