"""The tensors of a checkpoint: how many parameters it has, of which types, in which layers, and each one by name."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.browse.address import RepositoryPage, of_both_kinds
from modeling_axk1.hub.server.browse.kept import Kept
from modeling_axk1.hub.server.browse.on_disk import digest, on_disk
from modeling_axk1.hub.server.browse.sandbox import UnreadableError, the_sandbox
from modeling_axk1.hub.server.browse.site import Site
from modeling_axk1.hub.server.pages import whole_number
from modeling_axk1.hub.server.repository import File
from modeling_axk1.hub.server.store import BlobStore

_ON_A_PAGE = 100
_LONGEST_FILTER = 512
# Beside the shards: which tensor is in which, what the model is, which part of one, and the plan of one that has none.
_DESCRIPTIONS = {"model.safetensors.index.json", "config.json", "cut.json", "results/plan.json"}


@dataclass(frozen=True)
class ShownTensor:
    """One line of the table."""

    name: str
    dtype: str
    shape: str
    parameters: int
    nbytes: int
    shard: str


class Tensors:
    """The page of a revision's tensors; read from headers only, never a tensor's bytes."""

    def __init__(self, site: Site, access: Access, blobs: BlobStore) -> None:
        self._site = site
        self._blobs = blobs
        self._kept = Kept(blobs.root.parent)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return of_both_kinds("/tensors/{revision:quoted}", self._tensors)

    def _tensors(self, kind: str, request: Request) -> Response:
        page = self._site.repository_page(request, kind)
        wanted = request.query_params.get("name", "")[:_LONGEST_FILTER]
        number = whole_number(request, "page", 1, smallest=1)
        files = [
            file
            for file in page.repository.listing(page.commit, recursive=True)
            if isinstance(file, File) and (file.path.endswith(".safetensors") or file.path in _DESCRIPTIONS)
        ]
        values: dict[str, Any] = {"wanted": wanted, "number": number, "summary": None, "problem": None}
        status = 200
        if any(file.path not in {"config.json", "cut.json"} for file in files):
            try:
                first, _, rest = self._found(page, files).partition(b"\n")
                summary = json.loads(first)
                chosen = list(_chosen(rest, wanted))
            except UnreadableError as error:
                values["problem"], status = str(error), 422
            else:
                start = (number - 1) * _ON_A_PAGE
                values |= {
                    "summary": summary,
                    "widest": max((group["parameters"] for group in summary["groups"]), default=0),
                    "prefixes": len({group["prefix"] for group in summary["groups"] if group["layer"] is not None}),
                    "present": {file.path for file in files},
                    "count": len(chosen),
                    "start": start,
                    "tensors": [_shown(line, summary["shards"]) for line in chosen[start : start + _ON_A_PAGE]],
                    "last": -(-len(chosen) // _ON_A_PAGE),
                }
        return self._site.render(request, "tensors.html", status, page=page, **values)

    def _found(self, page: RepositoryPage, files: list[File]) -> bytes:
        """Return the answer of the task `checkpoint`."""
        about = sorted((file.path, digest(file)) for file in files)

        def read() -> bytes:
            with on_disk(page.repository, self._blobs, files) as places:
                given = {file.path: (places.get(file.path), file.size) for file in files}
                return the_sandbox.run("checkpoint", about, files=given)

        return self._kept.get("checkpoint", about, read)


def _chosen(lines: bytes, wanted: str) -> Iterator[bytes]:
    """Yield the lines of tensors whose name has `wanted` in it, whatever the case."""
    sought = wanted.lower().encode()
    for line in lines.split(b"\n") if lines else ():
        if not sought or sought in line.partition(b"\t")[0].lower():
            yield line


def _shown(line: bytes, shards: list[str]) -> ShownTensor:
    name, dtype, sizes, parameters, nbytes, shard = line.decode().split("\t")
    return ShownTensor(name, dtype, sizes.replace("x", " × "), int(parameters), int(nbytes), shards[int(shard)])
