"""Which files are a dataset's rows: configurations and splits, found as the library `datasets` finds them.

The card's front matter says so under `configs`; without it, the names of the files do ("data/train-00000-of-00002...",
"test/...", "...-validation.csv", else everything is "train"). Pure rules over paths; the tests ask `datasets` itself.
"""

import fnmatch
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Format = Literal["parquet", "json", "csv", "tsv", "text"]

_FORMATS: dict[str, Format] = {
    "parquet": "parquet",
    "jsonl": "json",
    "json": "json",
    "ndjson": "json",
    "csv": "csv",
    "tsv": "tsv",
    "txt": "text",
}
# When as many files have the one ending as the other, the earlier of these decides.
_FAVOURITES = ("parquet", "jsonl", "json", "csv")

_SHARDED = re.compile(r"data/([^/]*)-[0-9]{5}-of-[0-9]{5}[^/]*\.[^/]*")
_SPLIT_NAME = re.compile(r"\w+(\.\w+)*")
_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_BESIDE_A_WORD = "[-._ 0-9]"
_NO_DATA = {
    "README.md", "config.json", "dataset_info.json", "dataset_infos.json", "dummy_data.zip", "dataset_dict.json",
}  # fmt: skip
# Parts of patterns against parts of paths, a million of which take about a second: a card must not have the hub
# compare names for minutes.
_MOST_STEPS = 1_000_000


@dataclass(frozen=True)
class Split:
    """Files whose rows follow each other; all of one format."""

    name: str
    format: Format
    files: tuple[str, ...]


@dataclass(frozen=True)
class Configuration:
    """One way to read a dataset."""

    name: str
    splits: tuple[Split, ...]
    is_default: bool = False


def configurations(card: Mapping[str, Any], paths: Sequence[str]) -> list[Configuration]:
    """Return what can be read of a dataset, in the card's order; raises ValueError saying what is wrong in the card.

    Splits of formats that are not read here are left out. Exactly one configuration, when there is any, is the default.
    """
    stated = card.get("configs")
    if not stated:
        known = _of_known_formats(_splits_by_name(_Search(paths)))
        return [Configuration("default", known, is_default=True)] if known else []
    if not isinstance(stated, list) or not all(isinstance(one, dict) and "config_name" in one for one in stated):
        raise ValueError("configs must be a list, each with a config_name")
    search = _Search(paths, most_steps=_MOST_STEPS)
    found = []
    for one in stated:
        files = one.get("data_files")
        below = search.below(str(one["data_dir"])) if one.get("data_dir") else search
        splits = _splits_by_name(below) if files is None else _splits_by_pattern(below, files)
        named = str(one["config_name"])
        found.append((Configuration(named, _of_known_formats(splits)), bool(one.get("default")) or named == "default"))
    chosen = next((number for number, (_, is_default) in enumerate(found) if is_default), 0)
    return [Configuration(it.name, it.splits, number == chosen) for number, (it, _) in enumerate(found)]


def format_of(paths: Iterable[str]) -> Format | None:
    """Return the format that most of some files have by their endings; None when it is none of ours."""
    endings = Counter(ending for path in paths for ending in _endings(path) if ending in _FORMATS)
    if not endings:
        return None
    rank = {ending: -place for place, ending in enumerate(_FAVOURITES)}
    best = max(endings, key=lambda ending: (endings[ending], rank.get(ending, -len(rank)), ending))
    return _FORMATS[best]


def _of_known_formats(splits: Mapping[str, Sequence[str]]) -> tuple[Split, ...]:
    known = []
    for name, paths in splits.items():
        if (chosen := format_of(paths)) is not None:
            files = tuple(path for path in paths if any(_FORMATS.get(ending) == chosen for ending in _endings(path)))
            known.append(Split(name, chosen, files))
    return tuple(known)


def _endings(path: str) -> list[str]:
    """Return all endings of a file's name: "a.jsonl.gz" has two."""
    return [ending.lower() for ending in path.rpartition("/")[2].split(".")[1:]]


# By what the card says


def _splits_by_pattern(search: "_Search", stated: object) -> dict[str, list[str]]:
    found = {name: [path for one in patterns for path in search(one)] for name, patterns in _patterns(stated).items()}
    return {name: paths for name, paths in found.items() if paths}


def _patterns(stated: object) -> dict[str, list[str]]:
    """Return {split: patterns} of a `data_files`: one pattern, several, or splits with theirs."""
    if isinstance(stated, dict):
        return {str(split): _texts(path) for split, path in stated.items()}
    if isinstance(stated, list) and any(isinstance(one, dict) for one in stated):
        if not all(isinstance(one, dict) and one.keys() == {"split", "path"} for one in stated):
            raise ValueError("data_files must be a list of paths, or of mappings that each have a split and a path")
        if len({str(one["split"]) for one in stated}) < len(stated):
            raise ValueError("data_files must name each split once")
        return {str(one["split"]): _texts(one["path"]) for one in stated}
    return {"train": _texts(stated)}


def _texts(stated: object) -> list[str]:
    listed = stated if isinstance(stated, list) else [stated]
    texts = [one for one in listed if isinstance(one, str)]
    if len(texts) < len(listed):
        raise ValueError("a path in data_files must be text or a list of texts")
    return texts


