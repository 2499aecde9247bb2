"""Carry out a plan: bounded memory, resumable after a kill, and nothing half-written under a finished name.

Everything is written into `.OUT.part/files`; that folder takes the name OUT when the last byte is on the disk. Beside
it `.OUT.part/state.json` says which shards are whole and how far the next one is, never more than was synced before.
"""

import errno
import hashlib
import json
import os
import shutil
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.files import atomic_write, atomic_write_text, exclusive, fsync_folder, part_name
from modeling_axk1.progress import progress_bar
from modeling_axk1.weights.errorsum import ErrorSum
from modeling_axk1.weights.plan import Plan, PlannedShard
from modeling_axk1.weights.runs import Run
from modeling_axk1.weights.steps import Copy, Fill, Place, Recode, Step
from modeling_axk1.weights.store import Folder, Store

DEFAULT_MEMORY = 2**30
_INTERPRETER_BYTES = 128 * 2**20  # Python, numpy, and a checkpoint's headers
_TORCH_BYTES = 384 * 2**20  # and torch
_STEP_BYTES = 2**11  # and what one tensor is in a plan
_LARGEST_CHUNK = 32 * 2**20
_LARGEST_RECODED = 4 * 2**20  # what is computed with should stay in the processor's cache
_SMALLEST_CHUNK = 2**20
_SYNC_BYTES = 512 * 2**20  # how much of a shard a kill may cost
# Pieces at least this long are read one by one, shorter ones together with what lies between them.
_PIECE_BYTES = 8 * 2**10

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# What copy_file_range says where it cannot do it: other file systems, old kernels, odd files.
_NOT_IN_KERNEL = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}


Errors = dict[str, ErrorSum]


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
    errors: dict[str, ErrorSum] | None


