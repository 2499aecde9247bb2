"""What data_build.py measures on: a sample of a corpus, in files, and as recipes."""

import json
import random
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from modeling_axk1.data.document import Document
from modeling_axk1.data.read import read_jsonl

ROOT = Path(__file__).resolve().parent.parent
SEED = 20261122
LANGUAGES = ("ko", "ja", "zh", "es", "en", "code")
EVALUATION_SHARE = 0.1


def sample(corpus: Path, megabytes: float) -> tuple[dict[str, list[Document]], dict[str, list[Document]]]:
    """Return a sample of each language of so many MB, and others, a tenth of it, to stand for evaluation texts."""
    import pyarrow.parquet

    places: defaultdict[str, list[tuple[Path, int]]] = defaultdict(list)
    for path in sorted(corpus.rglob("*.parquet")):
        for row, language in enumerate(pyarrow.parquet.read_table(path, columns=["language"])["language"].to_pylist()):
            places[language].append((path, row))
    chosen, evaluation = {}, {}
    for language in LANGUAGES:
        random.Random(SEED).shuffle(places[language])  # noqa: S311 - a seed is what it is for
        documents = _read(places[language])
        chosen[language] = take(documents, megabytes)
        evaluation[language] = take(documents, megabytes * EVALUATION_SHARE)
    return chosen, evaluation


def take(documents: Iterator[Document], megabytes: float) -> list[Document]:
    """Return the next documents, of so many MB or somewhat more."""
    taken, size = [], 0
    while size < megabytes * 1e6:
        document = next(documents, None)
        if document is None:
            sys.exit(f"CORPUS must hold Parquet files with {megabytes:g} MB more in each of {', '.join(LANGUAGES)}")
        taken.append(document)
        size += document.bytes
    return taken


def size_of(documents: dict[str, list[Document]]) -> dict[str, int]:
    """Return the bytes of each language."""
    return {language: sum(one.bytes for one in some) for language, some in documents.items()}


def _read(places: list[tuple[Path, int]]) -> Iterator[Document]:
    import pyarrow.parquet

    tables: dict[Path, Any] = {}
    for path, row in places:
        if path not in tables:
            tables[path] = pyarrow.parquet.read_table(path, columns=[*Document.__dataclass_fields__][:-1])
        yield Document(**tables[path].slice(row, 1).to_pylist()[0])


def write_lines(path: Path, documents: list[Document]) -> None:
    """Write documents as JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ({key: value for key, value in asdict(one).items() if key != "steps"} for one in documents)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@cache
def documents_of(path: Path) -> list[Document]:
    """Return the documents of a JSON Lines file."""
    return list(read_jsonl(path))


def write_recipes(folder: Path, documents: dict[str, list[Document]], evaluation: dict[str, list[Document]]) -> Path:
    """Write the corpus's steps as a recipe of JSON Lines, two files a language, and one of evaluation texts."""
    corpus = (ROOT / "data_cards" / "corpus" / "recipe.toml").read_text("utf-8")
    steps = corpus[corpus.index("[[steps]]") : corpus.index("[[held_back]]")]
    halves = {f"{language}-{half}": some[half::2] for half in (0, 1) for language, some in documents.items()}
    names = {f"{number:02}-{name}": some for number, (name, some) in enumerate(halves.items())}
    _write_recipe(folder / "recipe", names, f'evaluation = "../evaluation"\n{{licences}}\n{steps}')
    _write_recipe(folder / "evaluation", evaluation, "{licences}\n")
    return folder / "recipe"


def _write_recipe(folder: Path, sources: dict[str, list[Document]], text: str) -> None:
    licences = sorted({one.license for some in sources.values() for one in some})
    head = [f'{key} = "benchmark"' for key in ("name", "pretty_name", "description", "intended_use")]
    head += ["known_gaps = []", "validation_share = 0.01"]
    table = "[licenses]\n" + "".join(f'"{one}" = "sample"\n' for one in licences)
    tail = [
        f'[[sources]]\nname = "{name}"\nversion = "1"\nlicense = "{some[0].license}"\nattribution = "-"\n'
        'client = "pip"\npackage = "-"\nsha256 = "00"\nformat = "html"\ncopyright = "-"\nmin_bytes = 1\n'
        f'max_bytes = 1\n[sources.languages]\n{some[0].language} = {{ files = "*" }}\n'
        for name, some in sources.items()
    ]
    for name, some in sources.items():
        write_lines(folder / f"{name}.jsonl", some)
    (folder / "recipe.toml").write_text("\n".join([*head, text.format(licences=table), *tail]), encoding="utf-8")
