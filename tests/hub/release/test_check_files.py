"""The check looks into every file: secrets and personal traces, pickles by name and by content, a hub's limits."""

import base64
import gzip
import io
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from modeling_axk1.hub.check import check
from modeling_axk1.hub.checking.pickles import is_pickle
from tests.hub.release.breaking import append, found, write
from tests.hub.release.conftest import MODEL, mend

SECRET = "hf_" + "aB3dE6gH9j" * 4


class Evil:
    def __reduce__(self):
        return print, ("run",)


EVIL = pickle.dumps(Evil())


@pytest.mark.parametrize(
    "line",
    [
        SECRET,
        "token = ghp_" + "a1B2" * 9,
        "AKIA" + "ABCD2345EFGH6723",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "https://me:hunter22@hub.example.org/x",
        "trained in /home/somebody/models",
        r"C:\Users\somebody\models",
        "/Users/somebody/x",
        "write to somebody@example.org",
    ],
)
def test_secrets_and_personal_traces(copied, line):
    append("chat_template.jinja", "{# " + line + " #}")(copied)
    mend(copied)
    assert found(copied) == {("secrets", "chat_template.jinja")}


def test_a_secret_is_not_printed_and_also_found_in_a_shards_header(copied):
    path = copied / MODEL / "model.safetensors"
    save_file(load_file(path), path, metadata={"format": "pt", "note": SECRET})
    mend(copied)
    findings = check(copied, run=False).findings
    assert ("secrets", "model.safetensors") in {(one.rule, one.file) for one in findings}
    assert not any(SECRET in str(one) for one in findings)


def test_licence_texts_may_name_their_authors(copied):
    append("NOTICE", "by somebody@example.org")(copied)
    mend(copied)
    assert found(copied) == set()


def in_zip(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, EVIL)
    return buffer.getvalue()


def objects() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


PICKLES = {
    **{f"protocol {n}": pickle.dumps(Evil(), protocol=n) for n in range(pickle.HIGHEST_PROTOCOL + 1)},
    "a dict": pickle.dumps({"weights": [1, 2]}),
    "in gzip": gzip.compress(EVIL),
    "in a zip": in_zip("archive/data.pkl"),
    "in a zip, named as text": in_zip("innocent.txt"),
    "in a zip behind a script": b"#!/bin/sh\n" + in_zip("archive/data.pkl"),
    "numpy objects": objects(),
}


@pytest.mark.parametrize("content", PICKLES.values(), ids=PICKLES)
def test_pickles_by_content(copied, content):
    write("results/innocent.dat", content)(copied)
    mend(copied)
    assert found(copied) == {("pickles", "results/innocent.dat")}


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "x.pkl", "optimizer.pth", "a.npz"])
def test_pickles_by_name(copied, name):
    write(name, b"harmless")(copied)
    mend(copied)
    assert found(copied) == {("pickles", name)}


def test_a_pickle_in_the_metadata_of_a_shard(copied):
    path = copied / MODEL / "golden/logits.safetensors"
    save_file(load_file(path), path, metadata={"prompt": "x", "note": base64.b64encode(EVIL).decode()})
    mend(copied)
    assert found(copied) == {("pickles", "golden/logits.safetensors")}


@given(st.binary(max_size=300))
def test_bytes_are_told_from_a_pickle_without_being_loaded(raw):
    assert is_pickle(raw) in (True, False)
    assert is_pickle(EVIL + raw)


@given(st.text(max_size=300))
def test_prose_is_no_pickle_unless_it_calls_something(text):
    if is_pickle(text.encode()):
        assert any(opcode in text for opcode in ("c", "i", "R", "b", "o"))


def test_limits(copied, monkeypatch):
    from modeling_axk1.hub.checking import limits

    (copied / MODEL / "link.txt").symlink_to("/etc/hostname")
    assert ("limits", "link.txt") in found(copied)
    (copied / MODEL / "link.txt").unlink()
    # Real limits would need 100,000 files and 200 GB.
    for constant, value, file in (
        ("MOST_FILES", 25, "."),
        ("MOST_IN_FOLDER", 20, "."),
        ("MOST_FILE_BYTES", 1_000_000, "model.safetensors"),
        ("MOST_CARD_BYTES", 1_000, "README.md"),
        ("MOST_NAME_BYTES", 12, "configuration_axk1.py"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(limits, constant, value)
            findings = found(copied / MODEL)
            assert ("limits", file) in findings
            assert {rule for rule, _ in findings} == {"limits"}
