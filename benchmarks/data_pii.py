"""What the pii step finds and what it leaves: precision and recall on a planted set in five languages and code.

    python benchmarks/data_pii.py [--peers] [--out FOLDER]

The set is made by tests/data/planted_pii.py from a seed, with hard negatives: versions, dates, ISBNs, hashes, UUIDs,
private addresses, examples. Who wrote the patterns wrote the set too, so the numbers say that the forms written in the
table of the step are found, not how many forms there are. With --peers the telephone numbers are also looked for by
phonenumbers, and secrets by detect-secrets, where these are installed. Writes release/results/data_pii.json.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from modeling_axk1.data.steps.pii import find
from modeling_axk1.environment import environment

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from tests.data.planted_pii import LANGUAGES, Planted, planted  # noqa: E402 - tests are no package of ours

SEED, PER_KIND = 20261122, 250
_REGIONS = {"ko": "KR", "ja": "JP", "zh": "CN", "es": "ES", "en": "US", "code": "US"}
Finder = Callable[[str, str], list[tuple[int, int, str]]]


def score(lines: list[Planted], finder: Finder) -> dict[str, dict[str, dict[str, float | int]]]:
    """Return for every language and kind what was planted, found and found in vain, with precision and recall."""
    planted_, right, vain = Counter(), Counter(), Counter()
    for line in lines:
        start = line.text.find(line.value) if line.kind else -1
        if line.kind:
            planted_[line.language, line.kind] += 1
        found_in_line = finder(line.text, line.language)
        # A word that says what follows belongs to the planted value, and need not be found.
        hits = [
            one
            for one in found_in_line
            if one[2] == line.kind and one[0] >= start and one[1] == start + len(line.value)
        ]
        right[line.language, line.kind] += bool(hits)
        for one in found_in_line:
            if one not in hits:
                vain[line.language, one[2]] += 1
    scores: dict[str, dict[str, dict[str, float | int]]] = {}
    for language, kind in sorted({*planted_, *vain} - {(language, None) for language in (*LANGUAGES, "code")}):
        found = right[language, kind]
        scores.setdefault(language, {})[kind] = {
            "planted": planted_[language, kind],
            "found": found,
            "found_in_vain": vain[language, kind],
            "recall": round(found / max(planted_[language, kind], 1), 4),
            "precision": round(found / max(found + vain[language, kind], 1), 4),
        }
    return scores


def ours(text: str, language: str) -> list[tuple[int, int, str]]:
    """Find with the step."""
    return [tuple(one) for one in find(text, language)]


def phonenumbers_library(text: str, language: str) -> list[tuple[int, int, str]]:
    """Find telephone numbers with Google's library."""
    import phonenumbers

    return [(one.start, one.end, "phone") for one in phonenumbers.PhoneNumberMatcher(text, _REGIONS[language])]


def detect_secrets_library(text: str, language: str) -> list[tuple[int, int, str]]:
    """Find secrets with detect-secrets and all its plugins."""
    from detect_secrets.core.scan import scan_line
    from detect_secrets.settings import default_settings

    with default_settings():
        values = {one.secret_value for line in text.split("\n") for one in scan_line(line) if one.secret_value}
    return [(text.find(value), text.find(value) + len(value), "secret") for value in sorted(values) if value in text]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true", help="measure phonenumbers and detect-secrets too")
    parser.add_argument("--out", type=Path, default=ROOT / "release" / "results", metavar="FOLDER")
    options = parser.parse_args()
    lines = planted(SEED, PER_KIND)
    finders: dict[str, tuple[Finder, set[str] | None]] = {"axk1": (ours, None)}
    if options.peers:
        finders |= {
            "phonenumbers": (phonenumbers_library, {"phone"}),
            "detect-secrets": (detect_secrets_library, {"secret"}),
        }
    result = {
        "command": "python benchmarks/data_pii.py" + " --peers" * options.peers,
        "seed": SEED,
        "lines": len(lines),
        "harmless_lines": sum(line.kind is None for line in lines),
        "runs": {},
    }
    for name, (finder, kinds) in finders.items():
        some = lines if kinds is None else [line for line in lines if line.kind in kinds or line.kind is None]
        started = time.process_time()
        scores = score(some, finder)
        seconds = time.process_time() - started
        result["runs"][name] = {
            "scores": scores,
            "megabytes_per_second": round(sum(len(line.text.encode()) for line in some) / 1e6 / seconds, 3),
        }
        print(name, json.dumps(result["runs"][name], indent=1), file=sys.stderr)
    text = json.dumps({**result, **environment()}, indent=2, ensure_ascii=False) + "\n"
    (options.out / "data_pii.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
