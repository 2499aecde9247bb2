"""Signatures that the stock command reads, and that nothing but the right key over the right files gets past."""

import base64
import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.weights import facts as facts_module
from modeling_axk1.weights.check import check
from modeling_axk1.weights.record import record
from modeling_axk1.weights.sign import generate_keys, sign
from tests.weights.checkpoints import edit_json, names_in
from tests.weights.release import flip, write_release

SHARD = "model-00002-of-00003.safetensors"


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    return generate_keys(tmp_path_factory.mktemp("keys") / "release")


@pytest.fixture
def folder(tmp_path):
    folder = write_release(tmp_path / "release")
    record(folder)
    return folder


@pytest.fixture
def signed(folder, keys):
    sign(folder, keys[0])
    return folder


def stock(*arguments: object) -> subprocess.CompletedProcess:
    """What the library's own command says, with no network to reach."""
    command = [sys.executable, "-m", "model_signing", *map(str, arguments)]
    nowhere = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    return subprocess.run(command, capture_output=True, text=True, env=nowhere)


def stock_verifies(folder: Path, public: Path) -> bool:
    result = stock("verify", "key", folder, "--signature", folder / "model.sig", "--public_key", public)
    return result.returncode == 0


def test_a_pair_is_made_once_and_the_private_key_is_its_owners(tmp_path):
    private, public = generate_keys(tmp_path / "a.x-k1.pem")
    assert names_in(tmp_path) == ["a.x-k1.pem", "a.x-k1.pub.pem"]
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    before = private.read_bytes()
    with pytest.raises(UsageError, match=r"a key is never overwritten: .*x-k1.pem is there already"):
        generate_keys(tmp_path / "a.x-k1")
    private.rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"a key is never overwritten: .*pub.pem is there already"):
        generate_keys(tmp_path / "a.x-k1")
    assert (tmp_path / "elsewhere").read_bytes() == before
    assert public.read_text().startswith("-----BEGIN PUBLIC KEY-----")


def test_the_stock_command_verifies_what_we_sign(signed, keys):
    assert stock_verifies(signed, keys[1])
    flip(signed / SHARD)
    assert not stock_verifies(signed, keys[1])


def test_we_check_what_the_stock_command_signs(folder, keys):
    result = stock("sign", "key", folder, "--signature", folder / "model.sig", "--private_key", keys[0])
    assert result.returncode == 0, result.stderr
    report = check(folder, key=keys[1])
    assert report.problems == []
    assert report.checked[-1] == "model.sig (9 files)"
    flip(folder / SHARD)
    assert not check(folder, key=keys[1]).ok


def test_a_signed_release_is_checked_by_its_key(signed, keys):
    report = check(signed, key=keys[1])
    assert report.problems == []
    assert report.checked == ["SHA256SUMS (8 files)", "MANIFEST.json (7 files)", "model.sig (9 files)"]
    assert not any("model.sig" in line for line in report.unchecked)


def test_without_the_key_the_signature_is_not_called_checked(signed):
    report = check(signed)
    assert report.ok
    assert "model.sig: only the signer's public key can check it (--key)" in report.unchecked
    assert not any("model.sig" in line for line in report.checked)


def flip_a_byte(folder: Path) -> str:
    flip(folder / SHARD)
    return f"{SHARD} must have SHA-256 "


def remove_a_file(folder: Path) -> str:
    (folder / "README.md").unlink()
    return "README.md is missing: SHA256SUMS and MANIFEST.json and model.sig list it"


def add_a_file(folder: Path) -> str:
    (folder / "more.py").touch()
    return "more.py lies in the folder and is not in SHA256SUMS and MANIFEST.json and model.sig"


def rename_a_file(folder: Path) -> str:
    (folder / "README.md").rename(folder / "README")
    return "README lies in the folder and is not in SHA256SUMS and MANIFEST.json and model.sig"


def write_the_records_anew(folder: Path) -> str:
    """Who changes a file can change the sums with it; the signature stands."""
    flip(folder / SHARD)
    record(folder)
    return f"{SHARD} must have SHA-256 "


def remove_the_signature(folder: Path) -> str:
    (folder / "model.sig").unlink()
    return "model.sig is missing"


def truncate_the_signature(folder: Path) -> str:
    (folder / "model.sig").write_bytes((folder / "model.sig").read_bytes()[:500])
    return "model.sig must be a JSON object in UTF-8: "


def change_the_signature(folder: Path) -> str:
    def change(bundle: dict) -> None:
        (signature,) = bundle["dsseEnvelope"]["signatures"]
        signature["sig"] = signature["sig"][:20] + ("A" if signature["sig"][20] != "A" else "B") + signature["sig"][21:]

    edit_json(folder / "model.sig", change)
    return "model.sig is no valid signature by release.pub.pem: the signature does not fit what it signs"


