"""Two checkpoints compared weight by weight, whatever shards, layout, dtype or quantisation each has.

Weights in one form are compared by their bytes, as fast as both can be read. Only what is not the same is decoded to
numbers, which is when torch is imported.
"""

import hashlib
import json
import os
import re
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any, TypeVar

from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.progress import progress_bar
from modeling_axk1.weights.checkpoint import Checkpoint, open_checkpoint
from modeling_axk1.weights.coverage import layout_of
from modeling_axk1.weights.diff_report import DiffReport, Stored, WeightDiff
from modeling_axk1.weights.encodings import Encoding, encoding_of
from modeling_axk1.weights.execute import DEFAULT_MEMORY
from modeling_axk1.weights.logical import Weight, weights_of
from modeling_axk1.weights.runs import split
from modeling_axk1.weights.shard_writer import read_run
from modeling_axk1.weights.steps import Form, Place, Recode
from modeling_axk1.weights.store import Folder, Store

# Two such pieces lie in a processor's cache while they are compared: 1 MiB ones are slower by a fifth, 4 MiB by half.
_PIECE_BYTES = 512 * 2**10
_LARGEST_SPAN = 32 * 2**20  # what one thread takes on at a time
_SMALLEST_SPAN = 2**20
_FIXED_BYTES = 512 * 2**20  # Python, two checkpoints' headers, and torch

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def diff(
    a: Path | Store,
    b: Path | Store,
    *,
    headers_only: bool = False,
    memory: int = DEFAULT_MEMORY,
    workers: int | None = None,
) -> DiffReport:
    """Compare two checkpoints; `DiffReport.unequal` then says whether they are equal, and in what sense.

    `headers_only` compares names, shapes and forms and reads no weights. `memory` bounds what is held at a time.
    Raises WeightsError when one of them is not sound, and UsageError when `memory` is too little.

    Example: diff(Path("A.X-K1"), Path("A.X-K1-by-layer")).unequal() == []
    """
    in_folders = isinstance(a, Path | Folder) and isinstance(b, Path | Folder)
    workers = workers or (min(8, os.cpu_count() or 1) if in_folders else 8)
    span = _span(memory, workers)
    checkpoints = (open_checkpoint(a), open_checkpoint(b))
    config = _config_differences(checkpoints[0].config, checkpoints[1].config)
    notes: list[str] = []
    weights_a, weights_b = (_weights(checkpoint, notes) for checkpoint in checkpoints)
    common = {name: (weight, weights_b[name]) for name, weight in weights_a.items() if name in weights_b}
    only_a = {name: weight for name, weight in weights_a.items() if name not in weights_b}
    only_b = {name: weight for name, weight in weights_b.items() if name not in weights_a}
    found: dict[str, WeightDiff] = {}
    renamed: dict[str, str] = {}
    if headers_only:
        for name, pair in common.items():
            found[name] = _entry(name, *pair, "alike" if pair[0].form == pair[1].form else "form")
    else:
        with ThreadPoolExecutor(workers) as pool:
            reader = _Reader(pool, 2 * workers, checkpoints[0].store, checkpoints[1].store, span)
            found = reader.compare(common)
            renamed = reader.renamed(only_a, only_b)
    for name, (one, other) in common.items():
        if one.shape != other.shape:
            found[name] = _entry(name, one, other, "shape")
    for name, weight in only_a.items():
        if name in renamed:
            entry = _entry(name, weight, only_b[renamed[name]], "renamed")
            found[name] = replace(entry, name_b=renamed[name])
        else:
            found[name] = WeightDiff(name, "only in A", shape_a=weight.shape, form_a=_called(weight.form))
    for name in only_b.keys() - set(renamed.values()):
        weight = only_b[name]
        found[name] = WeightDiff(name, "only in B", shape_b=weight.shape, form_b=_called(weight.form))
    return DiffReport(
        _stored(checkpoints[0]),
        _stored(checkpoints[1]),
        config,
        tuple(found[name] for name in dict.fromkeys([*weights_a, *weights_b]) if name in found),
        tuple(notes),
    )


def _span(memory: int, workers: int) -> int:
    """Return how large a piece of work may be: a worker holds one of each checkpoint."""
    span = (memory - _FIXED_BYTES) // (2 * workers)
    if span < _SMALLEST_SPAN:
        least = _FIXED_BYTES + 2 * workers * _SMALLEST_SPAN
        raise UsageError(f"memory must be at least {least:,} bytes for {workers} workers, got {memory:,}")
    return min(span, _LARGEST_SPAN)


def _weights(checkpoint: Checkpoint, notes: list[str]) -> dict[str, Weight]:
    """Return the weights of a checkpoint; in a quantisation that is not known, every tensor is a weight."""
    try:
        encoding_of(checkpoint.config or {})
    except WeightsError as error:
        notes.append(f"{checkpoint.store.name} is compared as it is stored: {error}")
        config = {key: value for key, value in (checkpoint.config or {}).items() if key != "quantization_config"}
        checkpoint = replace(checkpoint, config=config)
    return weights_of(checkpoint)


