"""Who may do what: a hub with tokens as stock clients meet it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from starlette.routing import Route

from modeling_axk1.hub.server import serving
from modeling_axk1.hub.server.accounts import Accounts
from modeling_axk1.hub.server.app import routes_of
from modeling_axk1.hub.server.catalog import Catalog


@dataclass
class Lab:
    """A hub with tokens: minji writes in her team, bora reads, ops administers."""

    endpoint: str
    tokens: dict[str, str]

    def api(self, name: str) -> HfApi:
        return HfApi(endpoint=self.endpoint, token=self.tokens[name])

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(self.endpoint + path, headers=headers)


def make_lab(root: Path, endpoint: str) -> Lab:
    accounts = Accounts(root)
    tokens = {
        "minji": accounts.add("minji", "write", ("team",))[1],
        "bora": accounts.add("bora", "read")[1],
        "ops": accounts.add("ops", "admin")[1],
    }
    lab = Lab(endpoint, tokens)
    for name, private in (("team/open", False), ("team/secret", True)):
        lab.api("minji").create_repo(name, private=private)
        lab.api("minji").upload_file(path_or_fileobj=b"# Card\n", path_in_repo="README.md", repo_id=name)
        lab.api("minji").create_repo(name, private=private, repo_type="dataset")
        lab.api("minji").upload_file(path_or_fileobj=b"\x80" * 99, path_in_repo="model.safetensors", repo_id=name)
    return lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[Lab]:
    root = tmp_path_factory.mktemp("lab")
    with serving(root, policy="tokens") as endpoint:
        yield make_lab(root, endpoint)


@pytest.fixture(scope="module")
def public_lab(tmp_path_factory) -> Iterator[Lab]:
    root = tmp_path_factory.mktemp("public")
    with serving(root, policy="public") as endpoint:
        yield make_lab(root, endpoint)


def status_of(error: HfHubHTTPError) -> int:
    return error.response.status_code


def is_signed(method: str, path: str) -> bool:
    """Whether an address is its own permission: a large file is sent there without a token."""
    return "/lfs/objects/0" in path and method != "GET"


class TestRoutes:
    """Walks the application's own table, so that a new route cannot forget to ask."""

    @staticmethod
    def calls(root: Path) -> list[tuple[str, str]]:
        routes = [route for route in routes_of(Catalog(root), "tokens") if isinstance(route, Route)]
        # The site's own, which know nothing of the hub: styles, and the forms to sign in and to choose a language.
        own = {route.path for route in routes if route.path.startswith("/-/")}
        assert own == {"/-/static/{path:quoted}", "/-/sign-in", "/-/sign-out", "/-/settings"}
        routes = [route for route in routes if route.path not in own]
        assert len(routes) > 40
        filled = {"namespace": "team", "name": "open", "revision": "main", "path": "README.md", "reference": "x"}
        return [
            (method, re.sub(r"\{(\w+)(:\w+)?\}", lambda m: filled.get(m[1], "0" * 64), route.path))
            for route in routes
            for method in sorted(route.methods - {"HEAD"})
        ]

    def test_no_route_answers_without_a_token(self, lab, tmp_path):
        for method, path in self.calls(tmp_path):
            answer = httpx.request(method, lab.endpoint + path, json={"type": "model", "name": "open"})
            if is_signed(method, path):
                assert answer.status_code == 403, (method, path)
                continue
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"].startswith("Basic ")

    def test_no_route_answers_to_a_wrong_token(self, lab, tmp_path):
        for method, path in self.calls(tmp_path):
            headers = {"Authorization": f"Bearer {lab.tokens['ops'][:-1]}"}
            answer = httpx.request(method, lab.endpoint + path, headers=headers, json={"type": "model"})
            if is_signed(method, path):
                assert answer.status_code == 403, (method, path)
                continue
            assert answer.status_code == 401, (method, path)
            assert "Invalid credentials" in answer.headers["x-error-message"]

    def test_who_may_read_changes_nothing(self, lab, tmp_path):
        before = lab.api("ops").model_info("team/open"), lab.api("ops").list_repo_refs("team/open")
        headers = {"Authorization": f"Bearer {lab.tokens['bora']}"}
        for method, path in self.calls(tmp_path):
            body = {
                "type": "model",
                "name": "open",
                "organization": "team",
                "fromRepo": "team/open",
                "toRepo": "bora/x",
            }
            answer = httpx.request(method, lab.endpoint + path, headers=headers, json=body)
            if path.startswith("/xet/"):  # has tokens of its own, which an account's token is none of
                assert answer.status_code == 401, (method, path)
                continue
            reads_by_post = path.endswith(
                ("paths-info/main", "validate-yaml", "objects/batch", "git-upload-pack", "lfs/locks", "locks/verify")
            )
            if method != "GET" and not reads_by_post:
                assert answer.status_code == 403, (method, path, answer.text)
        assert (lab.api("ops").model_info("team/open"), lab.api("ops").list_repo_refs("team/open")) == before


