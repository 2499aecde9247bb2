"""A dataset and a tokenizer small enough to train a tiny model in seconds."""

from pathlib import Path

import pytest

from modeling_axk1.data.build import plan_folder, write
from modeling_axk1.tokenizer.recipe import Recipe
from modeling_axk1.tokenizer.train import train


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("text")
    source = root / "stories"
    source.mkdir()
    for number in range(40):
        words = " ".join(f"The {animal} counts to {number * k}." for k, animal in enumerate(["cat", "dog", "owl"] * 12))
        (source / f"{number:02}.txt").write_text(words)
    return write(plan_folder(source, "en", "Apache-2.0"), root / "data").out


@pytest.fixture(scope="session")
def tokenizer(dataset, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("tokenizer") / "tokenizer"
    train([dataset], out, Recipe(vocab_size=512))
    return out
