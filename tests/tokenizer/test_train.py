import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_axk1.errors import DataError, TokenizerError
from modeling_axk1.files import file_digests
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
    subprocess.run(command, check=True, capture_output=True)
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
        train(sample_dataset, tmp_path / "out", vocab_size)
    assert str(caught.value) == message


def test_a_dataset_too_small_for_the_vocabulary_says_how_far_it_reached(sample_dataset, tmp_path):
    with pytest.raises(TokenizerError, match=r"too small for a vocabulary of 128000: its \d+ bytes give \d+ entries"):
        train(sample_dataset, tmp_path / "out", 128_000)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_dataset_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere is not a dataset folder"):
        train(tmp_path / "nowhere", tmp_path / "out")


def test_the_command_line_refuses_in_one_line_and_a_dry_run_writes_nothing(sample_dataset, tmp_path, run_axk1):
    wrong = run_axk1("tokenizer", "train", sample_dataset, "--out", tmp_path / "out", "--vocab-size", 1000)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr == "axk1: error: vocab size must be a multiple of 128, got 1000\n"
    dry = run_axk1("tokenizer", "train", sample_dataset, "--out", tmp_path / "out", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert list(tmp_path.iterdir()) == []
