"""upload() over xet: the stock hf_xet wheel stores the bytes, here in a store of its own on this disk."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from modeling_axk1.errors import HubError
from modeling_axk1.hub.bundle import bundle
from modeling_axk1.hub.bundle_format import Bundle
from modeling_axk1.hub.remote import Remote
from modeling_axk1.hub.repo import Repo
from modeling_axk1.hub.sources import FolderSource
from modeling_axk1.hub.upload import upload
from tests.hub.releases import make_set

REPO = Repo("model", "team/nano")
FILE = "model.safetensors"


@pytest.fixture
def xet_hub(tmp_path) -> Iterator[tuple[Remote, Path]]:
    """The few routes of a hub that an upload over xet needs; the token's answer leads to a folder."""
    store = tmp_path / "store"
    store.mkdir()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or "{}")
            said, headers = {}, {}
            if "/preupload/" in self.path:
                said = {"files": [{**file, "uploadMode": "lfs", "shouldIgnore": False} for file in body["files"]]}
            elif self.path.endswith("/objects/batch"):
                upload = {"upload": {"href": "http://127.0.0.1:9/never"}}
                said = {"objects": [{**item, "actions": upload} for item in body["objects"]]}
            elif "/xet-write-token/" in self.path:
                headers = {
                    "X-Xet-Cas-Url": f"local://{store}",
                    "X-Xet-Access-Token": "token",
                    "X-Xet-Token-Expiration": "99999999999",
                }
                said = {"casUrl": f"local://{store}", "accessToken": "token", "exp": 99999999999}
            raw = json.dumps(said).encode()
            self.send_response(200)
            for name, value in {**headers, "content-length": str(len(raw))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = answer

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Remote(f"http://127.0.0.1:{server.server_address[1]}"), store
    server.shutdown()
    server.server_close()


def stored(store: Path) -> int:
    """Bytes of the blocks in a store."""
    return sum(path.stat().st_size for path in store.rglob("xorbs/default.*") if path.suffix != ".tagset")


def test_a_file_of_a_folder(xet_hub, tmp_path):
    remote, store = xet_hub
    source = FolderSource(make_set(tmp_path / "set") / "models/team/nano")
    digest = source.digest(FILE)
    moved: list[int] = []
    upload(remote, REPO, source, {FILE: digest}, "xet", lambda amount=1, note=None: moved.append(amount))
    assert stored(store) > 0
    assert sum(moved) == source.files[FILE]


def test_a_file_of_a_bundle_passes_through_a_temporary_one(xet_hub, tmp_path, monkeypatch):
    remote, store = xet_hub
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    bundle(make_set(tmp_path / "set"), tmp_path / "release.tar")
    source = Bundle(tmp_path / "release.tar").source("models/team/nano")
    upload(remote, REPO, source, {FILE: source.digest(FILE)}, "xet", lambda amount=1, note=None: None)
    assert stored(store) > 0
    assert list((tmp_path / "tmp").iterdir()) == []


def test_bytes_that_are_not_the_announced_ones(xet_hub, tmp_path):
    remote, _ = xet_hub
    source = FolderSource(make_set(tmp_path / "set") / "models/team/nano")
    with pytest.raises(HubError, match=f"{FILE} must have SHA-256 {'0' * 64}, as was announced"):
        upload(remote, REPO, source, {FILE: "0" * 64}, "xet", lambda amount=1, note=None: None)
