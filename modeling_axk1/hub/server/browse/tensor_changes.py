"""Which tensors differ between two revisions, by the headers of safetensors files alone."""

from collections.abc import Iterable
from dataclasses import dataclass

from modeling_axk1.errors import WeightsError
from modeling_axk1.hub.server.browse.changed import Change
from modeling_axk1.hub.server.browse.contents import opened
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.repository import File, Repository
from modeling_axk1.hub.server.store import BlobStore
from modeling_axk1.weights.header import header_length, parse_header

# Of both revisions together. The 260 shards of A.X K1 have 4 MB of headers with experts fused, 9 MB without.
_MOST_HEADER_BYTES = 20_000_000
_MOST_FILES = 1000
MOST_NAMED = 100
_BYTES_OF_A_TENSOR = 500


@dataclass(frozen=True)
class Tensor:
    """What a tensor is in one revision."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class TensorChanges:
    """Tensors in files that differ: how many, and the first MOST_NAMED of each kind as (name, before, after).

    One that went to another file unchanged is among the `alike`. A header says nothing of values: `alike` counts
    tensors of equal name, type and shape, whose values may differ. `problem` says why there is nothing to compare.
    """

    added: int = 0
    removed: int = 0
    changed: int = 0
    alike: int = 0
    named: tuple[tuple[str, Tensor | None, Tensor | None], ...] = ()
    problem: str | None = None

    @property
    def unnamed(self) -> int:
        """Return how many that differ are not among the named."""
        return self.added + self.removed + self.changed - len(self.named)


def tensor_changes(repository: Repository, blobs: BlobStore, changes: Iterable[Change]) -> TensorChanges | None:
    """Return which tensors differ; None when no safetensors file does."""
    pairs = [change for change in changes if change.path.endswith(".safetensors") and change.kind != "moved"]
    before = [change.before for change in pairs if change.before]
    after = [change.after for change in pairs if change.after]
    if not pairs:
        return None
    if len(before) + len(after) > _MOST_FILES:
        return TensorChanges(problem=f"at most {_MOST_FILES} files are compared, got {len(before) + len(after)}")
    key = ("tensor changes", *((file.path, file.oid) for file in before), "to", *((it.path, it.oid) for it in after))
    try:
        with repository.objects() as objects:
            found: TensorChanges = objects.remember(
                key, lambda: _compared(repository, blobs, before, after), lambda it: _BYTES_OF_A_TENSOR * len(it.named)
            )
            return found
    except WeightsError as error:
        return TensorChanges(problem=str(error))
    except Refusal as refusal:
        return TensorChanges(problem=refusal.message)


def _compared(repository: Repository, blobs: BlobStore, before: list[File], after: list[File]) -> TensorChanges:
    budget = _Budget()
    old = _tensors(repository, blobs, before, budget)
    new = _tensors(repository, blobs, after, budget)
    both = [name for name in old if name in new]
    changed = [name for name in both if old[name] != new[name]]
    removed = [name for name in old if name not in new]
    added = [name for name in new if name not in old]
    named = [*changed[:MOST_NAMED], *removed[:MOST_NAMED], *added[:MOST_NAMED]]
    return TensorChanges(
        added=len(added),
        removed=len(removed),
        changed=len(changed),
        alike=len(both) - len(changed),
        named=tuple((name, old.get(name), new.get(name)) for name in named),
    )


class _Budget:
    def __init__(self) -> None:
        self.left = _MOST_HEADER_BYTES

    def take(self, nbytes: int) -> None:
        self.left -= nbytes
        if self.left < 0:
            raise WeightsError(f"headers of at most {_MOST_HEADER_BYTES:,} bytes together are compared")


def _tensors(repository: Repository, blobs: BlobStore, files: list[File], budget: _Budget) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for file in files:
        with opened(repository, blobs, file) as reader:
            length = header_length(reader.read(8), file.size, file.path)
            budget.take(length)
            header = parse_header(reader.read(length), file.size, file.path)
        found |= {name: Tensor(info.dtype, info.shape) for name, info in header.tensors.items()}
    return found
