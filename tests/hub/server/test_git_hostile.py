"""What somebody who may push can send who means harm: refused in a line, and the repository is as it was."""

import gzip
import hashlib
import struct
import time
import zlib
from pathlib import Path

import httpx
import pytest
from dulwich.objects import Blob, Commit, ShaFile, Tag, Tree

from modeling_axk1.hub.server.lfs import Pointer
from tests.hub.conftest import Hub, fsck

ZERO = "0" * 40
TYPES = {
    "upload-pack": "application/x-git-upload-pack-request",
    "receive-pack": "application/x-git-receive-pack-request",
}
FOLDER, FILE = 0o040000, 0o100644


def packet(data: bytes) -> bytes:
    return f"{len(data) + 4:04x}".encode() + data


def post(hub: Hub, repo: str, service: str, body, **headers) -> httpx.Response:
    headers = {"Content-Type": TYPES[service]} | {key.replace("_", "-"): value for key, value in headers.items()}
    return httpx.post(f"{hub.endpoint}/{repo}/git-{service}", content=body, headers=headers, timeout=60)


def push(hub: Hub, repo: str, new: str, pack: bytes, name: str = "refs/heads/side") -> str:
    """Push a pack as it stands, and return what git's client would show."""
    command = packet(f"{ZERO} {new} {name}\0report-status side-band-64k agent=hostile".encode())
    answer = post(hub, repo, "receive-pack", command + b"0000" + pack)
    assert answer.status_code == 200, answer.text
    said, rest = b"", answer.content
    while rest and (length := int(rest[:4], 16)):
        said += rest[5:length]  # the fifth byte says to whom
        rest = rest[length:]
    return said.decode("utf-8", "replace")


def raw_pack(*entries: tuple[int, int, bytes], count: int | None = None) -> bytes:
    """A pack of (type, claimed size, bytes before compression), whether or not they agree."""
    body = b"PACK" + struct.pack(">II", 2, len(entries) if count is None else count)
    for kind, size, data in entries:
        first, rest = (kind << 4) | (size & 15), size >> 4
        while rest:
            body += bytes([first | 128])
            first, rest = rest & 127, rest >> 7
        body += bytes([first]) + data
    return body + hashlib.sha1(body).digest()


def pack_of(*objects: ShaFile) -> bytes:
    contents = [(item.type_num, item.as_raw_string()) for item in objects]
    return raw_pack(*((kind, len(content), zlib.compress(content)) for kind, content in contents))


def tree_of(*entries: tuple[bytes, int, bytes]) -> Tree:
    """A tree of (name, mode, id) in this order, however wrong."""
    content = b"".join(b"%o %s\0" % (mode, name) + bytes.fromhex(oid.decode()) for name, mode, oid in entries)
    return Tree.from_string(content)


def commit_of(tree: Tree, date: int = 0, message: bytes = b"m\n") -> Commit:
    commit = Commit()
    commit.tree, commit.message = tree.id, message
    commit.author = commit.committer = b"x <x@x>"
    commit.author_time = commit.commit_time = date
    commit.author_timezone = commit.commit_timezone = 0
    return commit


BLOB = Blob.from_string(b"x")


@pytest.fixture(autouse=True)
def nothing_changes(hub: Hub, repo: str):
    yield
    folder = hub.git_folder(repo)
    assert hub.git(repo, "for-each-ref").count("\n") == 1
    assert list((folder / "objects").glob("tmp_objdir*")) == []
    # Only what the hub itself wrote when it made the repository.
    assert len(list((folder / "objects" / "pack").glob("*"))) + len(list((folder / "objects").glob("??/*"))) <= 3
    assert fsck(folder) == ""


