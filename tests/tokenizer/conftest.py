import pytest

from modeling_axk1.data.build import build
from modeling_axk1.shipped import shipped
from modeling_axk1.tokenizer.encoder import Encoder
from modeling_axk1.tokenizer.recipe import Recipe
from modeling_axk1.tokenizer.train import train


@pytest.fixture(scope="session")
def sample_dataset(tmp_path_factory):
    """The shipped sample, built once."""
    return build(shipped("data_cards/sample"), tmp_path_factory.mktemp("data") / "sample").out


@pytest.fixture(scope="session")
def trained(sample_dataset, tmp_path_factory):
    """A tokenizer of 4,096 entries trained on the sample, with two siblings: (folder, report)."""
    out = tmp_path_factory.mktemp("tokenizer") / "4k"
    return out, train([sample_dataset], out, Recipe(vocab_size=4096, siblings=(1024, 2048)))


@pytest.fixture(scope="session")
def tokenizer(trained):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(trained[0])


@pytest.fixture(scope="session")
def encoder(trained):
    return Encoder.load(trained[0])
