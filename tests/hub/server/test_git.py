"""Stock git over HTTP: clone, fetch, pull, push, and what a push must not do."""

import gzip
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from huggingface_hub import HfApi

from modeling_axk1.hub.server import lock, serving
from modeling_axk1.hub.server.refusal import Refusal
from tests.hub.conftest import Hub, fsck
from tests.hub.server.git_user import GitUser
from tests.hub.server.test_process import command


@pytest.fixture
def user(tmp_path: Path) -> GitUser:
    return GitUser(tmp_path / "user")


@pytest.fixture
def clone(hub: Hub, repo: str, user: GitUser) -> Path:
    return user.clone(f"{hub.endpoint}/{repo}")


class TestEveryDay:
    @pytest.mark.parametrize("ending", ["", ".git"])
    @pytest.mark.parametrize("kind", ["model", "dataset"])
    def test_what_one_person_pushes_another_pulls(self, hub, tmp_path, kind, ending):
        name = f"team/everyday{len(ending)}"
        hub.api.create_repo(name, repo_type=kind)
        url = f"{hub.endpoint}/{'datasets/' if kind == 'dataset' else ''}{name}{ending}"
        one, two = GitUser(tmp_path / "one"), GitUser(tmp_path / "two")
        here, there = one.clone(url), two.clone(url)
        pushed = one.commit(here, {"sub/a.txt": b"one\n", "한글.txt": "둘\n".encode()})
        one.git("push", "-q", at=here)
        two.git("pull", "-q", at=there)
        assert (there / "한글.txt").read_text() == "둘\n"
        assert hub.api.repo_info(name, repo_type=kind).sha == pushed
        again = two.commit(there, {"sub/a.txt": b"two\n"})
        two.git("push", "-q", at=there)
        one.git("fetch", "-q", at=here)
        assert one.git("rev-parse", "origin/main", at=here) == again
        assert fsck(hub.git_folder(name, f"{kind}s")) == ""

    def test_git_and_the_api_see_the_same_repository(self, hub, repo, user, clone):
        user.commit(clone, {"run.sh": b"#!/bin/sh\n", "a.txt": b"a"})
        user.git("update-index", "--chmod=+x", "run.sh", at=clone)
        user.git("commit", "-q", "-m", "Run it", at=clone)
        user.git("tag", "v1", at=clone)
        user.git("tag", "-a", "v2", "-m", "Second", at=clone)
        user.git("push", "-q", "origin", "main", "main:side", "v1", "v2", at=clone)
        head = user.git("rev-parse", "HEAD", at=clone)
        references = hub.api.list_repo_refs(repo)
        assert {branch.name: branch.target_commit for branch in references.branches} == {"main": head, "side": head}
        assert {tag.name: tag.target_commit for tag in references.tags} == {"v1": head, "v2": head}
        hub.api.upload_file(path_or_fileobj=b"b", path_in_repo="b.txt", repo_id=repo)
        user.git("pull", "-q", at=clone)
        assert (clone / "b.txt").read_bytes() == b"b"
        # A commit over the API keeps what git knows of the other files.
        assert user.git("ls-tree", "origin/main", "run.sh", at=clone).startswith("100755 ")

    @pytest.mark.parametrize("version", ["0", "1", "2"])
    def test_every_protocol_version(self, hub, repo, user, version):
        there = user.clone(f"{hub.endpoint}/{repo}", "clone", "-c", f"protocol.version={version}")
        user.commit(there, {"a.txt": b"a"})
        user.git("push", "-q", at=there)
        assert user.git("ls-remote", "origin", "main", at=there).split()[0] == user.git("rev-parse", "HEAD", at=there)

    def test_a_part_of_the_history_or_of_the_files(self, hub, repo, user, clone):
        for number in range(3):
            user.commit(clone, {f"{number}.txt": str(number).encode()})
        user.git("push", "-q", at=clone)
        url = f"{hub.endpoint}/{repo}"
        shallow = user.clone(url, "shallow", "--depth=1")
        assert user.git("rev-list", "--count", "HEAD", at=shallow) == "1"
        user.git("fetch", "-q", "--unshallow", at=shallow)
        assert user.git("rev-list", "--count", "HEAD", at=shallow) == "4"
        partial = user.clone(url, "partial", "--filter=blob:none", "--no-checkout")
        missing = user.git("rev-list", "--objects", "--missing=print", "HEAD", at=partial)
        assert missing.count("?") == 4

    def test_a_large_push_comes_in_chunks(self, hub, repo, user, clone):
        user.git("config", "http.postBuffer", "65536", at=clone)
        content = os.urandom(3_000_000)
        user.commit(clone, {"a.txt": content})
        user.git("push", "-q", at=clone)
        assert httpx.get(f"{hub.endpoint}/{repo}/resolve/main/a.txt").content == content

    def test_a_long_request_is_packed(self, hub, repo):
        headers = {
            "Content-Type": "application/x-git-upload-pack-request",
            "Content-Encoding": "gzip",
            "Git-Protocol": "version=2",
        }
        body = gzip.compress(b"0014command=ls-refs\n0000")
        answer = httpx.post(f"{hub.endpoint}/{repo}/git-upload-pack", content=body, headers=headers)
        assert answer.status_code == 200
        assert answer.content.endswith(b" refs/heads/main\n0000")


