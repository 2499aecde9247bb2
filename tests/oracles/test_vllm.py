"""vLLM on a CPU as an oracle: another engine, with attention, experts and sampler of its own, reads what we write.

`make oracle` builds .venv-vllm, and runs this.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from modeling_axk1 import AXK1ForCausalLM
from modeling_axk1.train.checkpoint import write_model
from modeling_axk1.weights.write import RawTensor, write_checkpoint
from tests.conftest import tiny_config
from tests.model.test_loading import one_by_one

VENV = Path(__file__).parent.parent.parent / ".venv-vllm"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (VENV / ".installed").exists(), reason="vLLM is not installed: `make oracle` does it"),
]

# The published model's own; vLLM's latent attention on a CPU refuses other widths.
HEADS = {"kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128}
WIDTHS = {"hidden_size": 256, "intermediate_size": 384, "moe_intermediate_size": 64, "q_lora_rank": 128}
EXPERTS = {"n_routed_experts": 16, "num_experts_per_tok": 4, "n_group": 4, "topk_group": 2}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 128,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "mscale": 1.0,
    "mscale_all_dim": 0.0,
}
VARIANTS = {
    "router bias, and a module for drafts that is left out": {"use_router_bias": True, "num_nextn_predict_layers": 1},
    "yarn in the softmax": {"rope_parameters": {**YARN, "mscale_all_dim": 1.0}, "use_router_bias": True},
}
# The longest goes beyond YaRN's original context.
PROMPT_LENGTHS = (3, 17, 40, 71, 140)
MAX_TOKENS = 24
ONE_DRAFT = {"method": "mtp", "num_speculative_tokens": 1}


def model_of(**changes) -> AXK1ForCausalLM:
    """A model whose every part changes its logits."""
    torch.manual_seed(0)
    config = tiny_config(**HEADS, **WIDTHS, **EXPERTS, initializer_range=0.04, **changes)
    model = AXK1ForCausalLM(config).eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if "norm" in name or "bias" in name:
                tensor.add_(0.3 * torch.randn_like(tensor))
    return model


def released(model: AXK1ForCausalLM, folder: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """The tensors and the config that `write_model` writes, the former as vLLM's loader wants them.

    Each routed expert by itself. And a router bias of zeros where the model has none: vLLM leaves an absent one to
    whatever its memory held before, and says nothing.
    """
    write_model(model, folder, "float32", max_shard_bytes=10**9)
    tensors = one_by_one(load_file(folder / "model.safetensors"))
    for name in [name for name in tensors if name.endswith("mlp.gate.weight")]:
        tensors.setdefault(name.replace("weight", "e_score_correction_bias"), torch.zeros(len(tensors[name])))
    return tensors, json.loads((folder / "config.json").read_text())


def write(folder: Path, tensors: dict[str, torch.Tensor], config: dict) -> Path:
    folder.mkdir()
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    raw = {name: RawTensor("F32", tuple(tensor.shape), tensor.numpy()) for name, tensor in contiguous.items()}
    write_checkpoint(raw, folder, max_shard_bytes=8_000_000)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def ask_vllm(model: Path, prompts: list[list[int]], speculative_config: dict | None = None) -> dict:
    """Start vLLM, in a process and a Python of its own, and return what tests/oracles/vllm_child.py finds."""
    task, findings = model / "task.json", model / "findings.json"
    asked = {"model": str(model), "prompts": prompts, "max_tokens": MAX_TOKENS}
    task.write_text(json.dumps(asked | {"speculative_config": speculative_config}))
    env = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # else it wants cores for itself alone
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # errors come from the process that made them
    }
    command = [VENV / "bin" / "python", Path(__file__).parent / "vllm_child.py", task, findings]
    result = subprocess.run(command, env=env, cwd=model, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(findings.read_text())


def random_prompts() -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(0, 125, (length,), generator=generator).tolist() for length in PROMPT_LENGTHS]


def greedy(model: AXK1ForCausalLM, prompt: list[int], **options) -> list[int]:
    options |= {"max_new_tokens": MAX_TOKENS, "do_sample": False, "eos_token_id": None}
    return model.generate(torch.tensor([prompt]), **options)[0, len(prompt) :].tolist()


def assert_vllm_agrees(folder: Path) -> None:
    """Hold our model, loaded from `folder`, against vLLM: the tokens, and every logprob of prompt and answer."""
    model, prompts = AXK1ForCausalLM.from_pretrained(folder).eval(), random_prompts()
    findings = ask_vllm(folder, prompts)
    for prompt, appended, logprobs in zip(prompts, findings["tokens"], findings["logprobs"], strict=True):
        with torch.no_grad():
            expected = model(torch.tensor([prompt + appended[:-1]])).logits[0].log_softmax(-1)
        torch.testing.assert_close(torch.tensor(logprobs), expected, rtol=0, atol=1e-5)
        best, second = expected[-MAX_TOKENS:].topk(2).values.unbind(-1)
        assert (best - second).min() > 1e-4  # it is not left to rounding which token is the best
        assert greedy(model, prompt) == appended
    assert len({token for appended in findings["tokens"] for token in appended}) > 20


@pytest.mark.parametrize("variant", VARIANTS)
def test_vllm_says_the_same_to_the_token_and_to_five_digits(variant, tmp_path):
    tensors, config = released(model_of(**VARIANTS[variant]), tmp_path)
    assert_vllm_agrees(write(tmp_path / "vllm", tensors, config))


def test_vllm_says_the_same_of_the_config_of_january_2026(tmp_path):
    tensors, config = released(model_of(rope_parameters=YARN), tmp_path)
    rope = config.pop("rope_parameters")
    config |= {"rope_theta": rope.pop("rope_theta"), "rope_scaling": {"type": rope.pop("rope_type"), **rope}}
    assert_vllm_agrees(write(tmp_path / "vllm", tensors, config))


# Multi-token prediction


def test_the_modules_tensors_are_those_that_vllm_reads_of_a_deepseek_v3(tmp_path):
    """Without copies of embedding and output head: vLLM gives the module those of the model, as we do.

    An A.X K1 of dense layers alone computes what a DeepSeek-V3 of dense layers does: their extra norm is not used.
    """
    model = model_of(first_k_dense_replace=4, num_nextn_predict_layers=1).train()
    cycle = torch.arange(20).repeat(4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for step in range(40):
        batch = torch.stack([cycle[(step + row) % 20 :][:40] for row in (0, 5, 10, 15)])
        model(batch, labels=batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    tensors, config = released(model.eval(), tmp_path)
    tensors = {name: tensor for name, tensor in tensors.items() if "post_mlp_layernorm" not in name}
    config |= {"model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"]}
    prompts = [cycle[:5].tolist(), cycle[7:18].tolist()]
    findings = ask_vllm(write(tmp_path / "vllm", tensors, config), prompts, ONE_DRAFT)
    assert findings["tokens"] == [greedy(model, prompt, use_mtp=True) for prompt in prompts]
    assert findings["accepted"] == findings["drafted"] > MAX_TOKENS / 2


def test_vllm_has_no_drafts_for_an_a_x_k1(tmp_path):
    """When this fails, a newer vLLM has: hold it against ours, and correct what AXK1MultiTokenPredictor says of it."""
    folder = write(tmp_path / "vllm", *released(model_of(num_nextn_predict_layers=1), tmp_path))
    with pytest.raises(AssertionError, match="Unsupported speculative method: 'mtp'"):
        ask_vllm(folder, random_prompts(), ONE_DRAFT)
