"""The documentation is a site that both builders make of the same pages, and that needs no network."""

import re
import shutil
import subprocess
import sys

import api_page
import pytest
import site_builder as site
from playwright.sync_api import sync_playwright

from tests.docs.conftest import DOCS


@pytest.fixture(scope="module", params=["mkdocs", "zensical"])
def built(request, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param) / "site"
    site.build(request.param, out)
    return out


class TestStaging:
    def test_pictures_follow_the_reader_s_choice(self):
        picture = '<source media="x" srcset="figures/a-dark.svg">\n  <img alt="A." src="figures/a-light.svg">'
        picture = f"<picture>\n  {picture}\n</picture>"
        text, _ = site.staged(f"# T\n\n{picture}\n", "a.md", "en")
        assert "![A.](figures/a-light.svg#only-light)\n![A.](figures/a-dark.svg#only-dark)" in text

    def test_a_file_of_the_repository_is_copied_beside_the_pages(self):
        text, files = site.staged("# T\n\n[here](../../release/nano.toml)\n", "a.md", "en")
        assert "[here](files/release/nano.toml.txt)" in text
        assert [file.name for file in files] == ["nano.toml"]

    def test_a_link_to_nothing_is_refused(self):
        with pytest.raises(site.SiteError, match="not a file of the repository"):
            site.staged("# T\n\n[here](../../no/such.json)\n", "a.md", "en")

    def test_each_page_links_the_other_language_s(self):
        assert 'href="../../ko/cli/hub.html"' in site.staged("# T\n", "cli/hub.md", "en")[0]

    def test_words_for_tests_do_not_reach_the_highlighter(self):
        assert "```sh\n" in site.staged("# T\n\n```sh serve\na\n```\n", "a.md", "en")[0]

    def test_a_page_that_the_navigation_lacks_is_named(self, tmp_path, monkeypatch):
        shutil.copytree(DOCS, tmp_path / "docs")
        (tmp_path / "docs" / "en" / "forgotten.md").write_text("# Forgotten\n")
        monkeypatch.setattr(site, "DOCS", tmp_path / "docs")
        with pytest.raises(site.SiteError, match="forgotten"):
            site.check_pages("en")


@pytest.mark.slow
class TestSite:
    def test_it_has_every_page_in_both_languages(self, built):
        for language in site.LANGUAGES:
            for section in site.sections():
                for page in section["pages"]:
                    text = (built / language / page).with_suffix(".html").read_text("utf-8")
                    assert f'<html lang="{language}"' in text

    def test_headings_are_all_there(self, built):
        """A fence or a comment that the renderer reads otherwise swallows what follows it."""
        for page in (DOCS / "en").glob("*.md"):
            prose = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
            wanted = len(re.findall(r"^## ", prose, re.M))
            assert (built / "en" / page.name).with_suffix(".html").read_text("utf-8").count("<h2") == wanted, page.name

    def test_references_are_filled_in(self, built):
        functions = (built / "en" / "api.html").read_text("utf-8")
        for names in api_page.PUBLIC.values():
            for name in names:
                assert f'id="modeling_axk1.{name}"' in functions
        assert "--transport" in (built / "ko" / "cli" / "hub.html").read_text("utf-8")

    def test_opened_from_a_folder_it_asks_nobody_for_anything(self, built):
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            for width in (1280, 390):
                page = browser.new_page(viewport={"width": width, "height": 800})
                asked, errors = [], []
                page.on("request", lambda request, asked=asked: asked.append(request.url))
                page.on("pageerror", lambda error, errors=errors: errors.append(str(error)))
                for place in ("index.html", "en/index.html", "ko/hub.html", "en/cli/index.html", "en/api.html"):
                    page.goto((built / place).as_uri())
                    assert page.evaluate("document.documentElement.scrollWidth") <= width
                assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
                assert errors == []
            browser.close()


@pytest.mark.slow
def test_search_finds_words_of_both_languages_in_a_folder(tmp_path):
    site.build("mkdocs", tmp_path / "site")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for language, word in (("en", "quota"), ("ko", "할당량")):
            page = browser.new_page()
            page.goto((tmp_path / "site" / language / "hub.html").as_uri())
            page.keyboard.press("/")
            page.keyboard.type(word)
            page.keyboard.press("End")
            page.locator(".md-search-result__item").first.wait_for(timeout=20_000)
        browser.close()


@pytest.mark.slow
def test_the_command_opens_it(run_axk1):
    for language in ("en", "ko"):
        said = run_axk1("docs", "--no-browser", "--language", language)
        assert said.returncode == 0, said.stderr
        assert said.stdout.strip().endswith(f"/site/{language}/index.html")


def test_the_script_says_what_is_wrong_in_one_line(tmp_path):
    shutil.copytree(DOCS, tmp_path / "docs")
    (tmp_path / "docs" / "ko" / "quickstart.md").unlink()
    command = [sys.executable, tmp_path / "docs" / "site_builder.py", "--out", tmp_path / "site"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith("docs: docs/site.toml and docs/")
    assert not (tmp_path / "site").exists()
