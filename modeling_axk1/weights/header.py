"""The header of one safetensors file: 8 bytes of length, JSON, then the tensors' bytes.

Reading is stricter than the stock library where a careless reader could be misled: names must be printable and come
once, and an entry holds nothing else than the format's three keys.
"""

import json
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.dtypes import DTYPE_BITS, nbytes_of
from modeling_axk1.weights.strict_json import check_name, parse_object

MAX_HEADER_BYTES = 100_000_000  # the stock library's limit
MAX_DIMENSIONS = 64  # numpy's limit; it also bounds the product of a hostile shape
MAX_OFFSET = 2**63 - 1

# The order in which the stock library lays tensors out: the widest elements first, so that all stay aligned.
_RANK = {dtype: rank for rank, dtype in enumerate(reversed(DTYPE_BITS))}
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor lies: `start` counts bytes from the beginning of the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    nbytes: int

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)


@dataclass(frozen=True)
class Header:
    """What a shard says of itself; `tensors` are in the order of their bytes."""

    tensors: dict[str, TensorInfo]
    metadata: dict[str, str]
    data_start: int
    file_size: int


def read_header(path: Path) -> Header:
    """Read the header of the file at `path`; raises WeightsError naming the file and tensor, or OSError."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise WeightsError(f"{path.name} must be a regular file")
    file_size = status.st_size
    with path.open("rb") as file:
        length = header_length(file.read(8), file_size, path.name)
        return parse_header(file.read(length), file_size, path.name)


def header_length(first_bytes: bytes, file_size: int, file_name: str) -> int:
    """Return how many bytes of JSON follow the file's first 8 bytes; raises WeightsError when that cannot be."""
    if file_size < 8:
        raise WeightsError(f"{file_name} is truncated: {file_size:,} bytes, a safetensors file has at least 8")
    length = int.from_bytes(first_bytes, "little")
    if length > MAX_HEADER_BYTES:
        raise WeightsError(f"{file_name}: the header must be at most {MAX_HEADER_BYTES:,} bytes, got {length:,}")
    if 8 + length > file_size:
        raise WeightsError(f"{file_name} is truncated: {file_size:,} bytes, its header alone takes {8 + length:,}")
    return length


def parse_header(raw: bytes, file_size: int, file_name: str) -> Header:
    """Validate the JSON of a header against the size of its file.

    Checked: each tensor's dtype, shape and byte count; that the tensors follow each other without overlap or
    hole from the first data byte to the end of the file. Raises WeightsError naming the file and the tensor.
    """
    entries = parse_object(raw, f"{file_name}: the header")
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(map(_is_text, (*metadata, *metadata.values()))):
        raise WeightsError(f"{file_name}: __metadata__ must map names to strings")
    data_start = 8 + len(raw)
    tensors = {}
    for name, entry in entries.items():
        check_name(name, file_name)
        tensors[name] = _tensor(entry, data_start, f"{file_name}: {name}")
    tensors = dict(sorted(tensors.items(), key=lambda item: (item[1].start, item[1].nbytes)))
    end = data_start
    for name, tensor in tensors.items():
        if tensor.start != end:
            fault = "overlaps the tensor before it" if tensor.start < end else "leaves a hole before it"
            raise WeightsError(
                f"{file_name}: {name} {fault}: it must start at {end - data_start:,}, got {tensor.start - data_start:,}"
            )
        end += tensor.nbytes
    if end > file_size:
        raise WeightsError(f"{file_name} is truncated: {file_size:,} bytes, its header promises {end:,}")
    if end < file_size:
        raise WeightsError(f"{file_name} must end with its last tensor at {end:,} bytes, got {file_size:,}")
    return Header(tensors, metadata, data_start, file_size)


def in_file_order(dtypes: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Return `names` as they should lie in a file: the widest elements first, otherwise in the order given."""
    return sorted(names, key=lambda name: _RANK[dtypes[name]])


def make_header(tensors: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str]) -> bytes:
    """Return the bytes before the data of a file that holds {name: (dtype, shape)}, one after another as listed."""
    entries: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    start = 0
    for name, (dtype, shape) in tensors.items():
        end = start + nbytes_of(dtype, shape)
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _tensor(entry: Any, data_start: int, what: str) -> TensorInfo:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise WeightsError(f"{what}: an entry must have dtype, shape and data_offsets, and nothing else")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str):
        raise WeightsError(f"{what}: dtype must be a string")
    if not _is_sizes(shape) or len(shape) > MAX_DIMENSIONS:
        raise WeightsError(f"{what}: shape must be at most {MAX_DIMENSIONS} integers in [0, 2^63), got {shape!r:.60}")
    # The stock library multiplies sizes and bits in 64 bits, and stops at an overflow though a 0 follows.
    if 0 in shape and prod(size for size in shape if size) > MAX_OFFSET // 64:
        raise WeightsError(f"{what}: the sizes beside a 0 must multiply to less than 2^57, got {shape!r:.60}")
    if not _is_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise WeightsError(f"{what}: data_offsets must be two rising integers in [0, 2^63), got {offsets!r:.60}")
    try:
        nbytes = nbytes_of(dtype, shape)
    except WeightsError as error:
        raise WeightsError(f"{what}: {error}") from None
    if nbytes != offsets[1] - offsets[0]:
        raise WeightsError(
            f"{what}: {dtype} of shape {shape} takes {nbytes:,} bytes, its offsets span {offsets[1] - offsets[0]:,}"
        )
    return TensorInfo(dtype, tuple(shape), data_start + offsets[0], nbytes)


def _is_text(value: Any) -> bool:
    # Half a character in escapes ("\\ud800") is a str to Python and nothing that UTF-8 can hold.
    return isinstance(value, str) and (value.isascii() or not _HALF_CHARACTER.search(value))


def _is_sizes(value: Any) -> bool:
    # `type() is int`, as JSON's true is an int to isinstance.
    return isinstance(value, list) and all(type(item) is int and 0 <= item <= MAX_OFFSET for item in value)
