"""The front page and the lists: found by search and filters, in order, in pages."""

import re

import pytest

from modeling_axk1.hub.server.browse import summaries
from modeling_axk1.hub.server.browse.lists import ON_A_PAGE

CARD = """---
license: {licence}
pipeline_tag: {task}
language: {languages}
library_name: transformers
tags: [tiny]
---
# {name}

{about}
"""


def card(
    name,
    licence="mit",
    task="text-generation",
    languages="[ko, en]",
    about="A model to look at and to count with, made for tests alone.",
):
    return CARD.format(name=name, licence=licence, task=task, languages=languages, about=about)


@pytest.fixture(scope="module")
def hub(pages):
    pages.add("team/alpha", {"README.md": card("Alpha")})
    pages.add(
        "team/beta",
        {
            "README.md": card(
                "Beta",
                licence="apache-2.0",
                languages="fr",
                about="It writes [verses](x.md) in `French`, about the **sea** and nothing else at all.",
            )
        },
    )
    pages.add(
        "other/gamma",
        {"README.md": card("Gamma", task="translation"), "README.ko.md": "# 감마\n\n" + "번역하는 모델입니다. " * 5},
    )
    pages.add("other/no-card", {"config.json": "{}"})
    pages.add("team/alphabet", {"README.md": card("Letters", task="text-classification")}, kind="datasets")
    return pages


def found(page: str) -> list[str]:
    """The repositories in a list, in order."""
    return re.findall(r'<h3><a href="/(?:datasets/)?([^"]+)">', page)


def test_a_hub_that_starts_reads_what_lists_show_before_anybody_asks(hub, monkeypatch):
    summaries.remember_all(hub.catalog)
    monkeypatch.setattr(summaries, "_read", None)  # whoever reads a card from now on fails
    assert "team/alpha" in found(hub.page("/models"))


class TestLists:
    def test_all_of_a_kind(self, hub):
        assert set(found(hub.page("/models"))) == {"team/alpha", "team/beta", "other/gamma", "other/no-card"}
        assert found(hub.page("/datasets")) == ["team/alphabet"]

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("search=ALPHA", {"team/alpha"}),
            ("search=other", {"other/gamma", "other/no-card"}),
            ("search=sea+verses", {"team/beta"}),
            ("search=번역", {"other/gamma"}),
            ("search=tiny+gamma", {"other/gamma"}),
            ("licence=mit", {"team/alpha", "other/gamma"}),
            ("task=translation", {"other/gamma"}),
            ("language=fr", {"team/beta"}),
            ("library=transformers&licence=apache-2.0", {"team/beta"}),
            ("licence=mit&task=translation&search=gamma", {"other/gamma"}),
            ("search=nothing-has-this", set()),
            ("task=&language=&search=", {"team/alpha", "team/beta", "other/gamma", "other/no-card"}),
        ],
    )
    def test_search_and_filters(self, hub, query, names):
        assert set(found(hub.page(f"/models?{query}"))) == names

    def test_order(self, hub):
        assert found(hub.page("/models?sort=name")) == ["other/gamma", "other/no-card", "team/alpha", "team/beta"]
        assert hub.browser.get("/models?sort=size").status_code == 400

    def test_the_form_keeps_what_was_asked_for(self, hub):
        page = hub.page("/models?search=%22%3Ea&licence=mit&sort=name")
        assert 'value="&#34;&gt;a"' in page
        assert '<option value="mit" selected>mit (2)</option>' in page
        assert '<option value="name" selected>' in page

    def test_what_the_other_list_holds_is_told(self, hub):
        assert "Datasets that fit: 1" in hub.page("/models?search=alpha")
        assert "Datasets that fit" not in hub.page("/models?search=gamma")

    def test_what_a_card_says_of_it_is_shown_as_text_in_the_readers_language(self, hub):
        assert "It writes verses in French, about the sea and nothing else at all." in hub.page("/models")
        assert '<p class="what" lang="ko"><bdi>번역하는 모델입니다.' in hub.page("/models", **{"Accept-Language": "ko"})

    def test_pages(self, hub):
        for number in range(ON_A_PAGE + 1):
            hub.add(f"many/number-{number:02}", {"README.md": card(f"{number}")}, kind="datasets")
        first = hub.page("/datasets?search=many&sort=name")
        following = re.search(r'rel="next" href="([^"]+)"', first)[1].replace("&amp;", "&")
        second = hub.page(following)
        assert found(first) + found(second) == [f"many/number-{number:02}" for number in range(ON_A_PAGE + 1)]
        assert 'rel="next"' not in second
        assert found(hub.page("/datasets?search=many&page=99&sort=name")) == found(second)
        assert hub.browser.get("/datasets?page=-1").status_code == 400

    def test_a_change_is_shown_at_once(self, hub):
        hub.add("team/alpha", {"README.md": card("Alpha", licence="bsd-3-clause")})
        assert found(hub.page("/models?licence=bsd-3-clause")) == ["team/alpha"]
        hub.catalog.create("models", "team", "brief")
        assert "team/brief" in found(hub.page("/models"))
        hub.catalog.delete("models", "team", "brief")
        assert "team/brief" not in found(hub.page("/models"))

    @pytest.mark.parametrize(
        "front_matter",
        [
            "tags: {a: b}",
            "tags: [[a], {b: c}, null, 3]",
            "license: 3.5\nlanguage: true",
            "tags: [" + "x, " * 5000 + "]",
            "a: [",
            "- list",
        ],
    )
    def test_a_strange_card_is_listed_like_any(self, hub, front_matter):
        hub.add("strange/card", {"README.md": f"---\n{front_matter}\n---\n# Odd \u202e\n"}, message=front_matter[:50])
        assert "strange/card" in found(hub.page("/models?search=strange"))


def test_the_front_page_shows_the_newest_and_how_many_there_are(hub):
    page = hub.page("/")
    assert "export HF_ENDPOINT=http://localhost" in page
    assert 'href="/models"' in page
    assert len(found(page)) <= 12


def test_what_is_private_is_not_listed(hub):
    hub.catalog.create("models", "team", "veiled", public=False)
    assert "veiled" not in hub.page("/models") + hub.page("/")