def test_the_same_way_a_harmless_push_arrives(hub):
    """Otherwise every refusal below might have another reason."""
    hub.api.create_repo("team/harmless", exist_ok=True)
    tree = tree_of((b"a", FILE, BLOB.id))
    commit = commit_of(tree)
    assert "ok refs/heads/side" in push(hub, "team/harmless", commit.id.decode(), pack_of(BLOB, tree, commit))
    assert hub.git("team/harmless", "show", "side:a") == "x"


class TestRequests:
    @pytest.mark.parametrize(
        "service", ["", "git-evil", "git-upload-archive", "../git-upload-pack", "upload-pack", "x" * 5000]
    )
    def test_there_are_two_services(self, hub, repo, service):
        answer = httpx.get(f"{hub.endpoint}/{repo}/info/refs", params={"service": service})
        assert answer.status_code == 403
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.text.startswith("service must be one of ['git-receive-pack', 'git-upload-pack']")

    @pytest.mark.parametrize(
        "path",
        [
            "HEAD", "config", "objects/info/packs", "refs/heads/main", "git-evil", "git-upload-archive", "info/refs/x",
            "..%2fother/info/refs?service=git-upload-pack", "%2e%2e/info/refs?service=git-upload-pack",
        ],
    )  # fmt: skip
    def test_there_is_nothing_else(self, hub, repo, path):
        assert httpx.get(f"{hub.endpoint}/{repo}/{path}").status_code in {404, 405}
        assert httpx.post(f"{hub.endpoint}/{repo}.git/{path}").status_code in {404, 405}

    @pytest.mark.parametrize(
        "name", ["team/..", "..%2f..%2f/x", "team/%00", "team/x%0a", "team/-x", "--upload-pack=x/y"]
    )
    def test_a_repository_has_a_plain_name(self, hub, name):
        for ending in ("", ".git"):
            answer = httpx.get(f"{hub.endpoint}/{name}{ending}/info/refs?service=git-upload-pack")
            assert answer.status_code in {400, 404}

    def test_a_page_in_a_browser_cannot_push(self, hub, repo):
        assert post(hub, repo, "receive-pack", b"0000", Content_Type="text/plain").status_code == 415
        assert post(hub, repo, "receive-pack", b"0000", Origin="https://evil.example").status_code == 403

    def test_a_header_chooses_no_environment(self, hub, repo):
        answer = httpx.get(
            f"{hub.endpoint}/{repo}/info/refs?service=git-upload-pack",
            headers={"Git-Protocol": "version=2;x:version=9:$(touch /tmp/x)"},
        )
        assert answer.content.startswith(b"001e# service=git-upload-pack\n0000")

    @pytest.mark.parametrize("service", TYPES)
    @pytest.mark.parametrize(
        "body", [b"not gzip", gzip.compress(b"0000" * 100)[:-9], b""], ids=["text", "cut", "empty"]
    )
    def test_a_broken_gzip_body(self, hub, repo, service, body):
        answer = post(hub, repo, service, body, Content_Encoding="gzip")
        assert (answer.status_code, "gzip body must be" in answer.text) == (400, True)

    def test_another_encoding(self, hub, repo):
        assert post(hub, repo, "upload-pack", b"x", Content_Encoding="br").status_code == 415

    def test_a_gzip_bomb(self, hub, repo):
        bomb = gzip.compress(b"0032want " + bytes(100_000_000))
        answer = post(hub, repo, "upload-pack", bomb, Content_Encoding="gzip")
        assert (answer.status_code, answer.text.split(";")[0]) == (
            413,
            "a request of git's must not exceed 16777216 bytes",
        )

    @pytest.mark.parametrize("body", [b"", b"zzzz", b"0001", b"0003", b"ffff", b"00", b"\xff" * 100, b"-001", b"0x10"])
    def test_broken_packet_lines(self, hub, repo, body):
        assert post(hub, repo, "receive-pack", body).status_code == 400
        # Some of these mean goodbye to git, which then says nothing either.
        answer = post(hub, repo, "upload-pack", body)
        assert answer.status_code == 400 or answer.content == b""

    def test_an_endless_list_of_references(self, hub, repo):
        line = packet(f"{ZERO} {'1' * 40} refs/heads/x\0report-status side-band-64k".encode())
        answer = post(hub, repo, "receive-pack", line * 20_000 + b"0000")
        assert answer.status_code == 200
        assert b"\x02a push must not change so many references at once\n" in answer.content
        assert b"unpack refused" in answer.content

    @pytest.mark.parametrize(
        "name",
        ["refs/heads/../../x", "refs/heads/a..b", "refs/heads/.x", "refs/heads/" + "x" * 60_000, "../../HEAD", "HEAD",
         "refs/heads/x.lock", "refs/heads/main/x", "refs/heads/a b", "refs/heads/a\tb", "config", "refs/heads/"],
    )  # fmt: skip
    def test_a_hostile_reference(self, hub, repo, name):
        tree = tree_of((b"a", FILE, BLOB.id))
        commit = commit_of(tree)
        assert " ok " not in push(hub, repo, commit.id.decode(), pack_of(BLOB, tree, commit), name)
        assert f"ok {name}" not in push(hub, repo, commit.id.decode(), pack_of(BLOB, tree, commit), name)


