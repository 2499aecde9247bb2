"""`axk1 weights`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modeling_axk1.errors import UsageError
from modeling_axk1.weights.sizes import human_bytes, human_count
from typing import TYPE_CHECKING, Annotated

import typer

from modeling_axk1.errors import UsageError, WeightsError

if TYPE_CHECKING:
    from modeling_axk1.weights.check import CheckReport
    from modeling_axk1.weights.survey import Reading

if TYPE_CHECKING:
    from modeling_axk1.weights.inspect import Inspection
    from modeling_axk1.weights.names import Layout

if TYPE_CHECKING:
    from modeling_axk1.weights.execute import Execution
    from modeling_axk1.weights.order import Sharding
    from modeling_axk1.weights.plan import Plan

app = typer.Typer(help="Check, move, convert and shrink safetensors checkpoints of any size.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="PATH", help="Folder with the weights and their config.json.")]
Place = Annotated[
    str, typer.Argument(metavar="PLACE", help="Folder, https://host/folder/, or owner/name[@revision] on the hub.")
]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="New folder, or an empty one.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be read and written, and do neither.")]
Workers = Annotated[int | None, typer.Option("--workers", help="Files read at a time.  [default: the cores]")]
Memory = Annotated[str, typer.Option("--memory", help="Most bytes of all buffers together, like 512MiB.")]
StateFile = Annotated[
    Path | None,
    typer.Option("--state", metavar="FILE", help="Where a run that is stopped remembers.  [default: the user's cache]"),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Read all, whatever an earlier run had read already.")]

_SHOWN = 20  # names of missing or extra tensors: a screen of them


@app.command()
def inspect(
    place: Place,
    shards: Annotated[bool, typer.Option("--shards", help="List the shards, with tensors and bytes of each.")] = False,
    tensors: Annotated[bool, typer.Option("--tensors", help="List every tensor: dtype, shape, shard.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what a checkpoint holds, and what is missing or extra by its config.

    Only headers are read, so a terabyte takes a moment, on the hub as well as here.

    Example: axk1 weights inspect skt/A.X-K1 --shards
    """
    from modeling_axk1.weights.checkpoint import open_checkpoint
    from modeling_axk1.weights.inspect import describe
    from modeling_axk1.weights.place import open_place

    checkpoint = open_checkpoint(open_place(place))
    found = describe(checkpoint)
    shard_list: list[dict[str, Any]] = [
        {"file": file, "tensors": len(header.tensors), "bytes": header.file_size}
        for file, header in checkpoint.shards.items()
    ]
    tensor_list: list[dict[str, Any]] = [
        {"name": name, "dtype": tensor.dtype, "shape": tensor.shape, "bytes": tensor.nbytes, "shard": file}
        for file, name, tensor in checkpoint.tensors()
    ]
    if as_json:
        lists = ({"shard_list": shard_list} if shards else {}) | ({"tensor_list": tensor_list} if tensors else {})
        typer.echo(json.dumps({**asdict(found), **lists}, indent=2))
        return
    _show_inspection(found)
    if shards:
        for shard in shard_list:
            size = human_bytes(shard["bytes"])
            typer.echo(f"{shard['file']}  {shard['tensors']:>6,} tensors  {size:>7}  {shard['bytes']:>15,} bytes")
    if tensors:
        for tensor in tensor_list:
            shape = "x".join(map(str, tensor["shape"])) or "scalar"
            typer.echo(f"{tensor['name']}  {tensor['dtype']}  {shape}  {tensor['shard']}")


def _show_inspection(found: "Inspection") -> None:
    parameters = f"{human_count(found.parameters)} parameters ({found.parameters:,})"
    if found.active_parameters is not None:
        parameters += f", {human_count(found.active_parameters)} active per token ({found.active_parameters:,})"
    typer.echo(found.place)
    typer.echo(parameters)
    typer.echo(f"{found.tensors:,} tensors in {found.shards:,} shards, layout {found.layout}")
    typer.echo(f"{human_bytes(found.bytes)} of weights ({found.bytes:,} bytes)")
    typer.echo("dtypes: " + ", ".join(f"{dtype} ({count:,})" for dtype, count in found.dtypes.items()))
    if found.bytes_read is not None:
        typer.echo(f"fetched: {human_bytes(found.bytes_read)} ({found.bytes_read:,} bytes)")
    if found.missing is None or found.extra is None:
        typer.echo("no config.json of A.X K1 here: missing and extra tensors are not known")
        return
    for title, names in (("missing", found.missing), ("extra", found.extra)):
        more = len(names) - _SHOWN
        listed = [*names[:_SHOWN], *([f"... and {more:,} more: --json lists them"] if more > 0 else [])]
        typer.echo(f"{title}: {len(names):,}" + "".join(f"\n  {name}" for name in listed))


