"""One of two processes that divide a model: `python -m tests.model.parallel_process RANK FOLDER DIVISIONS`.

What it sees of the model lies in FOLDER/DIVISION afterwards; test_parallel.py holds it against what one process sees.
"""

import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, distributed
from transformers.distributed import DistributedConfig

from modeling_axk1 import AXK1ForCausalLM
from modeling_axk1.model.modeling_axk1 import AXK1Attention, AXK1TopkRouter

PAD = 126
TOKENS = torch.randint(0, 125, (2, 14), generator=torch.Generator().manual_seed(1))
MASK = torch.tensor([[0] * 5 + [1] * 9, [1] * 14])
PADDED = {"input_ids": TOKENS.masked_fill(MASK == 0, PAD), "attention_mask": MASK}


def whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def logits_in_every_way(model: AXK1ForCausalLM) -> dict[str, Tensor]:
    """Of a padded prompt, by each of the three ways that attention is computed in."""
    logits = {}
    for way, over_latents, grad in (
        ("over latents", True, False),
        ("by head groups", False, False),
        ("by transformers' functions", False, True),
    ):
        cheaper = mock.patch.object(AXK1Attention, "_is_cheaper_over_latents", lambda *_, yes=over_latents: yes)
        with cheaper, torch.set_grad_enabled(grad):
            logits[way] = model(**PADDED).logits[MASK.bool()].detach()
    return logits


@torch.no_grad()
def logits_onto_a_cache(model: AXK1ForCausalLM) -> tuple[Tensor, dict[str, Any]]:
    """Of a prompt, then several tokens, then one; and how attention was computed for the one."""
    cache, logits = None, []
    for part in (TOKENS[:, :8], TOKENS[:, 8:13]):
        out = model(part, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        logits.append(out.logits)
    way = AXK1Attention.attend_over_latents
    with mock.patch.object(AXK1Attention, "attend_over_latents", autospec=True, side_effect=way) as attend:
        logits.append(model(TOKENS[:, 13:], past_key_values=cache).logits)
    heads = [call.args[1].shape[1] for call in attend.call_args_list]
    return torch.cat(logits, dim=1), {"heads over latents": heads, "cached": tuple(cache.layers[0].keys.shape)}


def learn(model: AXK1ForCausalLM, tokens: Tensor) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Gradients of all losses, and the router biases after a step."""
    model.train()
    model(tokens, labels=tokens).loss.backward()
    routers = [module for module in model.modules() if isinstance(module, AXK1TopkRouter)]
    for router in routers:
        router.rebalance()
    model.eval()
    gradients = {name: whole(p.grad) for name, p in model.named_parameters() if p.grad is not None}
    return gradients, [router.e_score_correction_bias for router in routers]


def observe(model: AXK1ForCausalLM, mine: slice = slice(None)) -> dict[str, Any]:
    """What can be seen of a model; `mine` are the sequences that this process learns from."""
    seen: dict[str, Any] = {"prompt": logits_in_every_way(model)}
    seen["continued"], seen["decoding"] = logits_onto_a_cache(model)
    seen["greedy"] = model.generate(**PADDED, max_new_tokens=8, do_sample=False)
    seen["drafted"] = model.generate(**PADDED, max_new_tokens=8, do_sample=False, use_mtp=True)
    seen["gradients"], seen["biases"] = learn(model, TOKENS[mine])
    return seen


def local_shapes(model: AXK1ForCausalLM) -> dict[str, tuple[int, ...]]:
    return {n: tuple((p.to_local() if hasattr(p, "to_local") else p).shape) for n, p in model.named_parameters()}


def divide(rank: int, checkpoints: Path, out: Path, division: dict[str, int]) -> None:
    model, single = (
        AXK1ForCausalLM.from_pretrained(checkpoints / layout, distributed_config=DistributedConfig(**division))
        for layout in ("fused", "per-expert")
    )
    seen: dict[str, Any] = {"shapes": local_shapes(model)}
    seen["layouts agree"] = all(
        torch.equal(whole(one), whole(other))
        for one, other in zip(model.parameters(), single.parameters(), strict=True)
    )
    model.save_pretrained(out / "saved")
    # Processes that divide the data learn from one sequence each; the others see the same ones.
    seen |= observe(model, slice(rank, rank + 1) if division.get("fsdp_size", 1) > 1 else slice(None))
    torch.save(seen, out / f"{rank}.pt")


def main(rank: int, folder: Path, divisions: dict[str, dict[str, int]]) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2)
    for name, division in divisions.items():
        divide(rank, folder, folder / name, division)
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
