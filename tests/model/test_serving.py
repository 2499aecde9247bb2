"""Continuous batching: requests come and go, latents lie in pages, and everybody gets what `generate` gives."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, GenerationConfig
from transformers.generation import ContinuousBatchingConfig

from modeling_axk1 import AXK1ForCausalLM
from modeling_axk1.data.build import plan_folder, write
from modeling_axk1.model import modeling_axk1
from modeling_axk1.tokenizer.recipe import Recipe
from modeling_axk1.tokenizer.train import train as train_tokenizer
from tests.conftest import tiny_config

NEW = 12
GREEDY = GenerationConfig(max_new_tokens=NEW, do_sample=False, eos_token_id=-1, pad_token_id=126)


def model_with(**changes) -> AXK1ForCausalLM:
    torch.manual_seed(0)
    return AXK1ForCausalLM(tiny_config(initializer_range=0.2, **changes)).eval()


def prompts(*lengths: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(0, 125, (length,), generator=generator).tolist() for length in lengths]


def alone(model: AXK1ForCausalLM, prompt: list[int], new: int = NEW) -> list[int]:
    ids = model.generate(
        torch.tensor([prompt]), max_new_tokens=new, do_sample=False, eos_token_id=None, pad_token_id=126
    )
    return ids[0, len(prompt) :].tolist()


def together(model: AXK1ForCausalLM, requests: list[list[int]], **batching) -> list[list[int]]:
    settings = ContinuousBatchingConfig(**{"page_size": 8, "num_blocks": 64, "max_batch_tokens": 32, **batching})
    results = model.generate_batch(requests, generation_config=GREEDY, continuous_batching_config=settings)
    assert [result.error for result in results.values()] == [None] * len(requests)
    return [result.generated_tokens for result in results.values()]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_every_request_gets_what_generate_gives_it_alone(attention):
    model = model_with()
    model.set_attn_implementation(attention)
    # One is longer than a batch, so its prompt comes in pieces while others decode.
    requests = prompts(3, 17, 1, 40, 9, 70)
    assert together(model, requests) == [alone(model, prompt) for prompt in requests]
    assert model.config._attn_implementation == attention


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"kv_lora_rank": 33}, id="an odd number of values a token"),
        pytest.param({"num_nextn_predict_layers": 1}, id="a multi-token prediction module"),
        pytest.param({"rope_interleave": False}, id="the other rotary layout"),
    ],
)
def test_the_shape_of_the_model_does_not_matter(changes):
    model, requests = model_with(**changes), prompts(5, 21, 11)
    assert together(model, requests) == [alone(model, prompt) for prompt in requests]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_wrapped_projections_unfold_keys_and_values_and_give_the_same(monkeypatch, attention):
    model, requests = model_with(), prompts(5, 40, 11)
    model.set_attn_implementation(attention)
    expected = [alone(model, prompt) for prompt in requests]
    monkeypatch.setattr(type(model.model.layers[0].self_attn), "_may_use_weights_directly", lambda self, H: False)
    assert together(model, requests) == expected


def test_a_batch_longer_than_a_piece_of_a_prompt_is_not_cut_again(monkeypatch):
    model, requests = model_with(), prompts(20, 13)
    expected = [alone(model, prompt) for prompt in requests]
    monkeypatch.setattr(modeling_axk1, "_PREFILL_CHUNK", 8)
    assert together(model, requests) == expected


def test_requests_wait_when_the_pages_are_full():
    model, requests = model_with(), prompts(20, 20, 20, 20)
    assert together(model, requests, num_blocks=5) == [alone(model, prompt) for prompt in requests]


def test_a_shared_beginning_is_computed_once_and_changes_nothing():
    model, (beginning, *ends) = model_with(), prompts(24, 5, 6, 7)
    requests = [beginning + end for end in ends]
    # One at a time: the second finds the first's pages.
    manager = model.init_continuous_batching(
        GREEDY, ContinuousBatchingConfig(page_size=8, num_blocks=64, max_batch_tokens=32)
    )
    manager.start()
    try:
        for prompt in requests:
            request = manager.add_request(prompt, max_new_tokens=NEW)
            assert manager.get_result(request_id=request, timeout=60).generated_tokens == alone(model, prompt)
    finally:
        manager.stop(block=True)


def test_pages_hold_one_latent_and_one_rotary_key_a_token_and_no_mask_is_made():
    model = model_with()
    manager = model.init_continuous_batching(GREEDY, ContinuousBatchingConfig(page_size=8, num_blocks=64))
    processor = manager._create_batch_processor()
    config, cache = model.config, processor.cache
    a_token = (config.kv_lora_rank + config.qk_rope_head_dim) * 4 * config.num_hidden_layers
    assert cache.bytes_per_sector * cache.num_sectors == 64 * 8 * a_token
    assert processor.inputs_and_outputs.attention_mask is None
    assert config.num_key_value_heads == tiny_config().num_key_value_heads


def test_kernels_that_want_keys_and_values_of_heads_are_refused_with_the_rule():
    model = model_with()
    model.config._attn_implementation_internal = "flash_attention_2"
    with pytest.raises(ValueError, match=r"must be sdpa or eager .* got flash_attention_2"):
        model.init_continuous_batching(GREEDY)


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    """A folder that a server can load: weights, config and tokenizer."""
    (tmp_path / "text").mkdir()
    for number in range(30):
        text = " ".join(f"The {animal} counts to {number * k}." for k, animal in enumerate(["cat", "owl"] * 12))
        (tmp_path / "text" / f"{number}.txt").write_text(text)
    data = write(plan_folder(tmp_path / "text", "en", "Apache-2.0"), tmp_path / "data").out
    train_tokenizer([data], tmp_path / "model", Recipe(vocab_size=512))
    model_with(vocab_size=512).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def server(checkpoint):
    """`axk1 serve` on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "modeling_axk1", "serve", checkpoint]
    options = ["--port", port, "--device", "cpu", "--dtype", "float32", "--cb-num-blocks", 16]
    process = subprocess.Popen([*map(str, command + options)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, process.communicate()[0].decode()
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_axk1_serve_answers_several_at_once_as_generate_does(server, checkpoint):
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AXK1ForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)

    def ask(prompt: str) -> str:
        question = {"model": str(checkpoint), "prompt": prompt, "max_tokens": 10, "temperature": 0}
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{server}/v1/completions", json.dumps(question).encode(), headers)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["choices"][0]["text"]

    texts = ["The cat", "The owl counts to 3", "and", "9, and the owl to"]
    with ThreadPoolExecutor(len(texts)) as pool:
        answers = list(pool.map(ask, texts))
    expected = [alone(model, tokenizer(text)["input_ids"], new=10) for text in texts]
    assert answers == [tokenizer.decode(ids, skip_special_tokens=True) for ids in expected]