def change_what_is_signed(folder: Path) -> str:
    def change(bundle: dict) -> None:
        envelope = bundle["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"]).replace(b"README.md", b"README.mx")
        envelope["payload"] = base64.b64encode(payload).decode()

    edit_json(folder / "model.sig", change)
    return "model.sig is no valid signature by release.pub.pem: "


def take_anothers_signature(folder: Path) -> str:
    other = write_release(folder.parent / "other")
    flip(other / SHARD)
    sign(other, folder.parent.parent / "private.pem")
    shutil.copyfile(other / "model.sig", folder / "model.sig")
    return f"{SHARD} must have SHA-256 "


def empty_the_signature(folder: Path) -> str:
    (folder / "model.sig").write_text("{}")
    return "model.sig is no signature of a model as model-signing writes it"


TAMPERING = [
    flip_a_byte,
    remove_a_file,
    add_a_file,
    rename_a_file,
    write_the_records_anew,
    remove_the_signature,
    truncate_the_signature,
    change_the_signature,
    change_what_is_signed,
    take_anothers_signature,
    empty_the_signature,
]


@pytest.mark.parametrize("tamper", TAMPERING)
def test_whatever_is_tampered_with_is_found_and_named(signed, keys, tamper):
    shutil.copyfile(keys[0], signed.parent.parent / "private.pem")
    message = tamper(signed)
    problems = check(signed, key=keys[1]).problems
    assert any(problem.startswith(message) for problem in problems), problems
    assert all(problem.isprintable() for problem in problems)


def test_what_a_signature_leaves_out_is_said(folder, keys):
    ignored = ["--ignore-paths", folder / "README.md", "--ignore-paths", folder / "SHA256SUMS"]
    stock("sign", "key", folder, "--signature", folder / "model.sig", "--private_key", keys[0], *ignored)
    report = check(folder, key=keys[1])
    assert report.problems == []
    assert "README.md: the signature leaves it out" in report.unchecked
    assert "SHA256SUMS: the signature leaves it out" in report.unchecked


def test_a_signature_over_pieces_of_files_is_left_to_its_own_command(folder, keys):
    def as_shards(bundle: dict) -> None:
        envelope = bundle["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"]).replace(b'"files"', b'"shards"')
        envelope["payload"] = base64.b64encode(payload).decode()

    sign(folder, keys[0])
    edit_json(folder / "model.sig", as_shards)
    assert check(folder, key=keys[1]).problems == [
        "model.sig must be over the SHA-256 of whole files, got sha256 over shards; "
        "the command model_signing can check it"
    ]


def test_the_key_of_another_does_not_fit(signed, tmp_path):
    _, public = generate_keys(tmp_path / "other")
    (problem,) = check(signed, key=public).problems
    assert problem.startswith("model.sig is no valid signature by other.pub.pem: Key mismatch")


@pytest.mark.parametrize("place", range(0, 2800, 97))
def test_one_flipped_byte_anywhere_in_the_signature_is_one_line_or_harmless(signed, keys, place):
    """Harmless is what JSON or the bundle does not mean anything by; never a traceback."""
    flip(signed / "model.sig", place)
    problems = check(signed, key=keys[1]).problems
    assert all(problem.startswith("model.sig") and problem.isprintable() for problem in problems)


def test_a_folder_that_is_not_as_its_own_records_say_is_not_signed(folder, keys):
    flip(folder / SHARD)
    with pytest.raises(WeightsError, match=r"must have SHA-256 .* as SHA256SUMS and MANIFEST.json say"):
        sign(folder, keys[0])
    assert "model.sig" not in names_in(folder)


def test_a_trusted_manifest_spares_the_reading_and_that_is_said(folder, keys, run_axk1):
    result = run_axk1("weights", "sign", folder, "--key", keys[0], "--trust-manifest")
    assert result.stdout.splitlines()[1] == "note: 7 files were not read: their digests are MANIFEST.json's"
    assert stock_verifies(folder, keys[1])
    flip(folder / SHARD)
    sign(folder, keys[0], trust_manifest=True)  # it was asked for: what was published is what is signed
    assert not check(folder, key=keys[1]).ok
    with (folder / SHARD).open("ab") as file:
        file.write(b"x")
    with pytest.raises(WeightsError, match=r"must have 4,332 bytes by MANIFEST.json, got 4,333"):
        sign(folder, keys[0], trust_manifest=True)
    (folder / "MANIFEST.json").unlink()
    with pytest.raises(WeightsError, match=r"must hold MANIFEST.json to be trusted"):
        sign(folder, keys[0], trust_manifest=True)