class TestRights:
    def test_whoami(self, lab):
        me = lab.api("minji").whoami()
        assert (me["name"], [org["name"] for org in me["orgs"]]) == ("minji", ["team"])
        assert me["auth"]["accessToken"]["role"] == "write"
        with pytest.raises(HfHubHTTPError) as caught:
            HfApi(endpoint=lab.endpoint, token="hf_" + "x" * 34).whoami()
        assert status_of(caught.value) == 401

    def test_a_repository_without_a_namespace_is_ones_own(self, lab):
        assert lab.api("minji").create_repo("mine").repo_id == "minji/mine"
        lab.api("ops").delete_repo("minji/mine")

    def test_writing_ends_at_ones_namespaces(self, lab):
        with pytest.raises(HfHubHTTPError, match="lacks the right to write in elsewhere") as caught:
            lab.api("minji").create_repo("elsewhere/model")
        assert status_of(caught.value) == 403

    def test_deleting_hiding_and_moving_need_an_administrator(self, lab):
        api = lab.api("minji")
        for change in (
            lambda: api.delete_repo("team/open"),
            lambda: api.update_repo_settings("team/open", private=True),
            lambda: api.move_repo("team/open", "minji/open"),
            lambda: api.delete_tag("team/open", tag="v1"),
        ):
            with pytest.raises(HfHubHTTPError, match="lacks the right to administer in team") as caught:
                change()
            assert status_of(caught.value) == 403

    def test_an_administrator_moves_and_hides(self, lab):
        ops, bora = lab.api("ops"), lab.api("bora")
        ops.create_repo("team/before")
        ops.move_repo("team/before", "team/after")
        assert bora.repo_exists("team/after")
        assert not bora.repo_exists("team/before")
        ops.update_repo_settings("team/after", private=True)
        assert not bora.repo_exists("team/after")
        assert ops.model_info("team/after").private
        ops.update_repo_settings("team/after", visibility="public")
        assert bora.repo_exists("team/after")
        ops.delete_repo("team/after")

    def test_auth_check(self, lab):
        lab.api("bora").auth_check("team/open")
        lab.api("minji").auth_check("team/secret", write=True)
        with pytest.raises(HfHubHTTPError):
            lab.api("bora").auth_check("team/open", write=True)
        with pytest.raises(RepositoryNotFoundError):
            lab.api("bora").auth_check("team/secret")

    def test_a_revoked_token_is_refused_by_the_running_hub(self, tmp_path):
        with serving(tmp_path, policy="tokens") as endpoint:
            _, token = Accounts(tmp_path).add("temp", "read")
            api = HfApi(endpoint=endpoint, token=token)
            assert api.whoami()["name"] == "temp"
            Accounts(tmp_path).revoke("temp")
            with pytest.raises(HfHubHTTPError):
                api.whoami()

    def test_basic_carries_the_token_as_password_as_git_sends_it(self, lab):
        for user, password in (("minji", lab.tokens["minji"]), ("anything", lab.tokens["minji"])):
            answer = httpx.get(lab.endpoint + "/api/models/team/secret", auth=(user, password))
            assert answer.status_code == 200
        assert httpx.get(lab.endpoint + "/api/models/team/secret", auth=("minji", "wrong")).status_code == 401

    @pytest.mark.parametrize("header", ["", "Bearer", "Basic", "Basic %%%", "Basic /w==", "x" * 3000, "Négotiate"])
    def test_an_odd_header_lets_nobody_in(self, lab, header):
        headers = {"Authorization": header.encode("latin-1")}
        assert httpx.get(lab.endpoint + "/api/models", headers=headers).status_code == 401


class TestTickets:
    """Large files are sent to an address that the hub signs, without the token."""

    def test_an_address_is_good_for_itself_only(self, lab):
        oid = "ab" * 32
        answer = httpx.post(
            f"{lab.endpoint}/team/open.git/info/lfs/objects/batch",
            json={"operation": "upload", "transfers": ["basic"], "objects": [{"oid": oid, "size": 3}]},
            headers={"Authorization": f"Bearer {lab.tokens['minji']}"},
        )
        href = answer.json()["objects"][0]["actions"]["upload"]["href"]
        assert httpx.put(href, content=b"abc").status_code == 400  # let in: these are not the bytes with that digest
        for other in (
            href.replace("size=3", "size=4"),
            href.replace(oid, "cd" * 32),
            href.replace("team/open", "team/secret"),
            href.replace("expires=1", "expires=9"),
            href[:-1] + ("0" if href[-1] != "0" else "1"),
            href.partition("&signature")[0],
        ):
            assert httpx.put(other, content=b"abc").status_code == 403, other


