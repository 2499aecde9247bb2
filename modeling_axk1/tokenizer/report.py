"""Tokens per byte and speed against the tokenizers of others, on text that ours was not trained on.

A row is one register (manuals, law, narrative ...) in one language. Text counts as `unseen` when it comes from a source
of which nothing was in the training text; held-out documents of a source that was are nearer to what was learned, and
flatter. Bytes are the unit because they are the same for every tokenizer and every script.
"""

import json
import statistics
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from modeling_axk1.data.dataset import SPLITS, read_documents
from modeling_axk1.data.document import Document
from modeling_axk1.data.read import read_jsonl
from modeling_axk1.environment import environment
from modeling_axk1.errors import TokenizerError
from modeling_axk1.progress import progress_bar
from modeling_axk1.tokenizer.peers import OfTokenizers, Peer, load_peer, read_peers

OURS = "ours"
LIMIT = 1_000_000
_BATCH = 64


@dataclass(frozen=True)
class Text:
    """The texts of one row."""

    register: str
    language: str
    unseen: bool
    texts: list[str]

    @property
    def bytes(self) -> int:
        """Length in UTF-8."""
        return sum(len(text.encode()) for text in self.texts)


def report(
    tokenizer: Path, held_out: Sequence[Path], unseen: Sequence[Path], peers: Path, cache: Path, limit: int = LIMIT
) -> dict[str, Any]:
    """Measure the tokenizer of a folder against all of `peers` in one run; of a row at most `limit` bytes.

    See `gather` for `held_out` and `unseen`. Raises TokenizerError or DataError when a peer or a text can't be read.
    """
    rows = gather(held_out, unseen, limit)
    if not rows:
        raise TokenizerError("there is no text to measure on; give some with --unseen or --text")
    ours = OfTokenizers((tokenizer / "tokenizer.json").read_text(encoding="utf-8"))
    subjects: dict[str, Peer] = {OURS: ours}
    with progress_bar("tokenizers", total=None) as advance:
        for pinned in read_peers(peers):
            advance(1, note=pinned.name)
            subjects[pinned.name] = load_peer(pinned, cache)
    measured = []
    with progress_bar("tokens per byte", total=len(rows)) as advance:
        for row in rows:
            measured.append(measure(row, subjects))
            advance(1, note=f"{row.register}, {row.language}")
    return {
        "command": "axk1 tokenizer report",
        "entries": {name: subject.entries for name, subject in subjects.items()},
        "rows": measured,
        "languages": by_language(measured),
        "speed": measure_speed(subjects, rows),
        **environment(),
    }


def gather(held_out: Sequence[Path], unseen: Sequence[Path], limit: int) -> list[Text]:
    """Read the texts to measure on, by register and language, each row up to `limit` bytes in the order of hashes.

    `held_out` are datasets that the tokenizer was trained on, of which the validation split counts; `unseen` are
    datasets, or .jsonl files of documents, of whose sources it has seen nothing.
    """
    registers = _registers()
    rows: defaultdict[tuple[str, str, bool], list[Document]] = defaultdict(list)
    for document, is_unseen in _documents(held_out, unseen):
        # A source that no pattern knows is a register of its own.
        register = next((name for pattern, name in registers if fnmatch(document.source, pattern)), document.source)
        rows[register, document.language, is_unseen].append(document)
    by_language = sorted(rows.items(), key=lambda item: (item[0][1], item[0]))
    return [Text(*key, _up_to(limit, documents)) for key, documents in by_language]


def _up_to(limit: int, documents: Iterable[Document]) -> list[str]:
    """Return texts until there are `limit` bytes, in an order that nobody chose: no one source fills a row."""
    texts, size = [], 0
    for document in sorted(documents, key=lambda one: one.sha256):
        if size < limit:
            texts.append(document.text)
            size += document.bytes
    return texts


def measure(row: Text, subjects: Mapping[str, Peer]) -> dict[str, Any]:
    """Return tokens per byte of every tokenizer on a row, and ours over the best of the others and over o200k_base."""
    size = row.bytes
    ratio = {name: round(_count(subject, row.texts) / size, 4) for name, subject in subjects.items()}
    others = {name: value for name, value in ratio.items() if name != OURS}
    best = min(others, key=lambda name: others[name])
    return {
        "language": row.language,
        "register": row.register,
        "unseen": row.unseen,
        "bytes": size,
        "tokens_per_byte": ratio,
        "best_peer": best,
        "over_best_peer": round(ratio[OURS] / ratio[best], 3),
        "over_o200k_base": round(ratio[OURS] / ratio["o200k_base"], 3) if "o200k_base" in ratio else None,
    }


