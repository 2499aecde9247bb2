"""Bring large files to a hub: over Git LFS from any source, or over xet from files that lie on a disk.

Over LFS every byte is read once: it is hashed on its way, and the last piece leaves only when the digest is the one
that was announced. Xet finds out itself which pieces a hub has already; its library reads files, so what does not lie
in a folder passes through a temporary one, one file at a time.
"""

import hashlib
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, Literal

from modeling_axk1.errors import HubError
from modeling_axk1.hub.client import calling
from modeling_axk1.hub.crew import Crew
from modeling_axk1.hub.remote import Remote
from modeling_axk1.hub.repo import Repo
from modeling_axk1.hub.sources import FolderSource, Source
from modeling_axk1.progress import Advance

Transport = Literal["lfs", "xet"]
Moved = Callable[[int, str], None]

_AT_ONCE = 4  # files on their way: one connection seldom fills a fast line


def upload(
    remote: Remote, repo: Repo, source: Source, digests: Mapping[str, str], transport: Transport, advance: Advance
) -> None:
    """Make the hub hold the large files `digests` ({path: SHA-256}) of `source`; what it has already is not sent.

    A digest that was only claimed is proven: by the bytes as they are sent, or by reading a file that is not sent.
    `advance` is told the bytes that are done, with the path as its note. Raises HubError naming the file.
    """
    # The library for xet uses threads of its own.
    crew = Crew(1 if transport == "xet" else _AT_ONCE, advance)
    sizes = {digests[path]: source.files[path] for path in digests}
    wanted = remote.uploads(repo, sizes)
    sent: set[str] = set()
    tasks: list[Callable[[], None]] = []
    for path, digest in digests.items():
        if digest not in wanted or digest in sent:
            tasks.append(partial(_prove, source, path, digest, crew.moved))
        elif transport == "xet":
            tasks.append(partial(_send_xet, remote, repo, source, path, digest, crew.moved))
        else:
            tasks.append(partial(_send, remote, source, path, digest, wanted[digest], crew.moved))
        sent.add(digest)
    crew.run(tasks)


def _prove(source: Source, path: str, digest: str, moved: Moved) -> None:
    got = source.digest(path)
    if got != digest:
        raise HubError(f"{source.name}: {path} must have SHA-256 {digest}, as SHA256SUMS says, got {got}")
    moved(source.files[path], path)


def _send(remote: Remote, source: Source, path: str, digest: str, actions: Mapping[str, Any], moved: Moved) -> None:
    upload, verify = actions["upload"], actions.get("verify")
    header = {str(key): str(value) for key, value in (upload.get("header") or {}).items()}
    size = source.files[path]
    meter = _Meter(path, moved)
    if part_bytes := header.get("chunk_size"):
        _send_parts(remote, source, path, digest, upload["href"], header, int(part_bytes), meter)
    else:
        remote.put(upload["href"], header, lambda: meter.attempt(_proven(source, path, digest), 0), size)
    if verify:
        remote.post(verify["href"], verify.get("header") or {}, {"oid": digest, "size": size})
    source.proven(path, digest)


def _send_parts(
    remote: Remote,
    source: Source,
    path: str,
    digest: str,
    complete: str,
    header: Mapping[str, str],
    part_bytes: int,
    meter: "_Meter",
) -> None:
    """Send a file in the parts that the hub asks for, then say that it is complete."""
    size = source.files[path]
    urls = [header[number] for number in sorted((key for key in header if key.isdigit()), key=int)]
    if part_bytes < 1 or len(urls) != ceil(size / part_bytes):
        raise HubError(f"{remote.endpoint} must name one address for each part of {path}, got {len(urls)}")
    hashed = hashlib.sha256()
    etags = []
    for number, url in enumerate(urls):
        start, end = number * part_bytes, min((number + 1) * part_bytes, size)
        before = hashed.copy()

        def part(start: int = start, end: int = end, before: Any = before) -> Iterator[bytes]:
            nonlocal hashed
            hashed = before.copy()  # of the attempt that counts
            expected = digest if end == size else None
            return meter.attempt(_held_back(_cut(source.read(path, start), end - start), hashed, expected, path), start)

        etags.append(remote.put(url, {}, part, end - start).headers.get("etag", ""))
    parts = [{"partNumber": number, "etag": etag} for number, etag in enumerate(etags, start=1)]
    remote.post(complete, {}, {"oid": digest, "parts": parts})


def _proven(source: Source, path: str, digest: str) -> Iterator[bytes]:
    return _held_back(_cut(source.read(path), source.files[path]), hashlib.sha256(), digest, path)


def _cut(chunks: Iterator[bytes], nbytes: int) -> Iterator[bytes]:
    """Yield the first `nbytes`; raises HubError when there are fewer."""
    for chunk in chunks:
        yield chunk[:nbytes]
        nbytes -= len(chunk)
        if nbytes <= 0:
            if nbytes == 0:
                next(chunks, None)  # lets a source look whether the file changed
            return
    if nbytes:
        raise HubError("a file became shorter while it was sent")


def _held_back(chunks: Iterator[bytes], hashed: Any, expected: str | None, path: str) -> Iterator[bytes]:
    """Yield `chunks` into `hashed`, the last one only when the digest is `expected`: a wrong file is never whole."""
    held = b""
    for chunk in chunks:
        hashed.update(chunk)
        if held:
            yield held
        held = chunk
    if expected and hashed.hexdigest() != expected:
        raise HubError(
            f"{path} must have SHA-256 {expected}, as was announced, got {hashed.hexdigest()}: it is damaged, or "
            "changed while it was sent"
        )
    yield held


class _Meter:
    """Counts what is sent of one file; an attempt that is made again does not count twice."""

    def __init__(self, path: str, moved: Moved) -> None:
        self._path, self._moved, self._counted = path, moved, 0
        self._lock = threading.Lock()

    def attempt(self, chunks: Iterator[bytes], start: int) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk
            start += len(chunk)
            with self._lock:
                new = max(start - self._counted, 0)
                self._counted += new
            self._moved(new, self._path)


def _send_xet(remote: Remote, repo: Repo, source: Source, path: str, digest: str, moved: Moved) -> None:
    if isinstance(source, FolderSource):
        _send_file(remote, repo, source.lend(path), path, digest)
    else:
        with tempfile.NamedTemporaryFile(prefix="axk1-xet-") as file:
            for chunk in _proven(source, path, digest):
                file.write(chunk)
            file.flush()
            _send_file(remote, repo, Path(file.name), path, digest)
    source.proven(path, digest)
    moved(source.files[path], path)


def _send_file(remote: Remote, repo: Repo, file: Path, path: str, digest: str) -> None:
    """Hand one file to the stock client, which hashes what it sends."""
    from huggingface_hub import CommitOperationAdd

    with calling(remote.endpoint, remote.token, transport="xet") as api:
        addition = CommitOperationAdd(path, str(file))
        api.preupload_lfs_files(repo.id, [addition], repo_type=repo.type, num_threads=1)
        got = addition.upload_info.sha256.hex()
    if got != digest:
        raise HubError(f"{path} must have SHA-256 {digest}, as was announced, got {got}")
