"""A flipped byte anywhere is found and named in one line: on a hub, in a folder, a bundle, and the client's cache."""

import json
import random
import shutil
import subprocess
import time
import zlib
from pathlib import Path

import pytest

from modeling_axk1.checksums import write_sums
from modeling_axk1.errors import HubError, UsageError
from modeling_axk1.hub.bundle import bundle
from modeling_axk1.hub.bundle_format import Bundle
from modeling_axk1.hub.cache import prove_cache
from modeling_axk1.hub.mirror import mirror_to_folder, pins_of
from modeling_axk1.hub.prove import prove
from modeling_axk1.hub.publish import publish_set
from modeling_axk1.hub.record import Record
from modeling_axk1.hub.release_set import read_release
from modeling_axk1.hub.remote import Remote
from modeling_axk1.hub.remote_source import RemoteSource
from modeling_axk1.hub.repo import Repo
from modeling_axk1.hub.server import serving
from modeling_axk1.hub.sources import FolderSource
from modeling_axk1.hub.verify import verify_here, verify_set
from modeling_axk1.weights import ranges
from tests.hub.conftest import git
from tests.hub.releases import flip, make_keys, make_set

MODEL = "models/team/nano"


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> tuple[Path, Path]:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def release(tmp_path_factory, keys) -> Path:
    return make_set(tmp_path_factory.mktemp("release") / "set", keys[0])


@pytest.fixture(scope="module")
def published(hub, release) -> str:
    publish_set(release, endpoint=hub.endpoint)
    return hub.endpoint


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(ranges, "FIRST_WAIT", 0.01)
    monkeypatch.setattr("modeling_axk1.hub.remote.FIRST_WAIT", 0.001)


def problems_here(path: Path, key: Path | None = None) -> list[str]:
    return [problem for proof in verify_here(path, key=key) for problem in proof.problems]


@pytest.fixture
def folder(release, tmp_path) -> Path:
    return Path(shutil.copytree(release, tmp_path / "set"))


@pytest.fixture
def remote_model(published):
    remote, repo = Remote(published), Repo("model", "team/nano")
    return lambda: RemoteSource(remote, repo, remote.resolve(repo, "v0.1"))


class TestFolder:
    def test_a_sound_one(self, folder, keys):
        proofs = verify_here(folder, key=keys[1])
        assert [proof.problems for proof in proofs] == [[], []]
        assert [len(proof.checked) for proof in proofs] == [2, 2]
        assert [proof.unchecked for proof in proofs] == [[], []]

    def test_a_random_bit_of_every_file_is_found(self, folder, keys):
        rng = random.Random(3)
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name != "release.json":
                sound = path.read_bytes()
                flip(path, rng.randrange(len(sound)))
                problems = problems_here(folder, keys[1])
                path.write_bytes(sound)
                assert problems, path
                assert path.name in problems[0]
        assert problems_here(folder, keys[1]) == []

    @pytest.mark.parametrize(
        ("path", "line"),
        [
            ("model.safetensors", "model.safetensors must have SHA-256 "),
            ("model.sig", "model.sig is no "),
        ],
    )
    def test_it_is_one_line(self, folder, keys, path, line):
        flip(folder / MODEL / path, 100)
        problems = problems_here(folder, keys[1])
        assert len(problems) == 1
        assert problems[0].startswith(line)

    def test_the_signature_finds_sums_that_were_made_anew(self, folder, keys):
        """Who damages a file on purpose writes a fitting SHA256SUMS too."""
        flip(folder / MODEL / "model.safetensors")
        write_sums(folder / MODEL)
        text = (folder / MODEL / "SHA256SUMS").read_text()
        (folder / MODEL / "SHA256SUMS").write_text("".join(line for line in text.splitlines(True) if "sig" not in line))
        assert prove(FolderSource(folder / MODEL)).problems == []
        problems = prove(FolderSource(folder / MODEL), key=keys[1]).problems
        assert problems[0].startswith("SHA256SUMS must have SHA-256")
        assert any(line.startswith("model.safetensors must have SHA-256") for line in problems)

    def test_another_key_proves_nothing(self, folder, tmp_path):
        assert "no valid signature" in problems_here(folder, make_keys(tmp_path)[1])[0]

    def test_what_is_no_key(self, folder):
        with pytest.raises(UsageError, match="public key must be a PEM file"):
            verify_here(folder, key=folder / "release.json")

    def test_missing_and_unknown_files(self, folder):
        (folder / MODEL / "config.json").unlink()
        (folder / MODEL / "extra").write_text("x")
        assert problems_here(folder) == [
            "config.json is missing: SHA256SUMS lists it",
            "extra lies in the folder and is not in SHA256SUMS",
        ]