class TestPacks:
    @pytest.mark.parametrize(
        "pack",
        [
            b"",
            b"PACK",
            b"not a pack at all",
            pack_of(BLOB)[:-1],
            pack_of(BLOB)[:-20] + bytes(20),
            raw_pack((3, 5, zlib.compress(b"too long for its size"))),
            raw_pack((3, 5, b"not zlib")),
            raw_pack((5, 3, zlib.compress(b"xyz"))),
            raw_pack((0, 1, zlib.compress(b"x"))),
            raw_pack((7, 1, b"\1" * 20 + zlib.compress(b"x"))),
            raw_pack(count=0xFFFFFFFF),
            raw_pack((3, 1, zlib.compress(b"x")), count=100_000_000),
        ],
        ids=["none", "its head", "text", "cut", "checksum", "size", "zlib", "tree", "type", "base", "count", "many"],
    )
    def test_a_broken_pack(self, hub, repo, pack):
        said = push(hub, repo, "1" * 40, pack)
        assert "ng refs/heads/side" in said
        assert "ok refs" not in said

    def test_a_delta_that_claims_to_unfold_into_64_gigabytes(self, hub, repo):
        # Copy the whole base; the size of the result is a lie.
        result = b"".join(bytes([128 | ((64 << 30) >> shift & 127)]) for shift in (0, 7, 14, 21, 28)) + b"\x01"
        delta = b"\x01" + result + b"\x90\x01"
        base = bytes.fromhex(BLOB.id.decode())
        pack = raw_pack((3, 1, zlib.compress(b"x")), (7, len(delta), base + zlib.compress(delta)))
        assert "ng refs/heads/side" in push(hub, repo, "1" * 40, pack)

    def test_a_blob_of_zeros_that_was_small_on_the_way(self, hub, repo):
        size = 300_000_000
        packed = zlib.compressobj(9)
        data = b"".join([packed.compress(bytes(size)), packed.flush()])
        head = hashlib.sha1(b"blob %d\0" % size)
        head.update(bytes(size))
        tree = tree_of((b"zeros.txt", FILE, head.hexdigest().encode()))
        commit = commit_of(tree)
        others = [(item.type_num, item.as_raw_string()) for item in (tree, commit)]
        pack = raw_pack((3, size, data), *((kind, len(raw), zlib.compress(raw)) for kind, raw in others))
        said = push(hub, repo, commit.id.decode(), pack)
        assert "more than 10485760 bytes must be pushed with Git LFS" in said
        assert "'zeros.txt'" in said

    def test_a_commit_without_its_files(self, hub, repo):
        tree = tree_of((b"a", FILE, b"1" * 40))
        commit = commit_of(tree)
        assert "ng refs/heads/side" in push(hub, repo, commit.id.decode(), pack_of(tree, commit))


