"""What a dataset says of itself: card, plots, Croissant and licence notice, all made of its recipe and its numbers.

A recipe's folder keeps all that beside the recipe, with the dataset's SHA256SUMS: everything but its text, and but
croissant.json, which is about the files that hold the text. So the repository says what was measured of the dataset
that its recipe makes, and a build of it can be compared with the one that was published.
"""

from collections.abc import Mapping
from pathlib import Path

from modeling_axk1.checksums import SUMS_FILE, write_digests
from modeling_axk1.data.card import licence_notice, render_card
from modeling_axk1.data.croissant import CROISSANT_FILE, croissant
from modeling_axk1.data.dataset import read_sums
from modeling_axk1.data.figures import figures
from modeling_axk1.data.recipe import Recipe, read_recipe
from modeling_axk1.data.stats import STATS_FILE, Stats, read_stats, stats_text
from modeling_axk1.errors import DataError
from modeling_axk1.files import atomic_write_text, sha256_file


def about(recipe: Recipe, stats: Stats, files: Mapping[str, tuple[int, str]]) -> dict[str, str]:
    """Return {path in the dataset folder: text}; `files` are the Parquet files: {path: (size in bytes, SHA-256)}."""
    return {
        "README.md": render_card(recipe, stats),
        "LICENSE": licence_notice(recipe),
        STATS_FILE: stats_text(stats),
        CROISSANT_FILE: croissant(recipe, stats, files),
        **figures(stats),
    }


def about_dataset(dataset: Path, stats: Stats | None = None) -> dict[str, str]:
    """Return what a dataset folder should say of itself, by its own recipe and stats.json, or by other `stats`.

    Raises DataError when the folder is no dataset, nor a recipe's folder with what its dataset says.
    """
    sums = read_sums(dataset)
    recipe, stats = read_recipe(dataset / "recipe.toml"), stats or read_stats(dataset)
    if not _has_text(dataset):
        return {name: text for name, text in about(recipe, stats, {}).items() if name != CROISSANT_FILE}
    files = {
        name: ((dataset / name).stat().st_size, digest) for name, digest in sums.items() if name.startswith("data/")
    }
    return about(recipe, stats, files)


def outdated(dataset: Path) -> list[str]:
    """Return the files that say something else than the recipe and the numbers of the dataset.

    Of a recipe's folder also those that are not what SHA256SUMS says the dataset was built of: then it must be built
    again.
    """
    texts = about_dataset(dataset)
    names = {
        name
        for name, text in texts.items()
        if not (dataset / name).is_file() or (dataset / name).read_bytes() != text.encode()
    }
    if not _has_text(dataset):
        evaluation = read_recipe(dataset / "recipe.toml").evaluation_recipe
        for name, digest in read_sums(dataset).items():
            if name == CROISSANT_FILE or name.startswith("data/"):
                continue
            path = evaluation() if name.startswith("evaluation/") else dataset / name
            path = path / "recipe.toml" if path.is_dir() else path
            if not path.is_file() or sha256_file(path) != digest:
                names.add(name)
    return sorted(names)


def keep(dataset: Path, folder: Path) -> list[str]:
    """Put what a dataset says of itself into the folder of the recipe that it was built of; return what changed.

    Raises DataError when it was built of another recipe, or with what the recipe holds back.
    """
    digests = read_sums(dataset)
    if read_stats(dataset).whole:
        raise DataError(f"{dataset} is a whole corpus: what is kept is about the part that is released")
    recipe = folder / "recipe.toml"
    if not recipe.is_file() or sha256_file(recipe) != digests.get("recipe.toml"):
        raise DataError(f"{dataset} was built of another recipe than {recipe}: build it again")
    changed = []
    for name in [*(name for name in about_dataset(dataset) if name != CROISSANT_FILE), SUMS_FILE]:
        text = (dataset / name).read_text(encoding="utf-8")
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text:
            atomic_write_text(folder / name, text)
            changed.append(name)
    return changed


def renew(dataset: Path, stats: Stats | None = None) -> list[str]:
    """Write the files that are outdated, with `stats` if they are given, and SHA256SUMS last; return their names."""
    digests = read_sums(dataset)
    texts = about_dataset(dataset, stats)
    changed = []
    for name, text in texts.items():
        path = dataset / name
        if not path.is_file() or path.read_bytes() != text.encode():
            atomic_write_text(path, text)
            changed.append(name)
    written = digests | {name: sha256_file(dataset / name) for name in texts}
    if written != digests:
        write_digests(dataset, written)
    return changed


def _has_text(dataset: Path) -> bool:
    return (dataset / "data").is_dir()
