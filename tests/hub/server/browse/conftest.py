import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from modeling_axk1.hub.server.app import build
from modeling_axk1.hub.server.catalog import Catalog
from modeling_axk1.hub.server.commits import AddLarge, AddRegular, CommitRequest, Delete
from modeling_axk1.hub.server.lfs import is_large


class Pages:
    """A hub in this very process: what it holds, and a browser of sorts."""

    def __init__(self, root: Path) -> None:
        self.catalog = Catalog(root)
        self.browser = TestClient(
            build(self.catalog), base_url="http://localhost", headers={"Accept": "text/html"}, follow_redirects=False
        )

    def add(self, repo_id: str, files: dict[str, str | bytes], kind: str = "models", message: str = "more") -> str:
        """Commit files to main of a repository, made when it is not there; large ones as blobs. Returns the commit."""
        namespace, name = repo_id.split("/")
        if (kind, repo_id) not in self.catalog.names():
            self.catalog.create(kind, namespace, name)
        repository = self.catalog.get(kind, namespace, name)
        operations: list[AddRegular | AddLarge | Delete] = []
        for path, given in files.items():
            content = given.encode() if isinstance(given, str) else given
            if is_large(path, len(content)):
                oid = hashlib.sha256(content).hexdigest()
                with self.catalog.blobs.receive(oid, len(content)) as blob:
                    blob.write(content)
                repository.large_files.add_uploaded(oid)
                operations.append(AddLarge(path, oid, len(content)))
            else:
                operations.append(AddRegular(path, content))
        return repository.commit("main", CommitRequest(message, None, operations), self.catalog.blobs.refresh)

    def page(self, path: str, status: int = 200, **headers: str) -> str:
        """Return the HTML at a path."""
        answer = self.browser.get(path, headers=headers)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"].startswith("text/html")
        return answer.text


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """A hub for the tests of a module."""
    hub = Pages(tmp_path_factory.mktemp("pages"))
    yield hub
    hub.catalog.close()
