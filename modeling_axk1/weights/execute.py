"""Carry out a plan: bounded memory, resumable after a kill, and nothing half-written under a finished name.

Everything is written into `.OUT.part/files`; that folder takes the name OUT when the last byte is on the disk. Beside
it lie the notes of how far it is.
"""

import errno
import hashlib
import os
import shutil
import threading
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.files import atomic_write, exclusive, fsync_folder, part_name
from modeling_axk1.progress import Advance, progress_bar
from modeling_axk1.weights.notes import Begun, Errors, Notes
from modeling_axk1.weights.plan import Plan, PlannedShard
from modeling_axk1.weights.shard_writer import ShardWriter
from modeling_axk1.weights.steps import Recode
from modeling_axk1.weights.store import Store

DEFAULT_MEMORY = 2**30
_INTERPRETER_BYTES = 128 * 2**20  # Python, numpy, and a checkpoint's headers
_TORCH_BYTES = 384 * 2**20  # and torch
_STEP_BYTES = 2**11  # and what one tensor is in a plan
_LARGEST_CHUNK = 8 * 2**20
_LARGEST_RECODED = 4 * 2**20  # what is computed with should stay in the processor's cache
_SMALLEST_CHUNK = 2**20
_LANES = 2  # shards at a time
_FLUSH_BYTES = 32 * 2**20  # the disk gets to work early, and the last wait is short
_NOTE_BYTES = 256 * 2**20  # how much of each of them a kill may cost
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Execution:
    """What was done; `resumed_bytes` were there from an interrupted run, all bytes if it was finished before.

    `errors` say how far weights are off that were rounded, by their names; None if all was finished before.
    """

    out: str
    shards: int
    tensors: int
    bytes: int
    resumed_bytes: int
    errors: Errors | None


def execute(
    plan: Plan,
    sources: Sequence[Store],
    out: Path,
    *,
    memory: int = DEFAULT_MEMORY,
    workers: int | None = None,
    description: str = "writing shards",
) -> Execution:
    """Write everything that `plan` says into the new folder `out`.

    An interrupted run (kill -9 included) is gone on with when the same plan is executed again with unchanged sources;
    the result is the same to the byte. Raises UsageError when `out` holds something else, WeightsError when a source
    is not as it was planned, and OSError (disk full, no permission): what is finished then waits for the next run.
    """
    workers = workers or max(min(8, os.cpu_count() or 1), sources[0].readers // 2)
    fixed = _STEP_BYTES * sum(len(shard.steps) for shard in plan.shards)
    if _recodes(plan):
        chunk_bytes = min(_chunk_bytes(memory, workers, fixed + _TORCH_BYTES), _LARGEST_RECODED)
    else:
        chunk_bytes = _chunk_bytes(memory, workers, fixed + _INTERPRETER_BYTES)
    part = part_name(out)
    if _is_finished(plan, out):
        shutil.rmtree(part, ignore_errors=True)
        return Execution(str(out), len(plan.shards), plan.tensors, plan.nbytes, plan.nbytes, errors=None)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"OUT must be a new or empty folder, and {out} holds something else")
    part.mkdir(parents=True, exist_ok=True)
    with exclusive(part / "lock"):
        notes = Notes(part / "state.json", _key(plan, sources), chunk_bytes)
        files = part / "files"
        notes.restore(plan, files)
        _check_room(plan, notes, files)
        try:
            resumed = _write(plan, sources, files, notes, workers, description)
            for name, original in plan.copied.items():
                _copy_file(sources[0], original, files / name)
            for name, content in plan.files.items():
                with atomic_write(files / name) as file:
                    file.write(content)
        except OSError as error:
            if error.errno in _NO_ROOM:
                kept = (
                    f"{len(notes.finished):,} of {len(plan.shards):,} shards are kept there; make room and run it again"
                )
                raise OSError(error.errno, f"{error.strerror} ({kept})", str(part)) from error
            raise
        files.replace(out)
        fsync_folder(out.parent)
    shutil.rmtree(part, ignore_errors=True)
    errors = {name: error for of_shard in notes.finished.values() for name, error in of_shard.items()}
    return Execution(str(out), len(plan.shards), plan.tensors, plan.nbytes, resumed, errors)


def _recodes(plan: Plan) -> bool:
    return any(isinstance(step, Recode) for shard in plan.shards for step in shard.steps)


def _one_thread_each(plan: Plan) -> AbstractContextManager[None]:
    if not _recodes(plan):
        return nullcontext()
    from modeling_axk1.weights.recode import one_thread_each

    return one_thread_each()


def _chunk_bytes(memory: int, workers: int, fixed: int) -> int:
    """Return how large a piece of work may be: a worker holds two at most, what it read and what it makes of it."""
    chunk = (memory - fixed) // (2 * workers)
    if chunk < _SMALLEST_CHUNK:
        least = fixed + 2 * workers * _SMALLEST_CHUNK
        raise UsageError(f"memory must be at least {least:,} bytes for {workers} workers, got {memory:,}")
    return min(chunk, _LARGEST_CHUNK)


def _is_finished(plan: Plan, out: Path) -> bool:
    """Whether `out` is what this plan makes: it only ever appears whole, so headers and small files prove it."""
    if not out.is_dir():
        return False
    for shard in plan.shards:
        path = out / shard.file_name
        if not path.is_file() or path.stat().st_size != shard.file_size:
            return False
        with path.open("rb") as file:
            if file.read(len(shard.header)) != shard.header:
                return False
    return all((out / name).is_file() and (out / name).read_bytes() == data for name, data in plan.files.items())