def by_language(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the mean of a language's unseen rows, of all where none is; every register counts as much as another."""
    found: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["language"]].append(row)
    means = {}
    for language, members in sorted(found.items()):
        chosen = [row for row in members if row["unseen"]] or members
        mean = {
            name: round(statistics.mean(row["tokens_per_byte"][name] for row in chosen), 4)
            for name in chosen[0]["tokens_per_byte"]
        }
        others = {name: value for name, value in mean.items() if name != OURS}
        best = min(others, key=lambda name: others[name])
        means[language] = {
            "unseen": chosen[0]["unseen"],
            "registers": len(chosen),
            "tokens_per_byte": mean,
            "best_peer": best,
            "over_best_peer": round(mean[OURS] / mean[best], 3),
            "over_o200k_base": round(mean[OURS] / mean["o200k_base"], 3) if "o200k_base" in mean else None,
        }
    return means


def measure_speed(subjects: Mapping[str, Peer], rows: Sequence[Text], repeats: int = 3) -> dict[str, dict[str, float]]:
    """Return megabytes a second, encoding and decoding, on the same texts in alternating runs; quote only ratios.

    Each tokenizer uses its library's own threads. The median of `repeats` runs; one before them is not counted.
    """
    texts = [text for row in rows for text in row.texts[:20]]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    seconds: dict[str, dict[str, list[float]]] = {name: {"encode": [], "decode": []} for name in subjects}
    with progress_bar("speed", total=(repeats + 1) * len(subjects)) as advance:
        for round_ in range(repeats + 1):
            for name, subject in subjects.items():
                started = time.perf_counter()
                ids = subject.encode(texts)
                encoded = time.perf_counter()
                subject.decode(ids)
                if round_:
                    seconds[name]["encode"].append(encoded - started)
                    seconds[name]["decode"].append(time.perf_counter() - encoded)
                advance(1, note=name)
    return {
        name: {f"{way}_mb_per_s": round(megabytes / statistics.median(taken), 2) for way, taken in ways.items()}
        for name, ways in seconds.items()
    }


def as_table(result: Mapping[str, Any]) -> str:
    """Return the result for a terminal: rows, means of languages, speed."""
    names = list(result["entries"])
    widths = [max(8, len(name)) for name in names]

    def line(label: str, cells: Iterable[str], rest: str = "") -> str:
        return f"{label:<34} " + "  ".join(f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True)) + rest

    def ratios(row: Mapping[str, Any]) -> tuple[list[str], str]:
        over = f"   {row['over_best_peer']:.3f} of {row['best_peer']}"
        return [f"{row['tokens_per_byte'][name]:.4f}" for name in names], over

    lines = [line("tokens per byte", names), line("entries", (f"{result['entries'][name]:,}" for name in names))]
    for row in result["rows"]:
        kind = row["register"] if row["unseen"] else f"{row['register']} (source seen)"
        lines.append(line(f"{row['language']:<5} {kind}", *ratios(row)))
    for language, mean in result["languages"].items():
        lines.append(line(f"{language:<5} mean of {mean['registers']} registers", *ratios(mean)))
    for way in ("encode", "decode"):
        lines.append(line(f"{way}s MB/s", (f"{result['speed'][name][f'{way}_mb_per_s']:.1f}" for name in names)))
    return "\n".join(lines)


def _count(subject: Peer, texts: Sequence[str]) -> int:
    batches = (texts[start : start + _BATCH] for start in range(0, len(texts), _BATCH))
    return sum(len(ids) for batch in batches for ids in subject.encode(batch))


def _documents(held_out: Sequence[Path], unseen: Sequence[Path]) -> Iterator[tuple[Document, bool]]:
    for dataset in held_out:
        yield from ((document, False) for document in read_documents(dataset, "validation"))
    for path in unseen:
        if path.suffix == ".jsonl":
            yield from ((document, True) for document in read_jsonl(path))
        else:
            yield from ((document, True) for split in SPLITS for document in read_documents(path, split))


def _registers() -> list[tuple[str, str]]:
    from modeling_axk1.shipped import shipped

    table = tomllib.loads(shipped("tokenizer/registers.toml").read_text(encoding="utf-8"))
    return [(pattern, register) for register, patterns in table.items() for pattern in patterns]


def write_report(result: Mapping[str, Any], out: Path) -> None:
    """Write the result as JSON, whole or not at all."""
    from modeling_axk1.files import atomic_write_text

    atomic_write_text(out, json.dumps(result, ensure_ascii=False, indent=2) + "\n")
