"""The check before a release leaves: a good one passes, and each rule finds the release that breaks just it."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from modeling_axk1.errors import HubError
from modeling_axk1.hub.check import check, stale_cards
from modeling_axk1.hub.checking.licences import rule_for
from modeling_axk1.hub.checking.links import anchors
from modeling_axk1.hub.figures import says
from modeling_axk1.weights.sign import generate_keys, sign
from tests.hub.release.breaking import append, edit, found, replace, write
from tests.hub.release.conftest import DATA, INT4, MODEL, mend


def test_a_release_as_it_is_exported_passes(made):
    report = check(made.set, run=False)
    assert report.findings == []
    assert len(report.repositories) == 4
    assert report.unchecked == ["the examples in the cards were not run"]


# SAFETY.md is a page that nothing generates again from other files: a line there breaks one rule alone.
@pytest.mark.parametrize(
    "line",
    [
        "[gone](gone.md)",
        "![gone](figures/gone.png)",
        '<img src="gone.png">',
        "[no such heading](README.md#nowhere)",
        "[out](../../../etc/passwd)",
        "[absolute](/etc/passwd)",
        "[nothing]()",
        "[hub](http://127.0.0.1:8000/x)",
        "[hub](http://10.1.2.3/x)",
        "[hub](http://[fe80::1]/x)",
        "[hub](https://registry.corp/simple)",
        "[hub](http://localhost:3000)",
        "[hub](http://nexus/repository)",
        "[hub](https://user:pass12345@example.org/)",
        "see http://mirror.internal/pypi for it",
        "[port](https://example.org:99999999/)",
        "[file](file:///etc/hosts)",
        "[script](javascript:alert(1))",
    ],
)
def test_links(copied, line):
    append("SAFETY.md", line)(copied)
    mend(copied)
    assert {finding for finding in found(copied) if finding[0] == "links"} == {("links", "SAFETY.md")}
    assert {rule for rule, _ in found(copied)} <= {"links", "secrets"}  # a password in an address is both


@pytest.mark.parametrize(
    "line",
    ["[text](LICENSE)", "[heading](README.md#measured-here)", "`[code](gone.md)`", "[site](https://arxiv.org/abs/1)"],
)
def test_links_that_are_right(copied, line):
    append("SAFETY.md", line)(copied)
    mend(copied)
    assert found(copied) == set()


def test_anchors_are_made_as_hubs_make_them():
    text = "# A & B\n## `code`, x!\n## Twice\n## Twice\n```\n# no heading\n```\n## 한글 제목\n"
    assert anchors(text) == {"a--b", "code-x", "twice", "twice-1", "한글-제목"}


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("pipeline_tag: text-generation", "pipeline_tag: poetry", "pipeline_tag"),
        ("library_name: transformers", "library_name: mine", "library_name"),
        ("- en\n", "- klingon\n", "ISO 639"),
        ("datasets:\n- local/A.X-K1-sample-corpus", "datasets:\n- local/gone", "same release"),
        ("datasets:\n- local/A.X-K1-sample-corpus", "datasets:\n- a/b/c", "a repository's name"),
        ("      value:", "      valu:", "what the hub's client reads"),
        ("base_model_relation: quantized", "base_model_relation: squeezed", "base_model_relation"),
        ("base_model: local/A.X-K1-nano\n", "", "must come with base_model"),
    ],
)
def test_metadata(copied, old, new, word):
    replace("README.md", old, new, folder=INT4)(copied)
    mend(copied)
    findings = check(copied, run=False).findings
    # A generated card that is changed at all is also not what its files give.
    assert {finding.rule for finding in findings} == {"metadata", "figures"}
    assert any(word in finding.message for finding in findings if finding.rule == "metadata")


@pytest.mark.parametrize(
    ("folder", "change", "file"),
    [
        (MODEL, lambda root: (root / "README.md").unlink(), "README.md"),
        (MODEL, lambda root: (root / ".eval_results/odd.yaml").write_text("- value: 1\n"), ".eval_results/odd.yaml"),
        (DATA, lambda root: swap(root / "README.md", "license: apache-2.0", "license: odd"), "README.md"),
        (DATA, lambda root: swap(root / "README.md", "license: apache-2.0", "license: other"), "README.md"),
        (DATA, lambda root: swap(root / "README.md", "path: data/*/*/train-", "path: dota/train-"), "README.md"),
        (DATA, lambda root: swap(root / "README.md", "---\n", "# no front matter\n"), "README.md"),
    ],
)
def test_metadata_of_other_kinds(copied, folder, change, file):
    change(copied / folder)
    mend(copied)
    assert ("metadata", file) in found(copied)
    # A page that is gone is also missed by links to it.
    assert {rule for rule, _ in found(copied)} <= {"metadata", "figures", "links"}


def swap(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("change", "file"),
    [
        (write("LICENSE", b"All rights reserved.\n"), "LICENSE"),
        (lambda release: (release / DATA / "LICENSE").unlink(), "LICENSE"),
        (replace("modeling_axk1.py", "Apache License, Version 2.0", "Some License"), "modeling_axk1.py"),
        (edit("stats.json", folder=DATA, by_license={"CC-BY-NC-4.0": {"documents": 30, "bytes": 1}}), "stats.json"),
        (edit("stats.json", folder=DATA, by_license={"Mystery-1.0": {"documents": 30, "bytes": 1}}), "stats.json"),
        (edit("results/dataset.json", by_license={"CC-BY-ND-4.0": {}}), "results/dataset.json"),
    ],
)
def test_licences(copied, change, file):
    change(copied)
    mend(copied)
    assert ("licences", file) in found(copied)
    # What is missing or changed in LICENSE and stats.json is linked and printed elsewhere too.
    assert {rule for rule, _ in found(copied)} <= {"licences", "links", "figures"}


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("Apache-2.0", True),
        ("CC-BY-SA-4.0", True),
        ("CC-BY-4.0", True),
        ("CC-BY-NC-SA-4.0", False),
        ("CC-BY-ND-4.0", False),
        ("GPL-3.0-or-later", True),
        ("LicenseRef-own", False),
    ],
)
def test_the_table_of_licences(licence, allowed):
    assert rule_for(licence).allowed is allowed
    assert rule_for("Mystery-1.0") is None


STEPS = '[2](results/train.json "/measured/steps")'


@pytest.mark.parametrize(
    ("change", "file", "word"),
    [
        (replace("README.md", STEPS, STEPS.replace("/steps", "/step")), "README.md", "lacks"),
        (replace("README.md", STEPS, STEPS.replace("[2]", "[3]")), "README.md", "must be 2"),
        (
            replace("README.md", STEPS, STEPS.replace("train.json", "gone.json")),
            "README.md",
            "is not in the repository",
        ),
        (replace("README.ko.md", STEPS, "2"), "README.ko.md", "must link to its file"),
        (replace("README.md", "It is not SK Telecom's.", ""), "README.md", "hub card"),
        (replace("README.md", "      value: ", "      value: 9"), "README.md", "model-index says"),
        (lambda release: (release / MODEL / "README.ko.md").unlink(), "README.ko.md", "is missing"),
        (replace(".eval_results/validation.yaml", "value: ", "value: 9"), ".eval_results/validation.yaml", "hub card"),
        (replace("README.md", "30 documents", "31,415 documents", folder=DATA), "README.md", "31,415"),
    ],
)
def test_figures(copied, change, file, word):
    change(copied)
    mend(copied)
    findings = check(copied, run=False).findings
    assert {finding.rule for finding in findings} <= {"figures", "links"}
    assert any(finding.rule == "figures" and finding.file == file and word in finding.message for finding in findings)


@pytest.mark.parametrize(
    ("text", "value", "right"),
    [
        ("2.190", 2.1903, True),
        ("2.191", 2.1903, False),
        ("1,037,966", 1_037_966, True),
        ("1,037,967", 1_037_966, False),
        ("99.5%", 0.995, True),
        ("99.4 %", 0.995, False),
        ("5.15e-06", 0.00000515, True),
        ("5.16e-06", 0.00000515, False),
        ("-3", -3, True),
        ("about 3", 3, False),
        ("bf16", "bf16", True),
        ("1", True, False),
    ],
)
def test_a_printed_figure_says_a_value_rounded_to_its_digits(text, value, right):
    assert says(text, value) is right


@given(st.floats(-1e9, 1e9), st.integers(0, 6))
def test_every_figure_that_python_prints_says_its_value(value, decimals):
    assert says(f"{value:,.{decimals}f}", value)
    assert says(f"{value:.{decimals}e}", value)


@pytest.mark.parametrize(
    ("change", "file"),
    [
        (edit("config.json", hidden_size=128), "config.json"),
        (edit("config.json", auto_map={"AutoConfig": "gone.AXK1Config"}), "config.json"),
        (edit("config.json", auto_map=None), "config.json"),
        (edit("generation_config.json", eos_token_id=3), "generation_config.json"),
        (lambda release: (release / MODEL / "chat_template.jinja").unlink(), "chat_template.jinja"),
        (lambda release: (release / MODEL / "golden/logits.safetensors").unlink(), "golden/logits.safetensors"),
        (lambda release: without_a_norm(release / MODEL / "model.safetensors"), "config.json"),
        (lambda release: not_a_number(release / MODEL / "model.safetensors"), "config.json"),
        (append("WEIGHTS.md", "and one more"), "WEIGHTS.md"),
    ],
)
def test_weights_and_what_must_fit_them(copied, change, file):
    change(copied)
    mend(copied)
    assert ("weights", file) in found(copied)
    assert {rule for rule, _ in found(copied)} <= {"weights", "figures"}  # the card prints the config's widths


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("tokenizer.json", b"{}", "weights"),
        ("config.json", b"[]", "weights"),
        ("config.json", b"\xff", "weights"),
        ("results/variant.json", b"[]", "figures"),
        ("results/dataset.json", b"7", "licences"),
        ("sbom.cdx.json", b"{}", "sbom"),
        ("SHA256SUMS", b"nonsense\n", "digests"),
    ],
)
def test_a_file_that_is_nonsense_is_a_finding_and_no_crash(copied, name, content, rule):
    write(name, content)(copied)
    assert rule in {broken for broken, _ in found(copied / MODEL)}


def without_a_norm(path: Path) -> None:
    tensors = load_file(path)
    del tensors["model.norm.weight"]
    save_file(tensors, path, metadata={"format": "pt"})


def not_a_number(path: Path) -> None:
    tensors = load_file(path)
    tensors["model.norm.weight"][0] = float("nan")
    save_file(tensors, path, metadata={"format": "pt"})


@pytest.mark.parametrize("name", ["model.safetensors", "README.md", "modeling_axk1.py", "golden/logits.safetensors"])
def test_digests_find_a_flipped_byte_anywhere(copied, name):
    path = copied / MODEL / name
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 1
    path.write_bytes(raw)
    assert ("digests", "SHA256SUMS") in found(copied)


def test_digests_are_complete(copied):
    (copied / MODEL / "stray.txt").write_text("x")
    assert found(copied) == {("digests", "SHA256SUMS")}
    (copied / MODEL / "stray.txt").unlink()
    (copied / DATA / "SHA256SUMS").unlink()
    assert found(copied) == {("digests", "SHA256SUMS")}


def test_release_json_names_these_repositories(copied):
    sums = copied / DATA / "SHA256SUMS"
    sums.write_bytes(sums.read_bytes().replace(b"  ", b" *"))  # other bytes that say the same
    assert found(copied) == {("release", "release.json")}
    (copied / "models/local/stowaway").mkdir()
    assert len([one for one in check(copied, run=False).findings if one.rule == "release"]) == 2
    shutil.rmtree(copied / DATA)
    assert any("which is not there" in one.message for one in check(copied, run=False).findings)


def test_the_sbom_lists_the_same_files(copied):
    append("SAFETY.md", "One more line.")(copied)
    mend(copied)
    edit("sbom.cdx.json", components=[])(copied)
    from modeling_axk1.checksums import write_sums
    from modeling_axk1.hub.release_set import read_release, write_release

    write_sums(copied / MODEL)
    release = read_release(copied)
    write_release(copied, release.name, release.tag, [(entry.type, entry.id) for entry in release.repositories])
    assert found(copied) == {("sbom", "sbom.cdx.json")}


def test_signatures(copied, tmp_path):
    key, public = generate_keys(tmp_path / "ours")
    _, stranger = generate_keys(tmp_path / "theirs")
    assert {file for rule, file in found(copied, key=public)} == {"model.sig"}
    for folder in (DATA, MODEL, INT4):
        sign(copied / folder, key)
    assert found(copied, key=public) == set()
    assert found(copied, key=stranger) == {("digests", "model.sig")}
    unchecked = check(copied, run=False).unchecked
    assert any("model.sig needs the signer's public key" in line for line in unchecked)


def test_examples_run_where_the_names_are_folders_and_broken_ones_are_found(made, tmp_path):
    folder = Path(shutil.copytree(made.set / MODEL, tmp_path / "one"))
    (folder / "README.ko.md").unlink()
    assert [one for one in check(folder).findings if one.rule == "examples"] == []
    text = (folder / "README.md").read_text()
    broken = text.replace("from transformers import", "from no_such_library import")
    (folder / "README.md").write_text(broken)
    (finding,) = [one for one in check(folder).findings if one.rule == "examples"]
    assert "No module named 'no_such_library'" in finding.message


def test_cards_are_made_again(copied):
    assert stale_cards(copied, write=False) == []
    before = (copied / MODEL / "README.md").read_text()
    replace("README.md", "demonstration", "miracle")(copied)
    assert stale_cards(copied, write=False) == [f"{MODEL}/README.md"]
    assert stale_cards(copied, write=True) == [f"{MODEL}/README.md"]
    assert (copied / MODEL / "README.md").read_text() == before


def test_the_commands(made, copied, run_axk1_here, tmp_path):
    result = run_axk1_here("hub", "check", made.set, "--no-run", "--json", cwd=tmp_path)
    assert (result.returncode, json.loads(result.stdout)["findings"]) == (0, [])
    append("SAFETY.md", "[gone](gone.md)")(copied)
    mend(copied)
    result = run_axk1_here("hub", "check", copied, "--no-run", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stdout.splitlines()[0] == (
        "local/A.X-K1-nano: SAFETY.md: a relative link must lead to a file of the repository, got 'gone.md' [links]"
    )
    result = run_axk1_here("hub", "card", copied, "--check", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, "every card is what its files give\n")
    with pytest.raises(HubError, match="is no release"):
        check(tmp_path)
