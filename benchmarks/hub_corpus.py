"""The hub that hub_load.py measures: repositories of every size and age, made without going through the server."""

import hashlib
import subprocess
from pathlib import Path

import numpy as np

from modeling_axk1.hub.server.catalog import Catalog
from modeling_axk1.hub.server.lfs import Pointer

MIB = 1 << 20
FILES = "bench/files"  # the repository of the large files


def repositories(quick: bool) -> dict[str, tuple[int, int]]:
    """Return {repository: (files, commits)}: small and large, young and old."""
    many, old = (50, 20) if quick else (2000, 500)
    return {
        f"bench/f{files}-c{commits}": (files, commits)
        for files, commits in ((10, 1), (10, old), (many, 1), (many, old))
    }


def make(root: Path, sizes: dict[int, int], quick: bool, seed: int) -> dict[int, list[str]]:
    """Make the hub in `root`; returns the names of the large files by their size, `sizes` says how many of each.

    The names are SHA-256 digests, so that they also say where below ROOT/blobs a plain file server finds them.
    """
    rng = np.random.default_rng(seed)
    catalog = Catalog(root)
    names: dict[int, list[str]] = {}
    pointers: dict[str, bytes] = {}
    for size, count in sizes.items():
        for _ in range(count):
            content = rng.bytes(size)
            oid = hashlib.sha256(content).hexdigest()
            with catalog.blobs.receive(oid, size) as blob:
                blob.write(content)
            names.setdefault(size, []).append(oid)
            pointers[oid] = Pointer(oid, size).to_bytes()
    _import(catalog, root, FILES, [pointers])
    smallest = pointers[names[min(sizes)][0]]
    for name, (files, commits) in repositories(quick).items():
        first = {_path(number): b'{"number": %d}\n' % number for number in range(files - 1)}
        first |= {
            "README.md": b"---\nlicense: apache-2.0\ntags: [benchmark]\n---\n# Card\n",
            "model.safetensors": smallest,
        }
        changes = [{_path(0): b'{"version": %d}\n' % number} for number in range(1, commits)]
        _import(catalog, root, name, [first, *changes])
    return names


def _path(number: int) -> str:
    return f"part-{number // 200:02}/{number:05}.json"


def _import(catalog: Catalog, root: Path, name: str, commits: list[dict[str, bytes]]) -> None:
    """Make a repository whose main branch gets these commits, each {path: content} on top of the one before."""
    catalog.create("models", *name.split("/"))
    stream = bytearray()
    for number, files in enumerate(commits):
        # No `from`: the first takes the place of the commit that came with the repository, the others follow it.
        stream += b"commit refs/heads/main\ncommitter Bench <bench@localhost> %d +0000\n" % (
            1_700_000_000 + number * 60
        )
        stream += b"data 9\ncommit %02d" % (number % 100)
        for path, content in files.items():
            stream += b"\nM 100644 inline %s\ndata %d\n%s" % (path.encode(), len(content), content)
        stream += b"\n"
    folder = root / "repositories" / "models" / f"{name}.git"
    subprocess.run(["git", "-C", str(folder), "fast-import", "--force", "--quiet"], input=bytes(stream), check=True)
