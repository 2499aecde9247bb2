"""What a dataset says of itself: card, plots, Croissant and licence notice, all made of its recipe and its numbers."""

from collections.abc import Mapping
from pathlib import Path

from modeling_axk1.checksums import write_digests
from modeling_axk1.data.card import licence_notice, render_card
from modeling_axk1.data.croissant import CROISSANT_FILE, croissant
from modeling_axk1.data.dataset import read_sums
from modeling_axk1.data.figures import figures
from modeling_axk1.data.recipe import Recipe, read_recipe
from modeling_axk1.data.stats import STATS_FILE, Stats, read_stats, stats_text
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

    Raises DataError when the folder is no dataset.
    """
    files = {
        name: ((dataset / name).stat().st_size, digest)
        for name, digest in read_sums(dataset).items()
        if name.startswith("data/")
    }
    return about(read_recipe(dataset / "recipe.toml"), stats or read_stats(dataset), files)


def outdated(dataset: Path) -> list[str]:
    """Return the files that say something else than the recipe and the numbers of the dataset."""
    texts = about_dataset(dataset)
    return [
        name
        for name, text in texts.items()
        if not (dataset / name).is_file() or (dataset / name).read_bytes() != text.encode()
    ]


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
