"""The results behind a card: every figure with its file, command, machine, versions, commit and seed."""

from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modeling_axk1.errors import WeightsError
from modeling_axk1.hub.card import CARDS
from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.browse.address import RepositoryPage, of_both_kinds
from modeling_axk1.hub.server.browse.claims import linked_figures, stated_figures
from modeling_axk1.hub.server.browse.contents import beginning
from modeling_axk1.hub.server.browse.result_file import LARGEST_RESULTS, Origin, ResultFile, read_results
from modeling_axk1.hub.server.browse.site import Site
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.repository import File, Folder
from modeling_axk1.hub.server.store import BlobStore
from modeling_axk1.weights.strict_json import parse_json

_FOLDERS = ("results", ".eval_results")
# Beside what is in results/: a dataset's own statistics, and what transformers' Trainer writes.
_AT_THE_ROOT = ("stats.json", "all_results.json", "train_results.json", "eval_results.json", "test_results.json")
_MOST_FILES = 50
_ORDER: tuple[Origin, ...] = ("measured", "counted", "reported", "recorded")
_LARGEST_CARD = 256 * 1024
_LARGEST_EVALUATION = 64 * 1024


class Results:
    """The page of results."""

    def __init__(self, site: Site, access: Access, blobs: BlobStore) -> None:
        self._site = site
        self._blobs = blobs

    def routes(self) -> list[Route]:
        """Return the routes."""
        return of_both_kinds("/results/{revision:quoted}", self._results)

    def _results(self, kind: str, request: Request) -> Response:
        page = self._site.repository_page(request, kind)
        files = self._files(page)
        results = [self._read(page, file) for file in [it for it in files if _is_results(it.path)][:_MOST_FILES]]
        results.sort(key=lambda result: (_ORDER.index(result.origin), result.path))
        evaluations = {
            file.path: self._bytes(page, file, _LARGEST_EVALUATION)
            for file in files
            if file.path.startswith(".eval_results/") and file.path.endswith((".yaml", ".yml"))
        }
        card = next((file for file in files if file.path == CARDS["en"]), None)
        text = self._bytes(page, card, _LARGEST_CARD).decode("utf-8", "replace") if card else ""
        documents = {result.path: result.document for result in results}
        linked = linked_figures(text, lambda path: self._document(page, path, documents))
        return self._site.render(
            request,
            "results.html",
            page=page,
            card=card,
            results=[replace(result, document=None) for result in results],
            linked=linked,
            counts={kind: sum(one.agreement == kind for one in linked) for kind in ("agrees", "differs", "missing")},
            stated=stated_figures(text, evaluations, results),
        )

    def _files(self, page: RepositoryPage) -> list[File]:
        """Return the files at the root and those in the folders that hold results."""
        found = page.repository.listing(page.commit)
        for folder in [entry.path for entry in found if isinstance(entry, Folder) and entry.path in _FOLDERS]:
            found += page.repository.listing(page.commit, folder)
        return [entry for entry in found if isinstance(entry, File)]

    def _read(self, page: RepositoryPage, file: File) -> ResultFile:
        if file.size > LARGEST_RESULTS:
            return ResultFile(file.path, problem=f"at most {LARGEST_RESULTS:,} bytes are read, it has {file.size:,}")
        return read_results(file.path, self._bytes(page, file, LARGEST_RESULTS))

    def _document(self, page: RepositoryPage, path: str, known: dict[str, Any]) -> Any:
        """Return what a JSON file of the repository holds; None when it is none of a size to read."""
        if path not in known:
            known[path] = None
            try:
                file = page.repository.entry(page.commit, path)
                if isinstance(file, File) and file.size <= LARGEST_RESULTS and len(known) <= _MOST_FILES:
                    known[path] = parse_json(self._bytes(page, file, LARGEST_RESULTS), path)
            except (Refusal, WeightsError):
                return None
        return known[path]

    def _bytes(self, page: RepositoryPage, file: File, most: int) -> bytes:
        try:
            return beginning(page.repository, self._blobs, file, most)
        except Refusal:
            return b""  # a blob that is missing: what it held is told as missing


def _is_results(path: str) -> bool:
    return path in _AT_THE_ROOT or (path.startswith("results/") and path.endswith(".json"))