def _key(plan: Plan, sources: Sequence[Store]) -> str:
    """Return a digest of all that decides the result: what is planned, and which files it is made of."""
    digest = hashlib.sha256(repr((plan.copied, plan.files)).encode())
    used = {(0, name) for name in plan.copied.values()}
    for shard in plan.shards:
        digest.update(shard.file_name.encode() + shard.header)
        for step in shard.steps:
            digest.update(repr(step).encode())
            used |= {(place.source, place.file) for place in step.places}
    for source, file in sorted(used):
        digest.update(f"{sources[source].name} {file} {sources[source].identity(file)}".encode())
    return digest.hexdigest()


def _check_room(plan: Plan, notes: Notes, files: Path) -> None:
    wanted = sum(shard.file_size for shard in plan.shards if shard.file_name not in notes.finished)
    free = shutil.disk_usage(files).free
    with suppress(OSError):  # an unfinished shard takes part of its room already
        free += sum(path.stat().st_blocks * 512 for path in files.rglob(".*.part"))
    if wanted > free:
        raise WeightsError(
            f"{files.parent.parent} must have {wanted:,} bytes free, and has {free:,}; "
            "free some and run this again: nothing is lost"
        )


def _write(plan: Plan, sources: Sequence[Store], files: Path, notes: Notes, workers: int, description: str) -> int:
    """Write every shard that is not finished; return how many bytes were there before.

    Two shards at a time: a file system lets one thread at a time write to a file, and while one shard waits for the
    disk, the other goes on.
    """
    stopped = threading.Event()
    with (
        progress_bar(description, total=plan.nbytes, in_bytes=True) as advance,
        _one_thread_each(plan),
        ThreadPoolExecutor(workers) as pool,
        ThreadPoolExecutor(_LANES) as lanes,
    ):
        tasks = []
        try:
            for shard in plan.shards:
                path = files / shard.file_name
                path.parent.mkdir(exist_ok=True)
                tasks.append(
                    lanes.submit(_write_shard, shard, path, sources, notes, pool, 2 * workers, advance, stopped)
                )
            return sum(task.result() for task in as_completed(tasks))
        except BaseException:
            stopped.set()
            for task in tasks:
                task.cancel()
            raise


def _write_shard(
    shard: PlannedShard,
    path: Path,
    sources: Sequence[Store],
    notes: Notes,
    pool: ThreadPoolExecutor,
    ahead: int,
    advance: Advance,
    stopped: threading.Event,
) -> int:
    """Write a shard, or the rest of it; return how many of its bytes were there before."""
    name = shard.file_name
    if name in notes.finished:
        advance(shard.nbytes)
        return shard.nbytes
    begun = notes.begun.get(name, Begun())
    errors = dict(begun.errors)
    writer = ShardWriter(part_name(path), shard, sources, fresh=not begun.chunks)
    resumed = unflushed = unnoted = 0
    try:
        with closing(_in_order(pool, writer, shard, notes.chunk_bytes, begun.chunks, ahead)) as chunks:
            for done, nbytes, error in chunks:
                if stopped.is_set():
                    return 0
                for weight, one in (error or {}).items():
                    errors[weight] = errors[weight] + one if weight in errors else one
                advance(nbytes, note=name)
                if done <= begun.chunks:
                    resumed += nbytes
                    continue
                unflushed, unnoted = unflushed + nbytes, unnoted + nbytes
                if unnoted >= _NOTE_BYTES:
                    writer.sync()
                    notes.reach(name, done, dict(errors))
                    unflushed = unnoted = 0
                elif unflushed >= _FLUSH_BYTES:
                    writer.flush()
                    unflushed = 0
        writer.sync()
    finally:
        writer.close()
    writer.path.replace(path)
    fsync_folder(path.parent)
    notes.finish(name, errors)
    return resumed


def _in_order(
    pool: ThreadPoolExecutor, writer: ShardWriter, shard: PlannedShard, limit: int, skipped: int, ahead: int
) -> Generator[tuple[int, int, Errors | None], None, None]:
    """Carry out the chunks of a shard, some at a time; yield (chunks done so far, this one's bytes and errors)."""
    chunks = (chunk for step in shard.steps for chunk in step.chunks(limit))
    for number, chunk in enumerate(islice(chunks, skipped), start=1):
        yield number, chunk.nbytes, None
    waiting: deque[tuple[Future[Errors | None], int]] = deque()
    number = skipped
    try:
        for chunk in chunks:
            writer.expect(chunk)
            waiting.append((pool.submit(writer.carry_out, chunk), chunk.nbytes))
            if len(waiting) > ahead:
                future, nbytes = waiting.popleft()
                number += 1
                yield number, nbytes, future.result()
        while waiting:
            future, nbytes = waiting.popleft()
            number += 1
            yield number, nbytes, future.result()
    finally:
        for future, _ in waiting:
            future.cancel()
        # A file must not be closed under a thread that writes to it: the next file to be opened gets its number.
        wait(future for future, _ in waiting)


def _copy_file(source: Store, name: str, path: Path) -> None:
    size = source.size(name)
    with atomic_write(path) as file:
        for start in range(0, size, _LARGEST_CHUNK):
            piece = bytearray(min(_LARGEST_CHUNK, size - start))
            source.read_into(name, start, piece)
            file.write(piece)
