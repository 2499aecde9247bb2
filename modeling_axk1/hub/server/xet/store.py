"""The xorbs of one repository: first as they came, then as places in the blobs that were made of them.

    NAME.git/xet/raw/XORB       a serialized xorb, of which some chunk is in no blob yet
    NAME.git/xet/chunks/XORB    JSON: the hash and length of each chunk, and where its bytes lie
    NAME.git/xet/blobs/SHA256   an empty file for each blob that some chunk lies in
    NAME.git/xet/generation     a random name; another one when a chunk that clients know of is gone

Nothing is stored twice for long: a xorb as it came is removed when all of its chunks lie in blobs. Chunks are known to
their own repository only, so what one repository has is neither given nor betrayed to another, and they go when it
goes. A client remembers which chunks it sent to an address; the generation is part of the address (`api`), so what it
remembers of chunks that are gone is never asked for again.
"""

import fcntl
import json
import secrets
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from modeling_axk1.files import atomic_write_text, fsync_folder
from modeling_axk1.hub.server.names import check_sha256
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.store import BlobStore, locked_folder
from modeling_axk1.hub.server.xet.hashes import to_text, xorb_hash
from modeling_axk1.hub.server.xet.xorb import read_chunk, read_xorb

_FOLDERS = ("raw", "chunks", "blobs")

# A chunk's place: the blob's SHA-256 and an offset in it, or "" and the offset of its header in the xorb as it came.
Place = tuple[str, int]


@dataclass
class Chunks:
    """What is known of a xorb's chunks, in order; hashes are in hex."""

    hashes: list[str]
    lengths: list[int]
    places: list[Place]