def test_revisions_have_the_names_that_huggingface_knows(hub, repo, user, clone):
    commit = user.commit(clone, {"a.txt": b"first"})
    user.git("push", "-q", "origin", "main", "main:feature/x", "main:refs/tags/v1", at=clone)
    user.commit(clone, {"a.txt": b"second"})
    user.git("push", "-q", at=clone)
    for revision in ("refs%2Fheads%2Ffeature%2Fx", "feature%2Fx", "refs%2Ftags%2Fv1", commit, commit[:7], commit[:39]):
        answer = httpx.get(f"{hub.endpoint}/{repo}/resolve/{revision}/a.txt")
        assert (answer.content, answer.headers["X-Repo-Commit"]) == (b"first", commit)
    tree = user.git("rev-parse", "HEAD^{tree}", at=clone)
    for revision in (commit[:6], commit[:7].upper(), commit[:39] + "g", tree[:12], "refs%2Fheads%2Fv1", "heads%2Fmain"):
        answer = httpx.get(f"{hub.endpoint}/{repo}/resolve/{revision}/a.txt")
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "RevisionNotFound")


class TestWhatAPushMustNotDo:
    """Git's user reads why, in lines that start with `remote:`; and nothing has changed."""

    @pytest.fixture(autouse=True)
    def nothing_changes(self, hub, repo, user, clone):
        self.first = user.commit(clone, {"a.txt": b"a"})
        user.git("push", "-q", "origin", "main", "main:side", "main:refs/tags/v1", at=clone)
        before = hub.git(repo, "for-each-ref"), sorted((hub.git_folder(repo) / "objects").rglob("*"))
        yield
        assert (hub.git(repo, "for-each-ref"), sorted((hub.git_folder(repo) / "objects").rglob("*"))) == before
        assert fsck(hub.git_folder(repo)) == ""

    def remote_lines(self, said: str) -> str:
        return "\n".join(
            line.removeprefix("remote: ").strip() for line in said.splitlines() if line.startswith("remote:")
        )

    def test_move_a_tag(self, user, clone):
        user.commit(clone, {"a.txt": b"b"})
        stays = "axk1 hub: the tag 'v1' stays as it was published; a push cannot move or remove it"
        assert self.remote_lines(user.refused("push", "-f", "origin", "HEAD:refs/tags/v1", at=clone)) == stays
        assert self.remote_lines(user.refused("push", "origin", ":refs/tags/v1", at=clone)) == stays

    def test_remove_the_default_branch_or_rewrite_it(self, user, clone):
        said = user.refused("push", "origin", ":main", at=clone)
        assert self.remote_lines(said) == "axk1 hub: the branch 'main' cannot be deleted"
        user.git("commit", "-q", "--amend", "-m", "Another", at=clone)
        said = user.refused("push", "-f", "origin", "main", at=clone)
        assert "the branch 'main' only moves forward" in self.remote_lines(said)

    @pytest.mark.parametrize("name", ["refs/heads/v1", "refs/heads/side/deeper", "refs/tags/main", "refs/tags/v1/x"])
    def test_take_a_name_that_is_taken(self, user, clone, name):
        assert "is taken by the branch or tag" in self.remote_lines(
            user.refused("push", "origin", f"HEAD:{name}", at=clone)
        )

    @pytest.mark.parametrize("name", ["refs/pull/1", "refs/notes/x", "refs/replace/" + "0" * 40])
    def test_write_what_is_no_branch_or_tag(self, user, clone, name):
        said = user.refused("push", "origin", f"HEAD:{name}", at=clone)
        assert f"only branches and tags can be pushed, got '{name}'" in self.remote_lines(said)

    @pytest.mark.parametrize("name", ["refs/heads/" + "a" * 40, "refs/heads/HEAD", "refs/tags/-x", "refs/heads/é"])
    def test_make_a_name_that_the_api_would_refuse(self, user, clone, name):
        assert "a branch or tag is 1 to 128" in self.remote_lines(
            user.refused("push", "origin", f"HEAD:{name}", at=clone)
        )

    def test_tag_what_is_no_commit(self, user, clone):
        said = user.refused("push", "origin", "HEAD:refs/tags/ok", "HEAD^{tree}:refs/tags/tree", at=clone)
        assert "'refs/tags/tree' must name a commit" in self.remote_lines(said)

    def test_bring_a_large_file_without_lfs(self, user, clone):
        user.commit(clone, {"sub/large.txt": b"0123456789" * 1_100_000})
        said = self.remote_lines(user.refused("push", at=clone))
        assert "more than 10485760 bytes must be pushed with Git LFS" in said
        assert said.endswith(": 'sub/large.txt'")

    def test_bring_a_symbolic_link_or_a_submodule(self, hub, repo, user, clone):
        (clone / "link").symlink_to("/etc/passwd")
        user.commit(clone, {})
        assert "'link' is a symbolic link; this hub holds files and folders only" in self.remote_lines(
            user.refused("push", at=clone)
        )
        user.git("reset", "-q", "--hard", "HEAD~1", at=clone)
        user.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module", at=clone)
        user.git("commit", "-q", "-m", "Module", at=clone)
        assert "'module' is a submodule" in self.remote_lines(user.refused("push", at=clone))

    def test_bring_what_a_checkout_elsewhere_would_choke_on(self, user, clone):
        user.commit(clone, {"back\\slash.txt": b"x"})
        assert "no backslash" in self.remote_lines(user.refused("push", at=clone))


