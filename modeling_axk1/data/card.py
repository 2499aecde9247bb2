"""The dataset card (README.md) and LICENSE, written from the recipe and the measured numbers."""

from collections.abc import Iterable
from typing import Any

from modeling_axk1.data.recipe import Recipe
from modeling_axk1.data.stats import Amount, Stats
from modeling_axk1.errors import DataError
from modeling_axk1.shipped import shipped

# The hub's own size classes: upper bounds in documents.
_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
    (1_000_000_000, "100M<n<1B"),
)
# Licences that the hub has an identifier for; a dataset with any other one says "other" and names them.
_HUB_LICENSES = {"apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "bsd-3-clause"}
# What is not known of a dataset whose recipe does without a step.
_GAPS = {
    "language": "Language was not identified by a model: it is what the source says.",
    "near_duplicates": "Near-duplicates were not searched for.",
    "pii": "No step looked for personal data.",
}


def render_card(recipe: Recipe, stats: Stats) -> str:
    """Return the card as Markdown; raises DataError for a number that the template names and nobody measured."""
    import jinja2
    import yaml

    environment = jinja2.Environment(  # noqa: S701 (Markdown, not HTML)
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(shipped("release/cards/data_card.md.jinja").read_text(encoding="utf-8"))
    metadata = yaml.safe_dump(hub_metadata(recipe, stats), sort_keys=False, allow_unicode=True)
    return template.render(
        recipe=recipe,
        stats=stats,
        metadata=metadata,
        total={language: sum(splits.values(), Amount()) for language, splits in stats.by_language.items()},
        steps={*(step["name"] for step in recipe.steps), *recipe.corpus_steps},
        gaps_of_steps=_GAPS,
    )


def hub_metadata(recipe: Recipe, stats: Stats) -> dict[str, Any]:
    """Return the card's YAML header as the hub specifies it: licence, languages, size, configs with their files."""
    used = sorted(license.lower() for license in stats.by_license)
    if set(used) <= _HUB_LICENSES:
        license: dict[str, Any] = {"license": used[0] if len(used) == 1 else used}
    else:
        license = {"license": "other", "license_name": "-and-".join(used), "license_link": "LICENSE"}
    by_licence = [(config, f"data/{config}/*", splits) for config, splits in stats.by_config.items()]
    by_language = [(language, f"data/*/{language}", splits) for language, splits in stats.by_language.items()]
    if both := sorted(set(stats.by_config) & set(stats.by_language)):
        raise DataError(f"a config is named after a licence or a language, {both[0]!r} is both")
    return {
        **license,
        "language": sorted(stats.by_language),
        "pretty_name": recipe.pretty_name,
        "size_categories": [next((name for bound, name in _SIZES if stats.kept.documents < bound), "n>1B")],
        "task_categories": ["text-generation"],
        "configs": [
            {"config_name": "default", "default": True, "data_files": _data_files("data/*/*", stats.by_split)},
            *(
                {"config_name": name, "data_files": _data_files(folder, splits)}
                for name, folder, splits in [*by_licence, *by_language]
            ),
        ],
    }


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


def _data_files(folder: str, splits: Iterable[str]) -> list[dict[str, str]]:
    return [{"split": split, "path": f"{folder}/{split}-*.parquet"} for split in splits]