class XorbStore:
    """The xorbs of the bare repository `repository`, whose blobs are in `blobs`."""

    def __init__(self, repository: Path, blobs: BlobStore) -> None:
        self._repository = repository
        self._folder = repository / "xet"
        self._blobs = blobs

    def open(self) -> str:
        """Make ready to take xorbs in; return the generation, a new one when a blob is gone since the last time."""
        for folder in (self._folder, *(self._folder / name for name in _FOLDERS)):
            if not folder.exists():
                folder.mkdir(exist_ok=True)
                fsync_folder(folder.parent)
        with locked_folder(self._folder, fcntl.LOCK_EX):
            gone = [marker for marker in (self._folder / "blobs").iterdir() if self._blobs.size(marker.name) is None]
            with suppress(FileNotFoundError):
                if not gone:
                    return self._generation.read_text()
            generation = self._renew()
            self._forget({marker.name for marker in gone})
            return generation

    def has(self, name: str) -> bool:
        """Tell whether every chunk of the xorb `name` is here; keeps a xorb as it came from being swept."""
        try:
            chunks = self._load(name)
        except FileNotFoundError:
            return False
        if any(not blob for blob, _ in chunks.places):
            with suppress(FileNotFoundError):
                self._raw(name).touch()
        return all(
            self._blobs.size(blob) is not None if blob else self._raw(name).exists()
            for blob in {blob for blob, _ in chunks.places}
        )

    def add(self, name: str, file: BinaryIO) -> Chunks:
        """Return what to `keep` of the serialized xorb in `file`; refuses it when it is not the xorb `name` (400)."""
        found = read_xorb(file)
        got = to_text(xorb_hash(chunk.node for chunk in found))
        if got != name:
            raise Refusal(400, f"a xorb must have the hash that it was announced by, {name}, got {got}")
        return Chunks(
            [chunk.node[0].hex() for chunk in found],
            [chunk.node[1] for chunk in found],
            [("", chunk.start) for chunk in found],
        )

    def target(self, name: str) -> Path:
        """Return where a xorb as it came is put."""
        if not self._repository.exists():
            raise self._missing(name)  # deleted meanwhile: it must not appear again as an empty shell
        return self._raw(name)

    def keep(self, name: str, chunks: Chunks) -> None:
        """Remember the chunks of a xorb that was just put at its `target`."""
        with locked_folder(self._folder, fcntl.LOCK_EX):
            self._save(name, chunks)

    def chunks(self, name: str) -> Chunks:
        """Return what is known of the xorb `name`; refuses an unknown one."""
        try:
            return self._load(name)
        except FileNotFoundError:
            raise self._missing(name) from None

    def read(self, name: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of chunks `start` to `end` (not included) of a xorb; refuses what is not here any more."""
        with ExitStack() as stack:
            try:
                chunks, files = self._open_files(stack, name, start, end)
            except FileNotFoundError:
                # Another request has just moved them from the xorb into a blob. Once: the next time they are gone.
                try:
                    chunks, files = self._open_files(stack, name, start, end)
                except FileNotFoundError:
                    raise self._missing(name) from None
            for index in range(start, end):
                blob, offset = chunks.places[index]
                file = files[blob]
                file.seek(offset)
                data = file.read(chunks.lengths[index]) if blob else read_chunk(file)
                if len(data) != chunks.lengths[index]:
                    raise self._missing(name)
                yield data

    def place(self, blob: str, stretches: Iterable[tuple[str, int, int]]) -> None:
        """Remember that the whole blob `blob` is these (xorb, start, end) one after the other."""
        # One xorb at a time, however many make the file: lengths first, as offsets go over all of them.
        lengths = lru_cache(maxsize=4)(lambda name: self._load(name).lengths)
        parts: dict[str, list[tuple[int, int, int]]] = {}
        offset = 0
        for name, start, end in stretches:
            parts.setdefault(name, []).append((start, end, offset))
            offset += sum(lengths(name)[start:end])
        with locked_folder(self._folder, fcntl.LOCK_EX):
            (self._folder / "blobs" / check_sha256(blob)).touch()
            fsync_folder(self._folder / "blobs")
        for name, ranges in parts.items():
            with locked_folder(self._folder, fcntl.LOCK_EX):
                self._place(name, blob, ranges)

    def _place(self, name: str, blob: str, ranges: list[tuple[int, int, int]]) -> None:
        chunks = self._load(name)
        lost = {old for old in {old for old, _ in chunks.places} if not old or self._blobs.size(old) is None}
        for start, end, offset in ranges:
            for index in range(start, end):
                if chunks.places[index][0] in lost:
                    chunks.places[index] = (blob, offset)
                offset += chunks.lengths[index]
        self._save(name, chunks)
        if all(place[0] for place in chunks.places):
            self._raw(name).unlink(missing_ok=True)

    def _open_files(
        self, stack: ExitStack, name: str, start: int, end: int
    ) -> tuple[Chunks, dict[str, BufferedReader]]:
        chunks = self._load(name)
        wanted = {blob for blob, _ in chunks.places[start:end]}
        files = {
            blob: stack.enter_context((self._blobs.path(blob) if blob else self._raw(name)).open("rb"))
            for blob in wanted
        }
        return chunks, files

    def _forget(self, gone: set[str]) -> None:
        """Forget the xorbs of which a chunk lay in a blob that is gone; they will be asked for again."""
        for record in (self._folder / "chunks").glob("[!.]*"):
            if gone & {blob for blob, _ in self._load(record.name).places}:
                record.unlink()
        for blob in gone:
            (self._folder / "blobs" / blob).unlink()

    def _missing(self, name: str) -> Refusal:
        """Return the refusal of what is not here; whoever tries again gets an address that promises nothing."""
        with suppress(FileNotFoundError), locked_folder(self._folder, fcntl.LOCK_EX):
            self._renew()
        return Refusal(409, f"the xorb {name} is not here, or not any more; upload again, it will be asked for")

    def _renew(self) -> str:
        generation = secrets.token_hex(8)
        atomic_write_text(self._generation, generation)
        return generation

    def _load(self, name: str) -> Chunks:
        fields = json.loads(self._chunks(name).read_bytes())
        return Chunks(fields["hashes"], fields["lengths"], [(blob, offset) for blob, offset in fields["places"]])

    def _save(self, name: str, chunks: Chunks) -> None:
        atomic_write_text(self._chunks(name), json.dumps(asdict(chunks), separators=(",", ":")))

    @property
    def _generation(self) -> Path:
        return self._folder / "generation"

    def _raw(self, name: str) -> Path:
        return self._folder / "raw" / check_sha256(name)

    def _chunks(self, name: str) -> Path:
        return self._folder / "chunks" / check_sha256(name)


def sweep(root: Path, cutoff: float, *, dry_run: bool = False) -> tuple[int, int]:
    """Remove the xorbs below a hub's folder `root` that no file was made of and that came before `cutoff`.

    `cutoff` is in seconds since 1970. Returns how many were, or would be, removed, and their bytes.
    """
    files = size = 0
    for raw in (root / "repositories").glob("*/*/*.git/xet/raw/[!.]*"):
        with suppress(FileNotFoundError), locked_folder(raw.parent.parent, fcntl.LOCK_EX):
            status = raw.stat()
            if status.st_mtime < cutoff:
                files, size = files + 1, size + status.st_size
                if not dry_run:
                    # Places in blobs are forgotten with it; at worst these chunks are sent once more.
                    (raw.parent.parent / "chunks" / raw.name).unlink(missing_ok=True)
                    raw.unlink()
    return files, size