@app.command()
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
    reading = _reading(_folder(path), workers, memory, state, fresh)
    report = verify(path, values=not headers_only, checksums=not headers_only, manifest=manifest, reading=reading)
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
        _show_notes(report.notes)
    if not report.ok:
        raise typer.Exit(1)


By = Annotated[
    str,
    typer.Option(
        "--by",
        help="size; layer or stage (none crosses one); expert-rank or tensor-rank (a folder for each rank).",
        metavar="WHAT",
    ),
]
Parts = Annotated[int | None, typer.Option("--parts", help="How many stages or ranks.", min=1, metavar="N")]
ShardSize = Annotated[
    str | None,
    typer.Option(
        "--shard-size", help="Most bytes of tensors in one shard, like 5GB or 1GiB; 5GB, and whole layers by layer."
    ),
]
InOrder = Annotated[
    str, typer.Option("--order", help="model (a reader can stream), stored (as it was) or name.", metavar="ORDER")
]
Memory = Annotated[str, typer.Option("--memory", help="Most memory to use, whatever the sizes of tensors.")]
Workers = Annotated[int | None, typer.Option("--workers", help="Threads; as many as cores.", min=1, metavar="N")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")]
LayoutOption = Annotated[
    str | None, typer.Option("--layout", help="Routed experts fused or per-expert (vLLM).", metavar="LAYOUT")
]
To = Annotated[
    str | None,
    typer.Option("--to", help="fp8, int8 or int4; bf16, fp16 or fp32, which dequantises too.", metavar="FORM"),
]
GroupSize = Annotated[
    int | None, typer.Option("--group-size", help="Inputs that share a scale of int8 or int4; 128.", metavar="N")
]
ModelType = Annotated[
    str | None, typer.Option("--model-type", help="axk1, or AXK1 for vLLM up to 0.25.", metavar="TYPE")
]
RouterBiasOption = Annotated[
    str, typer.Option("--router-bias", help="keep, zeros (vLLM wants them) or drop.", metavar="WHAT")
]
DropMtp = Annotated[bool, typer.Option("--drop-mtp", help="Leave out the layer for multi-token prediction.")]
MtpFrom = Annotated[
    Path | None, typer.Option("--mtp-from", help="Take that layer from another checkpoint.", metavar="PATH")
]


@app.command()
def plan(
    path: Folder,
    by: By = "size",
    parts: Parts = None,
    shard_size: ShardSize = None,
    order: InOrder = "model",
    layout: LayoutOption = None,
    to: To = None,
    group_size: GroupSize = None,
    model_type: ModelType = None,
    router_bias: RouterBiasOption = "keep",
    drop_mtp: DropMtp = False,
    mtp_from: MtpFrom = None,
    as_json: AsJson = False,
) -> None:
    """Show the shards that reshard or convert would write, with the same options, and write nothing.

    Example: axk1 weights plan ./A.X-K1 --shard-size 20GB
    """
    from modeling_axk1.weights.convert import Conversion, plan_convert
    from modeling_axk1.weights.reshard import plan_reshard

    conversion = Conversion(layout, to, group_size, model_type, router_bias, drop_mtp, mtp_from)  # type: ignore[arg-type]
    sharding = _sharding(by, parts, shard_size, order)
    if conversion == Conversion():
        planned, _ = plan_reshard(_folder(path), sharding)
    else:
        planned, _ = plan_convert(_folder(path), conversion, sharding)
    _show_plan(planned, as_json)


@app.command()
def reshard(
    path: Folder,
    out: Out,
    by: By = "size",
    parts: Parts = None,
    shard_size: ShardSize = None,
    order: InOrder = "model",
    memory: Memory = "1GiB",
    workers: Workers = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Write the same tensors into other shards; folders of ranks are joined again.

    OUT appears when it is whole. Interrupted, also by kill -9, the same command goes on where it stopped.

    Example: axk1 weights reshard ./A.X-K1 ./by-layer --by layer

    Example: axk1 weights reshard ./A.X-K1 ./ranks --by expert-rank --parts 8
    """
    from modeling_axk1.weights.execute import execute
    from modeling_axk1.weights.plan import parse_size
    from modeling_axk1.weights.reshard import plan_reshard

    planned, stores = plan_reshard(_folder(path), _sharding(by, parts, shard_size, order))
    if dry_run:
        _show_plan(planned, as_json)
        return
    _show_execution(
        execute(planned, stores, out, memory=parse_size(memory), workers=workers, description="resharding"), as_json
    )


@app.command()
def convert(
    path: Folder,
    out: Out,
    layout: LayoutOption = None,
    to: To = None,
    group_size: GroupSize = None,
    model_type: ModelType = None,
    router_bias: RouterBiasOption = "keep",
    drop_mtp: DropMtp = False,
    mtp_from: MtpFrom = None,
    by: By = "size",
    parts: Parts = None,
    shard_size: ShardSize = None,
    order: InOrder = "model",
    memory: Memory = "1GiB",
    workers: Workers = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Store the same weights otherwise: layout of the experts, dtype, FP8, INT8 or INT4; and back.

    Says how far weights are off by rounding, all together and each (--json).
    Interrupted, also by kill -9, the same command goes on where it stopped.

    Example: axk1 weights convert ./A.X-K1 ./A.X-K1-FP8 --to fp8

    Example: axk1 weights convert ./A.X-K1 ./for-vllm --layout per-expert --router-bias zeros
    """
    from modeling_axk1.weights.convert import Conversion, plan_convert
    from modeling_axk1.weights.execute import execute
    from modeling_axk1.weights.plan import parse_size

    conversion = Conversion(layout, to, group_size, model_type, router_bias, drop_mtp, mtp_from)  # type: ignore[arg-type]
    if conversion == Conversion():
        raise UsageError("convert needs to know what shall be otherwise, such as --to fp8; see --help")
    planned, stores = plan_convert(_folder(path), conversion, _sharding(by, parts, shard_size, order))
    if dry_run:
        _show_plan(planned, as_json)
        return
    _show_execution(
        execute(planned, stores, out, memory=parse_size(memory), workers=workers, description="converting"), as_json
    )


@app.command()
def fetch(
    place: Place,
    out: Out,
    layers: Annotated[str | None, typer.Option("--layers", help='These layers, like "0-9,60".', metavar="LIST")] = None,
    experts: Annotated[
        str | None, typer.Option("--experts", help='These routed experts, like "0-23".', metavar="LIST")
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", help="stage, expert-rank or tensor-rank, of which one --rank.", metavar="WHAT")
    ] = None,
    rank: Annotated[int | None, typer.Option("--rank", help="Which rank, from 0.", min=0, metavar="N")] = None,
    parts: Parts = None,
    shard_size: ShardSize = None,
    memory: Memory = "1GiB",
    workers: Workers = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Bring only what a rank, some layers or some experts need, by HTTP ranges.

    PLACE is a repository of a hub (at $HF_ENDPOINT), an http address or a folder.
    Interrupted, also by kill -9, the same command goes on where it stopped.

    Example: axk1 weights fetch skt/A.X-K1 ./rank-3 --by expert-rank --rank 3 --parts 32

    Example: axk1 weights fetch skt/A.X-K1@main ./experts --layers 5 --experts 0-7
    """
    from modeling_axk1.weights.execute import execute
    from modeling_axk1.weights.fetch import Part, bytes_to_read, plan_fetch
    from modeling_axk1.weights.plan import parse_size

    part = Part(layers, experts, by, rank, parts)  # type: ignore[arg-type]
    planned, store = plan_fetch(place, part, _sharding("size", None, shard_size, "model"))
    if dry_run:
        _show_plan(planned, as_json)
        if not as_json:
            typer.echo(f"{bytes_to_read(planned):,} bytes would be transferred")
        return
    _show_execution(
        execute(planned, [store], out, memory=parse_size(memory), workers=workers, description="fetching"), as_json
    )


def _sharding(by: str, parts: int | None, shard_size: str | None, order: str) -> "Sharding":
    from modeling_axk1.weights.order import Sharding
    from modeling_axk1.weights.plan import parse_size

    return Sharding(by, parts, parse_size(shard_size) if shard_size else None, order)  # type: ignore[arg-type]


def _show_plan(plan: "Plan", as_json: bool) -> None:
    if as_json:
        shards = [
            {"file_name": shard.file_name, "tensors": list(shard.starts), "nbytes": shard.nbytes}
            for shard in plan.shards
        ]
        typer.echo(json.dumps({"shards": shards, "tensors": plan.tensors, "bytes": plan.nbytes}, indent=2))
        return
    width = max(len(shard.file_name) for shard in plan.shards)
    for shard in plan.shards:
        typer.echo(f"{shard.file_name:{width}}  {len(shard.starts):>6,} tensors  {shard.nbytes:>17,} bytes")
    typer.echo(f"{len(plan.shards):,} shards, {plan.tensors:,} tensors, {plan.nbytes:,} bytes; nothing was written")


def _show_execution(done: "Execution", as_json: bool) -> None:
    from modeling_axk1.weights.errorsum import ErrorSum

    errors = done.errors or {}
    overall = sum(errors.values(), ErrorSum())
    if as_json:
        facts = {**asdict(done), "errors": {name: error.as_dict() for name, error in errors.items()}}
        typer.echo(json.dumps({**facts, "overall_error": overall.as_dict() if errors else None}, indent=2))
        return
    resumed = f", {done.resumed_bytes:,} of them from an earlier run" if done.resumed_bytes else ""
    if done.errors is None:
        resumed = ", all there already"
    typer.echo(f"{done.out}: {done.tensors:,} tensors, {done.shards:,} shards, {done.bytes:,} bytes{resumed}")
    if errors and overall.squared_error:
        typer.echo(f"rounding: {overall}")
        for name in sorted(errors, key=lambda name: -errors[name].relative_rms)[:3]:
            typer.echo(f"  most in {name}: {errors[name]}")
    elif errors:
        typer.echo("rounding: none, every value is exactly the same")


@app.command()
def rehearse(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="A config.json, or a place that has one.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write into; it must hold no checkpoint.")],
    shards: Annotated[int, typer.Option("--shards", help="Number of files.")] = 260,
    per_expert: Annotated[bool, typer.Option("--per-expert", help="One tensor for each expert.")] = False,
) -> None:
    """Write a checkpoint of holes: true names, headers and sizes, no weights, a few MB of disk.

    With it you can try storage and tools on the release's terabyte
    before you move it. All its weights read as zeros.

    Example: axk1 weights rehearse skt/A.X-K1 ./rehearsal
    """
    from modeling_axk1.weights.place import open_place
    from modeling_axk1.weights.sparse import write_sparse_checkpoint
    from modeling_axk1.weights.store import read_small
    from modeling_axk1.weights.strict_json import parse_object

    raw = Path(config).read_bytes() if Path(config).is_file() else read_small(open_place(config), "config.json")
    layout: Layout = "per-expert" if per_expert else "fused"
    report = write_sparse_checkpoint(out, parse_object(raw, "config.json"), shards, layout)
    typer.echo(f"{report.tensors:,} tensors in {shards:,} shards, {human_bytes(report.nbytes)} of holes: {out}")


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
    from modeling_axk1.weights.plan import parse_size

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


@app.command()
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

    reading = _reading(_folder(path), workers, memory, state, fresh)
    if check:
        if not (path / "MANIFEST.json").is_file():
            raise WeightsError(f"{path} must hold MANIFEST.json to be compared with, and does not")
        _show_check(compare(path, tensors=True, reading=reading), as_json)
        return
    report = record(path, dry_run=dry_run, reading=reading)
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=2))
        return
    done = f"MANIFEST.json ({report.sha256})" if report.sha256 else "would write MANIFEST.json"
    typer.echo(f"{done} and SHA256SUMS: {report.files:,} files, {report.tensors:,} tensors, {report.bytes:,} bytes")
    _show_notes(report.notes)


@app.command()
def keygen(out: Annotated[Path, typer.Argument(metavar="OUT", help="Name of the pair, without an ending.")]) -> None:
    """Make a key pair to sign with: OUT.pem to keep, OUT.pub.pem to publish.

    Needs the extra `sign`. Nothing that is there is overwritten.

    Example: axk1 weights keygen release
    """
    from modeling_axk1.weights.sign import generate_keys

    private, public = generate_keys(out)
    typer.echo(f"{private} signs and must stay secret; {public} checks and is for everybody")


@app.command()
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

    reading = _reading(_folder(path), workers, memory, state, fresh)
    report = sign(path, key, trust_manifest=trust_manifest, dry_run=dry_run, reading=reading)
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=2))
        return
    done = "would sign" if dry_run else "model.sig signs"
    typer.echo(f"{done} {report.files:,} files, {report.bytes:,} bytes")
    if report.trusted:
        typer.echo(f"note: {report.trusted:,} files were not read: their digests are MANIFEST.json's")
    _show_notes(report.notes)


@app.command()
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

    reading = _reading(_folder(path), workers, memory, state, fresh)
    _show_check(check(path, key=key, reading=reading), as_json)


def _show_check(report: "CheckReport", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"ok": report.ok, **asdict(report)}, indent=2))
    for problem in report.problems:
        typer.echo(problem, err=True)
    if not as_json:
        verdict = "as recorded" if report.ok else f"{len(report.problems):,} problems"
        typer.echo(f"{verdict}: {report.files:,} files, {report.bytes:,} bytes")
        for line in report.checked:
            typer.echo(f"compared with {line}")
        for line in report.unchecked:
            typer.echo(f"not checked: {line}")
        _show_notes(report.notes)
    if not report.ok:
        raise typer.Exit(1)


def _show_notes(notes: list[str]) -> None:
    for note in notes:
        typer.echo(f"note: {note}")


def _reading(path: Path, workers: int | None, memory: str, state: Path | None, fresh: bool) -> "Reading":
    from modeling_axk1.weights.plan import parse_size
    from modeling_axk1.weights.state import default_state
    from modeling_axk1.weights.survey import Reading

    return Reading(workers, parse_size(memory), state or default_state(path), fresh)


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise UsageError(f"PATH must be a folder with a checkpoint, got {path}")
    return path
