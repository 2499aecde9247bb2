"""transformers loads a model from the hub by its name, code that travels with it included."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.client("transformers")

MODELING = """
import torch
from transformers import PretrainedConfig, PreTrainedModel


class CountingConfig(PretrainedConfig):
    model_type = "counting"

    def __init__(self, size=4, **kwargs):
        self.size = size
        super().__init__(**kwargs)


class CountingModel(PreTrainedModel):
    config_class = CountingConfig

    def __init__(self, config):
        super().__init__(config)
        self.linear = torch.nn.Linear(config.size, config.size)
        self.post_init()

    def forward(self, x):
        return self.linear(x)
"""


def tiny_llama(seed: int):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    widths = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 32, "max_position_embeddings": 32}
    heads = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
    return LlamaForCausalLM(LlamaConfig(**widths, **heads))


def test_a_model_goes_up_and_comes_back(repo, tmp_path):
    """push_to_hub and from_pretrained: the same tensors; a tag keeps what it named."""
    import torch
    from huggingface_hub import HfApi
    from transformers import AutoConfig, AutoModelForCausalLM

    first, second = tiny_llama(1), tiny_llama(2)
    first.push_to_hub(repo)
    HfApi().create_tag(repo, tag="v1")
    second.push_to_hub(repo)
    assert AutoConfig.from_pretrained(repo, cache_dir=tmp_path).vocab_size == 32
    for revision, expected in (("v1", first), ("main", second)):
        loaded = AutoModelForCausalLM.from_pretrained(repo, revision=revision, cache_dir=tmp_path).state_dict()
        assert all(torch.equal(tensor, loaded[name]) for name, tensor in expected.state_dict().items())


def test_shards_are_followed_by_their_index(repo, tmp_path):
    """A model in several files."""
    import torch
    from huggingface_hub import HfApi
    from transformers import AutoModelForCausalLM

    model = tiny_llama(3)
    model.push_to_hub(repo, max_shard_size="4KB")
    assert sum(name.endswith(".safetensors") for name in HfApi().list_repo_files(repo)) > 1
    loaded = AutoModelForCausalLM.from_pretrained(repo, cache_dir=tmp_path).state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in model.state_dict().items())


def test_code_travels_with_the_model(repo, tmp_path):
    """from_pretrained(trust_remote_code=True) fetches the modeling file that config.json names, and runs it."""
    import json

    import torch
    from huggingface_hub import HfApi
    from safetensors.torch import save_file
    from transformers import AutoModel

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "modeling_counting.py").write_text(MODELING)
    auto_map = {"AutoConfig": "modeling_counting.CountingConfig", "AutoModel": "modeling_counting.CountingModel"}
    config = {"model_type": "counting", "architectures": ["CountingModel"], "size": 4, "auto_map": auto_map}
    (folder / "config.json").write_text(json.dumps(config))
    weights = {"linear.weight": torch.eye(4) * 2, "linear.bias": torch.ones(4)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    HfApi().upload_folder(repo_id=repo, folder_path=folder)
    model = AutoModel.from_pretrained(repo, trust_remote_code=True, cache_dir=tmp_path / "cache")
    assert model(torch.ones(4)).tolist() == [3.0] * 4
    with pytest.raises(ValueError, match="trust_remote_code"):
        AutoModel.from_pretrained(repo, trust_remote_code=False, cache_dir=tmp_path / "cache")


def test_a_tokenizer_and_its_template(repo, tmp_path):
    """AutoTokenizer.from_pretrained finds the tokenizer and the chat template beside it."""
    from huggingface_hub import HfApi
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"[UNK]": 0, "hello": 1, "hub": 2}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]")
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    tokenizer.save_pretrained(tmp_path / "up")
    HfApi().upload_folder(repo_id=repo, folder_path=tmp_path / "up")
    loaded = AutoTokenizer.from_pretrained(repo, cache_dir=tmp_path / "cache")
    assert loaded("hello hub")["input_ids"] == [1, 2]
    assert loaded.apply_chat_template([{"role": "user", "content": "hub"}], tokenize=False) == "hub"


def test_what_is_not_there_is_said(repo, tmp_path):
    """An empty repository is an error about its config.json, which words depend on the client; an unknown one too."""
    from transformers import AutoConfig

    with pytest.raises((OSError, ValueError), match=r"config\.json"):
        AutoConfig.from_pretrained(repo, cache_dir=tmp_path)
    with pytest.raises(OSError, match="not"):
        AutoConfig.from_pretrained(f"{repo}-not", cache_dir=tmp_path)
    assert not list(Path(tmp_path).rglob("config.json"))
