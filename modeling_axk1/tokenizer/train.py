"""Train a tokenizer on datasets and write the folder that AutoTokenizer loads.

    OUT/tokenizer.json, tokenizer_config.json, chat_template.jinja, report.json
    OUT/siblings/<entries>/   the same four of each smaller sibling

The same datasets give the same bytes: merges are chosen by count and then by id, and nothing that depends on the time
or the machine is written. Text is read once for the sizes that the weights need, once to learn words and, for
superwords, once more; it is never held.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modeling_axk1.data.dataset import data_sha256, read_documents
from modeling_axk1.data.document import Document
from modeling_axk1.errors import TokenizerError
from modeling_axk1.files import atomic_folder
from modeling_axk1.progress import progress_bar
from modeling_axk1.shipped import shipped
from modeling_axk1.tokenizer.bpe import SMALLEST, check_vocab_size, cut, learn
from modeling_axk1.tokenizer.fertility import Fertility, measure_fertility
from modeling_axk1.tokenizer.recipe import Recipe, Sizes, sample, weights
from modeling_axk1.tokenizer.vocabulary import BOS, BYTES, EOS, PAD, SPECIAL_BLOCK

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CONTEXT_TOKENS = 131_072


@dataclass(frozen=True)
class TrainReport:
    """What report.json holds: sizes, the datasets' fingerprints, and tokens per byte by language on validation text.

    `fed` is the text by language as it was weighted, in bytes; `training_bytes` is the sum. `superwords` are the merges
    that were learned over more than one word; `dataset_sha256` are fingerprints of the datasets' data (`data_sha256`).
    """

    vocab_size: int
    superwords: int
    special_tokens: int
    merges: int
    training_bytes: int
    fed: dict[str, int]
    dataset_sha256: list[str]
    validation: dict[str, Fertility]


@dataclass(frozen=True)
class Plan:
    """How often the documents of each language and source will be fed, and what bytes of a language that gives."""

    weights: dict[tuple[str, str], float]
    fed: dict[str, float]


def train(datasets: Sequence[Path], out: Path, recipe: Recipe = Recipe()) -> TrainReport:  # noqa: B008 - frozen
    """Train on the train splits and write tokenizer.json, its config, chat template and report, and siblings, to `out`.

    Raises TokenizerError when a vocabulary's size is no multiple of 128, too small, or more than the text can fill;
    DataError when a dataset is not as it was built.
    """
    texts = _Texts(datasets, plan(datasets, recipe).weights)
    with progress_bar("tokenizer", total=None):
        tokenizer = learn(texts, recipe.vocab_size, recipe.superwords)
    fingerprints = [data_sha256(dataset) for dataset in datasets]
    with atomic_folder(out) as folder:
        reports = [
            _write(
                part, one, recipe, texts.fed, fingerprints, measure_fertility(one, _documents(datasets, "validation"))
            )
            for part, one in [
                (folder, tokenizer),
                *((folder / "siblings" / str(size), cut(tokenizer, size)) for size in recipe.siblings),
            ]
        ]
    return reports[0]


def plan(datasets: Sequence[Path], recipe: Recipe) -> Plan:
    """Check sizes and datasets and return the weights; raises as `train` does and writes nothing."""
    for size in (recipe.vocab_size, *recipe.siblings):
        check_vocab_size(size)
    if recipe.superwords < 0 or recipe.vocab_size - recipe.superwords < SMALLEST:
        most = recipe.vocab_size - SMALLEST
        raise TokenizerError(
            f"superwords must be from 0 to {most} of {recipe.vocab_size} entries, got {recipe.superwords}"
        )
    if any(size >= recipe.vocab_size for size in recipe.siblings):
        raise TokenizerError(
            f"a sibling must be smaller than the tokenizer's {recipe.vocab_size} entries, got {max(recipe.siblings)}"
        )
    sizes = measure_sizes(_documents(datasets, "train"))
    weight = weights(sizes, recipe)
    fed: defaultdict[str, float] = defaultdict(float)
    for key, size in sizes.items():
        fed[key[0]] += size * weight[key]
    return Plan(weight, dict(sorted(fed.items())))


def measure_sizes(documents: Iterable[Document]) -> Sizes:
    """Return the bytes of text by language and source."""
    sizes: Counter[tuple[str, str]] = Counter()
    for document in documents:
        sizes[document.language, document.source] += document.bytes
    return dict(sizes)


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


def _documents(datasets: Sequence[Path], split: str) -> Iterator[Document]:
    for dataset in datasets:
        yield from read_documents(dataset, split)


class _Texts:
    """The texts to train on, as often as they are asked for; `fed` counts the bytes of the last time, by language."""

    def __init__(self, datasets: Sequence[Path], weight: Mapping[tuple[str, str], float]) -> None:
        self.datasets, self.weight = datasets, weight
        self.fed: Counter[str] = Counter()

    def __iter__(self) -> Iterator[str]:
        self.fed.clear()
        for document in sample(_documents(self.datasets, "train"), self.weight):
            self.fed[document.language] += document.bytes
            yield document.text


def _write(
    folder: Path,
    tokenizer: "Tokenizer",
    recipe: Recipe,
    fed: Counter[str],
    fingerprints: list[str],
    validation: dict[str, Fertility],
) -> TrainReport:
    vocab_size = tokenizer.get_vocab_size()
    report = TrainReport(
        vocab_size=vocab_size,
        superwords=max(0, vocab_size - (recipe.vocab_size - recipe.superwords)),
        special_tokens=SPECIAL_BLOCK,
        merges=vocab_size - SPECIAL_BLOCK - BYTES,
        training_bytes=fed.total(),
        fed=dict(sorted(fed.items())),
        dataset_sha256=fingerprints,
        validation=validation,
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    _write_json(folder / "tokenizer_config.json", tokenizer_config())
    template = shipped("tokenizer/chat_template.jinja").read_text(encoding="utf-8")
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    _write_json(folder / "report.json", asdict(report))
    return report


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
