"""A checkpoint on the web is read like one in a folder: on a server that shows files, or in a repository of a hub."""

import json

import huggingface_hub
import pytest
from huggingface_hub import HfApi

from modeling_axk1.errors import WeightsError
from modeling_axk1.hub.server import serving
from modeling_axk1.weights import ranges, store_http
from modeling_axk1.weights.checkpoint import open_checkpoint, scan_checkpoint
from modeling_axk1.weights.inspect import inspect
from modeling_axk1.weights.sparse import write_sparse_checkpoint
from modeling_axk1.weights.store import Folder, read_small
from modeling_axk1.weights.store_http import FIRST_GUESS, HubRepository, WebFolder
from tests.weights import range_server as tricks
from tests.weights.checkpoints import RELEASE, bf16, write_tiny
from tests.weights.range_server import range_server

SHARD = "model-00002-of-00003.safetensors"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(ranges, "FIRST_WAIT", 0.001)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("web") / "A.X K1")


class TestWebFolder:
    @pytest.fixture
    def server(self, folder):
        with range_server(folder.parent) as server:
            yield server

    @pytest.fixture
    def store(self, server):
        return WebFolder(server.address + "A.X%20K1")

    def test_it_holds_what_the_folder_holds(self, store, folder):
        found, expected = open_checkpoint(store), open_checkpoint(folder)
        assert (found.shards, found.config) == (expected.shards, expected.config)
        assert list(found.shards) == list(expected.shards)
        for file in sorted(path.name for path in folder.iterdir()):
            raw = bytearray(store.size(file))
            store.read_into(file, 0, raw)
            assert raw == (folder / file).read_bytes()

    def test_it_cannot_be_listed(self, store):
        assert store.names() is None
        assert store.exists("config.json")
        assert not store.exists("README.md")

    def test_a_usual_header_takes_one_request(self, server, store):
        store.header(SHARD)
        assert [request.range for request in server.asked] == [f"bytes=0-{FIRST_GUESS - 1}"]

    def test_a_long_header_takes_two_and_the_next_like_it_one(self, tmp_path):
        tensors = {f"{'x' * 300}.{number}": bf16((1,)) for number in range(200)}
        write_tiny(tmp_path / "long", tensors, max_shard_bytes=200)
        with range_server(tmp_path / "long") as server:
            store = WebFolder(server.address)
            for shard in (1, 2):
                file = f"model-{shard:05d}-of-00002.safetensors"
                assert store.header(file) == Folder(tmp_path / "long").header(file)
                assert server.count(f"/{file}") == 3 - shard

    def test_the_identity_changes_with_the_file(self, server, folder, tmp_path):
        (tmp_path / "file").write_text("one")
        server.folder = tmp_path
        before = WebFolder(server.address).identity("file")
        assert before == WebFolder(server.address).identity("file")
        (tmp_path / "file").write_text("two")
        assert before != WebFolder(server.address).identity("file")

    def test_bytes_beyond_the_end_are_refused(self, store):
        with pytest.raises(WeightsError, match="ended before the bytes that were asked for"):
            store.read_into(SHARD, store.size(SHARD) - 1, bytearray(2))

    @pytest.mark.parametrize("file", ["../secret", "/etc/passwd", "a/../../b", "a\nb"])
    def test_a_name_that_leads_elsewhere_is_not_asked_for(self, server, store, file):
        for method in (store.exists, store.size, store.header, store.identity):
            with pytest.raises(WeightsError):
                method(file)
        assert server.asked == []

    def test_a_name_that_means_something_in_an_address_is_quoted(self, server, store, folder):
        (folder / "a?b#c%20.json").write_text("{}")
        assert read_small(store, "a?b#c%20.json") == b"{}"
        (folder / "a?b#c%20.json").unlink()

    def test_a_server_without_ranges_is_refused_before_a_shard_is_read(self, server, store):
        server.trick = tricks.ignore_ranges
        with pytest.raises(WeightsError, match="must answer requests for a range of a file"):
            open_checkpoint(store)
        assert store.bytes_read < 200_000

    def test_missing_shards_are_named_in_the_order_of_their_names(self, server, store):
        server.trick = lambda handler: handler.path.endswith(".safetensors") and (handler.answer(404) or True)
        assert [problem.split()[0] for problem in scan_checkpoint(store).problems] == [
            f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)
        ]

    @pytest.mark.parametrize("trick", [tricks.reset, tricks.unavailable, tricks.cut_short])
    def test_a_server_that_fails_now_and_then_gives_the_same_checkpoint(self, server, store, folder, trick):
        store.exists("config.json")
        server.trick = lambda handler: len(server.asked) % 3 == 0 and trick(handler)
        assert open_checkpoint(store).shards == open_checkpoint(folder).shards


