"""How fast a corpus is built, step by step and end to end, against the same steps in datatrove in the same run.

    python benchmarks/data_build.py CORPUS [--megabytes N] [--repeats N] [--only STEP ...] [--out FOLDER]

CORPUS is a folder of Parquet files with documents: what `axk1 data build data_cards/corpus --whole --out CORPUS` made.
Needs besides axk1[data], in an environment of its own (xxhash below 4, and one fastText for both):

    pip install 'datatrove[processing]>=0.10,<0.11' 'spacy[ja]>=3.8' jieba 'kiwipiepy<0.22' orjson
    pip uninstall --yes fasttext-numpy2-wheel && pip install --force-reinstall --no-deps fasttext-predict

Both do a step on the same documents in the same two processes, models loaded and warm, documents in memory; ours runs
alone too, where in a build quality, decontamination and signatures share a text's units. End to end are whole
processes, from JSON Lines to Parquet, `axk1 data build` against datatrove's executors. Writes
release/results/data_build.json.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from data_build_sample import LANGUAGES, SEED, documents_of, sample, size_of, take, write_lines, write_recipes
from measure import RESULTS

from modeling_axk1.data.document import Document
from modeling_axk1.data.workers import Workers
from modeling_axk1.environment import environment

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ("datatrove", "ftfy", "fasttext", "fasteners", "nltk", "spacy", "sudachipy", "jieba", "kiwipiepy", "orjson")
PEERS = ("datatrove", "ftfy", "fasttext-predict", "spacy", "jieba", "kiwipiepy", "numpy", "pyarrow", "rensa")
# What stands against each step, and where the work differs.
AGAINST = {
    "normalise": "FTFYFormatter with NFC and line breaks; ours also strips trailing spaces and blank lines",
    "length": "LambdaFilter with the same two limits",
    "language": "LanguageFilter with lid.176 in its small form, on whole texts; ours looks at 1,000 characters of "
    "languages in Latin script and counts characters of others. Not for code, which ours lets pass",
    "quality": "GopherRepetitionFilter, GopherQualityFilter, C4QualityFilter and FineWebQualityFilter with the "
    "language's tokenizer, as FineWeb has them. No peer for code",
    "pii": "PIIFormatter: e-mail and IP addresses; ours six more kinds, and only what is in use",
    "decontaminate": "NGramsDecontFilter with 13 words; ours with 13 words or 25 characters",
    "duplicates": "ExactDedupSignature, ExactFindDedups and ExactDedupFilter",
    "near_duplicates": "MinhashDedupSignature, -Buckets, -Cluster and -Filter with 112 numbers; ours has 128",
    "parquet": "ParquetWriter with zstd and a page index; ours also writes the text's SHA-256",
}
CHAINS = (
    "JSON Lines to Parquet. datatrove: FTFYFormatter, LambdaFilter, LanguageFilter, the four filters of quality (not "
    "for code), PIIFormatter, NGramsDecontFilter, JsonlWriter and the four stages of MinHash, then ParquetWriter, one "
    "rank a file; its index of evaluation texts is made beforehand, ours in the build, which makes a dataset's card too"
)
# Ours is done several times, or it would be over before a clock can tell.
PASSES = {"ours": 8, "datatrove": 1}


@dataclass(frozen=True)
class Task:
    """One process's half of a phase of a step, in one language."""

    side: str
    step: str
    language: str
    phase: int
    half: int
    folder: Path
    passes: int


@dataclass(frozen=True)
class Measure:
    """Does a task and yields the seconds that it took. `base` holds the documents and the indices."""

    base: Path

    def __call__(self, task: Task) -> Iterator[float]:
        """Make ready, then take the time, as often as the task says."""
        phase = phases(task.side, task.step)[task.phase]
        documents = documents_of(self.base / f"{task.language}.jsonl")[task.half :: 2]
        seconds = 0.0
        for _ in range(task.passes):
            run = phase(documents, task.half, task.folder, task.language)
            started = time.perf_counter()
            run()
            seconds += time.perf_counter() - started
        yield seconds / task.passes


@cache
def phases(side: str, step: str) -> list[Callable[[list[Document], int, Path, str], Callable[[], object]]]:
    """Return the phases of a step, of one side."""
    if side == "ours":
        import data_build_ours as blocks
    else:
        import data_build_datatrove as blocks

        blocks.silence()
    named = {
        "duplicates": blocks.exact_duplicates,
        "near_duplicates": blocks.near_duplicates,
        "parquet": blocks.parquet,
    }
    return named[step]() if step in named else blocks.per_document(step)


# The phases that one process does alone, by side and step.
ALONE = {("ours", "duplicates"): 1, ("ours", "near_duplicates"): 1}
ALONE |= {("datatrove", "duplicates"): 1, ("datatrove", "near_duplicates"): 2}


def make_indices(folder: Path, evaluation: dict[str, list[Document]]) -> None:
    """Write the indices of evaluation texts of both, by language."""
    import data_build_datatrove
    import data_build_ours

    (folder / "index").mkdir()
    for language, some in evaluation.items():
        data_build_datatrove.make_index(some, folder, language)
        data_build_ours.make_index(some, folder, language)


def time_step(workers: Workers, base: Path, side: str, step: str, language: str, passes: int) -> float:
    """Return the seconds of a step over a language's sample: of each phase, those of the slower process."""
    seconds = 0.0
    with tempfile.TemporaryDirectory(dir=base) as folder:
        for phase in range(len(phases(side, step))):
            halves = (0,) if ALONE.get((side, step)) == phase else (0, 1)
            tasks = deque(Task(side, step, language, phase, half, Path(folder), passes) for half in halves)
            seconds += max(taken for _, taken in workers.run(Measure(base), tasks))
    return seconds


