"""A manifest becomes a release set: complete, the same bytes each time, whole or not at all."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from safetensors.torch import load_file

from modeling_axk1.errors import HubError, UsageError, WeightsError
from modeling_axk1.files import file_digests
from modeling_axk1.hub.export import export_release
from modeling_axk1.hub.release.manifest import read_manifest
from modeling_axk1.hub.release_set import read_release
from modeling_axk1.weights.check import check
from modeling_axk1.weights.sign import generate_keys
from modeling_axk1.weights.verify import verify
from tests.hub.release.conftest import DATA, INT4, MODEL, NANO

VARIANTS = ("A.X-K1-nano", "A.X-K1-nano-FP8", "A.X-K1-nano-INT4")


def test_the_same_inputs_give_the_same_bytes_signed_or_not(made, tmp_path):
    """But for the signatures themselves: ECDSA draws a random number for each, in the library that makes them."""
    key, public = generate_keys(tmp_path / "release")
    export_release(made.manifest, tmp_path / "elsewhere" / "again", key=key)
    first, second = file_digests(made.set), file_digests(tmp_path / "elsewhere" / "again")
    signatures = {name for name in second if name.endswith("/model.sig")}
    assert {name: digest for name, digest in second.items() if name not in signatures} == first
    release = read_release(tmp_path / "elsewhere" / "again")
    assert len(signatures) == len(release.repositories) == 4
    for entry in release.repositories:
        assert check(tmp_path / "elsewhere" / "again" / entry.folder, key=public).problems == []


def test_the_dataset_comes_first_and_every_repository_is_there(made):
    release = read_release(made.set)
    assert (release.name, release.tag) == ("A.X-K1-nano", "v0.1")
    assert [(entry.type, entry.id) for entry in release.repositories] == [
        ("dataset", "local/A.X-K1-sample-corpus"),
        *(("model", f"local/{name}") for name in VARIANTS),
    ]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_model_repository_is_complete(made, name):
    folder = made.set / "models" / "local" / name
    assert {
        ".eval_results/validation.yaml",
        "CITATION.cff",
        "LICENSE",
        "MANIFEST.json",
        "NOTICE",
        "README.ko.md",
        "README.md",
        "SAFETY.md",
        "SECURITY.md",
        "SHA256SUMS",
        "WEIGHTS.md",
        "attach_axk1.py",
        "chat_template.jinja",
        "config.json",
        "configuration_axk1.py",
        "generation_config.json",
        "golden/logits.safetensors",
        "model.safetensors",
        "memory_axk1.py",
        "modeling_axk1.py",
        "policies_axk1.py",
        "products_axk1.py",
        "quantised_axk1.py",
        "reading_axk1.py",
        "streamed_axk1.py",
        "streaming_axk1.py",
        "results/dataset.json",
        "results/tokenizer.json",
        "results/train.json",
        "results/variant.json",
        "sbom.cdx.json",
        "tokenizer.json",
        "tokenizer_config.json",
    } <= file_digests(folder).keys()
    assert verify(folder).problems == []
    config = json.loads((folder / "config.json").read_text())
    generation = json.loads((folder / "generation_config.json").read_text())
    assert config["auto_map"]["AutoModelForCausalLM"] == "modeling_axk1.AXK1ForCausalLM"
    assert set(generation["eos_token_id"]) == {config["eos_token_id"], config["bos_token_id"]}


def test_quantised_repositories_are_made_from_the_base_and_say_so(made):
    data = ModelCard((made.set / INT4 / "README.md").read_text()).data
    assert (data.base_model, data["base_model_relation"]) == ("local/A.X-K1-nano", "quantized")
    assert ModelCard((made.set / MODEL / "README.md").read_text()).data.base_model is None
    config = json.loads((made.set / INT4 / "config.json").read_text())
    assert config["quantization_config"]["config_groups"]["group_0"]["weights"]["group_size"] == 32
    base, quantised = (load_file(made.set / folder / "model.safetensors") for folder in (MODEL, INT4))
    assert (quantised["model.embed_tokens.weight"] == base["model.embed_tokens.weight"]).all()


def test_golden_logits_are_each_variants_own_over_the_same_input(made):
    golden = [load_file(made.set / "models/local" / name / "golden/logits.safetensors") for name in VARIANTS]
    trained = load_file(made.inputs / "axk1-nano/checkpoint/golden/logits.safetensors")
    for one, worst in zip(golden, (0.005, 0.02, 0.1), strict=True):
        assert (one["input_ids"] == trained["input_ids"]).all()
        # The median: a rounding that changes which expert is chosen changes some logits by much more.
        assert 0 < (one["logits"] - trained["logits"]).abs().median() < worst


def test_results_are_said_in_both_forms_that_hubs_read(made):
    folder = made.set / MODEL
    measured = json.loads((folder / "results/variant.json").read_text())["measured"]
    (entry,) = parse_eval_result_entries(yaml.safe_load((folder / ".eval_results/validation.yaml").read_text()))
    assert (entry.dataset_id, entry.value) == ("local/A.X-K1-sample-corpus", measured["bits_per_byte"])
    results = {
        one.metric_type: one.metric_value for one in ModelCard((folder / "README.md").read_text()).data.eval_results
    }
    assert results == {"bits_per_byte": measured["bits_per_byte"], "cross_entropy": measured["validation_loss"]}


def test_the_dataset_is_the_one_that_was_built_with_a_korean_card(made):
    built, published = file_digests(made.inputs / "axk1-nano/data"), file_digests(made.set / DATA)
    changed = {name for name, digest in built.items() if published.get(name) != digest}
    assert changed == {"README.md", "SHA256SUMS"}
    assert published.keys() - built.keys() == {"README.ko.md", "CITATION.cff", "SECURITY.md", "sbom.cdx.json"}
    assert "[한국어](README.ko.md)" in (made.set / DATA / "README.md").read_text()


def test_a_dry_run_checks_all_and_names_the_files_that_will_be_there(made, tmp_path):
    report = export_release(made.manifest, tmp_path / "out", dry_run=True)
    names = [name for name in report.files if not name.endswith("/")]
    assert set(names) <= file_digests(made.set).keys()
    assert {name for name in file_digests(made.set) if name.startswith("models/")} <= set(names)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda root: (root / "checkpoint/train.json").unlink(), HubError, "checkpoint has no train.json"),
        (lambda root: shutil.rmtree(root / "checkpoint/golden"), HubError, "has no golden/logits.safetensors"),
        (lambda root: (root / "tokenizer/chat_template.jinja").unlink(), HubError, "has no chat_template.jinja"),
        (lambda root: (root / "data/stats.json").unlink(), HubError, "data has no stats.json"),
        (lambda root: change(root / "data/stats.json", whole=True), HubError, "is a whole corpus"),
        (lambda root: change(root / "checkpoint/config.json", hidden_size=128), HubError, "cannot be exported"),
    ],
)
def test_what_is_missing_or_does_not_fit_is_said_and_nothing_is_written(made, tmp_path, damage, error, message):
    shutil.copytree(made.inputs, tmp_path / "inputs")
    damage(tmp_path / "inputs" / "axk1-nano")
    with pytest.raises(error, match=message):
        export_release(read_manifest(NANO, inputs=tmp_path / "inputs"), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["inputs"]


def test_a_form_that_fits_no_weight_is_refused_before_anything_is_written(made, tmp_path):
    manifest = tmp_path / "odd.toml"
    manifest.write_text(NANO.read_text().replace("group_size = 32", "group_size = 4096"))
    with pytest.raises(WeightsError, match="fits none"):
        export_release(read_manifest(manifest, inputs=made.inputs), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_key_is_said_first(made, tmp_path):
    with pytest.raises(UsageError, match="axk1 weights keygen"):
        export_release(made.manifest, tmp_path / "out", key=tmp_path / "none.pem")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "A.X-K1-nano"\ntag', 'nam = "x"\ntag', "unknown key 'nam'"),
        ('weights = "fp8"', 'weights = "fp7"', "weights must be one of"),
        ('name = "A.X-K1-nano-FP8"', 'name = "A.X-K1-nano"', "a name of its own"),
        ('name = "A.X-K1-nano-FP8"', 'name = "../evil"', "must be letters"),
        ('[dataset]\nname = "A.X-K1-sample-corpus"', "", "must have \\[dataset\\]"),
        ('tag = "v0.1"', "", "tag must be a text, got None"),
        ('tag = "v0.1"', "tag = ", "is no manifest that can be read"),
    ],
)
def test_a_wrong_manifest_is_refused_with_the_rule(tmp_path, old, new, message):
    assert old in NANO.read_text()
    path = tmp_path / "wrong.toml"
    path.write_text(NANO.read_text().replace(old, new))
    with pytest.raises(UsageError, match=message):
        read_manifest(path)


def entry(**edit: str) -> dict[str, str]:
    return {"type": "model", "id": "a/b", "folder": "models/a/b", "sums_sha256": "0" * 64, **edit}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"format": "axk1-release-2"}, "format must be 'axk1-release-1'"),
        ({"repositories": []}, "a list of at least one"),
        ({"repositories": [{"type": "model"}]}, "must have type, id, folder and sums_sha256"),
        ({"repositories": [entry(type="space")]}, "type must be"),
        ({"repositories": [entry(folder="../x")]}, "a/b must lie in models/a/b"),
        ({"repositories": [entry(id="ab")]}, "NAMESPACE/NAME"),
        ({"repositories": [entry(sums_sha256="1")]}, "64 hex digits"),
        ({"repositories": [entry(), entry()]}, "every repository once"),
    ],
)
def test_a_set_that_somebody_else_wrote_is_read_with_care(tmp_path, edit, message):
    content = {"format": "axk1-release-1", "name": "x", "tag": "v1", "repositories": [], **edit}
    (tmp_path / "release.json").write_text(json.dumps(content))
    with pytest.raises(HubError, match=message):
        read_release(tmp_path)


def test_the_command_makes_it_and_says_what_is_missing(made, tmp_path, run_axk1_here):
    result = run_axk1_here(
        "hub", "export", NANO, "--inputs", made.inputs, "--out", "o", "--dry-run", "--json", cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    assert "release.json" in json.loads(result.stdout)["files"]
    result = run_axk1_here("hub", "export", NANO, "--out", "o", cwd=tmp_path)
    assert (result.returncode, len(result.stderr.splitlines())) == (1, 1)
    assert "axk1-nano/checkpoint has no train.json" in result.stderr
    result = run_axk1_here("hub", "export", NANO, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (2, "axk1: error: --out is missing; see `axk1 hub export --help`\n")


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