@pytest.mark.parametrize(("layout", "tensors"), [("fused", 976), ("per-expert", 35_416)])
def test_a_remote_terabyte_is_inspected_by_fetching_a_few_megabytes(tmp_path, layout, tensors):
    write_sparse_checkpoint(tmp_path, RELEASE, layout=layout)
    with range_server(tmp_path) as server:
        found = inspect(WebFolder(server.address))
    assert (found.tensors, found.shards, found.layout) == (tensors, 260, layout)
    assert (found.bytes, found.missing, found.extra) == (1_037_966_118_912, [], [])
    assert found.bytes_read < 16_000_000
    assert len(server.asked) < 260 + 2 * store_http.READERS
    assert server.connections < 2 * store_http.READERS


@pytest.fixture(scope="module")
def hub(tmp_path_factory, folder):
    """A hub with the checkpoint, and stock uploads to it over Git LFS."""
    with pytest.MonkeyPatch.context() as patch, serving(tmp_path_factory.mktemp("hub")) as endpoint:
        patch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
        api = HfApi(endpoint=endpoint, token=False)
        api.create_repo("team/model")
        api.upload_folder(repo_id="team/model", folder_path=folder)
        yield api


class TestHubRepository:
    @pytest.fixture
    def store(self, hub):
        return HubRepository("team/model", endpoint=hub.endpoint)

    def test_it_holds_what_the_folder_holds(self, store, folder):
        found, expected = open_checkpoint(store), open_checkpoint(folder)
        assert (found.shards, found.config) == (expected.shards, expected.config)
        assert set(store.names()) == {".gitattributes", *(path.name for path in folder.iterdir())}

    def test_it_is_named_by_its_commit(self, hub, store):
        assert store.name == f"team/model@{hub.model_info('team/model').sha}"
        assert HubRepository("team/model", store.commit, hub.endpoint).names() == store.names()

    def test_the_identity_is_the_digest_that_the_hub_keeps(self, store, folder):
        from modeling_axk1.files import sha256_file

        assert store.identity(SHARD) == sha256_file(folder / SHARD)
        assert len(store.identity("config.json")) == 40

    def test_a_branch_that_moves_does_not_mix_two_versions(self, hub, store, tmp_path):
        hub.upload_file(repo_id="team/model", path_in_repo="config.json", path_or_fileobj=b'{"other": 1}')
        assert json.loads(read_small(store, "config.json"))["model_type"] == "axk1"
        newer = HubRepository("team/model", "main", hub.endpoint)
        assert json.loads(read_small(newer, "config.json")) == {"other": 1}

    def test_what_is_not_there_is_said_without_asking(self, store):
        before = store.bytes_read
        assert not store.exists("README.md")
        with pytest.raises(FileNotFoundError, match="there is no such file in team/model@"):
            store.size("README.md")
        with pytest.raises(WeightsError, match="must stay inside the folder"):
            store.exists("../other")
        assert store.bytes_read == before

    @pytest.mark.parametrize(("name", "revision"), [("team/other", None), ("team/model", "no-such-branch")])
    def test_no_repository_and_no_revision(self, hub, name, revision):
        with pytest.raises(WeightsError, match=f"{hub.endpoint} has no model {name}"):
            HubRepository(name, revision, hub.endpoint)


