"""LoRA on the fused routed experts through peft's own interface, without a copy of the expert tensors.

peft adapts a fused parameter by adding the low-rank product to all of its experts in every forward: a new tensor of
the size of all experts. Here the rows, which are sorted by expert anyway, pass the low-rank factors beside the weights:

    from peft import LoraConfig, get_peft_model
    from modeling_axk1.train.lora import EXPERT_PARAMETERS, with_fused_experts

    config = LoraConfig(r=16, target_modules=["q_b_proj", "o_proj"], target_parameters=EXPERT_PARAMETERS)
    model = get_peft_model(model, with_fused_experts(config))

    # and from a folder
    model = PeftModel.from_pretrained(model, folder, config=with_fused_experts(LoraConfig.from_pretrained(folder)))

Adapter files are peft's own: without `with_fused_experts` they load too and give the same, slowly, on our model and on
transformers' native `axk1`. Merging, several adapters and switching them off are peft's own as well.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

try:
    from peft import LoraConfig
    from peft.tuners.lora import ParamWrapper
except ImportError as error:
    raise ImportError("LoRA needs peft: pip install 'axk1[lora]'") from error

from modeling_axk1.model.modeling_axk1 import AXK1Experts

EXPERT_PARAMETERS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]


def with_fused_experts(config: LoraConfig) -> LoraConfig:
    """Let `config`, changed in place and returned, adapt our experts' parameters without copying them."""
    config._register_custom_module({AXK1Experts: ExpertsLora})
    return config


class ExpertsLora(ParamWrapper):
    """peft's adapter of one fused parameter; its low-rank factors are handed to the experts rather than multiplied out.

    Only our own implementation of the experts takes the factors. Under another one, such as grouped_mm, this falls
    back to what peft does.
    """

    @contextmanager
    def _activate_lora(self, active_adapters: list[str]) -> Iterator[Any]:
        experts = self.get_base_layer()
        adapters = [adapter for adapter in active_adapters if adapter in self.lora_A]
        if experts.config._experts_implementation != "eager":
            with super()._activate_lora(active_adapters):
                yield
            return
        # peft keeps the experts of `up` innermost; each expert's factor is wanted in one piece.
        factors = [self.get_delta_factors(adapter) for adapter in adapters]
        experts.low_rank[self.parameter_name] = [(up.contiguous(), down, scale) for up, down, scale in factors]
        try:
            yield
        finally:
            del experts.low_rank[self.parameter_name]


# When it nests the adapter of the second parameter in that of the first, peft knows its own by the class's name.
ExpertsLora.__name__ = ParamWrapper.__name__
