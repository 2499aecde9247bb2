"""LoRA on the fused experts: merged dense weights as the oracle, peft's files, merging, and every way around."""

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import ParamWrapper

from modeling_axk1 import AXK1ForCausalLM
from modeling_axk1.train.lora import EXPERT_PARAMETERS, ExpertsLora, with_fused_experts
from tests.conftest import tiny_config
from tests.model.test_against_native import both

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def base() -> AXK1ForCausalLM:
    torch.manual_seed(0)
    return AXK1ForCausalLM(tiny_config(initializer_range=0.1, experts_implementation="eager"))


def settings() -> LoraConfig:
    return LoraConfig(r=4, lora_alpha=6, target_modules=["q_b_proj"], target_parameters=EXPERT_PARAMETERS)


def adapted(config: LoraConfig) -> PeftModel:
    """The base with factors that are not zero, the same for every kind of wrapper."""
    model = get_peft_model(base(), config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if "lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


def input_ids() -> torch.Tensor:
    return torch.randint(0, 125, (2, 11), generator=torch.Generator().manual_seed(2))


def experts_lora(model) -> list:
    return [module for module in model.modules() if isinstance(module, ParamWrapper)]


def test_both_parameters_of_every_sparse_layer_are_adapted():
    model = adapted(with_fused_experts(settings()))
    adapters = [(type(m), m.parameter_name) for m in experts_lora(model)]
    assert sorted(name for _, name in adapters) == ["down_proj"] * 2 + ["gate_up_proj"] * 2
    assert all(kind is ExpertsLora for kind, _ in adapters)


def test_logits_and_gradients_equal_those_of_weights_changed_by_the_low_rank_product():
    """The oracle: stock peft, which adds the product to the whole tensor."""
    ours, stock = adapted(with_fused_experts(settings())), adapted(settings())
    assert not any(isinstance(m, ExpertsLora) for m in experts_lora(stock))
    outputs = [model(input_ids(), labels=input_ids()) for model in (ours, stock)]
    torch.testing.assert_close(outputs[0].logits, outputs[1].logits, **CLOSE)
    for out in outputs:
        out.loss.backward()
    expected = dict(stock.named_parameters())
    adapters = [name for name, p in ours.named_parameters() if p.requires_grad]
    assert len(adapters) == 2 * 4 + 3 * 2
    for name, parameter in ours.named_parameters():
        if name in adapters:
            assert parameter.grad.abs().max() > 0
            torch.testing.assert_close(parameter.grad, expected[name].grad, **CLOSE)
        else:
            assert parameter.grad is None


def test_merged_weights_give_the_adapted_model_and_unmerging_gives_it_back():
    model = adapted(with_fused_experts(settings())).eval()
    before = model(input_ids()).logits
    model.merge_adapter()
    torch.testing.assert_close(model(input_ids()).logits, before, **CLOSE)
    model.unmerge_adapter()
    torch.testing.assert_close(model(input_ids()).logits, before, **CLOSE)
    merged = model.merge_and_unload()
    assert type(merged) is AXK1ForCausalLM
    torch.testing.assert_close(merged(input_ids()).logits, before, **CLOSE)


@pytest.mark.parametrize("fused", [True, False])
def test_a_saved_adapter_loads_fused_and_by_stock_peft(tmp_path, fused):
    model = adapted(with_fused_experts(settings())).eval()
    model.save_pretrained(tmp_path)
    config = LoraConfig.from_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(base(), tmp_path, config=with_fused_experts(config) if fused else config).eval()
    assert all(isinstance(m, ExpertsLora) is fused for m in experts_lora(loaded))
    torch.testing.assert_close(loaded(input_ids()).logits, model(input_ids()).logits, **CLOSE)


def test_a_saved_adapter_gives_the_same_on_the_native_model(tmp_path):
    ours, native = both()
    ours.set_experts_implementation("eager")
    model = get_peft_model(ours, with_fused_experts(settings())).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(native, tmp_path).eval()
    torch.testing.assert_close(loaded(input_ids()).logits, model(input_ids()).logits, **CLOSE)


def test_a_disabled_adapter_leaves_the_base():
    model = adapted(with_fused_experts(settings())).eval()
    with model.disable_adapter():
        torch.testing.assert_close(model(input_ids()).logits, base().eval()(input_ids()).logits)
    assert not any(m.get_base_layer().low_rank for m in experts_lora(model))


def test_another_experts_implementation_gives_the_same_through_peft():
    model = adapted(with_fused_experts(settings())).eval()
    expected = model(input_ids()).logits
    model.get_base_model().set_experts_implementation("grouped_mm")
    torch.testing.assert_close(model(input_ids()).logits, expected, **CLOSE)


def test_two_active_adapters_add_up():
    model = adapted(with_fused_experts(settings())).eval()
    model.add_adapter("second", with_fused_experts(settings()))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".second." in name:
                parameter.copy_(model.get_parameter(name.replace(".second.", ".default.")))
    one = model(input_ids()).logits
    model.base_model.set_adapter(["default", "second"])
    added = model(input_ids()).logits
    assert (added - one).abs().max() > 1e-3
    model.merge_adapter(["default", "second"])
    torch.testing.assert_close(model(input_ids()).logits, added, **CLOSE)


def test_gradient_checkpointing_changes_no_gradient():
    def gradients(checkpointing: bool) -> dict[str, torch.Tensor]:
        model = adapted(with_fused_experts(settings())).train()
        if checkpointing:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable()
        model(input_ids(), labels=input_ids()).loss.backward()
        return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    plain, checkpointed = gradients(False), gradients(True)
    assert plain.keys() == checkpointed.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(checkpointed[name], gradient, **CLOSE)
