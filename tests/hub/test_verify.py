"""verify(): every byte, and a load where this package does not exist. The model is a native one of transformers."""

import hashlib
import json
from pathlib import Path
from shutil import copytree

import pytest
from safetensors.torch import load_file, save_file

from modeling_axk1.checksums import write_sums
from modeling_axk1.errors import HubError
from modeling_axk1.files import file_digests
from modeling_axk1.hub.publish import publish
from modeling_axk1.hub.verify import verify
from tests.hub.releases import make_dataset, make_model


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    return make_model(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("dataset"))


@pytest.fixture(scope="module")
def published(hub, release, dataset) -> str:
    publish(dataset, "team/data", endpoint=hub.endpoint, repo_type="dataset", tag="v0.1")
    publish(release, "team/model", endpoint=hub.endpoint, repo_type="model", tag="v0.1")
    return "team/model"


def test_a_good_release_is_proved(hub, published, release, run_axk1):
    result = run_axk1(
        "hub", "verify", published, "--from", hub.endpoint, "--revision", "v0.1", "--dataset", "team/data",
        "--dataset-revision", "v0.1", "--json",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    report = json.loads(result.stdout)
    assert report["commit"] == hub.api.model_info(published, revision="v0.1").sha
    assert report["files_checked"] == len(file_digests(release))
    assert report["logits_max_abs_diff"] <= 1e-5
    assert report["dataset_rows"] == {"train": 5, "test": 2}
    assert report["dataset_files_checked"] == 4
    assert report["prompt"] == "a model"
    assert report["sample"].startswith("a model ")
    assert len(report["sample"].split()) > 10


def test_recorded_logits_that_the_model_does_not_give(hub, release, tmp_path):
    folder = copytree(release, tmp_path / "release")
    golden = load_file(folder / "golden" / "logits.safetensors")
    golden["logits"][1, 2, 3] += 1e-3
    save_file(golden, folder / "golden" / "logits.safetensors", metadata={"prompt": "a model"})
    write_sums(folder)
    publish(folder, "team/other-logits", endpoint=hub.endpoint, repo_type="model", tag="v0.1")
    with pytest.raises(HubError, match=r"logits must be within 1e-05 of the recorded ones, got 0\.001"):
        verify("team/other-logits", endpoint=hub.endpoint, revision="v0.1", max_new_tokens=1)


def test_a_model_that_needs_this_package_does_not_pass(hub, release, tmp_path):
    """Remote code that imports modeling_axk1 works on our machines and on no other."""
    folder = copytree(release, tmp_path / "release")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "ours", "auto_map": {"AutoConfig": "ours.OursConfig"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "ours.py").write_text(
        "import importlib\n"
        "from transformers import LlamaConfig as OursConfig\n"
        "importlib.import_module('modeling_axk1')\n"
    )
    write_sums(folder)
    publish(folder, "team/needs-us", endpoint=hub.endpoint, repo_type="model", tag="v0.1")
    rule = "does not load without this package: ModuleNotFoundError: No module named 'modeling_axk1'"
    with pytest.raises(HubError, match=rule):
        verify("team/needs-us", endpoint=hub.endpoint, revision="v0.1", max_new_tokens=1)


class TestDamage:
    """Found before anything is loaded."""

    def test_a_flipped_byte_in_the_store_is_named(self, hub, published, release):
        digest = hashlib.sha256((release / "model.safetensors").read_bytes()).hexdigest()
        blob = hub.root / "blobs" / digest[:2] / digest[2:4] / digest
        sound = blob.read_bytes()
        blob.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
        try:
            with pytest.raises(HubError, match=f"{published}: model.safetensors must have SHA-256"):
                verify(published, endpoint=hub.endpoint, revision="v0.1")
        finally:
            blob.write_bytes(sound)

    def test_a_release_without_manifest_or_logits_proves_nothing(self, hub, tmp_path):
        (tmp_path / "README.md").write_text("# A model\n")
        publish(tmp_path, "team/bare", endpoint=hub.endpoint, repo_type="model", tag="v1")
        with pytest.raises(HubError, match="team/bare has no SHA256SUMS"):
            verify("team/bare", endpoint=hub.endpoint, revision="v1")
        write_sums(tmp_path)
        publish(tmp_path, "team/bare", endpoint=hub.endpoint, repo_type="model", tag="v2")
        with pytest.raises(HubError, match=r"golden/logits\.safetensors is missing"):
            verify("team/bare", endpoint=hub.endpoint, revision="v2")


class TestNotThere:
    @pytest.mark.parametrize(
        ("repo", "revision", "rule"),
        [
            ("team/nowhere", "v0.1", "no repository 'team/nowhere'"),
            ("team/model", "v9", "no branch, tag or commit 'v9'"),
        ],
    )
    def test_it_is_said_in_one_line(self, hub, published, repo, revision, rule, run_axk1):
        result = run_axk1("hub", "verify", repo, "--from", hub.endpoint, "--revision", revision)
        assert result.returncode == 1
        assert rule in result.stderr
        assert result.stderr.count("\n") == 1

    def test_an_unreachable_hub(self):
        with pytest.raises(HubError, match=r"cannot reach the hub at http://127\.0\.0\.1:9"):
            verify("a/b", endpoint="http://127.0.0.1:9", revision="v1")