def test_a_folder_without_any_record_can_be_signed_and_checked(tmp_path, keys):
    folder = write_release(tmp_path / "release")
    sign(folder, keys[0])
    assert stock_verifies(folder, keys[1])
    report = check(folder, key=keys[1])
    assert (report.ok, report.checked) == (True, ["model.sig (7 files)"])


def test_a_dry_run_reads_and_writes_nothing(folder, keys, monkeypatch):
    monkeypatch.setattr(facts_module, "_fill", None)
    assert sign(folder, keys[0], dry_run=True).files == 9
    assert "model.sig" not in names_in(folder)


def test_what_is_no_key_is_said_in_one_line_with_exit_2(folder, keys, run_axk1, tmp_path):
    rule = "must be a PEM file of an elliptic-curve key (P-256, P-384 or P-521) without a password"
    for command, which, given in (("sign", "private", keys[1]), ("check", "public", keys[0])):
        result = run_axk1("weights", command, folder, "--key", given)
        line = f"axk1: error: the {which} key {rule}, got {given.name}; `axk1 weights keygen` makes a pair\n"
        assert (result.returncode, result.stderr) == (2, line)
    result = run_axk1("weights", "check", folder, "--key", tmp_path / "nothing.pem")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "No such file" in result.stderr


def test_keys_of_other_kinds_are_refused(folder, tmp_path):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    locked = serialization.BestAvailableEncryption(b"secret")
    for key, lock in (
        (ed25519.Ed25519PrivateKey.generate(), serialization.NoEncryption()),
        (ec.generate_private_key(ec.SECP256K1()), serialization.NoEncryption()),
        (ec.generate_private_key(ec.SECP256R1()), locked),
    ):
        (tmp_path / "key.pem").write_bytes(key.private_bytes(pem, form, lock))
        with pytest.raises(UsageError, match="the private key must be a PEM file of an elliptic-curve key"):
            sign(folder, tmp_path / "key.pem")


def test_openssl_makes_keys_too(folder, tmp_path, keys):
    private, public = tmp_path / "key.pem", tmp_path / "key.pub.pem"
    subprocess.run(["openssl", "ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", private], check=True)
    subprocess.run(["openssl", "ec", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    sign(folder, private)
    assert check(folder, key=public).ok
    assert not check(folder, key=keys[1]).ok


def test_dry_keys_are_names_only(run_axk1, tmp_path):
    report = json.loads(run_axk1("weights", "keygen", "mine", "--dry-run", "--json", cwd=tmp_path).stdout)
    assert report == {"private": "mine.pem", "public": "mine.pub.pem", "written": False}
    assert list(tmp_path.iterdir()) == []


def test_the_cli_makes_keys_signs_and_checks(run_axk1, folder, tmp_path):
    assert run_axk1("weights", "keygen", "mine", cwd=tmp_path).stdout == (
        "mine.pem signs and must stay secret; mine.pub.pem checks and is for everybody\n"
    )
    result = run_axk1("weights", "keygen", "mine", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (
        2,
        "axk1: error: a key is never overwritten: mine.pem is there already; "
        "name another; see `axk1 weights keygen --help`\n",
    )
    report = json.loads(run_axk1("weights", "sign", folder, "--key", tmp_path / "mine.pem", "--json").stdout)
    assert (report["files"], report["trusted"], report["dry_run"]) == (9, 0, False)
    result = run_axk1("weights", "check", folder, "--key", tmp_path / "mine.pub.pem")
    assert (result.returncode, result.stderr) == (0, "")
    (folder / "more").touch()
    result = run_axk1("weights", "check", folder, "--key", tmp_path / "mine.pub.pem")
    assert result.returncode == 1
    assert result.stderr == "more lies in the folder and is not in SHA256SUMS and MANIFEST.json and model.sig\n"


def test_without_the_library_one_line_says_what_to_install(folder, keys):
    code = "import sys; sys.modules['model_signing'] = None\nfrom modeling_axk1.cli import main; main()"
    for arguments in (
        ["keygen", folder / "k"],
        ["sign", folder, "--key", keys[0]],
        ["check", folder, "--key", keys[1]],
    ):
        result = subprocess.run(
            [sys.executable, "-c", code, "weights", *map(str, arguments)], capture_output=True, text=True
        )
        assert result.returncode == 2
        assert result.stderr.startswith("axk1: error: signatures need the extra `sign`: pip install 'axk1[sign]'")
        assert result.stderr.count("\n") == 1