class TestHub:
    def test_a_sound_release(self, published, release, keys):
        known = read_release(release)
        reports = verify_set(pins_of(known), Remote(published), release=known, key=keys[1], stream=True)
        assert [report.proof.files for report in reports] == [5, 6]
        assert all(len(report.proof.checked) == 2 for report in reports)

    def test_a_bit_of_a_blob(self, hub, remote_model, keys):
        blob = max((path for path in (hub.root / "blobs").rglob("*") if path.is_file()), key=lambda p: p.stat().st_size)
        sound = blob.read_bytes()
        flip(blob, random.Random(4).randrange(len(sound)))
        try:
            problems = prove(remote_model(), key=keys[1]).problems
        finally:
            blob.write_bytes(sound)
        assert len(problems) == 1
        assert problems[0].startswith("model.safetensors of team/nano is damaged on its hub")

    @pytest.mark.parametrize("path", ["config.json", "SHA256SUMS", "model.sig"])
    def test_a_bit_of_a_git_object_that_still_reads(self, hub, published, tmp_path, path):
        """A hub that starts on a disk with another byte in it: the object unpacks, and is not what its id says."""
        root = Path(shutil.copytree(hub.root, tmp_path / "hub", ignore=shutil.ignore_patterns("lock")))
        folder = root / "repositories/models/team/nano.git"
        oid = git(folder, "rev-parse", f"main:{path}").strip()
        content = git(folder, "cat-file", "-p", oid).encode()
        for pack in sorted((folder / "objects" / "pack").glob("*.pack")):
            data = pack.read_bytes()
            for file in pack.parent.glob(f"{pack.stem}.*"):
                file.unlink()
            subprocess.run(["git", "-C", str(folder), "unpack-objects", "-q"], input=data, check=True)
        changed = bytes([content[0] ^ 1]) + content[1:]
        loose = folder / "objects" / oid[:2] / oid[2:]
        loose.chmod(0o644)
        loose.write_bytes(zlib.compress(b"blob %d\0" % len(changed) + changed))
        with serving(root) as endpoint:
            remote, repo = Remote(endpoint), Repo("model", "team/nano")
            try:
                problems = prove(RemoteSource(remote, repo, remote.resolve(repo, "v0.1"))).problems
            except HubError as error:
                problems = [str(error)]
        assert len(problems) == 1
        assert path in problems[0]

    def test_a_stopped_proof_goes_on_where_it_was(self, remote_model, monkeypatch, tmp_path):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        source, first = remote_model(), Record("a release")
        read = RemoteSource.read

        def stops(self, path, start=0):
            if path == "README.md":
                while "model.safetensors" not in first.known:
                    time.sleep(0.01)
                raise KeyboardInterrupt
            yield from read(self, path, start)

        with monkeypatch.context() as patched:
            patched.setattr(RemoteSource, "read", stops)
            with pytest.raises(KeyboardInterrupt):
                prove(source, record=first)
        record = Record("a release")
        assert "model.safetensors" in record.known
        again: list[str] = []
        with monkeypatch.context() as patched:
            patched.setattr(RemoteSource, "read", lambda self, path, start=0: (again.append(path), read(self, path))[1])
            proof = prove(source, record=record)
        assert proof.problems == []
        assert "model.safetensors" not in again
        assert "not read again" in " ".join(proof.unchecked)
        assert Record("a release").known == {}, "what is proved is forgotten"

    def test_what_was_wrong_is_read_again(self, tmp_path, monkeypatch, folder):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        flip(folder / MODEL / "config.json", 0)
        assert prove(FolderSource(folder / MODEL), record=Record("x")).problems
        flip(folder / MODEL / "config.json", 0)
        record = Record("x")
        assert "model.safetensors" in record.known
        assert prove(FolderSource(folder / MODEL), record=record).problems == []


class TestMirror:
    def test_a_bit_of_a_mirror_in_a_folder(self, published, release, tmp_path):
        known = read_release(release)
        mirror_to_folder(pins_of(known), Remote(published), tmp_path / "mirror", release=known)
        assert problems_here(tmp_path / "mirror") == []
        flip(tmp_path / "mirror" / MODEL / "model.safetensors", 777)
        assert [line.split()[0] for line in problems_here(tmp_path / "mirror")] == ["model.safetensors"]


class TestBundle:
    def test_any_bit_of_the_tar_is_found(self, release, tmp_path, keys):
        tar = tmp_path / "release.tar"
        bundle(release, tar)
        assert problems_here(tar, keys[1]) == []
        sound = tar.read_bytes()
        rng = random.Random(5)
        # All of the index and the first headers, the end, and some places in between.
        places = [*range(0, 1_600, 53), *rng.sample(range(1_600, len(sound)), 40), len(sound) - 1]
        for place in places:
            flip(tar, place)
            try:
                problems = problems_here(tar, keys[1])
            except HubError as error:
                problems = [str(error)]
            tar.write_bytes(sound)
            assert problems, f"byte {place}"
            assert all("\n" not in line for line in problems)

    def test_a_flipped_byte_of_a_member_is_named(self, release, tmp_path):
        tar = tmp_path / "release.tar"
        bundle(release, tar)
        for name in (f"{MODEL}/model.safetensors", f"{MODEL}/SHA256SUMS", "datasets/team/text/data/train.parquet"):
            packed = Bundle(tar)
            sound = tar.read_bytes()
            at = sound.index(b"".join(packed.read(name))[:2_000]) + 50
            flip(tar, at)
            problems = problems_here(tar)
            tar.write_bytes(sound)
            assert len(problems) == 1
            assert name.rpartition("/")[2] in problems[0]


