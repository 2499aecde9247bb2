"""What becomes of each document that the steps kept: a duplicate, held back, or in one of the splits.

Decided over all parts at once, in the order of the recipe's sources, from rows of numbers alone; texts are not read.
Memory does not grow with the corpus: rows are sorted on the disk, and the fates are a file of one byte a document.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modeling_axk1.data.duplicates import Buckets, repeated
from modeling_axk1.data.parts import Part
from modeling_axk1.data.recipe import Recipe

# Fates; of the documents that are held back, a fate from HELD_BACK on says by which rule.
TRAIN, VALIDATION, DUPLICATE, NEAR_DUPLICATE, HELD_BACK = range(5)

_RECORD = np.dtype([("digest", "<u8", (4,)), ("row", "<u8"), ("bytes", "<u4"), ("group", "<u4")])


@dataclass(frozen=True)
class Choice:
    """The fates of all documents of some parts: those of part n are rows [starts[n], starts[n + 1]) of a file."""

    path: Path
    starts: list[int]

    def of(self, part: int) -> np.ndarray:
        """Return the fates of a part's documents."""
        start, stop = self.starts[part : part + 2]
        with self.path.open("rb") as file:
            file.seek(start)
            return np.frombuffer(file.read(stop - start), np.uint8)


def choose(recipe: Recipe, parts: Sequence[Part], work: Path, *, whole: bool) -> Choice:
    """Decide about every document and write the fates to `work`; `whole` leaves the rules of release aside."""
    starts = [0, *np.cumsum([part.rows for part in parts]).tolist()]
    work.mkdir(parents=True, exist_ok=True)
    path = work / "fates"
    # On the disk, not in memory: the system keeps of it what is in use.
    fates = np.memmap(path, np.uint8, "w+", shape=(max(starts[-1], 1),))
    groups = sorted({(one.license, one.language, one.source) for part in parts for one in part.groups})
    buckets = _fill(parts, starts, groups, work / "buckets")
    if "duplicates" in recipe.corpus_steps:
        for records in buckets:
            fates[records["row"][repeated(records)]] = DUPLICATE
    if "near_duplicates" in recipe.corpus_steps:
        _mark_near_duplicates(parts, starts, fates, work)
    if not whole:
        _hold_back(recipe, groups, buckets, fates, work / "turned")
    _split(recipe, groups, buckets, fates)
    fates.flush()
    return Choice(path, starts)


def _fill(
    parts: Sequence[Part], starts: Sequence[int], groups: Sequence[tuple[str, str, str]], folder: Path
) -> Buckets:
    numbers = {group: number for number, group in enumerate(groups)}
    buckets = Buckets(folder, _RECORD, starts[-1])
    for part, start in zip(parts, starts, strict=False):
        rows = part.load_rows()
        records = np.zeros(len(rows), _RECORD)
        records["digest"], records["bytes"] = rows["digest"], rows["bytes"]
        records["row"] = np.arange(start, start + len(rows))
        for one in part.groups:
            records["group"][one.start : one.stop] = numbers[one.license, one.language, one.source]
        buckets.add(records)
    return buckets


def _mark_near_duplicates(parts: Sequence[Part], starts: Sequence[int], fates: np.ndarray, work: Path) -> None:
    from modeling_axk1.data.near_duplicates import NUMBERS, first_of_each_group

    rows = np.flatnonzero(fates[: starts[-1]] == TRAIN)
    if not len(rows):
        return
    signatures = np.memmap(work / "signatures", np.uint32, "w+", shape=(len(rows), NUMBERS))
    filled = 0
    for part, start in zip(parts, starts, strict=False):
        kept = np.load(part.folder / "signatures.npy")[fates[start : start + part.rows] == TRAIN]
        signatures[filled : filled + len(kept)] = kept
        filled += len(kept)
    firsts = first_of_each_group(signatures, work)
    fates[rows[firsts != np.arange(len(rows))]] = NEAR_DUPLICATE


def _hold_back(
    recipe: Recipe, groups: Sequence[tuple[str, str, str]], buckets: Buckets, fates: np.ndarray, work: Path
) -> None:
    about = [np.array([rule.matches(*group) for group in groups], bool) for rule in recipe.held_back]
    released = [0] * len(recipe.held_back)
    for records in _turned(buckets, fates, work) if recipe.held_back else ():
        undecided = np.ones(len(records), bool)
        for number, rule in enumerate(recipe.held_back):
            matched = np.flatnonzero(undecided & about[number][records["group"]])
            undecided[matched] = False
            # In their order over all buckets: once there is no more room, no later document is released.
            upto = released[number] + np.cumsum(records["bytes"][matched], dtype=np.uint64)
            fates[records["row"][matched[upto > rule.max_bytes]]] = HELD_BACK + number
            released[number] = int(upto[-1]) if len(upto) else released[number]


def _turned(buckets: Buckets, fates: np.ndarray, work: Path) -> Buckets:
    """Put what is left in the order of the digests' second quarters.

    The first decides about the split: in its order, what a rule lets through would be validation before all.
    """
    turned = Buckets(work, _RECORD, len(fates))
    for records in buckets:
        left = records[fates[records["row"]] == TRAIN]
        left["digest"] = np.roll(left["digest"], -1, axis=1)
        turned.add(left)
    return turned


def _split(recipe: Recipe, groups: Sequence[tuple[str, str, str]], buckets: Buckets, fates: np.ndarray) -> None:
    """Choose validation documents by the hash of their texts.

    Each licence and language is divided for itself: a group of two or more always has a validation document, if need
    be the one whose hash is lowest, so that every language can be measured, and always keeps one to train on.
    """
    parents = sorted({group[:2] for group in groups})
    parent_of = np.array([parents.index(group[:2]) for group in groups], np.int64)
    bound = np.uint64(int(recipe.validation_share * 2**64))
    total, below = np.zeros(len(parents), np.int64), np.zeros(len(parents), np.int64)
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for records in buckets:
        records = records[fates[records["row"]] == TRAIN]
        rows, parent = records["row"], parent_of[records["group"]]
        is_below = records["digest"][:, 0] < bound
        fates[rows[is_below]] = VALIDATION
        total += np.bincount(parent, minlength=len(parents))
        below += np.bincount(parent[is_below], minlength=len(parents))
        # Records and buckets come in the order of hashes.
        numbers, places = np.unique(parent, return_index=True)
        first = dict(zip(numbers.tolist(), rows[places].tolist(), strict=True)) | first
        numbers, places = np.unique(parent[::-1], return_index=True)
        last |= dict(zip(numbers.tolist(), rows[::-1][places].tolist(), strict=True))
    for number in first:
        if total[number] == 1:
            fates[first[number]] = TRAIN
        elif below[number] == 0:
            fates[first[number]] = VALIDATION
        elif below[number] == total[number]:
            fates[last[number]] = TRAIN
