"""Write a checkpoint: shards one after another, the index last, so that what has an index is whole.

The bytes of a shard are those of the stock safetensors library for the same tensors: header as compact JSON
padded with spaces to 8 bytes, tensors by falling alignment, then by name.
"""

from __future__ import annotations  # Buffer exists at run time from Python 3.12 on only

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from modeling_axk1.errors import WeightsError
from modeling_axk1.files import atomic_write, atomic_write_text
from modeling_axk1.progress import Advance, progress_bar
from modeling_axk1.weights.dtypes import nbytes_of
from modeling_axk1.weights.header import in_file_order, make_header
from modeling_axk1.weights.plan import DEFAULT_SHARD_BYTES, INDEX_FILE, PT_METADATA, Shard, make_index, plan_shards

if TYPE_CHECKING:
    from typing_extensions import Buffer


@dataclass(frozen=True)
class RawTensor:
    """A tensor as bytes under an explicit safetensors dtype, so that bfloat16 needs no torch.

    `data` is anything little-endian and C-contiguous that has a buffer (bytes, memoryview, numpy array), or a
    function that gives one: it is called once, when the tensor is written, so that memory holds one at a time.

    Example: `RawTensor("BF16", tuple(t.shape), t.contiguous().view(torch.uint8).numpy())`.
    """

    dtype: str
    shape: tuple[int, ...]
    data: Buffer | Callable[[], Buffer]

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the data, by dtype and shape."""
        return nbytes_of(self.dtype, self.shape)


@dataclass(frozen=True)
class WriteReport:
    """What was written."""

    shards: list[Shard]
    tensors: int
    parameters: int
    nbytes: int


def write_checkpoint(
    tensors: Mapping[str, RawTensor],
    folder: Path,
    max_shard_bytes: int = DEFAULT_SHARD_BYTES,
    metadata: Mapping[str, str] = PT_METADATA,
) -> WriteReport:
    """Write `tensors` into `folder` as safetensors shards, with an index when there is more than one.

    The folder must not hold a checkpoint yet: shards of an older one of another size would lie beside the new
    ones and be taken for theirs. To replace a checkpoint, write into `files.atomic_folder(path)`. When anything
    fails (a full disk raises OSError), the shards of this call are taken back and no index appears.
    """
    if not tensors:
        raise WeightsError("a checkpoint must hold at least one tensor, got none")
    found = sorted(folder.glob("*.safetensors")) + sorted(folder.glob("*.safetensors.index.json"))
    if found:
        raise WeightsError(f"the folder must not hold a checkpoint yet, but {found[0]} is there; use an empty folder")
    sizes = {name: tensor.nbytes for name, tensor in tensors.items()}
    shards = plan_shards(sizes, max_shard_bytes)
    report = WriteReport(shards, len(tensors), sum(tensor.elements for tensor in tensors.values()), sum(sizes.values()))
    try:
        with progress_bar("writing shards", total=report.nbytes) as advance:
            for shard in shards:
                members = {name: tensors[name] for name in shard.tensors}
                _write_shard(folder / shard.file_name, members, metadata, advance)
        if len(shards) > 1:
            atomic_write_text(folder / INDEX_FILE, make_index(shards, report.parameters))
    except BaseException:
        (folder / INDEX_FILE).unlink(missing_ok=True)
        for shard in shards:
            (folder / shard.file_name).unlink(missing_ok=True)
        raise
    return report


def _write_shard(path: Path, tensors: Mapping[str, RawTensor], metadata: Mapping[str, str], advance: Advance) -> None:
    names = in_file_order({name: tensor.dtype for name, tensor in tensors.items()}, sorted(tensors))
    with atomic_write(path) as file:
        file.write(make_header({name: (tensors[name].dtype, tensors[name].shape) for name in names}, metadata))
        for name in names:
            file.write(_bytes_of(name, tensors[name]))
            advance(tensors[name].nbytes, note=name)


def _bytes_of(name: str, tensor: RawTensor) -> Buffer:
    view = memoryview(tensor.data() if callable(tensor.data) else tensor.data)
    if view.nbytes != tensor.nbytes:
        raise WeightsError(
            f"{name}: {tensor.dtype} of shape {list(tensor.shape)} must be {tensor.nbytes:,} bytes, got {view.nbytes:,}"
        )
    if not view.c_contiguous:
        raise WeightsError(f"{name}: the data must be contiguous")
    return view
