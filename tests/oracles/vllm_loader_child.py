"""Where vLLM's loader puts each tensor of a checkpoint: a program for the Python of .venv-vllm, as vllm_child.py is.

    python vllm_loader_child.py MODEL LOADED

LOADED becomes a safetensors file of the model's parameters as they are once its shards are read, before a kernel turns
them into a layout of its own. Which kernels this machine lacks makes no difference: none is chosen.
"""

import sys
from types import SimpleNamespace

from safetensors.torch import save_file
from vllm import LLM
from vllm.model_executor.layers.quantization import fp8
from vllm.model_executor.layers.quantization.compressed_tensors.compressed_tensors_moe import (
    compressed_tensors_moe_wna16 as moe_integers,
)
from vllm.model_executor.layers.quantization.compressed_tensors.schemes import compressed_tensors_wNa16 as integers
from vllm.model_executor.model_loader import base_loader


class NoKernel:
    def __init__(self, *args: object, **kwargs: object) -> None:
        self.__dict__ |= kwargs


def main(model: str, loaded: str) -> None:
    fp8.init_fp8_linear_kernel = NoKernel
    fp8.select_fp8_moe_backend = lambda *args, **kwargs: (None, SimpleNamespace())
    integers.choose_mp_linear_kernel = lambda config: NoKernel
    moe_integers.select_wna16_moe_backend = lambda *args, **kwargs: (None, SimpleNamespace())

    def finish(module: object, *_: object) -> None:
        save_file({name: tensor.data.contiguous() for name, tensor in module.named_parameters()}, loaded)
        sys.exit()

    base_loader.process_weights_after_loading = finish
    LLM(model, skip_tokenizer_init=True, dtype="bfloat16", max_model_len=256, enforce_eager=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
