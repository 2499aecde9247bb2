"""The dataset card (README.md) and LICENSE, written from the recipe and the measured numbers.

The card answers the questions of "Datasheets for Datasets" (https://arxiv.org/abs/1803.09010) under its seven headings.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modeling_axk1.data.croissant import COLUMNS
from modeling_axk1.data.decontaminate import CHARACTERS, WORDS
from modeling_axk1.data.metadata import hub_metadata
from modeling_axk1.data.near_duplicates import THRESHOLD
from modeling_axk1.data.read import MAX_DOCUMENT_BYTES
from modeling_axk1.data.recipe import Recipe
from modeling_axk1.data.stats import Amount, Stats
from modeling_axk1.shipped import shipped

# What a step does, for readers who do not read code.
_STEPS = {
    "read": f"drops texts longer than {MAX_DOCUMENT_BYTES:,} bytes: that is data, not text",
    "licence": "keeps texts under the licences of this card; drops others, known or not",
    "normalise": "one form of Unicode (NFC), of line ends and of spaces; wrongly decoded text is repaired or dropped",
    "length": "drops texts too short to learn from, and those with endless lines",
    "language": "drops texts that are not in the language their source states",
    "quality": "drops what counting shows to be lists, tables, boilerplate or repetition",
    "pii": "replaces personal data and secrets by placeholders such as `<EMAIL_1>`",
    "decontaminate": f"drops texts that share {WORDS} words in a row, or {CHARACTERS} characters of Hangul, kana or "
    "Han, with texts to evaluate on",
    "duplicates": "drops texts that are there already, character for character",
    "near_duplicates": f"drops texts whose runs of words are at least {THRESHOLD:.0%} those of a text that is there "
    "already (MinHash)",
}
# What is not known of a dataset whose recipe does without a step.
_GAPS = {
    "language": "Language was not identified by a model: it is what the source says.",
    "quality": "No step looked at the quality of the text.",
    "decontaminate": "It was not kept apart from any texts to evaluate on.",
    "near_duplicates": "Near-duplicates were not searched for.",
    "pii": "No step looked for personal data.",
}
# How many of the largest sources are named before the reader asks for all.
_LARGEST = 10


@dataclass(frozen=True)
class StepRow:
    """A step's line in the card: what came to it, what it dropped of that, and how many documents here it changed."""

    name: str
    parameters: dict[str, Any]
    what: str
    dropped: Amount
    share: float
    changed: int


def render_card(recipe: Recipe, stats: Stats) -> str:
    """Return the card as Markdown; raises DataError for a number that the template names and nobody measured."""
    import jinja2
    import yaml

    environment = jinja2.Environment(  # noqa: S701 (Markdown, not HTML)
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(shipped("release/cards/data_card.md.jinja").read_text(encoding="utf-8"))
    metadata = yaml.safe_dump(hub_metadata(recipe, stats), sort_keys=False, allow_unicode=True)
    by_size = dict(sorted(stats.by_source.items(), key=lambda item: (-item[1].bytes, item[0])))
    return template.render(
        recipe=recipe,
        stats=stats,
        metadata=metadata,
        total={language: sum(splits.values(), Amount()) for language, splits in stats.by_language.items()},
        sources=by_size,
        largest=dict(list(by_size.items())[:_LARGEST]),
        clients=dict(sorted(Counter(source.client for source in recipe.sources).items())),
        left_out=_totals(stats.left_out),
        steps=_steps(recipe, stats),
        columns=COLUMNS,
        gaps=[gap for step, gap in _GAPS.items() if step not in recipe.step_names],
    )


def licence_notice(recipe: Recipe) -> str:
    """Return the text of LICENSE: which licence holds for which config, and whom to credit."""
    lines = ["Every document names its own licence in the column `license` (SPDX identifiers):", ""]
    lines += [f"  data/{config}/  {license}" for license, config in recipe.licenses.items()]
    for source in recipe.sources:
        lines += [
            "",
            f"{source.name} {source.version} ({source.license}): {source.attribution}.",
            f"  Licence text and copyright: LICENSES/{source.name}.copyright",
            "  Changes: text extracted from the files, normalised, some paragraphs and files left out.",
        ]
    return "\n".join(lines) + "\n"


def _totals(left_out: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Sum up by reason, the most frequent first."""
    totals: Counter[str] = Counter()
    for reasons in left_out.values():
        totals.update(reasons)
    return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))


def _steps(recipe: Recipe, stats: Stats) -> list[StepRow]:
    parameters = {step["name"]: {key: value for key, value in step.items() if key != "name"} for step in recipe.steps}
    names = [*(["read"] if "read" in stats.dropped else []), "licence", *recipe.step_names]
    return [
        StepRow(
            name,
            parameters.get(name, {}) | recipe.corpus_steps.get(name, {}),
            _STEPS[name],
            sum(stats.dropped.get(name, {}).values(), Amount()),
            stats.share_dropped(name),
            stats.changed_by_step.get(name, 0),
        )
        for name in names
    ]