class TestHostileHub:
    COMMIT = "0" * 40

    @pytest.fixture
    def hub(self, tmp_path):
        with range_server(tmp_path) as server:
            yield server

    def answers(self, hub, tree: object, sha: object = COMMIT, headers: dict | None = None) -> None:
        def trick(handler) -> bool:
            if "/revision/" in handler.path:
                handler.answer(200, {}, json.dumps({"sha": sha}).encode())
            else:
                handler.answer(200, headers or {}, json.dumps(tree).encode())
            return True

        hub.trick = trick

    def open(self, hub) -> HubRepository:
        return HubRepository("team/model", endpoint=hub.address)

    @pytest.mark.parametrize(
        "entry",
        [
            {"type": "file", "path": 7, "size": 1, "oid": "a"},
            {"type": "file", "path": "a", "size": -1, "oid": "a"},
            {"type": "file", "path": "a", "size": "1", "oid": "a"},
            {"type": "file", "path": "a", "size": 1},
            {"type": "file", "path": "a\nb", "size": 1, "oid": "a"},
        ],
    )
    def test_a_listing_of_another_form(self, hub, entry):
        self.answers(hub, [entry])
        with pytest.raises(WeightsError) as caught:
            self.open(hub)
        assert str(caught.value).isprintable()

    @pytest.mark.parametrize("sha", [None, 5, "main", "../../x"])
    def test_a_commit_that_is_none(self, hub, sha):
        self.answers(hub, [], sha)
        with pytest.raises(WeightsError, match="must name the commit of team/model"):
            self.open(hub)

    def test_a_listing_in_pages_is_asked_for_where_we_asked(self, hub):
        """A mirror gives the address of the hub that it mirrors; a token must not go there."""
        page = [{"type": "file", "path": "a", "size": 1, "oid": "x"}, {"type": "directory", "path": "d", "oid": "y"}]
        link = '<https://elsewhere.example/api/models/team/model/tree/x?recursive=true&cursor=2>; rel="next"'
        self.answers(hub, page, headers={"Link": link})
        assert self.open(hub).names() == ["a"]
        assert [request.path.partition("?")[2] for request in hub.asked[1:]] == [
            "recursive=true",
            "recursive=true&cursor=2",
        ]

    def test_a_listing_without_end(self, hub, monkeypatch):
        monkeypatch.setattr(store_http, "MOST_FILES", 10)

        def trick(handler) -> bool:
            if "/revision/" in handler.path:
                handler.answer(200, {}, json.dumps({"sha": self.COMMIT}).encode())
                return True
            number = len(hub.asked)
            page = [{"type": "file", "path": f"file-{number}", "size": 1, "oid": "x"}]
            handler.answer(200, {"Link": f'<http://x/?cursor={number}>; rel="next"'}, json.dumps(page).encode())
            return True

        hub.trick = trick
        with pytest.raises(WeightsError, match="must hold at most 10 files"):
            self.open(hub)

    def test_a_page_without_end(self, hub, monkeypatch):
        monkeypatch.setattr(store_http, "LARGEST_PAGE", 1000)
        self.answers(hub, ["x" * 2000])
        with pytest.raises(WeightsError, match="must be at most 1,000 bytes"):
            self.open(hub)

    def test_a_file_of_another_size_than_listed(self, hub):
        self.answers(hub, [{"type": "file", "path": "config.json", "size": 5, "oid": "x"}])
        store = self.open(hub)
        hub.trick = lambda handler: handler.answer(206, {"Content-Range": "bytes 0-4/9"}, b"12345") or True
        with pytest.raises(WeightsError, match="it had 5 bytes and now has 9"):
            read_small(store, "config.json")
