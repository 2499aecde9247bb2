"""Export of one checkpoint: a complete repository, the same bytes each time, nothing damaged goes out."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from modeling_axk1.checksums import parse_sums
from modeling_axk1.data.build import plan_folder, write
from modeling_axk1.errors import HubError
from modeling_axk1.hub.export import export
from modeling_axk1.tokenizer.recipe import Recipe
from modeling_axk1.tokenizer.train import train as train_tokenizer
from modeling_axk1.train.loop import Settings
from modeling_axk1.train.pretrain import plan, pretrain

NAMES = {"repo_id": "me/A.X-K1-test", "dataset_id": "me/text"}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Path, Path]:
    """A checkpoint, a tokenizer and a dataset, tiny and real."""
    root = tmp_path_factory.mktemp("made")
    source = root / "stories"
    source.mkdir()
    for number in range(30):
        text = " ".join(f"The {animal} counts to {number * k}." for k, animal in enumerate(["cat", "owl"] * 12))
        (source / f"{number:02}.txt").write_text(text)
    data = write(plan_folder(source, "en", "Apache-2.0"), root / "data").out
    train_tokenizer([data], root / "tokenizer", Recipe(vocab_size=512))
    run = plan(data, root / "tokenizer", Settings(steps=2), "tiny", 4, 32)
    pretrain(run, root / "checkpoint", max_shard_bytes=300_000)
    return root / "checkpoint", root / "tokenizer", data


def test_the_same_inputs_give_the_same_bytes(made, tmp_path):
    first, second = (export(*made, tmp_path / name, **NAMES) for name in ("a", "b"))
    sums = [(report.folder / "SHA256SUMS").read_bytes() for report in (first, second)]
    assert sums[0] == sums[1]
    assert sorted([*parse_sums(sums[0]), "SHA256SUMS"]) == first.files


def test_the_code_in_it_is_the_packages_own_byte_for_byte(made, tmp_path):
    import modeling_axk1

    export(*made, tmp_path / "out", **NAMES)
    model = Path(modeling_axk1.__file__).parent / "model"
    for name in (
        "attach_axk1.py",
        "cache_axk1.py",
        "checkpoint_axk1.py",
        "configuration_axk1.py",
        "generation_axk1.py",
        "memory_axk1.py",
        "modeling_axk1.py",
        "policies_axk1.py",
        "products_axk1.py",
        "quantised_axk1.py",
        "reading_axk1.py",
        "streamed_axk1.py",
        "streaming_axk1.py",
    ):
        assert (tmp_path / "out" / name).read_bytes() == (model / name).read_bytes()


def test_a_dry_run_names_the_files_and_writes_nothing(made, tmp_path):
    report = export(*made, tmp_path / "out", **NAMES, dry_run=True)
    assert "README.md" in report.files
    assert list(tmp_path.iterdir()) == []


def test_the_card_has_the_hubs_metadata_and_says_whose_it_is_not(made, tmp_path):
    card = (export(*made, tmp_path / "out", **NAMES).folder / "README.md").read_text()
    metadata = yaml.safe_load(card.split("---")[1])
    assert metadata["pipeline_tag"] == "text-generation"
    assert metadata["library_name"] == "transformers"
    assert metadata["license"] == "apache-2.0"
    assert metadata["datasets"] == ["me/text"]
    assert metadata["language"] == ["en"]
    assert "It is not SK Telecom's" in card


def test_a_figure_that_was_not_measured_is_an_error_and_not_a_gap(made, tmp_path):
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(made[0], checkpoint)
    facts = json.loads((checkpoint / "train.json").read_text())
    del facts["measured"]["bits_per_byte"]
    (checkpoint / "train.json").write_text(json.dumps(facts))
    with pytest.raises(HubError, match="bits_per_byte"):
        export(checkpoint, made[1], made[2], tmp_path / "out", **NAMES)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda c, t, d: (c / "train.json").unlink(),
            "has no train.json, which `axk1 train pretrain` writes; nothing was exported",
        ),
        (lambda c, t, d: (t / "tokenizer.json").unlink(), "has no tokenizer.json"),
        (lambda c, t, d: next(c.glob("model-00001*")).unlink(), "cannot be exported: model-00001-of-"),
        (lambda c, t, d: truncate(next(c.glob("model-00001*"))), "is truncated"),
        (lambda c, t, d: change(c / "config.json", "hidden_size", 32), "cannot be exported"),
        (lambda c, t, d: smaller_vocabulary(t), "the tokenizer has 511 entries, the model's vocab_size is 512"),
    ],
)
def test_what_does_not_fit_or_is_damaged_is_not_exported(made, tmp_path, run_axk1, damage, message):
    folders = [tmp_path / source.name for source in made]
    for source, copy in zip(made, folders, strict=True):
        shutil.copytree(source, copy)
    damage(*folders)
    checkpoint, tokenizer, data = folders
    options = [
        "--tokenizer",
        tokenizer,
        "--data",
        data,
        "--out",
        tmp_path / "out",
        "--repo",
        "me/x",
        "--dataset",
        "me/y",
    ]
    result = run_axk1("hub", "export", checkpoint, *options)
    assert result.returncode == 1
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def change(path: Path, key: str, value: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))


def smaller_vocabulary(tokenizer: Path) -> None:
    content = json.loads((tokenizer / "tokenizer.json").read_text())
    content["added_tokens"] = content["added_tokens"][:-1]
    (tokenizer / "tokenizer.json").write_text(json.dumps(content))