# By what the files are called


def _splits_by_name(search: "_Search") -> dict[str, list[str]]:
    sharded: dict[str, list[str]] = {}
    for path in search("data/*-*-of-*"):
        if match := _SHARDED.fullmatch(path):
            sharded.setdefault(match[1], []).append(path)
    if sharded:
        if not all(_SPLIT_NAME.fullmatch(name) for name in sharded):
            raise ValueError("a split's name must be words joined by dots")
        return {name: sharded[name] for name in [*(it for it in _WORDS if it in sharded), *_others(sharded)]}
    for templates in (_FOLDER_TEMPLATES, _FILE_TEMPLATES):
        found = {
            split: [path for word in words for one in templates for path in search(one.format(word, _BESIDE_A_WORD))]
            for split, words in _WORDS.items()
        }
        if any(found.values()):
            return {split: paths for split, paths in found.items() if paths}
    everything = search("**")
    return {"train": everything} if everything else {}


def _others(splits: Iterable[str]) -> list[str]:
    return sorted(set(splits) - set(_WORDS))


_FOLDER_TEMPLATES = ("**/{0}/**", "**/{0}{1}*/**", "**/*{1}{0}/**", "**/*{1}{0}{1}*/**")
_FILE_TEMPLATES = ("**/{0}{1}*", "**/*{1}{0}{1}*")


# Patterns over paths


_NO_LITERAL = re.compile(r"\*\*/|/\*\*|[*?]|\[!?\]?[^\]]*\]")


class _Path(NamedTuple):
    whole: str
    names: list[str]
    secrets: tuple[int, int]


class _Search:
    """Finds paths by patterns: "*" stays within a folder, "**" as a part of its own goes through any number of them.

    What is hidden (".x") or private ("__x") is found only by a pattern that says so, and what is no data never.
    """

    def __init__(self, paths: Iterable[str], base: str = "", most_steps: float = math.inf) -> None:
        self._paths = [_Path(path, names := path.split("/"), _secrets(names)) for path in sorted(paths)]
        self._known = {path.whole for path in self._paths}
        self._base = base
        self._left = most_steps

    def below(self, folder: str) -> "_Search":
        """Return a search among what lies in a folder; patterns start there."""
        base = "/".join(part for part in folder.split("/") if part not in ("", "."))
        inside = (path.whole for path in self._paths if path.whole.startswith(f"{base}/"))
        return _Search(inside, f"{base}/", self._left) if base else self

    def __call__(self, pattern: str) -> list[str]:
        """Return the files that a pattern means, sorted; raises ValueError when comparing takes too long."""
        whole = self._base + "/".join(part for part in pattern.split("/") if part not in ("", "."))
        if not any(mark in whole for mark in "*?["):
            return [whole] if whole in self._known else []
        parts = whole.split("/")
        if any("**" in part and part != "**" for part in parts):
            return []  # `datasets` refuses it
        self._left -= len(self._paths) // 16
        asked, literal, matches = _secrets(parts), _literal(whole), _matcher(parts)
        no_data = _NO_DATA - {parts[-1]}
        found = []
        for path in self._paths:
            if literal in path.whole and path.secrets == asked and path.names[-1] not in no_data:
                self._left -= len(parts) * len(path.names)
                if self._left < 0:
                    raise ValueError("data_files must not be as many patterns, for as many files")
                if matches(path.names):
                    found.append(path.whole)
        return found


def _secrets(names: Sequence[str]) -> tuple[int, int]:
    """Return how many names are hidden, and how many folders private."""
    hidden = sum(name.startswith(".") and set(name) != {"."} for name in names)
    return hidden, sum(name.startswith("__") for name in names[:-1])


def _literal(pattern: str) -> str:
    """Return the longest text that every path has that the pattern means: most paths have it not."""
    return max(_NO_LITERAL.split(pattern), key=len)


def _matcher(parts: Sequence[str]) -> Callable[[Sequence[str]], bool]:
    """Return a test of paths, split at their slashes; it takes the same few steps for each part of any path."""
    # At the end, "**" stands for at least the file's own name.
    steps = [*parts, "*"] if parts[-1] == "**" else list(parts)
    tests = [None if step == "**" else re.compile(fnmatch.translate(step)).match for step in steps]

    if None not in tests:
        every = [test for test in tests if test is not None]
        return lambda names: len(names) == len(every) and all(map(_passes, every, names))

    def with_skipped(states: set[int]) -> set[int]:
        reached = set(states)
        for number, test in enumerate(tests):
            if test is None and number in reached:
                reached.add(number + 1)
        return reached

    def matches(names: Sequence[str]) -> bool:
        states = with_skipped({0})
        for name in names:
            after = set()
            for state in states:
                if state < len(tests):
                    test = tests[state]
                    if test is None:
                        after.add(state)
                    elif test(name):
                        after.add(state + 1)
            states = with_skipped(after)
        return len(tests) in states

    return matches


def _passes(test: Callable[[str], object], name: str) -> bool:
    return bool(test(name))
