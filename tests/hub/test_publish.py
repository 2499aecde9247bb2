"""publish(): a folder on a hub as one commit, then a tag, whatever happens in between."""

import json
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub.errors import RepositoryNotFoundError

from modeling_axk1.checksums import write_sums
from modeling_axk1.errors import HubError, UsageError
from modeling_axk1.hub.publish import publish
from modeling_axk1.hub.remote import Remote
from modeling_axk1.hub.sources import FolderSource
from tests.hub.conftest import files_of, fsck
from tests.hub.releases import flip


@pytest.fixture
def name(request) -> str:
    return f"team/{request.node.originalname}"[:60].strip("_")


def tags_of(hub, name) -> dict[str, str]:
    return {tag.name: tag.target_commit for tag in hub.api.list_repo_refs(name).tags}


def commits_of(hub, name) -> int:
    return len(hub.api.list_repo_commits(name)) - 1  # the first is the hub's own


def downloaded(hub, name, revision, tmp_path) -> dict[str, bytes]:
    return files_of(Path(hub.api.snapshot_download(name, revision=revision, cache_dir=tmp_path / "cache")))


class TestPublish:
    def test_the_folder_is_on_the_hub_and_tagged(self, hub, name, folder, tmp_path):
        report = publish(folder, name, endpoint=hub.endpoint, repo_type="model", tag="v0.1")
        assert downloaded(hub, name, "v0.1", tmp_path) == files_of(folder)
        assert tags_of(hub, name) == {"v0.1": report.commit}
        assert report.uploaded == sorted(files_of(folder))
        assert (report.unchanged, report.deleted, report.url) == ([], [], f"{hub.endpoint}/{name}")
        assert json.loads(json.dumps(report.as_dict()))["commit"] == report.commit

    def test_again_is_no_second_commit(self, hub, name, folder):
        first = publish(folder, name, endpoint=hub.endpoint, repo_type="model", tag="v0.1")
        again = publish(folder, name, endpoint=hub.endpoint, repo_type="model", tag="v0.1")
        assert (again.commit, again.uploaded, again.unchanged) == (first.commit, [], first.uploaded)
        assert commits_of(hub, name) == 1

    def test_only_what_differs_is_sent_and_what_is_gone_is_deleted(self, hub, name, folder, tmp_path):
        publish(folder, name, endpoint=hub.endpoint, repo_type="model", tag="v0.1")
        (folder / "README.md").write_text("# Changed\n")
        data = bytearray((folder / "model.safetensors").read_bytes())
        data[1000] ^= 1
        (folder / "model.safetensors").write_bytes(data)
        shutil.rmtree(folder / "sub")
        (folder / "sub").write_text("now a file")
        report = publish(folder, name, endpoint=hub.endpoint, repo_type="model", tag="v0.2")
        assert report.uploaded == ["README.md", "model.safetensors", "sub"]
        assert report.deleted == ["sub/empty.txt"]
        assert downloaded(hub, name, "v0.2", tmp_path) == files_of(folder)
        assert commits_of(hub, name) == 2
        assert fsck(hub.git_folder(name)) == ""

    def test_a_released_tag_stays_where_it_is(self, hub, name, folder):
        first = publish(folder, name, endpoint=hub.endpoint, repo_type="model", tag="v0.1")
        (folder / "README.md").write_text("# Changed\n")
        with pytest.raises(HubError, match=rf"tag v0.1 of {name} is released \(commit {first.commit[:12]}\)"):
            publish(folder, name, endpoint=hub.endpoint, repo_type="model", tag="v0.1")
        assert tags_of(hub, name) == {"v0.1": first.commit}
        assert commits_of(hub, name) == 1

    def test_a_second_tag_for_the_same_folder_needs_no_commit(self, hub, name, folder):
        publish(folder, name, endpoint=hub.endpoint, repo_type="model", tag="v0.1")
        publish(folder, name, endpoint=hub.endpoint, repo_type="model", tag="v0.1-same")
        assert len(set(tags_of(hub, name).values())) == 1

    def test_leftovers_of_this_machine_stay_here(self, hub, name, folder):
        for path in (".DS_Store", ".model.safetensors.part", "__pycache__/x.pyc", ".cache/huggingface/x", ".git/HEAD"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text("leftover")
        (folder / ".eval_results").mkdir()
        (folder / ".eval_results" / "kmmlu.yaml").write_text("- value: 1\n")
        report = publish(folder, name, endpoint=hub.endpoint, repo_type="model", tag=None)
        assert [path for path in report.uploaded if path.startswith((".", "_"))] == [".eval_results/kmmlu.yaml"]

    def test_a_hub_that_moved_on_meanwhile_is_not_overwritten(self, hub, name, folder, monkeypatch):
        publish(folder, name, endpoint=hub.endpoint, repo_type="model", tag="v0.1")
        (folder / "README.md").write_text("# Mine\n")
        send = Remote.commit

        def beaten(self, *args, **kwargs):
            hub.api.upload_file(path_or_fileobj=b"# Theirs\n", path_in_repo="README.md", repo_id=name)
            return send(self, *args, **kwargs)

        monkeypatch.setattr(Remote, "commit", beaten)
        with pytest.raises(HubError, match="somebody else changed it meanwhile"):
            publish(folder, name, endpoint=hub.endpoint, repo_type="model", tag="v0.2")
        assert tags_of(hub, name).keys() == {"v0.1"}


class TestDryRun:
    def test_it_writes_nothing_where_nothing_is(self, hub, name, folder):
        report = publish(folder, name, endpoint=hub.endpoint, repo_type="model", tag="v0.1", dry_run=True)
        assert (report.uploaded, report.commit) == (sorted(files_of(folder)), None)
        with pytest.raises(RepositoryNotFoundError):
            hub.api.model_info(name)

    def test_it_tells_the_difference_and_leaves_it(self, hub, name, folder):
        publish(folder, name, endpoint=hub.endpoint, repo_type="model", tag="v0.1")
        (folder / "README.md").write_text("# Changed\n")
        report = publish(folder, name, endpoint=hub.endpoint, repo_type="model", tag="v0.2", dry_run=True)
        assert (report.uploaded, report.deleted) == (["README.md"], [])
        assert commits_of(hub, name) == 1
        assert tags_of(hub, name).keys() == {"v0.1"}


class TestSums:
    """SHA256SUMS is what a release says of itself; its word is proven, never taken."""

    @pytest.fixture
    def release(self, folder) -> Path:
        write_sums(folder)
        return folder

    @pytest.mark.parametrize("path", ["model.safetensors", "한글 이름.txt", "tokenizer.json"])
    def test_a_file_that_is_not_what_it_says_is_never_tagged(self, hub, name, release, path):
        flip(release / path)
        with pytest.raises(HubError, match=path):
            publish(release, f"{name}-{len(path)}", endpoint=hub.endpoint, repo_type="model", tag="v0.1")
        assert tags_of(hub, f"{name}-{len(path)}") == {}

    @pytest.mark.parametrize("path", ["model.safetensors", "한글 이름.txt"])
    def test_also_when_the_hub_holds_the_right_one_already(self, hub, name, release, path):
        name += f"-{len(path)}"
        publish(release, name, endpoint=hub.endpoint, repo_type="model", tag="v0.1")
        flip(release / path)
        with pytest.raises(HubError, match=path):
            publish(release, name, endpoint=hub.endpoint, repo_type="model", tag="v0.2")
        assert tags_of(hub, name).keys() == {"v0.1"}

    def test_files_that_it_lists_otherwise(self, hub, name, release):
        (release / "extra").write_text("x")
        with pytest.raises(HubError, match="extra is not in SHA256SUMS; nothing was sent"):
            publish(release, name, endpoint=hub.endpoint, repo_type="model", tag="v0.1")
        (release / "extra").unlink()
        (release / "model.safetensors").unlink()
        with pytest.raises(HubError, match=r"model\.safetensors is missing; nothing was sent"):
            publish(release, name, endpoint=hub.endpoint, repo_type="model", tag="v0.1")
        assert not hub.api.repo_exists(name)

    def test_every_byte_of_a_listed_large_file_is_read_once(self, hub, name, release, monkeypatch):
        read: dict[str, int] = {}
        before = FolderSource.read

        def counted(self, path, start=0):
            for chunk in before(self, path, start):
                read[path] = read.get(path, 0) + len(chunk)
                yield chunk

        monkeypatch.setattr(FolderSource, "read", counted)
        (release / "large.bin").write_bytes(random.Random(0).randbytes(11_000_000))
        write_sums(release)
        publish(release, name, endpoint=hub.endpoint, repo_type="model", tag="v0.1")
        assert read["large.bin"] == 11_000_000

    def test_a_file_that_changes_while_it_is_sent(self, hub, name, release, monkeypatch):
        before = FolderSource.read

        def changing(self, path, start=0):
            for chunk in before(self, path, start):
                if path == "model.safetensors":
                    flip(release / path)
                yield chunk

        (release / "model.safetensors").write_bytes(random.Random(1).randbytes(3_000_000))
        write_sums(release)
        monkeypatch.setattr(FolderSource, "read", changing)
        with pytest.raises(HubError, match=r"model\.safetensors (changed while it was read|must have SHA-256)"):
            publish(release, name, endpoint=hub.endpoint, repo_type="model", tag="v0.1")
        assert tags_of(hub, name) == {}


# The publishing process is killed for real, by itself, before or after one of its calls.
KILLED = """
import os, signal, sys
from pathlib import Path
from modeling_axk1.hub import remote, send
from modeling_axk1.hub.publish import publish
when, method, folder, name, endpoint = sys.argv[1:]
place = remote.Remote if hasattr(remote.Remote, method) else send
call = getattr(place, method)
def killed(*args, **kwargs):
    if when == "after":
        call(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(place, method, killed)
publish(Path(folder), name, endpoint=endpoint, repo_type="model", tag="v0.1")
"""


@pytest.mark.parametrize(
    ("when", "method"),
    [
        ("before", "create"),
        ("after", "create"),
        ("after", "upload"),  # large files are up, the commit is not
        ("after", "commit"),
        ("before", "tag"),
        ("after", "tag"),
    ],
)
def test_a_killed_publish_is_completed_by_running_it_again(hub, folder, tmp_path, when, method):
    name = f"team/killed-{when}-{method}"
    killed = subprocess.run([sys.executable, "-c", KILLED, when, method, str(folder), name, hub.endpoint])
    assert killed.returncode == -signal.SIGKILL
    if hub.api.repo_exists(name) and tags_of(hub, name):
        assert (when, method) == ("after", "tag")
    publish(folder, name, endpoint=hub.endpoint, repo_type="model", tag="v0.1")
    assert downloaded(hub, name, "v0.1", tmp_path) == files_of(folder)
    assert commits_of(hub, name) == 1
    assert fsck(hub.git_folder(name)) == ""


class TestRefusals:
    def test_a_folder_that_is_no_release(self, hub, tmp_path):
        (tmp_path / "empty").mkdir()
        (tmp_path / "bare").mkdir()
        (tmp_path / "bare" / "model.safetensors").write_bytes(b"x")
        for folder, rule in (("nowhere", "is not a folder"), ("empty", "is empty"), ("bare", "README.md")):
            with pytest.raises(HubError, match=rule):
                publish(tmp_path / folder, "team/none", endpoint=hub.endpoint, repo_type="model", tag=None)
        assert not hub.api.repo_exists("team/none")

    def test_a_card_that_the_hub_rejects(self, hub, folder):
        (folder / "README.md").write_text("---\n- list\n---\n")
        with pytest.raises(HubError, match="front matter must be a mapping"):
            publish(folder, "team/card", endpoint=hub.endpoint, repo_type="model", tag="v1")
        assert tags_of(hub, "team/card") == {}

    @pytest.mark.parametrize(
        ("name", "endpoint"),
        [("model", None), ("a/b/c", None), ("../x", None), ("a/b", "ftp://x"), ("a/b", "localhost:1"),
         ("a/b", "http://user:secret@x")],
    )  # fmt: skip
    def test_a_name_or_address_that_cannot_be_one(self, hub, folder, name, endpoint):
        with pytest.raises(UsageError) as error:
            publish(folder, name, endpoint=endpoint or hub.endpoint, repo_type="model", tag=None)
        assert "secret" not in str(error.value)


class TestCommand:
    def test_it_publishes_and_says_so(self, hub, folder, run_axk1):
        arguments = ["hub", "publish", folder, "--repo", "team/command", "--to", hub.endpoint, "--tag", "v0.1"]
        dry = run_axk1(*arguments, "--dry-run")
        assert dry.returncode == 0, dry.stderr
        assert dry.stdout.splitlines()[-1].endswith("5 to send, 0 to delete, 0 unchanged; nothing was written")
        done = run_axk1(*arguments, "--json", env={"HF_TOKEN": "hf_secret"})
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["commit"] == tags_of(hub, "team/command")["v0.1"]
        assert done.stderr == ""  # no bars where nobody looks
        again = run_axk1(*arguments)
        assert again.stdout.endswith(f"holds this folder (commit {report['commit'][:12]}, tag v0.1): 5 unchanged\n")
        assert "hf_secret" not in done.stdout + done.stderr

    def test_an_unreachable_hub_is_one_line(self, folder, run_axk1):
        result = run_axk1(
            "hub", "publish", folder, "--repo", "a/b", "--to", "http://127.0.0.1:9", env={"HF_TOKEN": "hf_secret"}
        )
        assert result.returncode == 1
        assert result.stderr.startswith("axk1: error: cannot reach the hub at http://127.0.0.1:9: ")
        assert result.stderr.count("\n") == 1
        assert "hf_secret" not in result.stderr
