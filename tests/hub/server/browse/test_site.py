"""What every page has."""

import re
from pathlib import Path

import pytest

import modeling_axk1.hub.server.browse as browse
from modeling_axk1.hub.server.browse.reader import preferred_language
from modeling_axk1.hub.server.browse.words import LANGUAGES, read_words

ROOM = Path(browse.__file__).parent


class TestWords:
    def test_every_text_is_there_in_every_language(self):
        for key, texts in read_words().items():
            assert set(texts) == set(LANGUAGES), key
            assert all(text.strip() for text in texts.values()), key

    def test_a_text_asks_for_the_same_values_in_every_language(self):
        for key, texts in read_words().items():
            asked = {language: set(re.findall(r"\{(\w+)\}", text)) for language, text in texts.items()}
            assert asked["en"] == asked["ko"], key

    def test_every_text_that_a_template_says_exists(self):
        words = read_words()
        for template in (ROOM / "templates").glob("*.html"):
            for key in re.findall(r"""say\(["']([\w.]+)["'][,)]""", template.read_text("utf-8")):
                assert key in words, f"{template.name}: {key}"


class TestLanguage:
    @pytest.mark.parametrize(
        ("header", "language"),
        [
            ("", "en"),
            ("ko", "ko"),
            ("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", "ko"),
            ("en,ko;q=0.9", "en"),
            ("fr,ko;q=0.2", "ko"),
            ("fr", "en"),
            ("ko;q=0", "en"),
            ("ko;q=much,;;,", "en"),
        ],
    )
    def test_the_browser_is_believed(self, header, language):
        assert preferred_language(header) == language

    def test_a_page_says_which_language_it_is_in(self, pages):
        assert '<html lang="ko"' in pages.page("/", **{"Accept-Language": "ko-KR"})
        assert '<html lang="en"' in pages.page("/", **{"Accept-Language": "de"})


class TestPolicy:
    def test_nothing_foreign_and_nothing_inline_may_run_or_load(self, pages):
        policy = pages.browser.get("/").headers["content-security-policy"]
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"
        assert {rules[name] for name in ("style-src", "script-src", "img-src", "form-action")} == {"'self'"}

    def test_no_template_holds_what_the_policy_forbids(self):
        for template in (ROOM / "templates").glob("*.html"):
            text = template.read_text("utf-8")
            assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|\|\s*safe\b", text), template.name


def test_a_card_is_found(pages):
    pages.add("team/model", {"README.md": "# It is here\n"})
    assert "It is here" in pages.page("/team/model")
    assert "/team/model" in pages.page("/")


def test_static_files_may_be_kept_while_they_stay_the_same(pages):
    address = re.search(r'href="(/-/static/hub\.css\?v=\w+)"', pages.page("/"))[1]
    answer = pages.browser.get(address)
    assert answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["cache-control"]
    assert pages.browser.get("/-/static/..%2Fsite.py").status_code == 404
