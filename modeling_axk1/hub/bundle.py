"""Write a release set as one tar, or as volumes of it, for a site without a network: the same set, the same bytes."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeling_axk1.checksums import SUMS_FILE
from modeling_axk1.errors import HubError
from modeling_axk1.hub.bundle_format import END, INDEX_FILE, Entry, header, index_text, padding
from modeling_axk1.hub.release_set import RELEASE_FILE
from modeling_axk1.hub.send import check_source
from modeling_axk1.hub.sets import open_set
from modeling_axk1.hub.sources import Source, hash_chunks
from modeling_axk1.hub.volumes import VolumeWriter
from modeling_axk1.progress import progress_bar


@dataclass(frozen=True)
class BundleReport:
    """What was written, or would be (`dry_run`): the volumes, how many files they hold, and their bytes in all."""

    name: str
    tag: str
    volumes: list[Path]
    files: int
    bytes: int
    dry_run: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready values."""
        return {**vars(self), "volumes": [str(path) for path in self.volumes]}


def bundle(folder: Path, out: Path, *, volume_bytes: int | None = None, dry_run: bool = False) -> BundleReport:
    """Write the release set in `folder` to the tar `out`, or to `out`.001, `out`.002 ... of `volume_bytes` each.

    Every file is read once and must be what its repository's SHA256SUMS says. Raises HubError for a set that is not
    whole or a damaged file, UsageError when `out` is there already; nothing is left then.

    Example: `bundle(Path("out"), Path("release.tar"), volume_bytes=4_000_000_000)`

    """
    if not folder.is_dir():
        raise HubError(f"{folder} is no folder with a release set; `axk1 hub export` makes one")
    release, sources = open_set(folder)
    text = (folder / RELEASE_FILE).read_bytes()

    entries = {RELEASE_FILE: Entry(len(text), hash_chunks(iter([text])))}
    places: dict[str, tuple[Source, str]] = {}
    for base, source in sorted(sources.items()):
        claims = check_source(source)
        for path, size in source.files.items():
            entries[f"{base}/{path}"] = Entry(size, claims.get(path) or source.digest(path))
            places[f"{base}/{path}"] = source, path
    index = index_text(entries)
    total = sum(
        len(header(name, size)) + size + len(padding(size))
        for name, size in [(INDEX_FILE, len(index)), *((name, entry.size) for name, entry in entries.items())]
    ) + len(END)

    def report(volumes: list[Path]) -> BundleReport:
        return BundleReport(release.name, release.tag, volumes, len(entries), total, dry_run)

    writer = VolumeWriter(out, volume_bytes)
    if dry_run:
        return report([])
    with writer as tar, progress_bar(f"writing {out.name}", total=total, in_bytes=True) as advance:

        def put(name: str, size: int, chunks: Iterator[bytes]) -> None:
            tar.write(header(name, size))
            for chunk in chunks:
                tar.write(chunk)
                advance(len(chunk), note=name)
            tar.write(padding(size))

        put(INDEX_FILE, len(index), iter([index]))
        for name, entry in entries.items():
            chunks = _proven(*places[name], entry) if name in places else iter([text])
            put(name, entry.size, chunks)
        tar.write(END)
    return report(writer.written)


def _proven(source: Source, path: str, entry: Entry) -> Iterator[bytes]:
    """Yield a file's bytes; raises HubError at its end when they are not those that were listed."""
    digest = hashlib.sha256()
    for chunk in source.read(path):
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != entry.sha256:
        raise HubError(
            f"{source.name}: {path} must have SHA-256 {entry.sha256}, as {SUMS_FILE} says, got {digest.hexdigest()}; "
            f"nothing was written; `axk1 hub verify` lists all that differ"
        )
