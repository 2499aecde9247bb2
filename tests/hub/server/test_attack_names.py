"""Names of repositories, branches and tags that mean harm."""

import json

import httpx
import pytest
from huggingface_hub.errors import HfHubHTTPError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modeling_axk1.hub.server import names
from modeling_axk1.hub.server.refusal import Refusal

pytestmark = pytest.mark.usefixtures("unharmed")

HOSTILE = [
    ("..", "x"), ("a", ".."), (".", "x"), ("a", "."), ("a", "b.git"), ("a", "b.GIT"), ("a", "b--c"), (".a", "b"),
    ("a", "-b"), ("-a", "b"), ("a", "b\n"), ("a", "b\0"), ("a/b", "c"), ("a", "b/c"), ("a\\b", "c"), ("a", "b%2fc"),
    ("datasets", "x"), ("API", "x"), ("models", "x"), ("a", "b" * 97), ("a" * 97, "b"), ("a", "é"), ("a", "ｂ"),
    ("a", "b\u202e"), ("a", "1\u0663"), ("a", "b."), ("a", "b "), (" ", "b"), ("a", "$(id)"), ("a", "`id`"),
    ("a", "--upload-pack=id"), ("a", "..;x"), ("a", "b:c"), ("a", "<script>"), ("a", ".."), ("a", "b|c"), ("~", "b"),
]  # fmt: skip
STRANGE = [["x"], {"x": 1}, 7, 1e308, True, [[]]]


def ask(target, method: str, path: str, body: object) -> httpx.Response:
    return target.client.request(method, f"/api/repos/{path}", content=json.dumps(body))


@pytest.mark.parametrize(("namespace", "name"), HOSTILE)
def test_a_hostile_name_is_refused_and_makes_nothing(target, namespace, name):
    """By create, by delete, and in a URL."""
    before = target.inside()
    body = {"organization": namespace, "name": name, "type": "model"}
    assert ask(target, "POST", "create", body).status_code == 400
    assert ask(target, "DELETE", "delete", body).status_code in {400, 404}
    for part in (f"{namespace}/{name}", f"{namespace.encode().hex()}/{name}"):
        quoted = "/".join("".join(f"%{byte:02x}" for byte in piece.encode()) for piece in part.split("/", 1))
        assert target.get(f"/api/models/{quoted}").status in {400, 404}
    assert target.inside() == before


@pytest.mark.parametrize("value", STRANGE)
@pytest.mark.parametrize("field", ["name", "organization", "type"])
def test_a_name_that_is_no_text_is_refused(target, field, value):
    body = {"organization": "team", "name": "strange", "type": "model", field: value}
    assert ask(target, "POST", "create", body).status_code == 400
    assert ask(target, "DELETE", "delete", body).status_code in {400, 404}


def test_names_that_differ_by_case_alone_are_refused(target):
    """Whoever mirrors them to a disk that knows no case would get one for the other; to change one's own is fine."""
    target.api.create_repo("team/Twin")
    for body in ({"organization": "team", "name": "tWIN"}, {"organization": "TEAM", "name": "Twin"}):
        answer = ask(target, "POST", "create", body)
        assert (answer.status_code, "by case alone" in answer.json()["error"]) == (400, True)
    target.api.create_repo("team/other")
    with pytest.raises(HfHubHTTPError, match="by case alone"):
        target.api.move_repo("team/other", "Team/twin")
    target.api.move_repo("team/Twin", "team/twin")
    assert target.api.model_info("team/twin").id == "team/twin"


@given(st.text(max_size=12), st.text(max_size=12))
@settings(max_examples=300)
def test_what_is_allowed_is_a_plain_folder_name(namespace, name):
    """Whatever text comes: refused, or one part of a path that no shell, URL or file system reads as more."""
    try:
        names.check_repository(namespace, name)
    except Refusal:
        return
    for part in (namespace, name):
        assert part.isascii()
        assert part.strip(" ./\\-") == part
        assert not {"/", "\\", ":", "%", "\0"} & set(part)


@pytest.mark.parametrize(
    "name",
    ["../../HEAD", "..", "a/../b", "refs/heads/x", "HEAD", "-x", "--force", "a.lock", "a.lock/b", "x..y", "a b", "a~1",
     "a^", "a:b", "a?", "a*", "a[", "a\\b", "@{", "@", "a\0", "a\n", "a//b", "/a", "a/", ".a", "a/.b", "x" * 129,
     "é", "0" * 40, ""],
)  # fmt: skip
def test_a_hostile_reference_is_refused(target, victim, name):
    """As a tag, and as a branch in a URL; the references stay as they are."""
    before = target.git(victim, "for-each-ref")
    answer = target.post(f"/api/models/{victim}/tag/main", json.dumps({"tag": name}))
    assert answer.status_code == 400
    quoted = "".join(f"%{byte:02x}" for byte in name.encode())
    for method in ("POST", "DELETE"):
        assert target.get(f"/api/models/{victim}/branch/{quoted}", method, body=b"{}").status in {400, 404, 405}
    assert target.git(victim, "for-each-ref") == before


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda value: st.lists(value) | st.dictionaries(st.text(), value),
    max_leaves=5,
)


@given(data=JSON)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_as_a_request_to_create_is_answered(target, data):
    answer = ask(target, "POST", "create", data)
    assert answer.status_code in {200, 400, 409}
