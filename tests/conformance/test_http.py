"""What stands on the wire: status codes, headers and error codes that clients go by."""

import hashlib

import httpx
import pytest

pytestmark = pytest.mark.by("HTTP")

SMALL, LARGE = b"0123456789", bytes(range(256)) * 100


@pytest.fixture
def filled(hub, repo) -> str:
    hub.api.upload_file(path_or_fileobj=SMALL, path_in_repo="small.txt", repo_id=repo)
    hub.api.upload_file(path_or_fileobj=LARGE, path_in_repo="large.bin", repo_id=repo)
    return repo


@pytest.fixture
def web(hub):
    with httpx.Client(base_url=hub.endpoint, headers=hub.headers, follow_redirects=True) as client:
        yield client


def told(answer: httpx.Response, name: str) -> str:
    """A header of the last answer, or of the redirect that led to it."""
    return next(one.headers[name] for one in [*answer.history, answer] if name in one.headers)


def test_head_names_commit_size_and_digest(web, hub, filled):
    """HEAD .../resolve/...: X-Repo-Commit; ETag is the git id of a small file; X-Linked-* speak of a large one."""
    head = hub.api.repo_info(filled).sha
    small, large = (web.head(f"/{filled}/resolve/main/{name}") for name in ("small.txt", "large.bin"))
    assert told(small, "X-Repo-Commit") == told(large, "X-Repo-Commit") == head
    assert told(small, "ETag").strip('"') == hub.api.get_paths_info(filled, "small.txt")[0].blob_id
    assert told(large, "X-Linked-ETag").strip('"') == hashlib.sha256(LARGE).hexdigest()
    assert told(large, "X-Linked-Size") == str(len(LARGE))


@pytest.mark.parametrize(("file", "content"), [("small.txt", SMALL), ("large.bin", LARGE)])
@pytest.mark.parametrize(("value", "part"), [("2-5", slice(2, 6)), ("3-", slice(3, None)), ("-4", slice(-4, None))])
def test_a_range_is_206_with_those_bytes(web, filled, file, content, value, part):
    """Range: bytes=A-B, A-, -N."""
    answer = web.get(f"/{filled}/resolve/main/{file}", headers={"Range": f"bytes={value}"})
    assert (answer.status_code, answer.content) == (206, content[part])
    start, end, _ = part.indices(len(content))
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(content)}"


@pytest.mark.parametrize("file", ["small.txt", "large.bin"])
def test_a_range_beyond_the_end_is_416(web, filled, file):
    answer = web.get(f"/{filled}/resolve/main/{file}", headers={"Range": "bytes=99999999-"})
    assert answer.status_code == 416


def test_errors_have_a_code_that_clients_read(web, filled):
    """404 with X-Error-Code RevisionNotFound, EntryNotFound; an unknown repository is 404 RepoNotFound, or 401."""
    assert web.get(f"/api/models/{filled}/revision/none").headers["X-Error-Code"] == "RevisionNotFound"
    assert web.head(f"/{filled}/resolve/none/small.txt").headers["X-Error-Code"] == "RevisionNotFound"
    assert web.head(f"/{filled}/resolve/main/none.txt").headers["X-Error-Code"] == "EntryNotFound"
    unknown = web.get(f"/api/models/{filled}-none")
    assert unknown.status_code in {401, 404}
    assert unknown.headers["X-Error-Code"] == "RepoNotFound"


def test_trees_come_in_pages(web, hub, filled):
    """?limit=N and Link: <...>; rel="next": together all entries, each once, of one commit though main moves on."""
    every = {item.path for item in hub.api.list_repo_tree(filled)}
    answer = web.get(f"/api/models/{filled}/tree/main", params={"limit": 1})
    seen = [item["path"] for item in answer.json()]
    hub.api.upload_file(path_or_fileobj=b"", path_in_repo="aaa-first.txt", repo_id=filled)
    while "next" in answer.links:
        answer = web.get(answer.links["next"]["url"])
        assert len(answer.json()) == 1
        seen += [item["path"] for item in answer.json()]
    assert len(seen) == len(set(seen))
    assert set(seen) == every


def test_commits_come_in_pages(web, filled):
    """?limit=N and Link on the history."""
    answer = web.get(f"/api/models/{filled}/commits/main", params={"limit": 2})
    assert len(answer.json()) == 2
    rest = web.get(answer.links["next"]["url"])
    assert len(rest.json()) == 1
    assert "next" not in rest.links


def test_preupload_says_how_a_file_travels(web, filled):
    """Small text is regular, large files are lfs; the git id or digest of what is there comes back."""
    files = [{"path": "a.txt", "size": 1, "sample": "YQ=="}, {"path": "a.safetensors", "size": 9, "sample": "YQ=="}]
    answer = web.post(f"/api/models/{filled}/preupload/main", json={"files": files}).json()["files"]
    assert {file["path"]: file["uploadMode"] for file in answer} == {"a.txt": "regular", "a.safetensors": "lfs"}


def test_an_lfs_batch_asks_only_for_what_is_missing(web, filled):
    """POST .git/info/lfs/objects/batch: actions for an unknown object, none for one that this repository has."""
    objects = [{"oid": "1" * 64, "size": 5}, {"oid": hashlib.sha256(LARGE).hexdigest(), "size": len(LARGE)}]
    body = {"operation": "upload", "transfers": ["basic", "multipart"], "objects": objects, "hash_algo": "sha256"}
    media = "application/vnd.git-lfs+json"
    answer = web.post(f"/{filled}.git/info/lfs/objects/batch", json=body, headers={"Accept": media})
    unknown, known = answer.json()["objects"]
    assert answer.headers["Content-Type"].startswith(media)
    assert unknown["actions"]["upload"]["href"].startswith("http")
    assert "actions" not in known


def test_uploaded_html_is_no_page_of_the_hub(web, hub, repo):
    """Content-Type or a sandbox keep a browser from running what somebody uploaded."""
    hub.api.upload_file(path_or_fileobj=b"<script>alert(1)</script>", path_in_repo="page.html", repo_id=repo)
    headers = web.get(f"/{repo}/resolve/main/page.html").headers
    assert headers["Content-Type"].startswith("text/plain") or "sandbox" in headers["Content-Security-Policy"]