def test_a_branch_that_is_not_the_default_one_may_be_rewritten_and_removed(hub, repo, user, clone):
    user.commit(clone, {"a.txt": b"a"})
    user.git("push", "-q", "origin", "HEAD:side", at=clone)
    user.git("commit", "-q", "--amend", "-m", "Another", at=clone)
    user.git("push", "-q", "-f", "origin", "HEAD:side", at=clone)
    assert hub.git(repo, "rev-parse", "side").strip() == user.git("rev-parse", "HEAD", at=clone)
    user.git("push", "-q", "origin", ":side", at=clone)
    assert [branch.name for branch in hub.api.list_repo_refs(repo).branches] == ["main"]


class TestManyAtOnce:
    def test_pushes_and_commits_over_the_api_wait_for_each_other(self, hub, repo, tmp_path):
        def push(number: int) -> None:
            user = GitUser(tmp_path / str(number))
            there = user.clone(f"{hub.endpoint}/{repo}")
            for step in range(2):
                user.commit(there, {f"{number}.txt": str(step).encode()})
                user.git("push", "-q", "origin", f"HEAD:branch{number}", at=there)

        def upload(number: int) -> None:
            hub.api.upload_file(path_or_fileobj=b"x", path_in_repo=f"{number}.txt", repo_id=repo)

        with ThreadPoolExecutor(12) as pool:
            done = [*(pool.submit(push, n) for n in range(4)), *(pool.submit(upload, n) for n in range(8))]
            for one in done:
                one.result()
        for number in range(4):
            assert hub.git(repo, "show", f"branch{number}:{number}.txt") == "1"
        assert len(hub.api.list_repo_files(repo)) == 9
        assert fsck(hub.git_folder(repo)) == ""

    def test_of_two_pushes_to_a_branch_one_is_told_to_fetch_first(self, hub, repo, tmp_path):
        users = [GitUser(tmp_path / name) for name in ("one", "two", "three", "four")]
        clones = [user.clone(f"{hub.endpoint}/{repo}") for user in users]
        for number, (user, there) in enumerate(zip(users, clones, strict=True)):
            user.commit(there, {f"{number}.txt": b"x"})
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda pair: pair[0].run("push", at=pair[1]), zip(users, clones, strict=True)))
        assert sorted(one.returncode for one in done) == [0, 1, 1, 1]
        assert fsck(hub.git_folder(repo)) == ""


