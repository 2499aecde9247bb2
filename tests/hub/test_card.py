"""Cards, to the letter, from fixed figures; a figure that is missing is an error and not a gap."""

import json
from pathlib import Path

import pytest

from modeling_axk1.errors import HubError
from modeling_axk1.hub.card import korean_data_card, model_card
from modeling_axk1.hub.figures import figures_in
from modeling_axk1.model.presets import PRESETS
from tests.goldens import assert_golden

AMOUNT = {"documents": 30, "bytes": 12_345}
ORIGIN = {
    "machine": {"system": "Linux", "cpu": "a CPU", "cores": 2},
    "versions": {"torch": "2", "transformers": "5"},
    "commit": "0123456789abcdef",
}
TRAIN = {
    "command": "axk1 train pretrain",
    "settings": {"seed": 0},
    "inputs": {"batch": [4, 32]},
    "measured": {
        "validation_loss": 6.1004,
        "bits_per_byte": 3.2,
        "train_loss": 6.2,
        "steps": 2,
        "tokens": 256,
        "seconds": 1.5,
        "tokens_per_second": 171.0,
    },
    **ORIGIN,
}
STATS = {
    "kept": AMOUNT,
    "by_split": {"train": AMOUNT, "validation": {"documents": 3, "bytes": 1_234}},
    "by_language": {"en": {"train": AMOUNT, "validation": AMOUNT}, "ko": {"validation": AMOUNT}},
    "by_license": {"Apache-2.0": AMOUNT, "CC-BY-SA-3.0": AMOUNT},
}
MEASURED = {
    "validation_loss": 6.2012,
    "bits_per_byte": 3.3,
    "tokens": 1_000,
    "bytes": 3_000,
    "documents": 2,
    "logits_max_abs_diff": 0.0123,
    "logits_mean_kl": 0.00000515,
    "top1_agreement": 0.9583,
    "positions": 24,
}


def repository(folder: Path, name: str, weights: str | None) -> Path:
    """The files that a card is made from, with made-up figures."""
    siblings = [{"repository": "me/nano", "weights": "bf16"}, {"repository": "me/nano-INT4", "weights": "int4"}]
    variant = {
        "command": "axk1 hub export",
        "repository": name,
        "dataset": "me/text",
        "base": "me/nano" if weights == "int4" else None,
        "weights": weights,
        "siblings": siblings if weights else [],
        "counted": {
            "tensors": 50,
            "parameters": 1_234_567,
            "active_parameters": 765_432,
            "bytes": 2_469_134,
            "files": 1,
        },
        "measured": MEASURED if weights else {},
        **ORIGIN,
    }
    config = {**PRESETS["nano"], "first_k_dense_replace": 1, "n_shared_experts": 1}
    tokenizer = {"vocab_size": 512, "validation": {"all": {}, "en": {"tokens_per_byte": 0.3254}}}
    files = {"train": TRAIN, "tokenizer": tokenizer, "dataset": STATS, "variant": variant}
    (folder / "results").mkdir(parents=True)
    for file, content in files.items():
        (folder / "results" / f"{file}.json").write_text(json.dumps(content))
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize(("name", "weights"), [("me/nano", None), ("me/nano", "bf16"), ("me/nano-INT4", "int4")])
def test_a_models_card_is_exactly_this(tmp_path, name, weights, language):
    card = model_card(repository(tmp_path / "r", name, weights), language)
    assert_golden(f"hub/model_card_{weights or 'as_trained'}.{language}.md", card)


def test_a_datasets_korean_card_is_exactly_this(tmp_path):
    (tmp_path / "stats.json").write_text(json.dumps(STATS))
    assert_golden("hub/data_card.ko.md", korean_data_card(tmp_path, "me/text"))


def test_both_languages_have_the_same_figures(tmp_path):
    folder = repository(tmp_path / "r", "me/nano-INT4", "int4")
    english, korean = (sorted(figures_in(model_card(folder, language))) for language in ("en", "ko"))
    assert english == korean
    assert len(english) > 30


@pytest.mark.parametrize(
    ("file", "key"),
    [("train", "bits_per_byte"), ("train", "steps"), ("variant", "top1_agreement"), ("variant", "tokens")],
)
def test_a_figure_that_was_not_measured_is_an_error(tmp_path, file, key):
    folder = repository(tmp_path / "r", "me/nano-INT4", "int4")
    path = folder / "results" / f"{file}.json"
    content = json.loads(path.read_text())
    del content["measured"][key]
    path.write_text(json.dumps(content))
    with pytest.raises(HubError, match=f"results/{file}.json lacks the figure /measured/{key}"):
        model_card(folder)


def test_a_figure_that_is_none_is_an_error(tmp_path):
    folder = repository(tmp_path / "r", "me/nano", "bf16")
    path = folder / "results/train.json"
    path.write_text(path.read_text().replace("6.1004", "null"))
    with pytest.raises(HubError, match="/measured/validation_loss must be a figure, got None"):
        model_card(folder)


def test_a_results_file_that_is_missing_is_named(tmp_path):
    folder = repository(tmp_path / "r", "me/nano", "bf16")
    (folder / "results/train.json").unlink()
    with pytest.raises(HubError, match=r"come from results/train\.json"):
        model_card(folder)