class TestCache:
    @pytest.fixture
    def cache(self, hub, published, tmp_path) -> Path:
        for repo_id, kind in (("team/nano", "model"), ("team/text", "dataset")):
            hub.api.snapshot_download(repo_id, repo_type=kind, revision="v0.1", cache_dir=tmp_path / "cache")
        return tmp_path / "cache"

    def test_a_sound_one(self, cache, keys):
        proofs = prove_cache(cache, key=keys[1])
        assert {proof.name for proof in proofs} == {"team/nano in the cache", "datasets/team/text in the cache"}
        assert [proof.problems for proof in proofs] == [[], []]
        assert len(prove_cache(cache, "team/nano")) == 1

    def test_a_flipped_byte_that_the_client_accepts_is_named(self, hub, cache, keys):
        snapshot = next((cache / "models--team--nano" / "snapshots").iterdir())
        for path in ("model.safetensors", "config.json", "SHA256SUMS", "model.sig", "말.txt"):
            blob = (snapshot / path).resolve()
            sound = blob.read_bytes()
            flip(blob, random.Random(path).randrange(len(sound)))
            hub.api.snapshot_download("team/nano", revision="v0.1", cache_dir=cache)  # no word of it
            problems = [line for proof in prove_cache(cache, key=keys[1]) for line in proof.problems]
            blob.write_bytes(sound)
            assert problems[0].startswith(f"{path} (snapshot {snapshot.name[:12]}) is damaged: blob ")
            assert len(problems) == 1 + (path == "model.sig")  # which is no signature any more, either

    def test_a_copy_where_there_are_no_links(self, cache):
        snapshot = next((cache / "models--team--nano" / "snapshots").iterdir())
        blob = (snapshot / "model.safetensors").resolve()
        (snapshot / "model.safetensors").unlink()
        blob.rename(snapshot / "model.safetensors")
        flip(snapshot / "model.safetensors")
        (problem,) = prove_cache(cache, "team/nano")[0].problems
        assert problem.startswith("model.safetensors (snapshot ")

    def test_a_part_of_a_repository_is_no_damage(self, hub, published, tmp_path):
        hub.api.hf_hub_download("team/nano", "config.json", cache_dir=tmp_path)
        hub.api.hf_hub_download("team/nano", "SHA256SUMS", cache_dir=tmp_path)
        (proof,) = prove_cache(tmp_path)
        assert proof.problems == []
        assert "were never downloaded" in proof.unchecked[0]

    def test_a_file_that_another_file_took_the_place_of(self, cache):
        """Two sound blobs, and a link to the wrong one."""
        snapshot = next((cache / "models--team--nano" / "snapshots").iterdir())
        other = (snapshot / "README.md").resolve()
        (snapshot / "config.json").unlink()
        (snapshot / "config.json").symlink_to(other)
        (problem,) = prove_cache(cache, "team/nano")[0].problems
        assert problem.startswith("config.json (snapshot ")

    def test_nothing_there(self, tmp_path):
        with pytest.raises(HubError, match="nothing to check"):
            prove_cache(tmp_path / "nowhere")


class TestCommand:
    def test_damage_is_a_line_each_and_exit_1(self, folder, run_axk1):
        flip(folder / MODEL / "config.json", 0)
        flip(folder / "datasets/team/text/stats.json", 0)
        result = run_axk1("hub", "verify", folder)
        assert result.returncode == 1
        assert len(result.stderr.splitlines()) == 2
        assert all(line.startswith("axk1: error: ") for line in result.stderr.splitlines())
        as_json = run_axk1("hub", "verify", folder, "--json")
        report = json.loads(as_json.stdout)
        assert report["ok"] is False
        assert [len(proof["problems"]) for proof in report["proofs"]] == [1, 1]

    def test_a_cache_elsewhere(self, hub, published, tmp_path, run_axk1):
        hub.api.snapshot_download("team/nano", cache_dir=tmp_path / "cache")
        sound = run_axk1("hub", "verify", "--cache", tmp_path / "cache")
        assert (sound.returncode, sound.stderr) == (0, "")
        by_name = run_axk1("hub", "verify", "--cache", "team/nano", env={"HF_HUB_CACHE": str(tmp_path / "cache")})
        assert by_name.stdout == sound.stdout