@dataclass
class _Reader:
    """Reads both checkpoints side by side, in pieces of at most `span` bytes."""

    pool: ThreadPoolExecutor
    ahead: int
    a: Store
    b: Store
    span: int

    def compare(self, pairs: Mapping[str, tuple[Weight, Weight]]) -> dict[str, WeightDiff]:
        """Return the verdict on every pair of one shape."""
        same_shape = {name: pair for name, pair in pairs.items() if pair[0].shape == pair[1].shape}
        same_form = {name: pair for name, pair in same_shape.items() if pair[0].form == pair[1].form}
        differing = self._differing(same_form)
        others = {name: pair for name, pair in same_shape.items() if name in differing or name not in same_form}
        found = {name: _entry(name, *pair, "equal") for name, pair in same_form.items() if name not in differing}
        return found | (self._measured(others) if others else {})

    def _differing(self, pairs: Mapping[str, tuple[Weight, Weight]]) -> set[str]:
        """Return the names of the weights whose bytes are not the same; each is read up to its first difference."""
        differing: set[str] = set()
        buffers = threading.local()
        piece = _PIECE_BYTES if isinstance(self.a, Folder) and isinstance(self.b, Folder) else self.span

        def read(store: Store, place: Place, done: int, buffer: bytearray) -> bytearray:
            store.read_into(place.file, place.run.start + done, buffer)
            return buffer

        def compare(item: tuple[str, Place, Place]) -> int:
            name, one, other = item
            for done in range(0, one.run.nbytes, piece):
                if name in differing:
                    break
                nbytes = min(piece, one.run.nbytes - done)
                if len(getattr(buffers, "a", b"")) != nbytes:
                    buffers.a, buffers.b = bytearray(nbytes), bytearray(nbytes)
                if read(self.a, one, done, buffers.a) != read(self.b, other, done, buffers.b):
                    differing.add(name)
            return one.run.nbytes

        total = sum(place.run.nbytes for weight, _ in pairs.values() for place in weight.parts.values())
        with progress_bar("comparing bytes", total=total) as advance:
            for nbytes in self._worked_on(compare, self._spans(pairs)):
                advance(nbytes)
        return differing

    def _spans(self, pairs: Mapping[str, tuple[Weight, Weight]]) -> Iterator[tuple[str, Place, Place]]:
        for name, (one, other) in pairs.items():
            for part, place in one.parts.items():
                theirs = other.parts[part]
                runs = zip(split(place.run, self.span), split(theirs.run, self.span), strict=True)
                for run, their_run in runs:
                    yield name, replace(place, run=run), replace(theirs, run=their_run)

    def _measured(self, pairs: Mapping[str, tuple[Weight, Weight]]) -> dict[str, WeightDiff]:
        """Return the verdict on weights that are stored otherwise or have other bytes, by their values."""
        from modeling_axk1.weights.deviation import Deviation, can_decode, deviation
        from modeling_axk1.weights.recode import one_thread_each

        decodable = {name: pair for name, pair in pairs.items() if all(can_decode(weight.form) for weight in pair)}
        sums = dict.fromkeys(decodable, Deviation())

        def measure(rows: Recode) -> tuple[Recode, Deviation]:
            _, other = decodable[rows.weight]
            read_a = {part: read_run(self.a, place.file, place.run) for part, place in rows.source}
            read_b = {part: read_run(self.b, other.parts[part].file, run) for part, _, run in rows.target}
            return rows, deviation(rows, read_a, read_b)

        total = sum(prod(one.shape) for one, _ in decodable.values())
        with progress_bar("comparing values", total=total) as advance, one_thread_each():
            chunks = (chunk for name, pair in decodable.items() for chunk in _rows(name, *pair, self.span))
            for rows, found in self._worked_on(measure, chunks):
                sums[rows.weight] += found
                advance(rows.rows * rows.columns)
        entries = {}
        for name, (one, other) in pairs.items():
            entry = _entry(name, one, other, "differs")
            if name in sums:
                entry = replace(entry, differing=sums[name].differing, error=sums[name].error)
                if one.form != other.form:
                    if not entry.differing:
                        entry = replace(entry, verdict="cast")
                    elif isinstance(one.form, Encoding) or isinstance(other.form, Encoding):
                        entry = replace(entry, verdict="quantised")
                    elif sums[name].rounded:
                        entry = replace(entry, verdict="rounded")
            entries[name] = entry
        return entries

    def renamed(self, only_a: Mapping[str, Weight], only_b: Mapping[str, Weight]) -> dict[str, str]:
        """Return {name in A: name in B} of the weights that have the same bytes there under another name."""
        kinds = {_kind(weight) for weight in only_a.values()} & {_kind(weight) for weight in only_b.values()}
        sides = [(self.a, only_a), (self.b, only_b)]
        work = [
            (store, name, weight) for store, side in sides for name, weight in side.items() if _kind(weight) in kinds
        ]

        def digest(item: tuple[Store, str, Weight]) -> tuple[int, bytes]:
            store, _, weight = item
            sha256, nbytes = hashlib.sha256(), 0
            for place in weight.parts.values():
                for run in split(place.run, self.span):
                    sha256.update(read_run(store, place.file, run))
                nbytes += place.run.nbytes
            return nbytes, sha256.digest()

        total = sum(place.run.nbytes for _, _, weight in work for place in weight.parts.values())
        digests: dict[str, tuple[Any, ...]] = {}
        with progress_bar("looking for renamed weights", total=total) as advance:
            for (_, name, weight), (nbytes, found) in zip(work, self._worked_on(digest, work), strict=True):
                digests[name] = (_kind(weight), found)
                advance(nbytes)
        return _partners(
            {name: digests[name] for name in only_a if name in digests},
            {name: digests[name] for name in only_b if name in digests},
        )

    def _worked_on(self, work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
        """Yield the results in order, with a bounded number of items under way."""
        items = iter(items)
        waiting: deque[Future[_Result]] = deque(self.pool.submit(work, item) for item in islice(items, self.ahead))
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(self.pool.submit(work, item) for item in islice(items, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()


def _rows(name: str, one: Weight, other: Weight, limit: int) -> Iterator[Recode]:
    """Yield the same rows of both, as if they were recoded from A to where they lie in B.

    Comparing takes up to twice the memory of recoding, in float64 if need be: hence half of `limit`.
    """
    if not prod(one.shape):
        return
    is_matrix = isinstance(one.form, Encoding) or isinstance(other.form, Encoding)
    rows, columns = one.shape if is_matrix else (prod(one.shape), 1)
    source = tuple((part, place) for part, place in one.parts.items() if part != "weight_shape")
    target = tuple((part, name, place.run) for part, place in other.parts.items() if part != "weight_shape")
    yield from Recode(name, rows, columns, source, one.form, target, other.form).chunks(limit // 2)


def _partners(a: Mapping[str, tuple[Any, ...]], b: Mapping[str, tuple[Any, ...]]) -> dict[str, str]:
    """Pair names with the same digest, those with the same numbers first: many norms are all ones."""
    partners: dict[str, str] = {}
    for with_numbers in (True, False):
        free: dict[tuple[Any, ...], deque[str]] = defaultdict(deque)
        taken = set(partners.values())
        for name, digest in b.items():
            if name not in taken:
                free[digest, _numbers(name) if with_numbers else None].append(name)
        for name, digest in a.items():
            candidates = free[digest, _numbers(name) if with_numbers else None]
            if name not in partners and candidates:
                partners[name] = candidates.popleft()
    return partners


def _numbers(name: str) -> tuple[str, ...]:
    return tuple(re.findall("[0-9]+", name))


def _kind(weight: Weight) -> tuple[tuple[int, ...], Form]:
    return weight.shape, weight.form


def _entry(name: str, one: Weight, other: Weight, verdict: Any) -> WeightDiff:
    return WeightDiff(name, verdict, one.shape, other.shape, _called(one.form), _called(other.form))


def _called(form: Form) -> str:
    if not isinstance(form, Encoding):
        return form
    return form.name if form.name == "fp8" else f"{form.name} in groups of {form.group_size}"


def _stored(checkpoint: Checkpoint) -> Stored:
    infos = {name: info for _, name, info in checkpoint.tensors()}
    return Stored(
        place=checkpoint.store.name,
        shards=len(checkpoint.shards),
        tensors=len(infos),
        bytes=sum(info.nbytes for info in infos.values()),
        dtypes=dict(Counter(info.dtype for info in infos.values()).most_common()),
        layout=layout_of(infos),
        metadata={key: value for header in checkpoint.shards.values() for key, value in header.metadata.items()},
    )


def _config_differences(
    a: Mapping[str, Any] | None, b: Mapping[str, Any] | None
) -> dict[str, tuple[str | None, str | None]]:
    try:
        flat_a, flat_b = (dict(_flattened(config or {}, "")) for config in (a, b))
    except RecursionError:
        raise WeightsError("config.json must not be nested as deeply as one of these is") from None
    return {
        key: (flat_a.get(key), flat_b.get(key))
        for key in dict.fromkeys([*flat_a, *flat_b])
        if flat_a.get(key) != flat_b.get(key)
    }


def _flattened(config: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    """Yield (key, JSON), the keys of objects within objects joined by dots."""
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield ascii(prefix + key)[1:-1], json.dumps(value, sort_keys=True)
