"""Signing in with a browser, and what the cookie does not open."""

import re
import time

import pytest
from starlette.testclient import TestClient

from modeling_axk1.hub.server import sessions
from modeling_axk1.hub.server.accounts import Accounts
from modeling_axk1.hub.server.app import build
from modeling_axk1.hub.server.catalog import Catalog

OWN = "https://hub.example"


class Lab:
    """A hub with tokens behind https, with a private repository, and tokens for it and for others."""

    def __init__(self, root, policy="tokens"):
        self.catalog = Catalog(root)
        self.catalog.create("models", "team", "secret", public=False)
        self.accounts = Accounts(root)
        self.token = self.accounts.add("minji", "admin", ("team",))[1]
        self.stranger = self.accounts.add("bora", "read")[1]
        self.app = build(self.catalog, policy)

    def browser(self) -> TestClient:
        return TestClient(self.app, base_url=OWN, headers={"Accept": "text/html"}, follow_redirects=False)

    def signed_in(self, token: str | None = None) -> TestClient:
        browser = self.browser()
        answer = browser.post("/-/sign-in", data={"token": token or self.token}, headers={"Origin": OWN})
        assert answer.status_code == 303
        return browser


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path)
    yield lab
    lab.catalog.close()


class TestCookie:
    def test_it_opens_pages_and_downloads(self, lab):
        browser = lab.signed_in()
        assert "minji" in browser.get("/").text
        assert browser.get("/team/secret").status_code == 200
        assert browser.get("/team/secret/resolve/main/.gitattributes").status_code == 200

    def test_it_is_for_this_hub_alone_out_of_scripts_reach_and_not_the_token(self, lab):
        answer = lab.browser().post("/-/sign-in", data={"token": lab.token}, headers={"Origin": OWN})
        cookie = answer.headers["set-cookie"]
        assert {"httponly", "samesite=strict", "secure", "path=/"} <= {
            part.strip().lower() for part in cookie.split(";")
        }
        assert lab.token.split("_", 2)[2] not in cookie

    def test_over_plain_http_it_is_not_marked_secure_or_browsers_would_not_keep_it(self, lab):
        browser = TestClient(lab.app, base_url="http://hub.example", follow_redirects=False)
        assert "secure" not in browser.post("/-/sign-in", data={"token": lab.token}).headers["set-cookie"].lower()

    def test_it_changes_nothing_and_opens_nothing_of_the_api_or_of_git(self, lab):
        browser = lab.signed_in()
        for method, path in (
            ("GET", "/api/models/team/secret"),
            ("GET", "/api/whoami-v2"),
            ("POST", "/api/repos/create"),
            ("DELETE", "/api/repos/delete"),
            ("PUT", "/api/models/team/secret/settings"),
            ("GET", "/team/secret.git/info/refs?service=git-upload-pack"),
            ("POST", "/team/secret.git/info/lfs/objects/batch"),
            ("GET", "/metrics"),
        ):
            body = {"name": "secret", "organization": "team", "type": "model", "private": False}
            assert browser.request(method, path, json=body).status_code == 401, path
        assert not lab.catalog.is_public("models", "team", "secret")

    def test_it_ends_with_the_token(self, lab):
        browser = lab.signed_in()
        lab.accounts.revoke("minji")
        assert browser.get("/team/secret").status_code == 401
        lab.accounts.add("minji", "admin", ("team",))
        assert browser.get("/team/secret").status_code == 401

    def test_it_ends_by_itself(self, lab, monkeypatch):
        browser = lab.signed_in()
        later = time.time() + 12 * 3600 + 60
        monkeypatch.setattr(time, "time", lambda: later)
        assert browser.get("/team/secret").status_code == 401

    def test_it_ends_when_one_signs_out(self, lab):
        browser = lab.signed_in()
        assert browser.post("/-/sign-out", headers={"Origin": OWN}).status_code == 303
        assert browser.get("/team/secret").status_code == 401

    @pytest.mark.parametrize(
        "change",
        [
            lambda value, other: value[:-1] + ("0" if value[-1] != "0" else "1"),
            lambda value, other: value.replace("expires=1", "expires=9"),
            lambda value, other: re.sub("account=[0-9a-f]+", other, value),
            lambda value, other: value.partition("&signature")[0],
            lambda value, other: value + "&expires=9999999999",
            lambda value, other: "",
            lambda value, other: "x" * 3000,
            lambda value, other: "account=&expires=&signature=",
        ],
    )
    def test_a_forged_one_opens_nothing(self, lab, change):
        browser = lab.signed_in(lab.stranger)
        value = browser.cookies[sessions.COOKIE].strip('"')
        identity = lab.token.split("_")[1]
        forged = lab.browser()
        forged.cookies.set(sessions.COOKIE, change(value, f"account={identity}"))
        assert forged.get("/").status_code == 401

    def test_it_opens_what_its_holder_may_read(self, lab):
        assert lab.signed_in(lab.stranger).get("/team/secret").status_code == 404


