"""The YAML header of a dataset card, as the hub specifies it: what its search finds, and what its viewer opens.

Source: the hub's documentation of dataset cards and its list of licence identifiers.
"""

from collections.abc import Iterable
from typing import Any

from modeling_axk1.data.recipe import Recipe
from modeling_axk1.data.stats import Stats
from modeling_axk1.errors import DataError

# The hub's own size classes: upper bounds in documents.
_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
    (1_000_000_000, "100M<n<1B"),
    (10_000_000_000, "1B<n<10B"),
    (100_000_000_000, "10B<n<100B"),
    (1_000_000_000_000, "100B<n<1T"),
)
# SPDX identifiers that the hub spells otherwise than in lower case. It knows no exact identifier for some, but the
# family: "gpl" is any version of it.
_HUB_NAMES = {
    "AGPL-3.0-only": "agpl-3.0",
    "AGPL-3.0-or-later": "agpl-3.0",
    "BSD-4-Clause": "bsd",
    "BSD-4-Clause-UC": "bsd",
    "BSL-1.0": "bsl-1.0",
    "GPL-1.0-only": "gpl",
    "GPL-1.0-or-later": "gpl",
    "GPL-2.0-only": "gpl-2.0",
    "GPL-2.0-or-later": "gpl-2.0",
    "GPL-3.0-only": "gpl-3.0",
    "GPL-3.0-or-later": "gpl-3.0",
    "LGPL-2.0-only": "lgpl",
    "LGPL-2.0-or-later": "lgpl",
    "LGPL-2.1-only": "lgpl-2.1",
    "LGPL-2.1-or-later": "lgpl-2.1",
    "LGPL-3.0-only": "lgpl-3.0",
    "LGPL-3.0-or-later": "lgpl-3.0",
} | {
    license: license.lower()
    for license in (
        *("Apache-2.0", "Artistic-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD-3-Clause-Clear", "CC-BY-2.0", "CC-BY-2.5"),
        *("CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC0-1.0", "EPL-1.0", "EPL-2.0", "ISC", "MIT"),
        *("MPL-2.0", "MS-PL", "NCSA", "OFL-1.1", "OSL-3.0", "PostgreSQL", "Unlicense", "WTFPL", "Zlib"),
    )
}


def hub_metadata(recipe: Recipe, stats: Stats) -> dict[str, Any]:
    """Return the header: licences, languages, size, how the text was made, and configs with their files."""
    by_licence = [(config, f"data/{config}/*", splits) for config, splits in stats.by_config.items()]
    by_language = [(language, f"data/*/{language}", splits) for language, splits in stats.by_language.items()]
    if both := sorted(set(stats.by_config) & set(stats.by_language)):
        raise DataError(f"a config is named after a licence or a language, {both[0]!r} is both")
    spoken = set(stats.by_language) - {"code"}
    return {
        **_licenses(stats.by_license),
        "language": sorted(stats.by_language),
        "pretty_name": recipe.pretty_name,
        "size_categories": [next((name for bound, name in _SIZES if stats.kept.documents < bound), "n>1T")],
        "task_categories": ["text-generation"],
        "task_ids": ["language-modeling"],
        "annotations_creators": ["no-annotation"],
        # Of texts that lie in a folder we know not who made them.
        **({"language_creators": ["found"], "source_datasets": ["original"]} if recipe.sources else {}),
        **({"multilinguality": ["multilingual" if len(spoken) > 1 else "monolingual"]} if spoken else {}),
        "configs": [
            {"config_name": "default", "default": True, "data_files": _data_files("data/*/*", stats.by_split)},
            *(
                {"config_name": name, "data_files": _data_files(folder, splits)}
                for name, folder, splits in [*by_licence, *by_language]
            ),
        ],
    }


def hub_license(license: str) -> str:
    """Return the hub's identifier of an SPDX licence; "other" when it has none."""
    return "gfdl" if license.startswith("GFDL-") else _HUB_NAMES.get(license, "other")


def _licenses(licenses: Iterable[str]) -> dict[str, Any]:
    """All that the hub has an identifier for, and "other" with the names of the rest."""
    names = {license: hub_license(license) for license in licenses}
    known = sorted({name for name in names.values() if name != "other"})
    others = sorted(license.lower() for license, name in names.items() if name == "other")
    if not others:
        return {"license": known[0] if len(known) == 1 else known}
    return {
        "license": [*known, "other"] if known else "other",
        "license_name": "-and-".join(others),
        "license_link": "LICENSE",
    }


def _data_files(folder: str, splits: Iterable[str]) -> list[dict[str, str]]:
    return [{"split": split, "path": f"{folder}/{split}-*.parquet"} for split in splits]
