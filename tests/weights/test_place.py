"""A place is named as people name it, and what is none is told what it may be."""

import pytest

from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.weights.place import open_place
from modeling_axk1.weights.store import Folder
from modeling_axk1.weights.store_http import WebFolder
from tests.weights.range_server import range_server


def test_a_folder_that_exists(tmp_path):
    assert open_place(str(tmp_path)).name == str(tmp_path)
    assert isinstance(open_place(str(tmp_path)), Folder)


def test_a_folder_goes_before_a_repository_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "owner" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_place("owner/name"), Folder)


@pytest.mark.parametrize("address", ["http://127.0.0.1:8000/model", "https://host/a/b/", "http://[::1]:80/x"])
def test_an_address_is_not_asked_before_it_is_read(address):
    store = open_place(address)
    assert isinstance(store, WebFolder)
    assert store.name == address.rstrip("/") + "/"


@pytest.mark.parametrize(
    "text",
    ["", "name", "a/b/c", "owner/name@", "owner/na me", "../x", "owner/..", "ftp://host/x", "a\nb/c", "hf://a/b"],
)
def test_what_is_no_place_is_told_what_it_may_be(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # no folder of these names lies here
    with pytest.raises(UsageError, match="PLACE must be a folder with a checkpoint, an address like") as caught:
        open_place(text)
    assert str(caught.value).isprintable()


def test_a_file_is_no_place(tmp_path, monkeypatch):
    (tmp_path / "owner").mkdir()
    (tmp_path / "owner" / "name").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="PLACE must be a folder"):
        open_place("owner/name")


@pytest.mark.parametrize(
    ("address", "rule"),
    [
        ("http://", "must look like https://host/folder/"),
        ("http://ho st/", "must look like"),
        ("http://host:port/", "must look like"),
        ("http://host\n/", "must look like"),
        ("http://[::1/", "must look like"),
        ("http://me:secret@host/x", "must not hold a user name or password"),
        ("https://host/x?token=secret", "without \\? or #"),
    ],
)
def test_an_address_that_is_none_or_would_leak(address, rule):
    with pytest.raises(UsageError, match=rule) as caught:
        open_place(address)
    assert "secret" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("host", ["a..b", "...", "256.256.256.256", "a" * 70 + ".com", "nobody.invalid"])
def test_an_address_that_looks_like_one_and_is_none(host):
    with pytest.raises(WeightsError, match=f"http://{host}/ (is not at a web address|cannot be reached): ") as caught:
        open_place(f"http://{host}/").exists("config.json")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("endpoint", ["hub", "ftp://hub", "http://[", "http://a..b", ""])
def test_a_hub_s_address_that_is_none(monkeypatch, endpoint):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    with pytest.raises(WeightsError, match="owner/name is no folder here, and as a repository: "):
        open_place("owner/name")


def test_a_repository_that_cannot_be_reached_may_have_been_meant_as_a_folder(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        WeightsError, match=r"owner/name@main is no folder here, and as a repository: .*cannot be reached"
    ):
        open_place("owner/name@main")


def test_the_token_of_the_environment_goes_to_the_hub(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with range_server(tmp_path) as hub:
        hub.trick = lambda handler: handler.answer(404, {"X-Error-Message": "hf_secret"}) or True
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
        with pytest.raises(WeightsError, match="has no model owner/name") as caught:
            open_place("owner/name")
    assert [request.headers["authorization"] for request in hub.asked] == ["Bearer hf_secret"]
    assert "hf_secret" not in str(caught.value)
