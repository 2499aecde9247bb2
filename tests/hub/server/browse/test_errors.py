"""What went wrong, said to people as a page and to clients as ever."""

import errno

import pytest
from starlette.testclient import TestClient

from modeling_axk1.hub.server.accounts import Accounts
from modeling_axk1.hub.server.app import build
from modeling_axk1.hub.server.browse.site import Site
from modeling_axk1.hub.server.catalog import Catalog


@pytest.mark.parametrize(
    "path", ["/team/absent", "/team/model/tree/none", "/nowhere/at/all", "/datasets/team/absent", "/-/static/none"]
)
def test_what_is_not_there_has_a_page(pages, path):
    pages.add("team/model", {"README.md": "# Here\n"})
    assert "Nothing is here" in pages.page(path, status=404)
    assert "찾을 수 없습니다" in pages.page(path, status=404, **{"Accept-Language": "ko"})
    assert not pages.browser.get(path, headers={"Accept": "*/*"}).headers["content-type"].startswith("text/html")


def test_a_client_gets_what_it_reads_as_ever(pages):
    answer = pages.browser.get("/team/absent/resolve/main/x", headers={"Accept": "*/*"})
    assert (answer.status_code, answer.headers["x-error-code"]) == (404, "RepoNotFound")
    assert answer.json() == {"error": "no repository 'team/absent' on this hub"}
    assert pages.browser.get("/api/models/team/absent").json()["error"]


def test_the_message_is_text_whatever_was_asked_for(pages):
    page = pages.page("/team/%3Cscript%3Ealert(1)%3C%2Fscript%3E%E2%80%AE", status=400)
    assert "<script>alert" not in page
    assert "\u202e" not in page


def test_the_address_of_a_form_leads_home_when_it_is_opened(pages):
    """As a browser does that loads the page anew after a refusal."""
    for path in ("/-/settings", "/-/sign-out"):
        answer = pages.browser.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert "set-cookie" not in answer.headers


def test_a_mistake_of_the_hub_tells_its_reader_nothing(tmp_path, monkeypatch):
    def broken(*arguments, **values):
        raise RuntimeError("a detail that is nobody's business")

    monkeypatch.setattr(Site, "repository_page", broken)
    browser = TestClient(build(Catalog(tmp_path)), base_url="http://localhost", raise_server_exceptions=False)
    for accept, shown in (("text/html", "Something went wrong"), ("*/*", "Internal Server Error")):
        answer = browser.get("/team/model", headers={"Accept": accept})
        assert answer.status_code == 500
        assert shown in answer.text
        assert "nobody's business" not in answer.text


def test_a_full_disk(tmp_path, monkeypatch):
    def full(*arguments, **values):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Site, "repository_page", full)
    browser = TestClient(build(Catalog(tmp_path)), base_url="http://localhost")
    assert browser.get("/team/model").status_code == 507
    assert "the hub&#39;s disk is full" in browser.get("/team/model", headers={"Accept": "text/html"}).text


def test_a_browser_is_not_asked_for_a_password_of_its_own(tmp_path):
    browser = TestClient(build(Catalog(tmp_path), "tokens"), base_url="http://hub.example")
    page = browser.get("/", headers={"Accept": "text/html"})
    assert page.status_code == 401
    assert page.headers["www-authenticate"].startswith("Bearer")
    assert 'href="/-/sign-in?back=%2F"' in page.text
    assert browser.get("/").headers["www-authenticate"].startswith("Basic")


def test_a_hub_reached_by_a_wrong_name_says_so_to_people(pages):
    browser = TestClient(pages.browser.app, base_url="http://127.0.0.1")
    answer = browser.get("/", headers={"Host": "evil.example", "Accept": "text/html"})
    assert answer.status_code == 403
    assert "not allowed" in answer.text


def test_who_is_signed_in_stays_so_on_an_error(tmp_path):
    catalog = Catalog(tmp_path)
    token = Accounts(tmp_path).add("minji", "read")[1]
    browser = TestClient(build(catalog, "tokens"), base_url="http://hub.example", headers={"Accept": "text/html"})
    browser.post("/-/sign-in", data={"token": token})
    for path in ("/nowhere/at/all", "/team/absent"):
        assert "minji" in browser.get(path).text
