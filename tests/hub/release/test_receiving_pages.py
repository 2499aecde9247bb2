"""The pages for whoever receives a release work block by block, on the small signed release of these tests."""

import shutil
from pathlib import Path

import pytest

from modeling_axk1.hub.release_set import read_release, write_release
from modeling_axk1.weights.sign import generate_keys, sign
from tests.hub.release.conftest import DATA, MODEL
from tests.test_docs import DOCS, run_page

SURROUNDINGS = {
    # Whatever goes by a proxy goes nowhere: what the pages do reaches this machine alone.
    **dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9"),
    "no_proxy": "127.0.0.1",
    "OMP_NUM_THREADS": "1",  # other tests have the other cores
}


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """A folder with `release-set`, a dataset and a model, and the pair of keys that it is signed with."""
    private, _ = generate_keys(tmp_path / "release")
    release = read_release(made.set)
    kept = [(entry.type, entry.id) for entry in release.repositories if entry.folder in (DATA, MODEL)]
    for place in (DATA, MODEL):
        shutil.copytree(made.set / place, tmp_path / "release-set" / place)
        sign(tmp_path / "release-set" / place, private)
    write_release(tmp_path / "release-set", release.name, release.tag, kept)
    return tmp_path


@pytest.mark.slow
def test_the_page_about_air_gapped_sites_works_block_by_block(folder):
    result = run_page((DOCS / "en" / "air-gapped.md").read_text("utf-8"), {}, folder, SURROUNDINGS)
    assert result.returncode == 0, result.stdout + result.stderr
    said = result.stdout
    assert (folder / "stick" / "release.tar.001").is_file()
    # Two repositories in the bundle and in the cache, the model on the site's hub.
    assert said.count("every SHA-256 as published") == 2 + 1 + 2
    assert said.count("  checked: model.sig") == 3
    assert "loads without this package" in said
    assert "torch.bfloat16" in said


@pytest.mark.slow
def test_the_page_about_checking_works_block_by_block(folder):
    result = run_page((DOCS / "en" / "check-what-you-downloaded.md").read_text("utf-8"), {}, folder, SURROUNDINGS)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "loads without this package" in result.stdout
    assert "loaded without a word" in result.stdout
    assert "damaged: " in result.stderr
    assert "must have SHA-256" in result.stderr
