"""Large files over xet, by the stock client, over the network and with nothing set but HF_ENDPOINT."""

import json
import random
import re
import shutil
from pathlib import Path

import pytest

from modeling_axk1.hub.server import serving
from modeling_axk1.hub.server.accounts import Accounts
from tests.hub.server.stock import call, outcome_of

MODEL = "model.safetensors"


def noise(seed: int, length: int) -> bytes:
    return random.Random(seed).randbytes(length)


@pytest.fixture
def here(tmp_path):
    """A user's machine: its home, and a folder with large files and a small one."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / MODEL).write_bytes(noise(1, 3_000_000) + bytes(500_000))
    (folder / "other.bin").write_bytes(b"the same again\n" * 40_000)
    (folder / "README.md").write_text("# Card\n")
    return tmp_path


def upload(folder: Path, repo: str, kind: str = "model"):
    return ("upload_folder", {"repo_id": repo, "folder_path": folder, "repo_type": kind})


def xet_folder(hub, repo: str, kind: str = "models") -> Path:
    return hub.git_folder(repo, kind) / "xet"


def known(hub, repo: str) -> dict[str, int]:
    """The xorbs that a repository knows, with how many bytes each has."""
    records = (xet_folder(hub, repo) / "chunks").iterdir()
    return {path.name: sum(json.loads(path.read_bytes())["lengths"]) for path in records}


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_a_folder_goes_up_and_comes_down(hub, here, kind):
    repo = "xet/both"
    hub.api.create_repo(repo, repo_type=kind)
    place = {"repo_id": repo, "repo_type": kind}
    *_, whole, one = call(
        hub.endpoint,
        here,
        upload(here / "folder", repo, kind),
        ("snapshot_download", place),
        ("hf_hub_download", {**place, "filename": MODEL, "local_dir": here / "alone"}),
    )
    for path in (here / "folder").iterdir():
        assert (Path(whole) / path.name).read_bytes() == path.read_bytes()
    assert Path(one).read_bytes() == (here / "folder" / MODEL).read_bytes()
    assert list((xet_folder(hub, repo, f"{kind}s") / "chunks").iterdir())  # it did go over xet


def test_nothing_is_stored_twice(hub, here, repo):
    call(hub.endpoint, here, upload(here / "folder", repo))
    assert list((xet_folder(hub, repo) / "raw").iterdir()) == []


def test_of_a_changed_file_only_what_is_new_is_sent(hub, here, repo):
    file = here / "folder" / MODEL
    one = {"repo_id": repo, "path_or_fileobj": file, "path_in_repo": MODEL}
    call(hub.endpoint, here, ("upload_file", one))
    before = known(hub, repo)
    changed = file.read_bytes()[:1_000_000] + b"inserted" + file.read_bytes()[1_000_000:]
    file.write_bytes(changed)
    *_, path = call(hub.endpoint, here, ("upload_file", one), ("hf_hub_download", {"repo_id": repo, "filename": MODEL}))
    sent = sum(length for name, length in known(hub, repo).items() if name not in before)
    assert 0 < sent < 500_000 < len(changed)
    assert Path(path).read_bytes() == changed


def test_from_another_machine_a_xorb_that_is_here_is_not_sent_again(hub, here, repo):
    # The client puts two files into a xorb in the order in which it has read them, and the other order is another xorb.
    (here / "folder" / "other.bin").unlink()
    call(hub.endpoint, here / "first", upload(here / "folder", repo))
    call(hub.endpoint, here / "second", upload(here / "folder", repo))
    first, second = (
        set(re.findall('"result":"([a-z_]+)"', "".join(log.read_text() for log in (here / home).rglob("xet_*.log"))))
        for home in ("first", "second")
    )
    assert "inserted" in first - second
    assert "already_exists" in second - first


def test_one_file_of_chunks_of_two_others(hub, here, repo):
    folder = here / "folder"
    (folder / "second.bin").write_bytes(noise(2, 3_000_000))
    call(hub.endpoint, here, upload(folder, repo))
    before = known(hub, repo)
    both = (folder / MODEL).read_bytes() + (folder / "second.bin").read_bytes()
    (folder / "both.bin").write_bytes(both)
    *_, path = call(
        hub.endpoint, here, upload(folder, repo), ("hf_hub_download", {"repo_id": repo, "filename": "both.bin"})
    )
    assert Path(path).read_bytes() == both
    assert sum(length for name, length in known(hub, repo).items() if name not in before) < 1_000_000


def test_an_empty_large_file_and_one_from_memory(hub, here, repo):
    (here / "folder" / "empty.safetensors").write_bytes(b"")
    call(hub.endpoint, here, upload(here / "folder", repo))
    hub.api.upload_file(repo_id=repo, path_or_fileobj=noise(3, 20_000), path_in_repo="memory.bin")
    sizes = {file.path: file.size for file in hub.api.list_repo_tree(repo)}
    assert (sizes["empty.safetensors"], sizes["memory.bin"]) == (0, 20_000)


class TestWhatAClientRemembers:
    """hf_xet keeps the hashes of what it sent, and does not send it again to the same address."""

    def test_of_a_file_that_garbage_collection_took(self, hub, here, repo):
        call(hub.endpoint, here, upload(here / "folder", repo))
        oid = hub.api.get_paths_info(repo, MODEL)[0].lfs.sha256
        hub.api.delete_file(MODEL, repo)
        (hub.root / "blobs" / oid[:2] / oid[2:4] / oid).unlink()
        call(hub.endpoint, here, upload(here / "folder", repo))
        assert hub.api.get_paths_info(repo, MODEL)[0].lfs.sha256 == oid

    def test_of_a_file_that_went_while_it_sent(self, hub, here, repo):
        """The hub finds out when it makes the file; trying again is enough."""
        call(hub.endpoint, here, upload(here / "folder", repo))
        hub.api.delete_file(MODEL, repo)
        shutil.rmtree(xet_folder(hub, repo) / "chunks")
        (xet_folder(hub, repo) / "chunks").mkdir()
        refused = outcome_of(hub.endpoint, here, upload(here / "folder", repo))
        assert refused.returncode != 0
        assert "upload again, it will be asked for" in refused.stderr
        call(hub.endpoint, here, upload(here / "folder", repo))
        assert hub.api.file_exists(repo, MODEL)

    def test_of_a_repository_that_was_made_anew(self, hub, here, repo):
        call(hub.endpoint, here, upload(here / "folder", repo))
        hub.api.delete_repo(repo)
        hub.api.create_repo(repo)
        call(hub.endpoint, here, upload(here / "folder", repo))
        assert hub.api.file_exists(repo, MODEL)

    def test_of_another_repository(self, hub, here, repo):
        other = f"{repo}_other"
        hub.api.create_repo(other)
        call(hub.endpoint, here, upload(here / "folder", repo), upload(here / "folder", other))
        # Asked for again, every byte: one does not know of the other. Which chunks share a xorb is the client's affair.
        assert sum(known(hub, other).values()) == sum(known(hub, repo).values())


def test_private_repositories_and_rights(here):
    root = here / "hub"
    with serving(root, policy="tokens") as endpoint:
        accounts = Accounts(root)
        writer, reader = accounts.add("minji", "write", ("team",))[1], accounts.add("bora", "read", ("team",))[1]
        place = {"repo_id": "team/secret"}
        call(
            endpoint,
            here,
            ("create_repo", {**place, "private": True}),
            upload(here / "folder", "team/secret"),
            token=writer,
        )
        (path,) = call(endpoint, here / "b", ("hf_hub_download", {**place, "filename": MODEL}), token=reader)
        assert Path(path).read_bytes() == (here / "folder" / MODEL).read_bytes()
        refused = outcome_of(endpoint, here / "b", upload(here / "folder", "team/secret"), token=reader)
        assert refused.returncode != 0
        assert "lacks the right to write" in refused.stderr