class TestPrivate:
    def test_it_is_there_for_its_team_only(self, lab):
        assert lab.api("minji").model_info("team/secret").private
        assert not lab.api("minji").model_info("team/open").private
        with pytest.raises(RepositoryNotFoundError):
            lab.api("bora").model_info("team/secret")

    @pytest.mark.parametrize(
        "path", ["/api/models/{}", "/api/models/{}/tree/main", "/{}/resolve/main/README.md", "/api/models/{}/refs"]
    )
    def test_to_others_it_is_as_if_it_did_not_exist(self, lab, path):
        headers = {"Authorization": f"Bearer {lab.tokens['bora']}"}
        answers = [lab.get(path.format(name), **headers) for name in ("team/secret", "team/absent")]
        for answer in answers:
            assert answer.status_code == 404
            assert answer.headers["x-error-code"] == "RepoNotFound"
        shown = [(a.text.replace("secret", "absent"), len(a.headers)) for a in answers]
        assert shown[0] == shown[1]

    def test_lists_leave_it_out(self, lab):
        assert [model.id for model in lab.api("bora").list_models(author="team")] == ["team/open"]
        assert {model.id for model in lab.api("minji").list_models(author="team")} == {"team/open", "team/secret"}
        index = lab.get("/", Authorization=f"Bearer {lab.tokens['bora']}").text
        assert "team/open" in index
        assert "secret" not in index

    def test_its_large_file_is_not_to_be_had_through_another_repository(self, lab):
        oid = lab.api("minji").get_paths_info("team/secret", "model.safetensors")[0].lfs.sha256
        lab.api("ops").create_repo("bora/trap", exist_ok=True)
        with pytest.raises(RepositoryNotFoundError):
            lab.api("bora").hf_hub_download("team/secret", "model.safetensors")
        assert oid


class TestPublic:
    def test_anybody_reads_what_is_public(self, public_lab):
        api = HfApi(endpoint=public_lab.endpoint, token=False)
        assert [model.id for model in api.list_models()] == ["team/open"]
        assert public_lab.get("/team/open/resolve/main/README.md").text == "# Card\n"

    def test_nobody_writes_without_a_token(self, public_lab):
        api = HfApi(endpoint=public_lab.endpoint, token=False)
        with pytest.raises(HfHubHTTPError) as caught:
            api.create_repo("team/new")
        assert status_of(caught.value) == 401

    def test_private_and_absent_look_the_same(self, public_lab):
        answers = [public_lab.get(f"/api/models/team/{name}") for name in ("secret", "absent")]
        assert [answer.status_code for answer in answers] == [401, 401]
        assert answers[0].text == answers[1].text


class TestOpen:
    def test_nothing_can_be_private(self, hub):
        with pytest.raises(HfHubHTTPError, match="keeps nothing private"):
            hub.api.create_repo("team/hidden", private=True)

    def test_what_was_made_private_elsewhere_is_out_of_sight(self, tmp_path):
        Catalog(tmp_path).create("models", "team", "secret", public=False)
        with serving(tmp_path) as endpoint:
            api = HfApi(endpoint=endpoint, token=False)
            assert list(api.list_models()) == []
            assert not api.repo_exists("team/secret")

    def test_a_page_whose_name_leads_here_reads_nothing(self, hub):
        for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[::1].evil"):
            assert httpx.get(hub.endpoint + "/api/models", headers={"Host": host}).status_code in {400, 403}, host
        for host in ("localhost", "localhost:1", "127.0.0.1", "[::1]:80"):
            assert httpx.get(hub.endpoint + "/api/models", headers={"Host": host}).status_code == 200, host


class TestLists:
    def test_filters(self, hub):
        card = (
            "---\nlicense: mit\npipeline_tag: text-generation\nlanguage: [ko, en]\ntags: [tiny]\ndatasets: [a/b]\n---\n"
        )
        for name in ("lists/one", "lists/two"):
            hub.api.create_repo(name)
        hub.api.upload_file(path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id="lists/one")

        def found(**wanted):
            return [model.id for model in hub.api.list_models(author="lists", **wanted)]

        assert set(found()) == {"lists/one", "lists/two"}
        assert found(search="TW") == ["lists/two"]
        for tag in ("tiny", "ko", "license:mit", "text-generation", "dataset:a/b"):
            assert found(filter=tag) == ["lists/one"]
        assert found(filter=["ko", "fr"]) == []
        assert found(pipeline_tag="text-generation") == ["lists/one"]
        assert len(found(limit=1)) == 1
        assert [dataset.id for dataset in hub.api.list_datasets(author="lists")] == []
