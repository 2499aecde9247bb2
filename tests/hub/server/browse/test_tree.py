"""The page of a folder."""

import re
from html import unescape

import pytest
from dulwich.objects import Blob, Commit, Tree
from dulwich.repo import Repo


def rows_of(page: str) -> dict[str, str]:
    """Return {name: the rest of its row} of a folder's page, in order."""
    found = re.findall(r'<th scope="row"><a[^>]*><bdi>(.*?)</bdi>(.*?)</tr>', page, re.DOTALL)
    return {unescape(name): rest for name, rest in found}


def test_a_folder_shows_sizes_digests_and_what_changed_each_name_last(pages):
    large = b"\0" * 2000
    first = pages.add("team/tree", {"a.txt": "one", "data/x.bin": large, "data/deep/y.txt": "y"}, message="first")
    second = pages.add("team/tree", {"a.txt": "one and two"}, message="second\n\nwith a body")
    rows = rows_of(pages.page("/team/tree/tree/main"))
    assert list(rows) == ["data", ".gitattributes", "a.txt"]  # folders first
    assert f"/commit/{second}" in rows["a.txt"]
    assert "<bdi>second</bdi>" in rows["a.txt"]
    assert f"/commit/{first}" in rows["data"]
    assert "2 files" in rows["data"]
    assert "2 kB" in rows["data"]
    assert "11 B" in rows["a.txt"]
    assert 'href="/team/tree/resolve/main/a.txt" download' in rows["a.txt"]
    below = rows_of(pages.page("/team/tree/tree/main/data"))
    assert list(below) == ["deep", "x.bin"]
    assert "sha256" in below["x.bin"]


def test_a_digest_is_whole_in_the_page_so_that_it_can_be_copied(pages):
    pages.add("team/digest", {"a.txt": "one"})
    repository = pages.catalog.get("models", "team", "digest")
    oid = repository.entry(repository.resolve("main"), "a.txt").oid
    row = rows_of(pages.page("/team/digest/tree/main"))["a.txt"]
    identity = re.search(rf'<code class="digest" id="([\w-]+)" title="{oid}">{oid}</code>', row)[1]
    assert f'data-copy="{identity}"' in row


def test_crumbs_lead_to_every_folder_above(pages):
    pages.add("team/crumbs", {"가 나/b#c/d.txt": "x"})
    page = pages.page("/team/crumbs/tree/main/%EA%B0%80%20%EB%82%98/b%23c")
    assert 'href="/team/crumbs/tree/main">' in page
    assert 'href="/team/crumbs/tree/main/%EA%B0%80%20%EB%82%98"' in page
    assert '<span aria-current="location"><bdi>b#c</bdi>' in page
    link = re.search(r'href="([^"]+/blob/[^"]+)"', page)[1]
    assert "<bdi>d.txt</bdi>" in pages.page(link)


def test_a_long_folder_comes_in_pages_that_hold_every_name_once(pages):
    names = [f"{number:03}.txt" for number in range(230)]
    pages.add("team/many", {f"data/{name}": "x" for name in names}, kind="datasets")
    address = "/datasets/team/many/tree/main/data"
    shown = [name for number in (1, 2, 3) for name in rows_of(pages.page(f"{address}?page={number}"))]
    assert shown == names
    assert 'rel="next"' in pages.page(f"{address}?page=2")
    assert 'rel="prev"' in pages.page(f"{address}?page=2")
    assert 'rel="next"' not in pages.page(f"{address}?page=3")
    assert list(rows_of(pages.page(f"{address}?page=99"))) == names[200:]
    pages.page(f"{address}?page=x", status=400)


def test_a_file_leads_to_its_page_and_a_folder_to_its_own(pages):
    pages.add("team/lead", {"d/a.txt": "x"})
    answer = pages.browser.get("/team/lead/tree/main/d/a.txt")
    assert (answer.status_code, answer.headers["location"]) == (303, "/team/lead/blob/main/d/a.txt")
    answer = pages.browser.get("/team/lead/blob/main/d")
    assert (answer.status_code, answer.headers["location"]) == (303, "/team/lead/tree/main/d")


@pytest.mark.parametrize(
    "path", ["tree/main/no", "tree/no", "blob/main/no", "tree/main/d%2F..%2F..", "blob/main/d/a.txt/b"]
)
def test_what_is_not_there_is_a_page_that_says_so(pages, path):
    pages.add("team/gone", {"d/a.txt": "x"})
    pages.page(f"/team/gone/{path}", status=404)


def test_a_name_that_is_no_utf_8_is_shown_as_far_as_it_goes(pages):
    """No client can make one; a repository that was brought here from elsewhere may have one."""
    pages.add("team/elsewhere", {"a.txt": "x"})
    with Repo(pages.catalog.get("models", "team", "elsewhere").path) as repo:
        head = repo.refs[b"refs/heads/main"]
        blob, tree, commit = Blob.from_string(b"x"), Tree(), Commit()
        tree.add(b"\xb8\xf0-\xb5\xa8.txt", 0o100644, blob.id)
        commit.tree, commit.parents, commit.message = tree.id, [head], b"\xb8\xf0"
        commit.author = commit.committer = b"somebody <>"
        commit.author_time = commit.commit_time = commit.author_timezone = commit.commit_timezone = 0
        repo.object_store.add_objects([(it, None) for it in (blob, tree, commit)])
        repo.refs[b"refs/heads/main"] = commit.id
    assert list(rows_of(pages.page("/team/elsewhere/tree/main"))) == ["\ufffd\ufffd-\ufffd\ufffd.txt"]
    for place in ("commit/main", "commits/main", "revisions"):
        pages.page(f"/team/elsewhere/{place}")
