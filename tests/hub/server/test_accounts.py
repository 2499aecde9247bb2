"""Tokens: made once, kept as hashes, known to every process at once."""

import json
import os
import stat
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.errors import HubError, UsageError
from modeling_axk1.hub.server import accounts as module
from modeling_axk1.hub.server.accounts import RIGHTS, Account, Accounts

MINUTE = 60
SECRET = 43  # characters, which may hold an underscore


@pytest.fixture
def accounts(tmp_path) -> Accounts:
    return Accounts(tmp_path)


def test_a_token_finds_its_account(accounts):
    account, token = accounts.add("minji", "write", ("team",))
    assert accounts.find(token) == account
    assert account.namespaces == ("minji", "team")
    assert account.expires is None


def test_the_files_give_no_token_away(accounts, tmp_path):
    _, token = accounts.add("minji", "write")
    stored = b"".join(path.read_bytes() for path in (tmp_path / "accounts").iterdir())
    assert token[-SECRET:].encode() not in stored
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "accounts").glob("tokens.json")} == {0o600}
    assert stat.S_IMODE((tmp_path / "accounts").stat().st_mode) == 0o700


def test_every_token_is_another(accounts):
    tokens = {accounts.add(f"n{i}", "read")[1] for i in range(20)}
    assert len(tokens) == 20
    assert {len(token) for token in tokens} == {57}


def test_nothing_but_the_token_opens(accounts):
    account, token = accounts.add("minji", "read")
    for i in range(len(token)):
        other = "A" if token[i] != "A" else "B"
        assert accounts.find(token[:i] + other + token[i + 1 :]) is None
    stored = json.loads((accounts._file).read_text())
    digest = next(iter(stored.values()))["sha256"]
    for text in ("", "minji", digest, token[:-1], token + "A", f" {token}", token.upper(), "axk1_" + digest, "\udcff"):
        assert accounts.find(text) is None
    assert accounts.find(token) == account


def test_a_revoked_token_opens_nothing_in_any_process(accounts, tmp_path):
    _, token = accounts.add("minji", "read")
    other = Accounts(tmp_path)
    assert other.find(token)
    accounts.revoke("minji")
    assert other.find(token) is None
    with pytest.raises(HubError, match="minji has no token"):
        accounts.revoke("minji")


def test_a_token_expires(accounts, monkeypatch):
    now = [1_000]
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    account, token = accounts.add("minji", "read", seconds=MINUTE)
    assert account.expires == 1_000 + MINUTE
    now[0] += MINUTE - 1
    assert accounts.find(token)
    now[0] += 1
    assert accounts.find(token) is None


@given(st.sampled_from(RIGHTS), st.sampled_from(RIGHTS), st.lists(st.sampled_from("abc*")), st.sampled_from("abc"))
def test_a_right_includes_the_lesser_ones_and_ends_at_its_namespaces(held, wanted, namespaces, where):
    account = Account("a", held, tuple(namespaces), 0, None)
    reaches = "*" in namespaces or where in namespaces
    assert account.may(wanted, where) == (reaches and RIGHTS.index(wanted) <= RIGHTS.index(held))


@pytest.mark.parametrize("name", ["", "*", "a/b", "a b", "../x", "api", "x" * 97, "한글", "a\n"])
def test_a_name_must_be_a_namespace(accounts, name):
    with pytest.raises(UsageError, match="a name must be"):
        accounts.add(name, "read")


def test_a_name_has_one_token(accounts):
    accounts.add("minji", "read")
    with pytest.raises(UsageError, match="minji has a token already; `axk1 hub token revoke minji` ends it"):
        accounts.add("minji", "write")


def test_tokens_made_at_the_same_time_are_all_kept(tmp_path):
    script = "import sys; from pathlib import Path; from modeling_axk1.hub.server.accounts import Accounts\n"
    script += "for i in range(10): Accounts(Path(sys.argv[1])).add(f'n{sys.argv[2]}-{i}', 'read')"
    makers = [subprocess.Popen([sys.executable, "-c", script, tmp_path, str(n)]) for n in range(3)]
    assert [maker.wait(60) for maker in makers] == [0, 0, 0]
    assert len(Accounts(tmp_path).all()) == 30


def test_a_damaged_file_lets_nobody_in_and_is_named(accounts):
    _, token = accounts.add("minji", "read")
    accounts._file.write_text("{")
    with pytest.raises(HubError, match=r"tokens\.json is damaged"):
        accounts.find(token)


class TestCommand:
    def test_a_token_is_printed_once_and_listed_without(self, run_axk1, tmp_path):
        added = run_axk1("hub", "token", "add", "minji", "--right", "write", "--expires", "30d", "--root", tmp_path)
        token = added.stdout.strip()
        assert Accounts(tmp_path).find(token).right == "write"
        assert token not in added.stderr
        listed = run_axk1("hub", "token", "list", "--root", tmp_path).stdout
        assert listed.startswith("minji: write in minji, until ")
        assert token[-SECRET:] not in listed
        assert run_axk1("hub", "token", "revoke", "minji", "--root", tmp_path).returncode == 0
        assert run_axk1("hub", "token", "list", "--root", tmp_path).stdout == "no tokens yet\n"

    def test_json(self, run_axk1, tmp_path):
        added = json.loads(run_axk1("hub", "token", "add", "ci", "--root", tmp_path, "--json").stdout)
        assert Accounts(tmp_path).find(added["token"]).name == "ci"
        listed = json.loads(run_axk1("hub", "token", "list", "--root", tmp_path, "--json").stdout)
        assert listed == [{key: value for key, value in added.items() if key != "token"}]

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
    def test_root_leaves_nothing_in_the_hub_of_another_user(self, run_axk1, tmp_path):
        root = tmp_path / "hub"
        root.mkdir()
        os.chown(root, 4711, 4711)
        result = run_axk1("hub", "token", "add", "ci", "--root", root)
        assert (result.returncode, list(root.iterdir())) == (2, [])
        assert f"{root} belongs to user 4711; run this as that user" in result.stderr

    @pytest.mark.parametrize("time", ["", "0d", "5", "-1h", "1y", "9999999d"])
    def test_a_time_that_is_none_is_one_line(self, run_axk1, tmp_path, time):
        result = run_axk1("hub", "token", "add", "ci", "--expires", time, "--root", tmp_path)
        assert result.returncode == 2
        assert result.stderr.count("\n") == 1
        assert "a time must be a number and m, h or d" in result.stderr