class TestForm:
    def test_a_wrong_token_is_said_to_be_wrong(self, lab):
        answer = lab.browser().post("/-/sign-in", data={"token": lab.token[:-1] + "!"})
        assert answer.status_code == 403
        assert "no token of this hub" in answer.text
        assert "set-cookie" not in answer.headers
        assert lab.token[:-1] not in answer.text

    @pytest.mark.parametrize(
        "elsewhere", ["https://evil.example", "http://hub.example", "null", "https://hub.example.evil"]
    )
    def test_no_page_elsewhere_signs_anybody_in_or_out(self, lab, elsewhere):
        for path in ("/-/sign-in", "/-/sign-out", "/-/settings"):
            answer = lab.browser().post(path, data={"token": lab.token}, headers={"Origin": elsewhere})
            assert answer.status_code == 403
            assert "set-cookie" not in answer.headers

    def test_a_page_of_this_hub_cannot_write_to_it(self, lab):
        answer = lab.signed_in().post("/api/repos/create", json={"name": "x"}, headers={"Origin": OWN})
        assert answer.status_code == 403

    @pytest.mark.parametrize(
        "back", ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "/a\r\nX-Evil: 1"]
    )
    def test_it_leads_back_to_this_hub_only(self, lab, back):
        for path, fields in (("/-/sign-in", {"token": lab.token}), ("/-/settings", {"theme": "dark"})):
            answer = lab.browser().post(path, data={"back": back, **fields})
            assert answer.headers["location"] == "/"
        form = lab.browser().get("/-/sign-in", params={"back": back}).text.partition('<form class="sign-in"')[2]
        assert '<input type="hidden" name="back" value="/">' in form.partition("</form>")[0]

    def test_it_leads_back_to_where_one_was(self, lab):
        answer = lab.browser().post("/-/sign-in", data={"back": "/team/secret/tree/main?x=1", "token": lab.token})
        assert answer.headers["location"] == "/team/secret/tree/main?x=1"

    def test_an_open_hub_asks_for_none(self, pages):
        assert "/-/sign-in" not in pages.page("/")


class TestSettings:
    def test_language_and_theme_are_kept(self, pages):
        browser = TestClient(pages.browser.app, base_url="http://localhost")
        page = browser.post("/-/settings", data={"language": "ko", "back": "/models"}).text
        assert '<html lang="ko"' in page
        assert 'data-theme="dark"' in browser.post("/-/settings", data={"theme": "dark"}).text
        assert '<html lang="ko" data-theme="dark"' in browser.get("/datasets").text

    def test_others_are_refused(self, pages):
        assert pages.browser.post("/-/settings", data={"language": "xx"}).status_code == 400
        assert pages.browser.get("/", headers={"Cookie": "axk1_theme=<script>; axk1_language=xx"}).status_code == 200
