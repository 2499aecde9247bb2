import json
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_axk1.data.dataset import read_texts
from modeling_axk1.errors import DataError, TokenizerError
from modeling_axk1.files import file_digests
from modeling_axk1.tokenizer.bpe import cut, learn
from modeling_axk1.tokenizer.encoder import read_tokenizer
from modeling_axk1.tokenizer.recipe import Recipe
from modeling_axk1.tokenizer.train import train
from modeling_axk1.tokenizer.vocabulary import MARKS, SPECIAL_BLOCK, special_tokens

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def test_the_vocabulary_has_exactly_the_size_asked_for_with_special_tokens_last(tokenizer):
    assert len(tokenizer) == 4096
    assert tokenizer.convert_ids_to_tokens(list(range(4096 - SPECIAL_BLOCK, 4096))) == special_tokens()
    assert (tokenizer.bos_token, tokenizer.pad_token, tokenizer.eos_token) == ("<|endoftext|>", "<|pad|>", "<|im_end|>")
    assert tokenizer.model_max_length == 131_072
    assert tokenizer.is_fast


@settings(max_examples=300, deadline=None)
@given(ANY_TEXT)
def test_any_text_comes_back_as_it_was(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n\n \t", "한글 자모 ㄱㅏ 각", "👩‍👩‍👧‍👦 é e\u0301", "\ufeff\x00\x7f", "<think>x</think> <|im_end|>"],
)
def test_awkward_text_comes_back_as_it_was(tokenizer, text):
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_nothing_is_added_around_a_text_and_marks_survive_without_special_tokens(tokenizer):
    ids = tokenizer("<|im_start|>a<think>b</think><|im_end|>").input_ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == "a<think>b</think>"
    assert not MARKS & set(tokenizer.all_special_tokens)


def test_the_same_dataset_gives_the_same_bytes_in_another_process(trained, sample_dataset, tmp_path):
    out = tmp_path / "again"
    command = [sys.executable, "-m", "modeling_axk1", "tokenizer", "train", str(sample_dataset), "--out", str(out)]
    subprocess.run([*command, "--siblings", "1024,2048"], check=True, capture_output=True)
    assert file_digests(out) == file_digests(trained[0])


def test_the_folder_loads_in_transformers_where_this_package_is_not_importable(trained, tmp_path):
    # As in a hub folder: beside a config whose model type transformers knows, and with no code of ours.
    (trained[0] / "config.json").write_text('{"model_type": "axk1"}', encoding="utf-8")
    script = (
        "import sys; sys.modules['modeling_axk1'] = None\n"
        "from transformers import AutoTokenizer\n"
        f"tokenizer = AutoTokenizer.from_pretrained({str(trained[0])!r})\n"
        "assert tokenizer.is_fast and len(tokenizer) == 4096\n"
        "ids = tokenizer.apply_chat_template([{'role': 'user', 'content': '안녕'}], add_generation_prompt=True)\n"
        "print(tokenizer.decode(ids['input_ids'] if hasattr(ids, 'keys') else ids))\n"
    )
    try:
        result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    finally:
        (trained[0] / "config.json").unlink()
    assert result.returncode == 0, result.stderr
    assert result.stdout == "<|im_start|>user\n안녕<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n\n"


def test_the_report_measures_every_language_on_text_not_trained_on(trained):
    folder, report = trained
    assert set(report.validation) == {"all", "code", "en", "es", "ja", "ko", "zh"}
    for measured in report.validation.values():
        assert measured.tokens_per_byte == round(measured.tokens / measured.bytes, 4)
        # A byte-level tokenizer that learned nothing needs one token per byte.
        assert 0.1 < measured.tokens_per_byte < 0.5
    assert json.loads((folder / "report.json").read_text())["merges"] == 4096 - SPECIAL_BLOCK - 256


@pytest.mark.parametrize(
    ("vocab_size", "message"),
    [
        (1000, "vocab size must be a multiple of 128, got 1000"),
        (384, "vocab size must be at least 512, got 384"),
        (0, "vocab size must be at least 512, got 0"),
    ],
)
def test_a_size_that_cannot_be_is_refused(sample_dataset, tmp_path, vocab_size, message):
    with pytest.raises(TokenizerError) as caught:
        train([sample_dataset], tmp_path / "out", Recipe(vocab_size=vocab_size))
    assert str(caught.value) == message