class TestTheLock:
    def test_it_is_one_for_all_processes_and_ends_with_its_process(self, tmp_path):
        holder = "import sys, time; from pathlib import Path; from modeling_axk1.hub.server.lock import writing\n"
        holder += "with writing(Path(sys.argv[1])): print('has it', flush=True); time.sleep(60)"
        (tmp_path / "objects" / "pack").mkdir(parents=True)
        with subprocess.Popen([sys.executable, "-c", holder, tmp_path], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "has it\n"
            with pytest.raises(Refusal, match="being changed by others"), lock.writing(tmp_path, patience=0.1):
                pass
            process.kill()
        with lock.writing(tmp_path):
            pass

    def test_it_clears_what_a_killed_writer_left(self, tmp_path):
        left = ["refs/heads/a/b.lock", "packed-refs.lock", "objects/pack/tmp_pack_x", "objects/pack/pack-x.keep"]
        left += ["objects/pack/half.pack", "objects/tmp_objdir-incoming-x/pack/pack-y.pack"]
        stay = ["refs/heads/a/b", "objects/pack/whole.pack", "objects/pack/whole.idx"]
        for name in left + stay:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        with lock.writing(tmp_path):
            found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
        assert found == {*stay, "lock"}

    def test_a_repository_deleted_meanwhile_is_gone(self, tmp_path):
        with pytest.raises(Refusal, match="no repository"), lock.writing(tmp_path / "gone.git"):
            pass


class TestKilled:
    def test_a_hub_killed_during_pushes_has_everything_acknowledged_and_old_refs_otherwise(self, tmp_path):
        root, user = tmp_path / "hub", GitUser(tmp_path / "user")
        folder = root / "repositories" / "models" / "team" / "model.git"
        acknowledged = ""
        for delay in (0.05, 0.15, 0.3):
            with command(root) as (process, (place, _)):
                url = f"{place.split()[-1]}/team/model"
                if not acknowledged:
                    HfApi(endpoint=place.split()[-1], token=False).create_repo("team/model")
                    here = user.clone(url)
                    acknowledged = user.git("rev-parse", "HEAD", at=here)
                user.git("remote", "set-url", "origin", url, at=here)
                new = user.commit(here, {"a.txt": os.urandom(200_000)})
                threading.Timer(delay, process.kill).start()
                said = user.run("push", at=here)
                process.wait()
            with serving(root) as endpoint:
                api = HfApi(endpoint=endpoint, token=False)
                head = api.model_info("team/model").sha
                # An answer can be lost on its way; a push that was answered never is.
                assert head == new if said.returncode == 0 else head in {new, acknowledged}
                api.create_branch("team/model", branch=f"after-{delay}")
                acknowledged = head
            assert fsck(folder) == ""
            assert not list(folder.rglob("*.lock"))
            assert not list(folder.rglob("tmp_objdir*"))

    def test_a_client_that_goes_away_takes_its_git_process_with_it(self, hub, repo, user, clone):
        for number in range(3):
            user.commit(clone, {f"{number}.txt": os.urandom(9_000_000)})
        user.git("push", "-q", at=clone)
        wanted = user.git("rev-parse", "HEAD", at=clone)
        body = f"0032want {wanted}\n00000009done\n".encode()
        host, port = hub.endpoint.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(
                f"POST /{repo}/git-upload-pack HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
                "Content-Type: application/x-git-upload-pack-request\r\n\r\n".encode()
                + body
            )
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
            assert processes_of(hub, repo)
        deadline = time.monotonic() + 10
        while processes_of(hub, repo):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def processes_of(hub: Hub, repo: str) -> list[str]:
    """Command lines of git processes that serve a repository."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if "upload-pack" in line and str(hub.git_folder(repo)) in line:
            found.append(line)
    return found


def test_a_hub_without_git_serves_everything_else_and_says_so_in_one_line(tmp_path, user, monkeypatch):
    real = os.environ["PATH"]
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with serving(tmp_path / "hub") as endpoint:
        monkeypatch.setenv("PATH", real)
        api = HfApi(endpoint=endpoint, token=False)
        api.create_repo("team/model")
        api.upload_file(path_or_fileobj=b"x", path_in_repo="a.txt", repo_id="team/model")
        said = user.refused("clone", f"{endpoint}/team/model")
    assert "remote: this hub has no git program; install git 2.38 or newer on its machine" in said


def test_what_is_written_in_the_hubs_own_git_settings_changes_nothing(tmp_path, user, monkeypatch):
    """The operator's settings and hooks are his own; a hub run by him works as it does elsewhere."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text("[core]\n hooksPath = /nowhere\n[transfer]\n fsckObjects = false\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    # A relative root, as a person gives it: the hook must be found from inside a repository, too.
    with serving(Path("hub")) as endpoint:
        HfApi(endpoint=endpoint, token=False).create_repo("team/model")
        hook = tmp_path / "hub" / "repositories" / "models" / "team" / "model.git" / "hooks" / "update"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)
        there = user.clone(f"{endpoint}/team/model")
        user.commit(there, {"a.txt": b"a"})
        user.git("push", "-q", at=there)
        (there / "link").symlink_to("a.txt")
        user.commit(there, {})
        assert "is a symbolic link" in user.refused("push", at=there)
