"""vLLM reads the quantised checkpoints of an A.X K1: what it says of one, and where it puts every part of the others.

On a CPU it has kernels for four-bit linear layers alone: none for eight-bit integers, for FP8 only with AMX, and no
routed experts in any of the three. What it cannot compute it can still load.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from modeling_axk1 import AXK1ForCausalLM
from modeling_axk1.weights.encodings import encoding_named
from tests.oracles.test_vllm import HEADS, VENV, pytestmark, random_prompts  # noqa: F401 (pytest reads the mark)
from tests.weights.quantised import wide_model, write_quantised

ENCODINGS = ("fp8", "int8", "int4")
MAX_TOKENS = 8
JOINED = {"gate_up_proj": ("gate_proj", "up_proj"), "fused_qkv_a_proj": ("q_a_proj", "kv_a_proj_with_mqa")}
EXPERTS = {"w13": ("gate_proj", "up_proj"), "w2": ("down_proj",)}


def run_vllm(program: str, *arguments: Path) -> None:
    env = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    }
    command = [VENV / "bin" / "python", Path(__file__).parent / program, *arguments]
    result = subprocess.run(command, env=env, cwd=arguments[0].parent, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def source_of(name: str, stored: dict[str, Tensor]) -> Tensor:
    """What vLLM's parameter `name` must hold, put together from the tensors that were stored."""
    module, _, part = name.rpartition(".")
    owner, _, last = module.rpartition(".")
    if last == "routed_experts":  # w13_weight_packed: [experts, gate rows then up rows, words]
        which, _, part = part.partition("_")
        rows = [[stored[f"{owner}.{e}.{each}.{part}"] for each in EXPERTS[which]] for e in range(8)]
        return torch.stack([torch.cat(each) for each in rows])
    if last in JOINED:
        return torch.cat([stored[f"{owner}.{each}.{part}"] for each in JOINED[last]])
    return stored[name]


@pytest.mark.parametrize("name", ENCODINGS)
def test_its_loader_puts_every_part_where_it_belongs(name, tmp_path):
    model = wide_model(**HEADS, use_router_bias=True)
    stored = write_quantised(tmp_path / "c", model, encoding_named(name))
    run_vllm("vllm_loader_child.py", tmp_path / "c", tmp_path / "loaded.safetensors")
    loaded = load_file(tmp_path / "loaded.safetensors")
    compared = 0
    for parameter, tensor in loaded.items():
        if not parameter.endswith("weight_shape"):  # which it reads for nothing, the experts' in bfloat16
            assert torch.equal(tensor.view(torch.uint8), source_of(parameter, stored).contiguous().view(torch.uint8))
            compared += tensor.nbytes
    # All bytes are there, but for the norm of the dense layer, which vLLM does not have, and the shapes.
    left_out = ("weight_shape", "layers.0.post_mlp_layernorm.weight")
    assert compared >= sum(tensor.nbytes for part, tensor in stored.items() if not part.endswith(left_out))


def test_in_four_bits_it_says_the_same_to_the_digits_of_bfloat16(tmp_path):
    """A model of dense layers alone, as on a CPU vLLM has no quantised experts."""
    model = wide_model(**HEADS, first_k_dense_replace=3, initializer_range=0.04)
    write_quantised(tmp_path / "c", model, encoding_named("int4"))
    task, findings = tmp_path / "task.json", tmp_path / "findings.json"
    asked = {"model": str(tmp_path / "c"), "prompts": random_prompts(), "max_tokens": MAX_TOKENS, "dtype": "bfloat16"}
    task.write_text(json.dumps(asked | {"speculative_config": None}))
    run_vllm("vllm_child.py", task, findings)
    found = json.loads(findings.read_text())
    exact = AXK1ForCausalLM.from_pretrained(tmp_path / "c", dtype=torch.float32)
    unquantised = model.float()
    for prompt, appended, logprobs in zip(asked["prompts"], found["tokens"], found["logprobs"], strict=True):
        input_ids = torch.tensor([prompt + appended[:-1]])
        with torch.no_grad():
            expected, other = (each(input_ids).logits[0].log_softmax(-1) for each in (exact, unquantised))
        theirs = torch.tensor(logprobs)
        torch.testing.assert_close(theirs, expected, rtol=0, atol=0.05)
        assert (theirs - expected).abs().mean() < 0.1 * (theirs - other).abs().mean()  # it is the quantised model's
