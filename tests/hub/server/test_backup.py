"""Backups: taken while the hub serves, whole or refused, and the restored hub is the hub that was."""

import json
import os
import shutil
import stat
import tarfile
import threading
import time

import httpx
import pytest
from huggingface_hub import HfApi

from modeling_axk1.errors import HubError
from modeling_axk1.hub.server import serving
from modeling_axk1.hub.server.accounts import Accounts
from modeling_axk1.hub.server.backup import backup, restore
from modeling_axk1.hub.server.catalog import Catalog
from modeling_axk1.hub.server.fsck import check
from modeling_axk1.hub.server.gc import collect
from tests.hub.conftest import files_of, fsck
from tests.hub.server.test_gc import add, commit, digest, upload

LARGE = b"a large file" * 1000


@pytest.fixture
def root(tmp_path):
    """A hub with a tagged model, a private dataset, a token, and an upload that no commit points to yet."""
    catalog = Catalog(tmp_path / "hub")
    catalog.create("models", "team", "model")
    catalog.create("datasets", "team", "text", public=False)
    model = catalog.get("models", "team", "model")
    upload(catalog, model, LARGE)
    commit(catalog, model, add("model.bin", LARGE))
    model.add_tag("v1", "main", "a release")
    upload(catalog, model, b"no commit yet")
    Accounts(catalog.root).add("minji", "write")
    catalog.close()
    return catalog.root


def contents(root):
    """What a hub holds, less what passes."""
    passing = {"lock", "names.lock", "upkeep.lock"}
    return {
        name: content
        for name, content in files_of(root).items()
        if name not in passing and not name.endswith(".git/lock")
    }


class TestThereAndBack:
    @pytest.mark.parametrize("to", ["backups", "hub.tar"])
    def test_the_restored_hub_is_the_hub_that_was(self, root, tmp_path, to):
        before = contents(root)
        report = backup(root, tmp_path / to)
        assert report.repositories == 2
        assert restore(tmp_path / to, tmp_path / "new").snapshot == report.snapshot
        assert contents(tmp_path / "new") == before
        assert check(tmp_path / "new").damaged == []
        catalog = Catalog(tmp_path / "new")
        assert catalog.is_public("models", "team", "model")
        assert not catalog.is_public("datasets", "team", "text")
        assert catalog.get("models", "team", "model").references()[1].keys() == {"v1"}
        # The upload goes on where it was: its commit comes after the restore.
        commit(catalog, catalog.get("models", "team", "model"), add("late.bin", b"no commit yet"))
        catalog.close()

    def test_tokens_travel_and_only_their_owner_reads_them(self, root, tmp_path):
        os.umask(0o022)
        backup(root, tmp_path / "backups")
        backup(root, tmp_path / "hub.tar")
        restore(tmp_path / "hub.tar", tmp_path / "new")
        assert [account.name for account in Accounts(tmp_path / "new").all()] == ["minji"]
        private = [
            tmp_path / "hub.tar",
            tmp_path / "new" / "accounts" / "tokens.json",
            tmp_path / "new" / "accounts",
            *(tmp_path / "backups").rglob("*"),
        ]
        assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in private} == {0}

    def test_a_branch_may_be_named_like_what_is_left_out(self, root, tmp_path):
        catalog = Catalog(root)
        for name in ("uploads", "incoming", "metrics", "part", "a.git/lock"):
            catalog.get("models", "team", "model").add_branch(name, "main")
        catalog.close()
        backup(root, tmp_path / "backups")
        restore(tmp_path / "backups", tmp_path / "new")
        assert contents(tmp_path / "new") == contents(root)

    def test_a_second_one_copies_only_what_is_new(self, root, tmp_path):
        first = backup(root, tmp_path / "backups")
        assert first.copied > len(LARGE)
        catalog = Catalog(root)
        model = catalog.get("models", "team", "model")
        upload(catalog, model, b"new" * 100)
        head = commit(catalog, model, add("new.bin", b"new" * 100))
        catalog.close()
        assert backup(root, tmp_path / "backups").copied < len(LARGE)
        restore(tmp_path / "backups", tmp_path / "new")
        assert Catalog(tmp_path / "new").get("models", "team", "model").resolve("main") == head

    def test_an_earlier_one_survives_collection_and_deletion(self, root, tmp_path):
        before = contents(root)
        backup(root, tmp_path / "backups")
        catalog = Catalog(root)
        catalog.delete("models", "team", "model")
        catalog.close()
        collect(root, grace=0)
        assert not (root / "repositories" / "models" / "team" / "model.git").exists()
        restore(tmp_path / "backups", tmp_path / "new")
        assert contents(tmp_path / "new") == before

    def test_it_is_taken_while_clients_write(self, tmp_path):
        acknowledged, stop = {}, threading.Event()
        with serving(tmp_path / "hub") as endpoint:
            api = HfApi(endpoint=endpoint, token=False)
            api.create_repo("team/model")

            def write():
                while not stop.is_set():
                    name, content = f"{len(acknowledged)}.bin", os.urandom(50_000)
                    api.upload_file(path_or_fileobj=content, path_in_repo=name, repo_id="team/model")
                    acknowledged[name] = content

            writer = threading.Thread(target=write)
            writer.start()
            for number in range(3):
                while len(acknowledged) <= number * 2:
                    time.sleep(0.01)
                expected = dict(acknowledged)
                backup(tmp_path / "hub", tmp_path / "backups")
            stop.set()
            writer.join()
        restore(tmp_path / "backups", tmp_path / "new")
        with serving(tmp_path / "new") as endpoint:
            for name, content in expected.items():
                assert httpx.get(f"{endpoint}/team/model/resolve/main/{name}").content == content
        assert fsck(tmp_path / "new" / "repositories" / "models" / "team" / "model.git") == ""