def test_a_dataset_too_small_for_the_vocabulary_says_how_far_it_reached(sample_dataset, tmp_path):
    with pytest.raises(TokenizerError, match=r"too small for a vocabulary of 128000: it gives \d+ entries"):
        train([sample_dataset], tmp_path / "out", Recipe(vocab_size=128_000))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [1024, 2048])
def test_a_sibling_is_what_training_at_its_size_gives(trained, sample_dataset, size):
    sibling, whole = read_tokenizer(trained[0] / "siblings" / str(size)), read_tokenizer(trained[0])
    assert sibling.to_str() == learn(read_texts(sample_dataset, "train"), size).to_str()
    merges = [json.loads(one.to_str())["model"]["merges"] for one in (sibling, whole)]
    assert merges[0] == merges[1][: size - SPECIAL_BLOCK - 256]
    learned = range(size - SPECIAL_BLOCK)
    assert [sibling.id_to_token(n) for n in learned] == [whole.id_to_token(n) for n in learned]
    assert [sibling.id_to_token(n) for n in range(size - SPECIAL_BLOCK, size)] == special_tokens()
    report = json.loads((trained[0] / "siblings" / str(size) / "report.json").read_text())
    assert report["vocab_size"] == size
    assert report["validation"]["ko"]["tokens_per_byte"] > trained[1].validation["ko"].tokens_per_byte


def test_a_sibling_larger_than_its_tokenizer_is_refused(trained, sample_dataset, tmp_path):
    with pytest.raises(TokenizerError, match="must be smaller than the tokenizer's 1024 entries, got 2048"):
        train([sample_dataset], tmp_path / "out", Recipe(vocab_size=1024, siblings=(2048,)))
    with pytest.raises(TokenizerError, match="at most the 4096 entries of its tokenizer, got 8192"):
        cut(read_tokenizer(trained[0]), 8192)


def test_datasets_are_read_one_after_another(sample_dataset, tmp_path):
    once = train([sample_dataset], tmp_path / "once", Recipe(vocab_size=512))
    twice = train([sample_dataset, sample_dataset], tmp_path / "twice", Recipe(vocab_size=512))
    assert twice.training_bytes == 2 * once.training_bytes
    assert twice.dataset_sha256 == once.dataset_sha256 * 2
    assert file_digests(tmp_path / "once")["tokenizer.json"] == file_digests(tmp_path / "twice")["tokenizer.json"]


def test_shares_decide_whose_words_become_tokens(sample_dataset, tmp_path):
    recipe = Recipe(vocab_size=2048, text_bytes=200_000, max_repeats=4.0)
    reports = [
        train([sample_dataset], tmp_path / "out", replace(recipe, shares=shares))
        for shares in ({"ko": 0.9, "en": 0.1}, {"ko": 0.1, "en": 0.9})
    ]
    assert set(reports[0].fed) == {"ko", "en"}
    korean, english = ([report.validation[language].tokens_per_byte for report in reports] for language in ("ko", "en"))
    assert korean[0] < korean[1]
    assert english[0] > english[1]


def test_a_dry_run_says_what_would_be_fed(sample_dataset, tmp_path, run_axk1):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("vocab_size = 2048\ntext_bytes = 100000\nmax_repeats = 2.0\n[shares]\nko = 0.75\nen = 0.25\n")
    command = [
        "tokenizer",
        "train",
        sample_dataset,
        "--out",
        tmp_path / "out",
        "--recipe",
        recipe,
        "--dry-run",
        "--json",
    ]
    result = run_axk1(*command)
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    assert said["vocab_size"] == 2048
    assert said["fed"] == {"code": 0, "en": 25_000, "es": 0, "ja": 0, "ko": 75_000, "zh": 0}


def test_a_missing_dataset_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere is not a dataset folder"):
        train([tmp_path / "nowhere"], tmp_path / "out")


def test_the_command_line_refuses_in_one_line_and_a_dry_run_writes_nothing(sample_dataset, tmp_path, run_axk1):
    wrong = run_axk1("tokenizer", "train", sample_dataset, "--out", tmp_path / "out", "--vocab-size", 1000)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr == "axk1: error: vocab size must be a multiple of 128, got 1000\n"
    dry = run_axk1("tokenizer", "train", sample_dataset, "--out", tmp_path / "out", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert list(tmp_path.iterdir()) == []
