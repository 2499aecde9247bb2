"""How many planted near-duplicates are found, by how much of the text was edited, in five languages and code.

    python benchmarks/data_duplicates.py [TEXTS.jsonl ...] [--out FOLDER]

For each text a copy is made with a share of it edited (tests/data/planted_duplicates.py, seeded); found is a copy that
`first_of_each_group` puts into the group of its text. False are groups of texts that are no copies of each other. The
texts are those of the shipped sample, or of JSON Lines files. Writes release/results/data_duplicates.json.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from modeling_axk1.data.near_duplicates import SHINGLE, THRESHOLD, first_of_each_group, likeness, signature
from modeling_axk1.environment import environment

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from tests.data.planted_duplicates import edited  # noqa: E402 - tests are no package of ours

SEED, EACH = 20261122, 200
SHARES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3)


def measure(texts: list[str]) -> dict:
    """Return recall and mean likeness by share, texts of one language that are grouped at all, and the speed."""
    rng = random.Random(SEED)  # noqa: S311 - a seed is what it is for
    started = time.process_time()
    originals = [signature(text) for text in texts]
    seconds = time.process_time() - started
    curve = {}
    with tempfile.TemporaryDirectory() as folder:
        for share in SHARES:
            copies = [signature(edited(text, share, texts, rng)) for text in texts]
            groups = first_of_each_group(np.stack([*originals, *copies]), Path(folder))
            found = groups[len(texts) :] == groups[: len(texts)]
            curve[str(share)] = {
                "recall": round(float(found.mean()), 4),
                "likeness": round(float(np.mean([likeness(*pair) for pair in zip(originals, copies, strict=True)])), 3),
            }
        grouped = int((first_of_each_group(np.stack(originals), Path(folder)) != np.arange(len(texts))).sum())
    return {
        "texts": len(texts),
        "by_share_edited": curve,
        "grouped_without_a_copy": grouped,
        "signature_megabytes_per_second": round(sum(len(text.encode()) for text in texts) / 1e6 / seconds, 1),
    }


def main() -> None:
    """Measure every language and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="*", type=Path, help="JSON Lines with text and language")
    parser.add_argument("--out", type=Path, default=ROOT / "release" / "results", metavar="FOLDER")
    options = parser.parse_args()
    by_language: dict[str, list[str]] = {}
    for file in options.texts or sorted((ROOT / "data_cards" / "sample").glob("*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            document = json.loads(line)
            if len(document["text"]) >= 500:
                by_language.setdefault(document["language"], []).append(document["text"])
    runs = {}
    for language, texts in sorted(by_language.items()):
        random.Random(SEED).shuffle(texts)  # noqa: S311 - a seed is what it is for
        runs[language] = measure(texts[:EACH])
        print(language, runs[language], file=sys.stderr, flush=True)
    result = {
        "command": "python benchmarks/data_duplicates.py",
        "seed": SEED,
        "shingle": SHINGLE,
        "threshold": THRESHOLD,
        "languages": runs,
        **environment(),
    }
    (options.out / "data_duplicates.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
