"""Train a byte-level BPE tokenizer on a dataset and write the folder that AutoTokenizer loads.

The same dataset gives the same bytes: merges are chosen by count and then by id, and nothing that depends on the
time or the machine is written.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modeling_axk1.checksums import SUMS_FILE
from modeling_axk1.data.dataset import read_documents, read_texts
from modeling_axk1.errors import TokenizerError
from modeling_axk1.files import atomic_folder, sha256_file
from modeling_axk1.progress import progress_bar
from modeling_axk1.shipped import shipped
from modeling_axk1.tokenizer.fertility import Fertility, measure_fertility
from modeling_axk1.tokenizer.vocabulary import BOS, EOS, MARKS, PAD, PATTERN, SPECIAL_BLOCK, special_tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CONTEXT_TOKENS = 131_072
_BYTES = 256


@dataclass(frozen=True)
class TrainReport:
    """What report.json holds: sizes, the dataset's fingerprint, and tokens per byte by language on validation text."""

    vocab_size: int
    special_tokens: int
    merges: int
    training_bytes: int
    dataset_sha256: str
    validation: dict[str, Fertility]


def train(dataset: Path, out: Path, vocab_size: int = 4096) -> TrainReport:
    """Train on the dataset's train split and write tokenizer.json, its config, chat template and report to `out`.

    `vocab_size` counts every entry, special tokens included. Raises TokenizerError when it is no multiple of 128, too
    small, or more than the text can fill; DataError when `dataset` is not a dataset as it was built.
    """
    check_vocab_size(vocab_size)
    tokenizer, training_bytes = _train_bpe(dataset, vocab_size)
    report = TrainReport(
        vocab_size=vocab_size,
        special_tokens=SPECIAL_BLOCK,
        merges=vocab_size - SPECIAL_BLOCK - _BYTES,
        training_bytes=training_bytes,
        dataset_sha256=sha256_file(dataset / SUMS_FILE),
        validation=measure_fertility(tokenizer, read_documents(dataset, "validation")),
    )
    with atomic_folder(out) as folder:
        tokenizer.save(str(folder / "tokenizer.json"), pretty=True)
        _write_json(folder / "tokenizer_config.json", tokenizer_config())
        template = shipped("tokenizer/chat_template.jinja").read_text(encoding="utf-8")
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
        _write_json(folder / "report.json", asdict(report))
    return report


def check_vocab_size(vocab_size: int) -> None:
    """Raise TokenizerError unless `vocab_size` is a multiple of 128 with room for bytes and special tokens."""
    if vocab_size % 128:
        raise TokenizerError(f"vocab size must be a multiple of 128, got {vocab_size}")
    least = -(-(_BYTES + SPECIAL_BLOCK + 1) // 128) * 128
    if vocab_size < least:
        raise TokenizerError(f"vocab size must be at least {least}, got {vocab_size}")


def tokenizer_config() -> dict[str, object]:
    """Return tokenizer_config.json: a plain fast tokenizer that needs no code from here."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": PAD,
        "model_max_length": CONTEXT_TOKENS,
        "clean_up_tokenization_spaces": False,
    }


def _train_bpe(dataset: Path, vocab_size: int) -> "tuple[Tokenizer, int]":
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    texts = list(read_texts(dataset, "train"))
    training_bytes = sum(len(text.encode()) for text in texts)
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    learner.decoder = decoders.ByteLevel()
    learned_size = vocab_size - SPECIAL_BLOCK
    trainer = trainers.BpeTrainer(
        vocab_size=learned_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    with progress_bar("tokenizer", total=None):
        learner.train_from_iterator(texts, trainer)
    reached = learner.get_vocab_size()
    if reached < learned_size:
        raise TokenizerError(
            f"the dataset is too small for a vocabulary of {vocab_size}: its {training_bytes} bytes give "
            f"{reached + SPECIAL_BLOCK} entries; ask for fewer, or train on more text"
        )
    # Special tokens go last, as in the release; the trainer itself would put them first.
    learner.add_tokens([AddedToken(token, normalized=False, special=token not in MARKS) for token in special_tokens()])
    return learner, training_bytes


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