def time_steps(base: Path, steps: list[str], repeats: int) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Do every step in every language by both in turn, once unmeasured; {step: {language: {side: seconds}}}."""
    taken: dict[str, dict[str, dict[str, list[float]]]] = {}
    with Workers(2) as workers:
        for step in steps:
            for language in LANGUAGES:
                if language == "code" and step in ("language", "quality"):
                    continue
                seconds: dict[str, list[float]] = {side: [] for side in PASSES}
                for round_ in range(repeats + 1):
                    for side, passes in PASSES.items():
                        one = time_step(workers, base, side, step, language, passes if round_ else 1)
                        if round_:
                            seconds[side].append(round(one, 6))
                taken.setdefault(step, {})[language] = seconds
                print(step, language, seconds, file=sys.stderr, flush=True)
    return taken


_OURS = "import sys; from modeling_axk1.cli import main; sys.argv[0] = 'axk1'; main()"
_DATATROVE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import data_build_datatrove
data_build_datatrove.silence()
data_build_datatrove.chain(*map(Path, sys.argv[2:]))
"""


def time_chains(base: Path, recipe: Path, repeats: int) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Run both chains in turn as whole processes; the seconds of each, and the documents that it wrote."""
    import pyarrow.parquet

    kept = {}
    seconds: dict[str, list[float]] = {side: [] for side in PASSES}
    for round_ in range(repeats):
        for side in PASSES:
            work, out = base / f"work-{side}-{round_}", base / f"out-{side}-{round_}"
            work.mkdir()
            if side == "ours":
                command = ["-c", _OURS, "data", "build", recipe, "--out", out, "--work", work, "--workers", "2"]
            else:
                shutil.copytree(base / "steps" / "index", work / "index")
                command = ["-c", _DATATROVE, ROOT / "benchmarks", recipe, work, out]
            started = time.perf_counter()
            done = subprocess.run(
                [sys.executable, *map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False
            )
            if done.returncode:
                sys.exit(f"the chain of {side} failed: {done.stderr[-2000:]}")
            seconds[side].append(round(time.perf_counter() - started, 2))
            files = out.rglob("*.parquet")
            kept[side] = sum(pyarrow.parquet.read_metadata(path).num_rows for path in files)
            print(side, seconds[side], f"{kept[side]:,} documents", file=sys.stderr, flush=True)
    return seconds, kept


def shown(size: dict[str, int], seconds: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """Return MB/s of both, by language and in all, and how many times as fast ours is, from medians."""
    medians = {language: {side: statistics.median(one) for side, one in of.items()} for language, of in seconds.items()}
    whole = {side: sum(one[side] for one in medians.values()) for side in PASSES}
    total = sum(size[language] for language in medians)
    return {
        "mb_per_s": {side: _rounded(total / 1e6 / whole[side]) for side in PASSES},
        "times_as_fast": _rounded(whole["datatrove"] / whole["ours"]),
        "by_language": {
            language: {side: _rounded(size[language] / 1e6 / one[side]) for side in PASSES}
            | {"times_as_fast": _rounded(one["datatrove"] / one["ours"])}
            for language, one in medians.items()
        },
        "seconds": seconds,
    }


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def main() -> None:
    """Measure the steps and the chains, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, metavar="CORPUS")
    parser.add_argument("--megabytes", type=float, default=0.5, help="of each language, for the steps (default: 0.5)")
    parser.add_argument("--chain-megabytes", type=float, default=1.0, help="the same for end to end (default: 1)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=[*AGAINST, "end to end"], default=[*AGAINST, "end to end"])
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER")
    options = parser.parse_args()
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        sys.exit(f"not installed: {', '.join(missing)}; --help says what to install")
    # Processes come by themselves, and what they compute with shall not have threads of its own.
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "TQDM_DISABLE": "1"}
    with tempfile.TemporaryDirectory(prefix="axk1-benchmark-") as temporary:
        base = Path(temporary)
        documents, evaluation = sample(options.corpus, max(options.megabytes, options.chain_megabytes))
        few = {language: take(iter(some), options.megabytes) for language, some in documents.items()}
        for language, some in few.items():
            write_lines(base / "steps" / f"{language}.jsonl", some)
        make_indices(base / "steps", evaluation)
        taken = time_steps(base / "steps", [one for one in options.only if one in AGAINST], options.repeats)
        result = {
            "command": f"python benchmarks/data_build.py CORPUS --megabytes {options.megabytes:g} "
            f"--chain-megabytes {options.chain_megabytes:g}",
            "seed": SEED,
            "processes": 2,
            "steps_bytes": size_of(few),
            "steps": {
                step: {"against": AGAINST[step], **shown(size_of(few), seconds)} for step, seconds in taken.items()
            },
        }
        if "end to end" in options.only:
            chains, kept = time_chains(base, write_recipes(base, documents, evaluation), options.repeats)
            size = sum(size_of(documents).values())
            counts = {"read": sum(map(len, documents.values())), **kept}
            result |= {"end_to_end_bytes": size_of(documents), "end_to_end_documents": counts}
            result["end_to_end"] = {"against": CHAINS, **shown({"all": size}, {"all": chains})}
    versions = {name: metadata.version(name) for name in PEERS if find_spec(name.partition("-")[0])}
    result |= environment()
    result["versions"] |= versions
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    (options.out / "data_build.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