@dataclass
class _State:
    """What is safely on the disk: whole shards, and of the next one its first chunks."""

    key: str
    chunk_bytes: int
    finished: dict[str, Errors] = field(default_factory=dict)
    shard: str = ""
    chunks: int = 0
    errors: Errors = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write it down; an error is three numbers in JSON."""
        atomic_write_text(path, json.dumps(vars(self), default=vars))

    @classmethod
    def load(cls, path: Path) -> "_State":
        """Read what `save` wrote; raises OSError, ValueError, KeyError or TypeError when that is not there."""
        found = json.loads(path.read_bytes())
        finished = {shard: _errors(errors) for shard, errors in found.pop("finished").items()}
        return cls(finished=finished, errors=_errors(found.pop("errors")), **found)


def _errors(found: dict[str, dict[str, float]]) -> Errors:
    return {name: ErrorSum(**error) for name, error in found.items()}


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
        state = _restore(part, plan, _key(plan, sources), chunk_bytes)
        files = part / "files"
        _check_room(plan, state, files)
        try:
            resumed = _write(plan, sources, files, part / "state.json", state, workers, description)
            for name, original in plan.copied.items():
                _copy_file(sources[0], original, files / name)
            for name, content in plan.files.items():
                with atomic_write(files / name) as file:
                    file.write(content)
        except OSError as error:
            if error.errno in _NO_ROOM:
                kept = (
                    f"{len(state.finished):,} of {len(plan.shards):,} shards are kept there; make room and run it again"
                )
                raise OSError(error.errno, f"{error.strerror} ({kept})", str(part)) from error
            raise
        files.replace(out)
        fsync_folder(out.parent)
    shutil.rmtree(part, ignore_errors=True)
    errors = {name: error for of_shard in state.finished.values() for name, error in of_shard.items()}
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


def _restore(part: Path, plan: Plan, key: str, chunk_bytes: int) -> _State:
    """Return what an interrupted run of the same plan left; clears away what another one did."""
    files, state_path = part / "files", part / "state.json"
    try:
        state = _State.load(state_path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        state = _State("", 0)
    if state.key != key:
        shutil.rmtree(files, ignore_errors=True)
        state = _State(key, chunk_bytes)
    files.mkdir(exist_ok=True)
    # A run killed between its last two steps leaves a state whose files are in OUT, which may be gone since.
    sizes = {shard.file_name: shard.file_size for shard in plan.shards}
    for name in list(state.finished):
        path = files / name
        if not path.is_file() or path.stat().st_size != sizes.get(name):
            del state.finished[name]
    # Chunks of another size were others; and an unfinished shard may have got its name before that was noted.
    if state.chunk_bytes != chunk_bytes or not part_name(files / state.shard).is_file():
        state = _State(key, chunk_bytes, state.finished)
    # Noted before anything is written: what is begun anew must not be taken for as far as it was.
    state.save(state_path)
    return state


def _check_room(plan: Plan, state: _State, files: Path) -> None:
    wanted = sum(shard.file_size for shard in plan.shards if shard.file_name not in state.finished)
    free = shutil.disk_usage(files).free
    with suppress(OSError):  # an unfinished shard takes part of its room already
        free += sum(path.stat().st_blocks * 512 for path in files.rglob(".*.part"))
    if wanted > free:
        raise WeightsError(f"{files.parent.parent} must have {wanted:,} bytes free, and has {free:,}; nothing is lost")


def _write(
    plan: Plan, sources: Sequence[Store], files: Path, state_path: Path, state: _State, workers: int, description: str
) -> int:
    """Write every shard that is not finished; return how many bytes were there before."""
    resumed = 0
    with (
        progress_bar(description, total=plan.nbytes, in_bytes=True) as advance,
        _one_thread_each(plan),
        ThreadPoolExecutor(workers) as pool,
        _background() as syncing,
    ):
        for shard in plan.shards:
            if shard.file_name in state.finished:
                resumed += shard.nbytes
                advance(shard.nbytes)
                continue
            path = files / shard.file_name
            skipped = state.chunks if state.shard == shard.file_name else 0
            path.parent.mkdir(exist_ok=True)
            writer = _ShardWriter(part_name(path), shard, sources, fresh=not skipped)
            errors = dict(state.errors) if skipped else {}
            done, unsynced = 0, 0
            for done, nbytes, error in _in_order(pool, writer, shard, state.chunk_bytes, skipped, 2 * workers):
                if done <= skipped:
                    resumed += nbytes
                else:
                    unsynced += nbytes
                for name, one in (error or {}).items():
                    errors[name] = errors[name] + one if name in errors else one
                advance(nbytes, note=shard.file_name)
                if unsynced >= _SYNC_BYTES and syncing.idle():
                    syncing.start(_sync, writer, state_path, state, done, dict(errors))
                    unsynced = 0
            syncing.start(_finish, writer, path, state_path, state, errors)
    return resumed


def _in_order(
    pool: ThreadPoolExecutor, writer: "_ShardWriter", shard: PlannedShard, limit: int, skipped: int, ahead: int
) -> Iterator[tuple[int, int, Errors | None]]:
    """Carry out the chunks of a shard, some at a time; yield (chunks done so far, this one's bytes and errors)."""
    chunks = (chunk for step in shard.steps for chunk in step.chunks(limit))
    for number, chunk in enumerate(islice(chunks, skipped), start=1):
        yield number, chunk.nbytes, None
    waiting: deque[tuple[Future[Errors | None], int]] = deque()
    number = skipped
    try:
        for chunk in chunks:
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


class _Background:
    """One thing at a time that goes on beside the writing; its error is raised where the next is started."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._running: Future[None] | None = None

    def idle(self) -> bool:
        return self._running is None or self._running.done()

    def start(self, work: Any, *arguments: Any) -> None:
        self.wait()
        self._running = self._pool.submit(work, *arguments)

    def wait(self) -> None:
        running, self._running = self._running, None
        if running:
            running.result()


@contextmanager
def _background() -> Iterator[_Background]:
    with ThreadPoolExecutor(1) as pool:
        background = _Background(pool)
        yield background
        background.wait()


def _sync(writer: "_ShardWriter", state_path: Path, state: _State, chunks: int, errors: Errors) -> None:
    writer.sync()
    state.shard, state.chunks, state.errors = writer.shard.file_name, chunks, errors
    state.save(state_path)


def _finish(writer: "_ShardWriter", path: Path, state_path: Path, state: _State, errors: Errors) -> None:
    writer.sync()
    writer.close()
    writer.path.replace(path)
    fsync_folder(path.parent)
    state.finished[writer.shard.file_name] = errors
    state.shard, state.chunks, state.errors = "", 0, {}
    state.save(state_path)


class _ShardWriter:
    """A shard that grows under its temporary name; every thread writes through a file of its own."""

    def __init__(self, path: Path, shard: PlannedShard, sources: Sequence[Store], *, fresh: bool) -> None:
        self.path, self.shard, self._sources = path, shard, sources
        self._local = threading.local()
        self._opened: list[BinaryIO] = []
        self._lock = threading.Lock()
        if fresh:
            with path.open("wb") as file:
                file.write(shard.header)
                file.truncate(shard.file_size)

    def carry_out(self, chunk: Step) -> Errors | None:
        starts = self.shard.starts
        if isinstance(chunk, Copy):
            self._copy(chunk.place, chunk.run.shifted(starts[chunk.tensor]))
        elif isinstance(chunk, Fill):
            self._write(Run(starts[chunk.tensor], len(chunk.data)), chunk.data)
        else:
            from modeling_axk1.weights.recode import recode

            read = {part: read_run(self._sources[place.source], place.file, place.run) for part, place in chunk.source}
            written, error = recode(chunk, read)
            for part, tensor, run in chunk.target:
                self._write(run.shifted(starts[tensor]), written[part])
            return {chunk.weight: error}
        return None

    def _copy(self, place: Place, run: Run) -> None:
        source = self._sources[place.source]
        in_one_piece = run.count == place.run.count == 1 and isinstance(source, Folder)
        if in_one_piece and self._copied_in_kernel(source, place, run.start):
            return
        self._write(run, read_run(source, place.file, place.run))

    def _copied_in_kernel(self, source: Any, place: Place, start: int) -> bool:
        if not hasattr(os, "copy_file_range"):
            return False
        offset, rest = place.run.start, place.run.nbytes
        try:
            while rest:
                count = os.copy_file_range(source.handle(place.file), self._file().fileno(), rest, offset, start)
                if not count:
                    raise WeightsError(f"{place.file} became shorter while it was read")
                offset, start, rest = offset + count, start + count, rest - count
        except OSError as error:
            if error.errno in _NOT_IN_KERNEL:
                return False
            raise
        return True

    def _write(self, run: Run, data: bytes | bytearray | memoryview) -> None:
        view, file, done = memoryview(data), self._file(), 0
        for start, length in run.pieces():
            file.seek(start)
            while length:
                count = file.write(view[done : done + length])
                done, length = done + count, length - count

    def _file(self) -> BinaryIO:
        if not hasattr(self._local, "file"):
            self._local.file = self.path.open("r+b", buffering=0)
            with self._lock:
                self._opened.append(self._local.file)
        return self._local.file

    def sync(self) -> None:
        os.fsync(self._file().fileno())

    def close(self) -> None:
        for file in self._opened:
            file.close()


def read_run(source: Store, file: str, run: Run) -> memoryview:
    """Return the bytes of a run, its pieces joined."""
    if run.count == 1 or (run.length >= _PIECE_BYTES and isinstance(source, Folder)):
        joined = memoryview(bytearray(run.nbytes))
        for number, (start, length) in enumerate(run.pieces()):
            source.read_into(file, start, joined[number * length : (number + 1) * length])
        return joined
    import numpy as np

    spanned = bytearray(run.end - run.start)
    source.read_into(file, run.start, spanned)
    bytes_ = np.frombuffer(spanned, np.uint8)
    pieces = np.lib.stride_tricks.as_strided(bytes_, (run.count, run.length), (run.stride, 1), writeable=False)
    return memoryview(np.ascontiguousarray(pieces).data).cast("B")


def _copy_file(source: Store, name: str, path: Path) -> None:
    size = source.size(name)
    with atomic_write(path) as file:
        for start in range(0, size, _LARGEST_CHUNK):
            piece = bytearray(min(_LARGEST_CHUNK, size - start))
            source.read_into(name, start, piece)
            file.write(piece)
