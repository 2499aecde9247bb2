"""Branches, tags, commits."""

import re


def ids_in(page: str) -> list[str]:
    """The commits that a page of commits lists."""
    return re.findall(r'<p class="message">\s*<a href="[^"]*/commit/([0-9a-f]{40})"', page)


def test_branches_and_tags_say_what_they_name(pages):
    first = pages.add("team/named", {"a": "1"}, message="the first")
    pages.add("team/named", {"a": "2"}, message="the second")
    repository = pages.catalog.get("models", "team", "named")
    repository.add_tag("v1", first, "What is <new> here")
    repository.add_tag("v1-light", first, None)
    repository.add_branch("feature/x", first)
    page = pages.page("/team/named/revisions")
    for name in ("v1", "v1-light", "feature/x", "main"):
        row = re.search(rf"<bdi>{name}</bdi></a></th>(.*?)</tr>", page, re.DOTALL)[1]
        assert ("the second" if name == "main" else "the first") in row
    assert "What is &lt;new&gt; here" in page
    assert 'href="/team/named/card/feature%2Fx"' in page
    assert 'href="/team/named/compare/v1/main"' in page
    assert first in page


def test_the_newest_tags_come_first_and_the_rest_on_further_pages(pages):
    pages.add("team/tags", {"a": "1"})
    repository = pages.catalog.get("models", "team", "tags")
    for number in range(60):
        repository.add_tag(f"v{number:02}", "main", None)
    found = [
        name
        for number in (1, 2)
        for name in re.findall(r"<bdi>(v\d\d)</bdi>", pages.page(f"/team/tags/revisions?page={number}"))
    ]
    assert sorted(found) == [f"v{number:02}" for number in range(60)]


def test_commits_come_in_pages_that_hold_every_one_once(pages):
    made = [pages.add("team/commits", {"a": str(number)}, message=f"commit {number}") for number in range(60)]
    page = pages.page("/team/commits/commits/main")
    shown = ids_in(page) + ids_in(pages.page("/team/commits/commits/main?page=2"))
    assert shown[:60] == made[::-1]
    assert len(shown) == 61  # and the initial one
    assert f'href="/team/commits/tree/{made[3]}"' in pages.page("/team/commits/commits/main?page=2")
    assert ids_in(pages.page(f"/team/commits/commits/{made[1]}"))[:2] == [made[1], made[0]]


def test_the_commits_of_one_file_are_those_that_changed_it(pages):
    first = pages.add("team/one", {"d/a": "1", "b": "1"})
    second = pages.add("team/one", {"b": "2"})
    third = pages.add("team/one", {"d/a": "2"})
    assert ids_in(pages.page("/team/one/commits/main?path=d/a")) == [third, first]
    assert ids_in(pages.page("/team/one/commits/main?path=d")) == [third, first]
    assert ids_in(pages.page("/team/one/commits/main?path=b")) == [second, first]
    assert "No commit" in pages.page("/team/one/commits/main?path=c")
