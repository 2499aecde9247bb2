"""What several commands of `axk1 weights` take, and how each reads it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modeling_axk1.cli.completion import one_of
from modeling_axk1.errors import UsageError

if TYPE_CHECKING:
    from modeling_axk1.weights.convert import Conversion
    from modeling_axk1.weights.order import Sharding
    from modeling_axk1.weights.store import Store

Folder = Annotated[Path, typer.Argument(metavar="PATH", help="Folder with the weights and their config.json.")]
Place = Annotated[
    str, typer.Argument(metavar="PLACE", help="Folder, https://host/folder/, or owner/name[@revision] on the hub.")
]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="New folder, or an empty one.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
By = Annotated[
    str,
    typer.Option(
        "--by",
        help="size; layer or stage (none crosses one); expert-rank or tensor-rank (a folder for each rank).",
        metavar="WHAT",
        autocompletion=one_of(("size", "layer", "stage", "expert-rank", "tensor-rank")),
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
    str,
    typer.Option(
        "--order",
        help="model (a reader can stream), stored (as it was) or name.",
        metavar="ORDER",
        autocompletion=one_of(("model", "stored", "name")),
    ),
]
Memory = Annotated[str, typer.Option("--memory", help="Most memory to use, whatever the sizes of tensors.")]
Workers = Annotated[int | None, typer.Option("--workers", help="Threads.  [default: the cores]", min=1, metavar="N")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")]
LayoutOption = Annotated[
    str | None,
    typer.Option(
        "--layout",
        help="Routed experts fused or per-expert (vLLM).",
        metavar="LAYOUT",
        autocompletion=one_of(("fused", "per-expert")),
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        help="fp8, int8 or int4; bf16, fp16 or fp32, which dequantises too.",
        metavar="FORM",
        autocompletion=one_of(("fp8", "int8", "int4", "bf16", "fp16", "fp32")),
    ),
]
GroupSize = Annotated[
    int | None, typer.Option("--group-size", help="Inputs that share a scale of int8 or int4; 128.", metavar="N")
]
ModelType = Annotated[
    str | None,
    typer.Option(
        "--model-type",
        help="axk1, or AXK1 for vLLM up to 0.25.",
        metavar="TYPE",
        autocompletion=one_of(("axk1", "AXK1")),
    ),
]
RouterBiasOption = Annotated[
    str,
    typer.Option(
        "--router-bias",
        help="keep, zeros (vLLM wants them) or drop.",
        metavar="WHAT",
        autocompletion=one_of(("keep", "zeros", "drop")),
    ),
]
DropMtp = Annotated[bool, typer.Option("--drop-mtp", help="Leave out the layer for multi-token prediction.")]
MtpFrom = Annotated[
    Path | None, typer.Option("--mtp-from", help="Take that layer from another checkpoint.", metavar="PATH")
]


def source(place: str) -> "Path | Store":
    """Return the folder, or the place elsewhere, that a person named; raises UsageError for neither."""
    from modeling_axk1.weights.place import open_place

    return Path(place) if place and Path(place).is_dir() else open_place(place)


def folder(path: Path) -> Path:
    """Return `path`; raises UsageError when it is no folder."""
    if not path.is_dir():
        raise UsageError(f"PATH must be a folder with a checkpoint, got {path}")
    return path


def sharding(by: str, parts: int | None, shard_size: str | None, order: str) -> "Sharding":
    """Return what these four options ask for."""
    from modeling_axk1.weights.order import Sharding
    from modeling_axk1.weights.plan import parse_size

    return Sharding(by, parts, parse_size(shard_size) if shard_size else None, order)  # type: ignore[arg-type]


def conversion(
    layout: str | None,
    to: str | None,
    group_size: int | None,
    model_type: str | None,
    router_bias: str,
    drop_mtp: bool,
    mtp_from: Path | None,
) -> "Conversion":
    """Return what these options ask for; equal to Conversion() when none is given."""
    from modeling_axk1.weights.convert import Conversion

    return Conversion(layout, to, group_size, model_type, router_bias, drop_mtp, mtp_from)  # type: ignore[arg-type]