class TestTrees:
    @pytest.mark.parametrize(
        "name",
        [b".git", b".GIT", b"git~1", b".git ", b"..", b".", b"a\\b", b"a\nb", b"\x1b[2J", b"\xff\xfe", b"\xed\xa0\x80",
         ".g\u200cit".encode(), "\u202egnp.exe".encode(), b".gitmodules", b"x" * 256, b"a/b",
         b".git::$INDEX_ALLOCATION"],
    )  # fmt: skip
    @pytest.mark.parametrize("mode", [FILE, FOLDER])
    def test_a_hostile_name(self, hub, repo, name, mode):
        below = tree_of((b"a", FILE, BLOB.id))
        tree = tree_of((name, mode, BLOB.id if mode == FILE else below.id))
        commit = commit_of(tree)
        said = push(hub, repo, commit.id.decode(), pack_of(BLOB, below, tree, commit))
        assert "ng refs/heads/side" in said

    @pytest.mark.parametrize("mode", [0o120000, 0o160000, 0o100664, 0o100600, 0o104755, 0o60000, 0])
    def test_a_mode_that_is_no_plain_file_or_folder(self, hub, repo, mode):
        tree = tree_of((b"a", mode, BLOB.id))
        commit = commit_of(tree)
        assert "ng refs/heads/side" in push(hub, repo, commit.id.decode(), pack_of(BLOB, tree, commit))

    def test_two_of_a_name_and_a_wrong_order(self, hub, repo):
        for names in ((b"a", b"a"), (b"b", b"a")):
            tree = tree_of(*((name, FILE, BLOB.id) for name in names))
            commit = commit_of(tree)
            assert "ng refs/heads/side" in push(hub, repo, commit.id.decode(), pack_of(BLOB, tree, commit))

    def test_a_few_folders_that_unfold_into_ten_billion_files(self, hub, repo):
        trees = [tree_of(*((b"%d" % n, FILE, BLOB.id) for n in range(10)))]
        for _ in range(9):
            trees.append(tree_of(*((b"%d" % n, FOLDER, trees[-1].id) for n in range(10))))
        commit = commit_of(trees[-1])
        start = time.monotonic()
        said = push(hub, repo, commit.id.decode(), pack_of(BLOB, *trees, commit))
        assert "a revision must not have more than 200000 files" in said
        assert time.monotonic() - start < 30  # walking them all would take hours

    @pytest.mark.parametrize("levels", [70, 3000])
    def test_folders_in_folders_in_folders(self, hub, repo, levels):
        trees = [tree_of((b"a", FILE, BLOB.id))]
        for _ in range(levels):
            trees.append(tree_of((b"a", FOLDER, trees[-1].id)))
        commit = commit_of(trees[-1])
        said = push(hub, repo, commit.id.decode(), pack_of(BLOB, *trees, commit))
        assert "a path must not be deeper than 64 folders" in said

    def test_a_path_too_long_made_of_short_names(self, hub, repo):
        trees = [tree_of((b"a", FILE, BLOB.id))]
        for _ in range(20):
            trees.append(tree_of((b"x" * 200, FOLDER, trees[-1].id)))
        commit = commit_of(trees[-1])
        said = push(hub, repo, commit.id.decode(), pack_of(BLOB, *trees, commit))
        assert "a path must be text of 1 to 2048 characters" in said