class TestRefusals:
    def test_a_hub_is_not_restored_over_anything(self, root, tmp_path):
        backup(root, tmp_path / "backups")
        with pytest.raises(HubError, match="is not empty; a hub is restored into a new folder"):
            restore(tmp_path / "backups", root)

    def test_one_without_its_snapshot_is_half_written(self, root, tmp_path):
        backup(root, tmp_path / "backups")
        shutil.rmtree(tmp_path / "backups" / "snapshots")
        with pytest.raises(HubError, match="holds no finished backup"):
            restore(tmp_path / "backups", tmp_path / "new")
        assert not (tmp_path / "new").exists()

    @pytest.mark.parametrize("cut", [-1500, -512, 100])
    def test_a_tar_that_was_cut_short_is_refused(self, root, tmp_path, cut):
        backup(root, tmp_path / "hub.tar")
        with tarfile.open(tmp_path / "hub.tar") as tar:
            snapshot = tar.getmembers()[-1]
        os.truncate(tmp_path / "hub.tar", snapshot.offset_data + cut)
        with pytest.raises(HubError, match=r"is no whole backup|holds no finished backup"):
            restore(tmp_path / "hub.tar", tmp_path / "new")
        assert {path.name for path in tmp_path.iterdir()} == {"hub", "hub.tar"}

    def test_a_flipped_byte_anywhere_is_found_and_named(self, root, tmp_path):
        backup(root, tmp_path / "backups")
        for path in (tmp_path / "backups" / "files").glob("*/*"):
            content = path.read_bytes()
            if not content:
                continue
            path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
            with pytest.raises(HubError, match=r"the backup is damaged: .* has the SHA-256 .* not " + path.name):
                restore(tmp_path / "backups", tmp_path / "new")
            assert not (tmp_path / "new").exists()
            path.write_bytes(content)

    def test_a_missing_file_is_named(self, root, tmp_path):
        backup(root, tmp_path / "backups")
        (tmp_path / "backups" / "files" / digest(LARGE)[:2] / digest(LARGE)).unlink()
        with pytest.raises(HubError, match=f"blobs/.*{digest(LARGE)}.* is missing"):
            restore(tmp_path / "backups", tmp_path / "new")

    def test_a_damaged_hub_is_not_backed_up_as_if_it_were_sound(self, root, tmp_path):
        damage(root)
        with pytest.raises(HubError, match="is damaged: its SHA-256 is"):
            backup(root, tmp_path / "backups")
        with pytest.raises(HubError, match="holds no finished backup"):
            restore(tmp_path / "backups", tmp_path / "new")

    @pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil"])
    def test_a_snapshot_cannot_lead_out(self, root, tmp_path, name):
        backup(root, tmp_path / "backups")
        (snapshot,) = (tmp_path / "backups" / "snapshots").iterdir()
        content = json.loads(snapshot.read_bytes())
        content["files"][name] = next(iter(content["files"].values()))
        snapshot.write_text(json.dumps(content))
        with pytest.raises(HubError, match="must be a path inside the hub"):
            restore(tmp_path / "backups", tmp_path / "new")

    def test_a_hostile_tar_writes_nothing_elsewhere(self, tmp_path):
        with tarfile.open(tmp_path / "hub.tar", "w") as tar:
            evil = tarfile.TarInfo("../evil")
            tar.addfile(evil)
        with pytest.raises(HubError, match="is no whole backup"):
            restore(tmp_path / "hub.tar", tmp_path / "deep" / "new")
        assert not (tmp_path / "deep" / "evil").exists()

    def test_a_folder_of_something_else_is_left_alone(self, root, tmp_path):
        with pytest.raises(HubError, match="is neither empty nor a folder of backups"):
            backup(root, root)


def damage(root):
    path = root / "blobs" / digest(LARGE)[:2] / digest(LARGE)[2:4] / digest(LARGE)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"\0")


class TestFsck:
    def test_a_sound_hub_is_sound(self, root, run_axk1):
        result = run_axk1("hub", "fsck", "--root", root)
        assert result.returncode == 0
        assert result.stdout == f"2 repositories, 2 large files ({len(LARGE) + 13:,} bytes): all sound\n"

    def test_every_kind_of_damage_is_named(self, root, run_axk1):
        damage(root)
        blob = digest(b"no commit yet")
        catalog = Catalog(root)
        commit(catalog, catalog.get("models", "team", "model"), add("late.bin", b"no commit yet"))
        catalog.close()
        (root / "blobs" / blob[:2] / blob[2:4] / blob).unlink()
        for path in (root / "repositories" / "datasets" / "team" / "text.git" / "objects").rglob("*.pack"):
            path.chmod(0o600)
            path.write_bytes(path.read_bytes()[:-30])
        result = run_axk1("hub", "fsck", "--root", root, "--json")
        assert result.returncode == 1
        damaged = {item["what"]: item["why"] for item in json.loads(result.stdout)["damaged"]}
        name = digest(LARGE)
        assert damaged.keys() == {f"blobs/{name[:2]}/{name[2:4]}/{name}", "models/team/model", "datasets/team/text"}
        assert damaged["models/team/model"] == f"points to the large file {blob}, which is not here"


class TestCommand:
    def test_backup_and_restore(self, root, tmp_path, run_axk1):
        result = run_axk1("hub", "backup", "--root", root, "--to", tmp_path / "backups", "--json")
        assert result.returncode == 0, result.stderr
        made = json.loads(result.stdout)
        result = run_axk1("hub", "restore", tmp_path / "backups", "--root", tmp_path / "new", "--json")
        assert json.loads(result.stdout)["snapshot"] == made["snapshot"]
