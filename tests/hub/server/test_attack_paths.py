"""Paths in URLs and in commits that want out of their repository, and links planted in the hub's own folder."""

import base64
import json
import shutil

import httpx
import pytest
from huggingface_hub import CommitOperationAdd

from tests.hub.conftest import fsck

pytestmark = pytest.mark.usefixtures("unharmed")

CLIMBS = [
    "../../../../etc/passwd", "%2e%2e/%2e%2e/%2e%2e/secret.txt", "..%2f..%2f..%2fsecret.txt", "%2e%2e%2f%2e%2e%2fHEAD",
    "%252e%252e%252fsecret.txt", "%c0%ae%c0%ae/%c0%ae%c0%ae/secret.txt", "%e0%80%ae%e0%80%ae/secret.txt",
    "..%5c..%5csecret.txt", "..;/..;/secret.txt", ".%00./secret.txt", "secret.txt%00.json", "%00", "%ff%fe", "%",
    "%zz", "....//....//secret.txt", "/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd", "./././x", "x/.", "x/..",
    "file:///etc/passwd", "C:%5cwindows", "small.txt/../../HEAD", "small.txt%2f..%2f..%2fHEAD", "%u002e%u002e/x",
    "\uff0e\uff0e/x", "~root/.ssh/id_rsa", "%0d%0aX-Evil: 1", "a" * 3000, "a/" * 1000,
]  # fmt: skip
PLACES = [
    "/{repo}/resolve/main/{climb}",
    "/{repo}/resolve/{climb}/small.txt",
    "/{climb}/x/resolve/main/small.txt",
    "/team/{climb}/resolve/main/small.txt",
    "/datasets/{repo}/resolve/main/{climb}",
    "/api/models/{repo}/tree/main/{climb}",
    "/api/models/{repo}/tree/{climb}",
    "/api/models/{repo}/revision/{climb}",
    "/api/models/{repo}/commits/{climb}",
    "/api/models/{climb}",
    "/api/datasets/team/{climb}/refs",
    "/{repo}.git/info/lfs/objects/{climb}",
]


@pytest.mark.parametrize("climb", CLIMBS)
def test_a_url_that_climbs_finds_nothing(target, victim, climb):
    """Sent as it is: clients and proxies would tidy such a path up first."""
    for place in PLACES:
        path = place.format(repo=victim, climb=climb).encode().replace(b" ", b"%20")
        for method in ("GET", "HEAD"):
            answer = target.get(path, method)
            assert answer.status in {400, 404, 405, 414}, path
            assert b"secret beside" not in answer.body
            assert b"root:" not in answer.body
            assert "x-evil" not in answer.headers


@pytest.mark.parametrize(
    "path", ["team/../team/{name}", "./team/{name}", "team//{name}", "//team/{name}", "team/{name}/"]
)
def test_there_is_one_address_of_a_file(target, victim, path):
    """What is not the plain address is not the file: whoever guards addresses need not know others."""
    name = victim.split("/")[1]
    answer = target.get(f"/{path.format(name=name)}/resolve/main/small.txt")
    assert answer.status in {400, 404}


TWINS = [
    ("a.txt", "A.TXT"),
    ("\u00e9.txt", "e\u0301.txt"),
    ("\uac00", "\u1100\u1161"),
    ("\u017f", "s"),
    ("\uff41", "a"),
]


@pytest.mark.parametrize("twins", TWINS)
def test_names_that_some_disk_takes_for_one_stay_two(target, victim, twins):
    """By case, by Unicode normalisation: refused, or each with its own bytes."""
    operations = [CommitOperationAdd(name, str(number).encode()) for number, name in enumerate(twins)]
    target.api.create_commit(victim, operations, commit_message="twins")
    for number, name in enumerate(twins):
        url = f"{target.endpoint}/{victim}/resolve/main/" + "".join(f"%{byte:02x}" for byte in name.encode())
        assert httpx.get(url).content == str(number).encode()
    assert fsck(target.git_folder(victim)) == ""


def commit(target, repo, *lines: object) -> httpx.Response:
    header = {"key": "header", "value": {"summary": "s"}}
    return target.post(f"/api/models/{repo}/commit/main", "\n".join(json.dumps(line) for line in [header, *lines]))


@pytest.mark.parametrize(
    "path",
    [".git", ".GIT/config", ".git /x", ".git./x", "a/.git/hooks/pre-commit", "git~1", "GIT~1/x", ".gitmodules",
     ".g\u200cit/x", ".gi\u2060t/x", ".git::$DATA", "a\\..\\b", "..", "a/..", "../x", "/x", "x/", "", "a//b", "a\0b",
     "\u2028", "\ud800", "a/" * 65 + "b", "x" * 256, "é" * 128],
)  # fmt: skip
def test_no_operation_takes_a_hostile_path(target, victim, path):
    """Adding, adding a large file, deleting, and asking where to upload."""
    head = target.git(victim, "rev-parse", "main")
    content = {"path": path, "content": base64.b64encode(b"x").decode(), "encoding": "base64"}
    large = {"path": path, "algo": "sha256", "oid": "0" * 64, "size": 1}
    for key, value in (("file", content), ("lfsFile", large), ("deletedFile", {"path": path})):
        assert commit(target, victim, {"key": key, "value": value}).status_code in (
            400,
            *([404] if "del" in key else []),
        )
    preupload = json.dumps({"files": [{"path": path, "size": 1, "sample": ""}]})
    assert target.post(f"/api/models/{victim}/preupload/main", preupload).status_code == 400
    assert target.git(victim, "rev-parse", "main") == head


def test_paths_info_answers_whatever_it_is_asked(target, victim):
    """Unknown, hostile, repeated and very many paths."""
    form = "&".join(f"paths={climb}" for climb in CLIMBS) + "&paths=small.txt" * 1000 + "&expand=banana"
    answer = target.post(
        f"/api/models/{victim}/paths-info/main", form, **{"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert answer.status_code in {200, 400}
    if answer.status_code == 200:
        assert {item["path"] for item in answer.json()} <= {"small.txt"}


class TestLinksPlantedInTheFolder:
    """As a hostile archive may bring them: what they lead to is not the hub's."""

    def test_a_repository_that_is_a_link_is_not_there(self, target, victim, tmp_path):
        elsewhere = tmp_path / "elsewhere.git"
        shutil.copytree(target.git_folder(victim), elsewhere)
        link = target.git_folder("team/planted")
        link.symlink_to(elsewhere)
        assert httpx.get(f"{target.endpoint}/team/planted/resolve/main/small.txt").status_code == 404
        assert httpx.get(f"{target.endpoint}/api/models/team/planted").status_code == 404
        assert "team/planted" not in httpx.get(f"{target.endpoint}/api/models").text
        link.unlink()

    def test_a_blob_that_is_a_link_is_not_served(self, target, victim, tmp_path):
        digest = target.api.get_paths_info(victim, ["large.bin"])[0].lfs.sha256
        blob = target.root / "blobs" / digest[:2] / digest[2:4] / digest
        kept = blob.rename(tmp_path / "kept")
        secret = tmp_path / "secret"
        secret.write_bytes(b"s" * 1000)
        blob.symlink_to(secret)
        answer = httpx.get(f"{target.endpoint}/{victim}/resolve/main/large.bin")
        assert answer.status_code >= 400
        assert b"sss" not in answer.content
        blob.unlink()
        kept.rename(blob)