class TestCommitsAndTags:
    @pytest.mark.parametrize("date", [2**40, 2**62])
    def test_a_date_that_no_calendar_has(self, hub, repo, date):
        tree = tree_of((b"a", FILE, BLOB.id))
        commit = commit_of(tree, date)
        said = push(hub, repo, commit.id.decode(), pack_of(BLOB, tree, commit))
        assert "a date must be in the years 1 to 9999" in said

    def test_a_message_without_end(self, hub, repo):
        tree = tree_of((b"a", FILE, BLOB.id))
        commit = commit_of(tree, message=b"x" * 2_000_000)
        said = push(hub, repo, commit.id.decode(), pack_of(BLOB, tree, commit))
        assert "a commit must not exceed 1048576 bytes" in said

    def test_a_tag_on_a_file(self, hub, repo):
        tag = Tag()
        tag.name, tag.object, tag.message = b"v1", (Blob, BLOB.id), b"m\n"
        tag.tagger, tag.tag_time, tag.tag_timezone = b"x <x@x>", 0, 0
        said = push(hub, repo, tag.id.decode(), pack_of(BLOB, tag), "refs/tags/v1")
        assert "must name a commit" in said

    def test_a_branch_that_is_no_commit(self, hub, repo):
        tree = tree_of((b"a", FILE, BLOB.id))
        assert "'refs/heads/side' must name a commit" in push(hub, repo, tree.id.decode(), pack_of(BLOB, tree))


class TestPointers:
    def push_pointer(self, hub, repo, content: bytes) -> str:
        blob = Blob.from_string(content)
        tree = tree_of((b"a.bin", FILE, blob.id))
        commit = commit_of(tree)
        return push(hub, repo, commit.id.decode(), pack_of(blob, tree, commit))

    def test_one_to_nowhere_or_of_another_size(self, hub, repo):
        said = self.push_pointer(hub, repo, Pointer("a" * 64, 3).to_bytes())
        assert f"'a.bin' points to the large file {'a' * 64}, which was not uploaded" in said
        oid = hashlib.sha256(b"abc").hexdigest()
        url = f"{hub.endpoint}/{repo}.git/info/lfs/objects/batch"
        answer = httpx.post(url, json={"operation": "upload", "objects": [{"oid": oid, "size": 3}]}).json()
        httpx.put(answer["objects"][0]["actions"]["upload"]["href"], content=b"abc").raise_for_status()
        for size in (0, 4, 10**18):
            assert f"says that {oid} has {size} bytes; it has 3" in self.push_pointer(
                hub, repo, Pointer(oid, size).to_bytes()
            )

    @pytest.mark.parametrize(
        "content",
        [
            Pointer("a" * 64, 3).to_bytes()[:-1],
            Pointer("a" * 64, 3).to_bytes() + b"\n",
            Pointer("a" * 64, 3).to_bytes().replace(b"\n", b"\r\n"),
            b"\n" + Pointer("a" * 64, 3).to_bytes(),
            Pointer("A" * 64, 3).to_bytes(),
            Pointer("../../../etc/passwd", 3).to_bytes(),
            b"version https://git-lfs.github.com/spec/v1\next-0-x sha256:"
            + b"a" * 64
            + b"\noid sha256:"
            + b"b" * 64
            + b"\nsize 1\n",
            b"version https://git-lfs.github.com/spec/v2\n",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize -1\n",
        ],
    )
    def test_one_that_git_lfs_might_read_and_the_hub_does_not(self, hub, repo, content):
        assert "'a.bin' looks like a Git LFS pointer and is none" in self.push_pointer(hub, repo, content)

    def test_one_in_a_commit_that_no_branch_leads_to(self, hub, repo):
        """Such a commit can be read by its id, and with it another repository's file."""
        secret = Blob.from_string(Pointer("a" * 64, 3).to_bytes())
        hidden = tree_of((b"a.bin", FILE, secret.id))
        open_tree = tree_of((b"a", FILE, BLOB.id))
        commit = commit_of(open_tree)
        pack = pack_of(BLOB, open_tree, commit, secret, hidden, commit_of(hidden, 1))
        assert "points to the large file" in push(hub, repo, commit.id.decode(), pack)


def test_a_push_leaves_no_file_behind(hub, repo):
    assert [path.name for path in Path(hub.root, "git").iterdir()] in ([], ["pre-receive"])
