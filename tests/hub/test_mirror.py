"""mirror(): the same release on a second hub or in a folder, checked on its way, whatever happens in between."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from modeling_axk1.errors import HubError, ReleasedTagError, UsageError
from modeling_axk1.hub.mirror import mirror, mirror_to_folder, parse_pin, pins_of
from modeling_axk1.hub.publish import publish_set
from modeling_axk1.hub.release_set import read_release
from modeling_axk1.hub.remote import Remote
from modeling_axk1.hub.remote_source import RemoteSource
from modeling_axk1.hub.repo import Repo
from modeling_axk1.hub.server import serving
from tests.hub.conftest import Hub, files_of
from tests.hub.releases import flip, make_set

REPOSITORIES = (("datasets/team/text", "dataset", "team/text"), ("models/team/nano", "model", "team/nano"))


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    return make_set(tmp_path_factory.mktemp("release") / "set")


@pytest.fixture(scope="module")
def origin(hub, release) -> Hub:
    publish_set(release, endpoint=hub.endpoint)
    return hub


@pytest.fixture
def far(tmp_path) -> Iterator[Hub]:
    with serving(tmp_path / "far") as endpoint:
        yield Hub(tmp_path / "far", endpoint, HfApi(endpoint=endpoint, token=False))


def copy(origin: Hub, far: Hub, release: Path, **options):
    known = read_release(release)
    return mirror(pins_of(known), Remote(origin.endpoint), Remote(far.endpoint), release=known, **options)


def tags(hub: Hub, kind: str, name: str) -> set[str]:
    return {tag.name for tag in hub.api.list_repo_refs(name, repo_type=kind).tags}


class TestHubToHub:
    def test_both_hold_the_same_under_the_same_tag(self, origin, far, release, tmp_path):
        copy(origin, far, release)
        for place, kind, name in REPOSITORIES:
            there = far.api.snapshot_download(name, repo_type=kind, revision="v0.1", cache_dir=tmp_path / "cache")
            assert files_of(Path(there)) == files_of(release / place)

    def test_a_second_run_sends_nothing(self, origin, far, release, monkeypatch):
        first = copy(origin, far, release)
        for changing in ("create", "put", "commit", "tag"):
            monkeypatch.delattr(Remote, changing)
        again = copy(origin, far, release)
        assert [report.commit for report in again] == [report.commit for report in first]
        assert all(report.uploaded == report.deleted == [] for report in again)

    def test_a_dry_run_says_what_it_would_send(self, origin, far, release):
        reports = copy(origin, far, release, dry_run=True)
        assert [len(report.uploaded) for report in reports] == [4, 5]
        assert not far.api.repo_exists("team/nano")

    def test_a_tag_that_names_something_else_there_stays(self, origin, far, release, tmp_path):
        other = Path(shutil.copytree(release, tmp_path / "other"))
        far.api.create_repo("team/nano")
        far.api.upload_file(path_or_fileobj=b"# Mine\n", path_in_repo="README.md", repo_id="team/nano")
        far.api.create_tag("team/nano", tag="v0.1")
        with pytest.raises(ReleasedTagError, match=r"tag v0\.1 of team/nano is released .* and differs"):
            copy(origin, far, other)
        assert not far.api.repo_exists("team/text", repo_type="dataset"), "nothing was sent to the others either"

    def test_what_is_damaged_on_its_hub_arrives_nowhere(self, origin, far, release, monkeypatch):
        monkeypatch.setattr("modeling_axk1.weights.ranges.FIRST_WAIT", 0.01)
        blob = max((p for p in (origin.root / "blobs").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
        sound = blob.read_bytes()
        flip(blob, 1234)
        try:
            with pytest.raises(HubError, match=r"model\.safetensors must have SHA-256"):
                copy(origin, far, release)
        finally:
            blob.write_bytes(sound)
        assert tags(far, "dataset", "team/text") == set()
        copy(origin, far, release)
        assert tags(far, "model", "team/nano") == {"v0.1"}

    def test_another_release_than_the_one_named(self, origin, far, release, tmp_path):
        other = Path(shutil.copytree(release, tmp_path / "other"))
        text = (other / "release.json").read_text()
        known = read_release(other)
        (other / "release.json").write_text(text.replace(known.repositories[1].sums_sha256, "0" * 64))
        with pytest.raises(HubError, match=r"team/nano: SHA256SUMS is not the one that release\.json names"):
            copy(origin, far, other)

    def test_nothing_is_kept_on_this_machine(self, origin, far, release, tmp_path, monkeypatch):
        (tmp_path / "tmp").mkdir()
        monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        monkeypatch.setattr("tempfile.tempdir", None)
        copy(origin, far, release)
        assert list((tmp_path / "tmp").iterdir()) == []
        assert not (tmp_path / "xdg").exists()


KILLED = """
import os, signal, sys
from modeling_axk1.hub import remote, upload
from modeling_axk1.hub.mirror import mirror, parse_pin
place, method, origin, far = sys.argv[1:]
call = getattr(remote.Remote, method)
def killed(*args, **kwargs):
    if place == "after":
        call(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(remote.Remote, method, killed)
pins = [parse_pin("datasets/team/text@v0.1"), parse_pin("team/nano@v0.1")]
mirror(pins, remote.Remote(origin), remote.Remote(far))
"""


@pytest.mark.parametrize(
    ("when", "method"), [("after", "put"), ("after", "commit"), ("before", "tag"), ("after", "tag")]
)
def test_a_killed_mirror_is_completed_by_running_it_again(origin, far, release, tmp_path, when, method):
    killed = subprocess.run([sys.executable, "-c", KILLED, when, method, origin.endpoint, far.endpoint])
    assert killed.returncode == -signal.SIGKILL
    copy(origin, far, release)
    for place, kind, name in REPOSITORIES:
        assert len(far.api.list_repo_commits(name, repo_type=kind)) == 2
        there = far.api.snapshot_download(name, repo_type=kind, revision="v0.1", cache_dir=tmp_path / "cache")
        assert files_of(Path(there)) == files_of(release / place)


class TestToFolder:
    def fetch(self, origin: Hub, release: Path, out: Path, **options):
        known = read_release(release)
        return mirror_to_folder(pins_of(known), Remote(origin.endpoint), out, release=known, **options)

    def test_it_is_the_release_set_again(self, origin, release, tmp_path):
        report = self.fetch(origin, release, tmp_path / "out")
        assert files_of(tmp_path / "out") == files_of(release)
        assert len(report.fetched) == 9

    def test_a_second_run_fetches_nothing_and_a_damaged_file_alone(self, origin, release, tmp_path):
        self.fetch(origin, release, tmp_path / "out")
        again = self.fetch(origin, release, tmp_path / "out")
        assert (again.fetched, len(again.unchanged)) == ([], 9)
        flip(tmp_path / "out/models/team/nano/model.safetensors")
        mended = self.fetch(origin, release, tmp_path / "out")
        assert mended.fetched == ["models/team/nano/model.safetensors"]
        assert files_of(tmp_path / "out") == files_of(release)

    def test_the_release_file_comes_last(self, origin, release, tmp_path, monkeypatch):
        read = RemoteSource.read

        def broken(self, path, start=0):
            if path == "model.safetensors":
                raise HubError("the line is cut")
            return read(self, path, start)

        with monkeypatch.context() as patched:
            patched.setattr(RemoteSource, "read", broken)
            with pytest.raises(HubError, match="the line is cut"):
                self.fetch(origin, release, tmp_path / "out")
        assert not (tmp_path / "out" / "release.json").exists()
        left = self.fetch(origin, release, tmp_path / "out")
        assert "models/team/nano/model.safetensors" in left.fetched
        assert any(path.startswith("datasets/") for path in left.unchanged)

    def test_a_strange_file_is_not_touched(self, origin, release, tmp_path):
        (tmp_path / "out/models/team/nano").mkdir(parents=True)
        (tmp_path / "out/models/team/nano/mine.txt").write_text("mine")
        with pytest.raises(HubError, match=r"mine\.txt is not of the release"):
            self.fetch(origin, release, tmp_path / "out")
        assert (tmp_path / "out/models/team/nano/mine.txt").read_text() == "mine"

    def test_a_dry_run_writes_nothing(self, origin, release, tmp_path):
        assert len(self.fetch(origin, release, tmp_path / "out", dry_run=True).fetched) == 9
        assert not (tmp_path / "out").exists()


class TestNames:
    def test_what_they_mean(self):
        assert parse_pin("me/nano@v0.1").repo == Repo("model", "me/nano")
        assert parse_pin("datasets/me/text@v0.1").repo == Repo("dataset", "me/text")

    @pytest.mark.parametrize(
        "text", ["me/nano", "me/nano@", "@v0.1", "nano@v0.1", "a/b/c@v1", "../x@v1", "datasets/x@v1"]
    )
    def test_what_is_none(self, text):
        with pytest.raises(UsageError):
            parse_pin(text)

    def test_a_set_has_one_tag(self, origin, tmp_path):
        pins = [parse_pin("team/nano@v0.1"), parse_pin("datasets/team/text@main")]
        with pytest.raises(UsageError, match=r"share one tag, got main, v0\.1"):
            mirror_to_folder(pins, Remote(origin.endpoint), tmp_path / "out")


class TestCommand:
    def test_it_mirrors_and_says_so(self, origin, far, run_axk1):
        names = ["datasets/team/text@v0.1", "team/nano@v0.1"]
        done = run_axk1("hub", "mirror", *names, "--from", origin.endpoint, "--to", far.endpoint, "--json")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert [entry["tag"] for entry in report["repositories"]] == ["v0.1", "v0.1"]
        again = run_axk1("hub", "mirror", *names, "--from", origin.endpoint, "--to", far.endpoint)
        assert again.stdout.count("holds this folder") == 2

    def test_wrong_use(self, origin, tmp_path, run_axk1):
        result = run_axk1("hub", "mirror", "--from", origin.endpoint, "--to", tmp_path / "out")
        assert result.returncode == 2
        assert "say what to copy" in result.stderr
