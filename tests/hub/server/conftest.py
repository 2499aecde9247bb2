import os
from collections.abc import Iterator

import httpx
import pytest
from huggingface_hub import HfApi

from modeling_axk1.hub.server import serving
from tests.hub.server.attack import Target


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A hub for the attacks of a module, with something beside it that no attack may reach."""
    place = tmp_path_factory.mktemp("attacked")
    (place / "secret.txt").write_text("a secret beside the hub")
    root, log = place / "hub", place / "stderr"
    with log.open("wb") as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)  # what the hub inherits; it has no other way to be told where its stderr goes
        try:
            server = serving(root)
            endpoint = server.__enter__()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    try:
        with httpx.Client(base_url=endpoint, timeout=60) as client:
            yield Target(root, endpoint, HfApi(endpoint=endpoint, token=False), log, client)
    finally:
        server.__exit__(None, None, None)


@pytest.fixture
def unharmed(target: Target) -> Iterator[None]:
    """The hub goes on, says nothing of an error of its own, and nothing beside its folder has changed."""
    outside, said = target.outside(), target.log.read_text()
    yield
    assert target.client.get("/").status_code == 200
    assert "Traceback" not in target.log.read_text().removeprefix(said)
    assert target.outside() == outside


@pytest.fixture
def victim(target: Target, request: pytest.FixtureRequest) -> Iterator[str]:
    """A repository with a small and a large file, which an attack on it must leave as it is."""
    name = f"team/{request.node.originalname}"[:60].strip("_")
    target.api.create_repo(name, exist_ok=True)
    target.api.upload_file(path_or_fileobj=b"0123456789" * 100, path_in_repo="small.txt", repo_id=name)
    target.api.upload_file(path_or_fileobj=bytes(range(250)) * 4, path_in_repo="large.bin", repo_id=name)
    yield name
    target.api.delete_repo(name, missing_ok=True)
