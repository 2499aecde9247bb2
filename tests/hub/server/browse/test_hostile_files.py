"""Names, messages and tags that a stranger chose, on every page of files and changes."""

import re
from html.parser import HTMLParser

import pytest

MARKUP = "<img src=x onerror=alert(1)>\"'`"
NAMES = [
    "<script>alert(1)<",
    "a\"onmouseover='alert(1)' .txt",
    "{{ 7 * 7 }}{% raw %}.txt",
    "שלום עולם.txt",
    "x" * 250 + ".md",
    "%2e%2e%2f%00?a=b#c.json",
    "e" + "\u0301" * 100,
]
MESSAGE = f"{MARKUP} \u202ereversed\u202c \x1b[31m {'W' * 5000}\n\n{MARKUP}\u2067\n{'e' + chr(0x301) * 500}"


class _Elements(HTMLParser):
    """The elements and attributes of a page, as a browser would see them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.handlers: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        for name, value in attributes:
            if name.startswith("on") or name == "style":
                self.handlers.append(name)
            elif name in ("href", "src", "action"):
                self.addresses.append(value)
            elif name == "id":
                self.ids.append(value)


@pytest.fixture(scope="module")
def places(pages):
    """The address of every page of a repository in which all is hostile."""
    files = dict.fromkeys(NAMES, MARKUP) | {
        "results/" + NAMES[0] + ".json": '{"command": "<b>", "measured": {"<i>": 1}}'
    }
    pages.add("evil/all", files, message=MESSAGE)
    commit = pages.add("evil/all", dict.fromkeys(NAMES, MARKUP + "\nmore"), message="\x00\n\n")
    repository = pages.catalog.get("models", "evil", "all")
    repository.add_tag("v" + "1" * 127, "main", MESSAGE)
    repository.add_tag("v1", "main", None)
    found = re.findall(r'href="(/evil/all/blob/main/[^"]+)"', pages.page("/evil/all/tree/main"))
    assert len(found) == len(NAMES) + 1
    return [
        *found,
        "/evil/all/tree/main",
        "/evil/all/tree/main/results",
        "/evil/all/revisions",
        "/evil/all/commits/main",
        f"/evil/all/commit/{commit}",
        f"/evil/all/commit/{commit}?path={'x' * 250}.md",
        "/evil/all/compare/v1/main",
        f"/evil/all/compare/{'v' + '1' * 127}/main",
        "/evil/all/results/main",
        f"/evil/all/commits/main?path={MARKUP}",
    ]


@pytest.mark.parametrize("language", ["en", "ko"])
def test_nothing_of_it_becomes_markup_or_turns_the_text_round(pages, places, language):
    for place in places:
        page = pages.page(place, **{"Accept-Language": language})
        seen = _Elements()
        seen.feed(page)
        # The layout's own script and mark, by their addresses.
        assert not seen.handlers, place
        assert not seen.tags & {"b", "i", "iframe", "object", "embed", "style", "base"}, place
        assert all(address.startswith(("/", "#")) for address in seen.addresses), place
        assert page.count("<script") == 1, place
        assert "49" not in re.findall(r"<bdi>([^<]*)</bdi>", page), place
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", page), place
        assert "\u0301" * 4 not in page, place
        assert len(seen.ids) == len(set(seen.ids)), place
        assert len(page) < 200_000, place


def test_every_file_is_found_under_its_own_name(pages, places):
    for place in places[: len(NAMES) + 1]:
        page = pages.page(place)
        raw = re.search(r'href="(/evil/all/resolve/[^"]+)" download', page)[1]
        assert pages.browser.get(raw).status_code == 200, place
